// SPDX-License-Identifier: MIT
// Child processes: started by argument vector, never through a shell, and gone when this process is.
#include "mezz/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/util.h"

// In the child: puts the descriptors in their places. Only calls that are safe between fork and exec.
static bool place_fds(const struct child_fds *fds)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int high[CHILD_FDS];

	for (int i = 0; i < CHILD_FDS; i++) {
		int fd = fds->fds[i] < 0 && i < 3 ? null : fds->fds[i];

		high[i] = fd < 0 ? -1
				 : fcntl(fd, F_DUPFD_CLOEXEC, 64); // out of the way of all places
		if (fd >= 0 && high[i] < 0)
			return false;
	}
	for (int i = 0; i < CHILD_FDS; i++) {
		if (high[i] < 0)
			close(i);
		else if (dup2(high[i], i) < 0)
			return false;
	}
	return true;
}

static void become(const struct words *argv, const struct child_fds *fds, pid_t parent, int report)
{
	sigset_t none;
	int error;

	report = fcntl(report, F_DUPFD_CLOEXEC, 80); // above every place
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0); // the terminal's Ctrl-C is this program's business
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && place_fds(fds))
		execvp(argv->list[0], argv->list);
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

pid_t child_start(const struct words *argv, const struct child_fds *fds)
{
	pid_t parent = getpid(), pid;
	int report[2], error = 0;
	ssize_t n;

	if (pipe2(report, O_CLOEXEC) != 0) {
		complain("%s: %s", argv->list[0], strerror(errno));
		return -1;
	}
	pid = fork();
	if (pid == 0)
		become(argv, fds, parent, report[1]);
	close(report[1]);
	do // nothing comes when exec succeeds
		n = pid > 0 ? read(report[0], &error, sizeof(error)) : 0;
	while (n < 0 && errno == EINTR);
	close(report[0]);
	if (pid > 0 && n == 0)
		return pid;
	complain("%s: %s", argv->list[0], strerror(pid > 0 ? error : errno));
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return -1;
}

static void complain_output(const char *program, int status, const struct text *output)
{
	const char *last =
		output->length > 2000 ? output->data + output->length - 2000 : output->data;

	if (WIFSIGNALED(status))
		complain("%s: killed by signal %d", program, WTERMSIG(status));
	else
		complain("%s: exit status %d", program, WEXITSTATUS(status));
	if (output->length)
		complain("it said:\n%s", last);
}

bool child_run(const struct words *argv)
{
	struct child_fds fds = {{-1, -1, -1, -1, -1, -1}};
	struct text output = {0};
	char piece[4096];
	int out[2], status = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) != 0) {
		complain("%s: %s", argv->list[0], strerror(errno));
		return false;
	}
	fds.fds[1] = fds.fds[2] = out[1];
	pid = child_start(argv, &fds);
	close(out[1]);
	while (pid > 0 &&
		((n = read(out[0], piece, sizeof(piece))) > 0 || (n < 0 && errno == EINTR)))
		if (n > 0)
			text_add(&output, piece, (size_t)n);
	close(out[0]);
	if (pid < 0)
		return false;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status != 0)
		complain_output(argv->list[0], status, &output);
	text_free(&output);
	return status == 0;
}

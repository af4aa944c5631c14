// SPDX-License-Identifier: MIT
#include "mezzd/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "common/util.h"
#include "mezzd/state.h"

#define START_FIELD 22 // of /proc/PID/stat (proc(5)): starttime

// When the process was started; 0: there is none.
static uint64_t start_of(pid_t pid)
{
	char path[32], text[1024], *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (state_read(path, text, sizeof(text)) != 0)
		return 0;
	at = strrchr(text, ')'); // behind its name, which may be anything
	for (int field = 2; at && field < START_FIELD; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

// ---- the child, until it becomes the program

static void usual_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

static bool usual_files(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return null >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
	       dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
}

_Noreturn static void become(const char *program, const char *name, const char *file)
{
	char *const argv[] = {(char *)program, (char *)name, NULL};
	char text[64];
	int error;

	setsid(); // a terminal's Ctrl-C is not for it
	usual_signals();
	snprintf(text, sizeof(text), "%d %" PRIu64 "\n", getpid(), start_of(getpid()));
	error = state_write(file, text);
	if (error) {
		complain("%s: %s", file, strerror(-error));
		_exit(126);
	}
	if (usual_files())
		execv(program, argv);
	complain("%s: %s", program, strerror(errno));
	_exit(127);
}

// ---- mezzd

bool process_start(struct process *p, const char *program, const char *name, const char *file)
{
	pid_t pid = fork();

	if (pid == 0)
		become(program, name, file);
	*p = (struct process){.pid = pid, .fd = pid < 0 ? -1 : pidfd_open(pid, 0), .child = true};
	if (p->fd >= 0)
		return true;
	complain("%s: it cannot be started: %s", name, strerror(errno));
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return false;
}

// First the descriptor, then the look whether it is that of the right process: the other way round it might end, and its number
// be another's, in between.
bool process_find(struct process *p, const char *file)
{
	char text[64];
	uint64_t start;
	int pid;

	if (state_read(file, text, sizeof(text)) != 0 ||
		sscanf(text, "%d %" SCNu64 "\n", &pid, &start) != 2 || pid <= 1)
		return false;
	*p = (struct process){.pid = pid, .fd = pidfd_open(pid, 0)};
	if (p->fd < 0)
		return false;
	if (start && start_of(pid) == start)
		return true;
	close(p->fd);
	return false;
}

void process_kill(const struct process *p)
{
	pidfd_send_signal(p->fd, SIGKILL, NULL, 0);
}

static void tell(const siginfo_t *end, char *how, size_t size)
{
	if (end->si_code == CLD_EXITED)
		snprintf(how, size, "exit status %d", end->si_status);
	else
		snprintf(how, size, "signal %d (%s)", end->si_status, strsignal(end->si_status));
}

void process_end(struct process *p, char *how, size_t size)
{
	siginfo_t end = {0};

	if (!p->child)
		snprintf(how, size, "not known how: it was started by a mezzd before this one");
	else if (waitid(P_PIDFD, (id_t)p->fd, &end, WEXITED) == 0)
		tell(&end, how, size);
	else
		snprintf(how, size, "%s", strerror(errno));
	close(p->fd);
	*p = (struct process){.fd = -1};
}

// SPDX-License-Identifier: MIT
#include "mezzd/creator.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/device.h"
#include "common/util.h"
#include "config/bundle.h"
#include "config/definition.h"

#define holder(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

// ---- in the process

static void fail(struct creator_result *r, int error, const char *message)
{
	r->id = error;
	snprintf(r->message, sizeof(r->message), "%.*s", (int)sizeof(r->message) - 1, message);
}

static void hand_over(const struct config *config, int fd, struct creator_result *r)
{
	int64_t size = bundle_write(config, fd);
	void *bytes;

	if (size < 0) {
		fail(r, -EIO, complaint());
		return;
	}
	bytes = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED) {
		fail(r, -errno, strerror(errno));
		return;
	}
	r->id = device_create(bytes, (size_t)size, r->message, sizeof(r->message));
	r->message[sizeof(r->message) - 1] = 0;
	if (r->id < 0 && !*r->message)
		fail(r, (int)r->id, strerror((int)-r->id));
}

static void create(struct json_object *definition, struct creator_result *r)
{
	struct config *config = allocate(sizeof(*config));
	char error[CONFIG_ERROR_MAX];
	int fd = memfd_create("bundle", MFD_CLOEXEC);

	if (fd < 0)
		fail(r, -errno, strerror(errno));
	else if (!definition_check(definition, config, error))
		fail(r, -EINVAL, error);
	else
		hand_over(config, fd, r);
}

// The rest is mezzd's: clients would wait for the end of a connection that is open here, too.
static void close_others(int keep, int keep_too)
{
	int low = keep < keep_too ? keep : keep_too, high = keep < keep_too ? keep_too : keep;
	unsigned from = STDERR_FILENO + 1;

	if (low > STDERR_FILENO) {
		if (low > (int)from)
			close_range(from, (unsigned)low - 1, 0);
		from = (unsigned)low + 1;
	}
	if (high > (int)from)
		close_range(from, (unsigned)high - 1, 0);
	close_range((unsigned)high + 1, ~0u, 0);
}

// Its result is written at once: less than a pipe's PIPE_BUF.
static _Noreturn void run(struct json_object *definition, pid_t parent, int out)
{
	struct creator_result r = {0};
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) // it has died before
		_exit(1);
	close_others(out, device_descriptor());
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	create(definition, &r);
	_exit(write_all(out, &r, sizeof(r)) != 0);
}

// ---- in mezzd

static void ended(struct loop_source *s)
{
	struct creator *c = holder(s, struct creator, source);
	struct creator_result r;

	if (read(s->fd, &r, sizeof(r)) != sizeof(r))
		fail(&r, -EIO, "the process that makes the VM has died");
	r.message[sizeof(r.message) - 1] = 0;
	creator_stop(c);
	c->done(c, &r);
}

bool creator_start(struct creator *c, struct loop *l, struct json_object *definition)
{
	pid_t parent = getpid();
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0) {
		complain("pipe: %s", strerror(errno));
		return false;
	}
	c->loop = l;
	c->source = (struct loop_source){ends[0], ended};
	c->pid = loop_watch(l, &c->source) ? fork() : -1;
	if (c->pid == 0)
		run(definition, parent, ends[1]);
	close(ends[1]);
	if (c->pid > 0)
		return true;
	complain("a process to make the VM: %s", strerror(errno));
	loop_forget(l, &c->source);
	close(ends[0]);
	c->pid = 0;
	return false;
}

void creator_stop(struct creator *c)
{
	if (c->pid <= 0)
		return;
	loop_forget(c->loop, &c->source);
	close(c->source.fd);
	kill(c->pid, SIGKILL);
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
}

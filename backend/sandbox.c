// SPDX-License-Identifier: MIT
// Least privilege, in stages: a user of its own, no capabilities, a list of system calls.
#include "backend/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "abi/dev_mezz.h"
#include "backend/say.h"

// Numbers of users that neither Debian nor systemd gives to anybody; each VM's back-end has another.
#define FIRST_USER 2000000000u

static bool failed(const char *what)
{
	return say("%s: %s", what, strerror(errno));
}

// Without the right to become root again, or anything else. The capabilities go with the user.
static bool become_nobody(u32 id)
{
	uid_t user = FIRST_USER + id;

	if (setgroups(0, NULL) || setresgid(user, user, user) || setresuid(user, user, user))
		return failed("cannot give up being root");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return failed("cannot give up privileges");
	return true;
}

static bool limit(void)
{
	struct rlimit none = {0, 0}; // a core would be the guest's memory

	return !setrlimit(RLIMIT_CORE, &none) || failed("cannot set limits");
}

static const int allowed[] = {
	SCMP_SYS(io_uring_enter), // disks
	SCMP_SYS(readv),
	SCMP_SYS(writev), // taps
	SCMP_SYS(read),   // the eventfd of bells, netlink
	SCMP_SYS(write),  // messages, netlink
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(epoll_ctl), // the loop
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigreturn),  // after a stop by SIGSTOP, or a debugger
	SCMP_SYS(clock_gettime), // where the vDSO has no clock
	SCMP_SYS(getrandom),     // host_random
	SCMP_SYS(futex),
	SCMP_SYS(brk),
	SCMP_SYS(munmap), // the C library's
	SCMP_SYS(ftruncate),
	SCMP_SYS(pwrite64),
	SCMP_SYS(fdatasync), // the firmware's variables
	SCMP_SYS(close),     // at the end
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

// Calls that are allowed with certain arguments only.
static int allow_some(scmp_filter_ctx c, int kernel)
{
	int err = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 2,
		SCMP_A0(SCMP_CMP_MASKED_EQ, ~0u, (scmp_datum_t)kernel),
		SCMP_A1(SCMP_CMP_MASKED_EQ, ~0u, MEZZ_IOCTL));

	if (!err)
		err = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
			SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
	return err;
}

// What is not on the list ends the process, which is started anew.
static bool filter(int kernel)
{
	scmp_filter_ctx c = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err = c ? 0 : -ENOMEM;

	for (unsigned i = 0; i < ARRAY_SIZE(allowed) && !err; i++)
		err = seccomp_rule_add(c, SCMP_ACT_ALLOW, allowed[i], 0);
	if (!err)
		err = allow_some(c, kernel);
	if (!err)
		err = seccomp_load(c);
	seccomp_release(c);
	return !err || say("cannot set up seccomp: %s", strerror(-err));
}

bool sandbox_enter(u32 id, int kernel)
{
	return limit() && become_nobody(id) && filter(kernel);
}

// SPDX-License-Identifier: MIT
// mezz-backend NAME: serves the virtual devices of one VM, from the root VM.
//
// Exit statuses: 0, the VM has ended; 1, it cannot be served, which was said; 2, the command line is wrong.
#include <signal.h>
#include <string.h>

#include "backend/backend.h"
#include "backend/sandbox.h"
#include "backend/say.h"

static int serve(const char *name)
{
	static struct backend b;
	bool ended;

	signal(SIGPIPE, SIG_IGN); // who reads our messages may have gone
	if (!backend_open(&b, name, BACKEND_RUN, &ended))
		return ended ? 0 : 1;
	link_confine(b.link);
	if (!sandbox_enter(b.vm.id, link_fd(b.link)))
		return 1;
	return backend_run(&b) ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 2 && argv[1][0] != '-' && strlen(argv[1]) < MEZZ_NAME_SIZE)
		return serve(argv[1]);
	say("expected: mezz-backend NAME, of a VM that runs or waits");
	return 2;
}

// SPDX-License-Identifier: MIT
// Child processes: started by argument vector, never through a shell, and gone when this process is.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "common/words.h"

#define CHILD_FDS 6

// fds[i] becomes the child's descriptor i (0..CHILD_FDS-1); -1: /dev/null for 0..2, else closed. All others
// are closed by their close-on-exec flag.
struct child_fds {
	int fds[CHILD_FDS];
};

// Starts argv in a process group of its own; it gets SIGKILL when this process dies. Returns its id, or -1
// after a complaint that names the program.
pid_t child_start(const struct words *argv, const struct child_fds *fds);

// Runs argv to its end. False, after a complaint with the last of its output, when it fails.
bool child_run(const struct words *argv);

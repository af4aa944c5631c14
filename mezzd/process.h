// SPDX-License-Identifier: MIT
// A process that outlives mezzd: started, or found again by the file in which it stands, and watched by a descriptor.
//
// The file holds its number and when it was started, in the kernel's ticks; both together are no other process's before the
// machine starts again, and then the file is gone. The process writes it itself, before it becomes the program.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid;
	int fd;     // readable when it has ended
	bool child; // of this process
};

// Starts `program NAME` in a session of its own, with this process's standard error. False after a message.
bool process_start(struct process *p, const char *program, const char *name, const char *file);

// The process of the file, if it lives.
bool process_find(struct process *p, const char *file);

void process_kill(const struct process *p);

// It has ended: says how ("exit status 1", "signal 9 (Killed)") and forgets it.
void process_end(struct process *p, char *how, size_t size);

// SPDX-License-Identifier: MIT
// One run of the machine, from the started emulator to the exit status.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "common/words.h"

struct session_options {
	const struct config *config;
	const char *log_folder; // NULL: no log files
	int64_t timeout_ms;     // 0: none
	int64_t stop_ms; // how long VMs have to power off when they are asked to; 0: nobody is asked
	unsigned attached; // index of the VM to begin with, or TERMINAL_NOBODY
	bool verbose;      // the kernel's log, too, goes to the terminal
};

// The emulator's descriptors, as its command line names them.
#define SESSION_LINE_FD  3 // the serial line
#define SESSION_QMP_FD   4 // its monitor
#define SESSION_IMAGE_FD 5 // the bundle or the ISO image

// Starts the emulator with this command line and stays with it. Whatever happens, it is gone at the return.
// Returns the exit status (util.h). image_fd is given to the emulator and stays the caller's.
int session_run(const struct session_options *options, const struct words *argv, int image_fd);

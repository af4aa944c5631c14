// SPDX-License-Identifier: MIT
// What the person at the terminal sees and types: one VM attached, the others line by line.
//
// The attached VM's bytes go to standard output as they come. A line of another VM is shown with "NAME| " in
// front, made harmless (lines.h), and waits while the attached VM is in the middle of a line, but not for long.
// While nobody is attached, consoles are shown only when all is to be shown, and Ctrl-C asks the VMs to power off.
// Keys: Ctrl-] and then n (next VM), p (previous), d (nobody), k (the kernel's debug keys), b (the VM's power
// button), s (all of them), q (leave), ? (help), or Ctrl-] for itself.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "mezz/lines.h"
#include "mezz/outcome.h"
#include "common/util.h"

#define TERMINAL_KERNEL BUNDLE_MAX_VMS // stands for the kernel where a VM's index is wanted
#define TERMINAL_NOBODY (BUNDLE_MAX_VMS + 1)
#define TERMINAL_ESCAPE 0x1d // Ctrl-]
#define TERMINAL_STOP   0x03 // Ctrl-C

struct terminal {
	const struct config *config;
	const struct outcome *outcome;
	bool verbose;      // show the kernel's log
	bool tty;          // standard output is a terminal
	bool listens;      // standard input may be read
	unsigned attached; // index of a VM, or TERMINAL_KERNEL or TERMINAL_NOBODY
	bool escaped;      // Ctrl-] was typed
	bool midline;      // the attached VM's last byte was no new line
	char current[256]; // the attached VM's unfinished line, shown again after others' lines
	size_t current_length;
	int64_t attached_at; // clock_ms of its last byte
	struct text
		waiting; // others' lines, complete, in front of which the attached VM's line stands
	struct {
		struct line line;
		int64_t at; // clock_ms of the last byte
	} from[BUNDLE_MAX_VMS + 1];
	bool left;   // the key to leave was typed
	bool stop;   // all VMs shall power off; the reader clears it
	bool button; // the attached VM's power button shall be pressed; the reader clears it
};

// outcome may be read at any time until terminal_end. attached: index of the VM to begin with, or TERMINAL_NOBODY.
void terminal_begin(struct terminal *t, const struct config *config, const struct outcome *outcome,
	unsigned attached, bool verbose);

// Gives the terminal back as it was and shows what still waits. May be called more than once.
void terminal_end(struct terminal *t);

// Bytes of VM from, or of the kernel's log (TERMINAL_KERNEL).
void terminal_output(struct terminal *t, unsigned from, const uint8_t *bytes, size_t n);

// Whole lines of this program or about events, shown at once.
void terminal_say(struct terminal *t, const char *lines);

// Takes one typed byte. True when it is meant for whom t->attached names.
bool terminal_key(struct terminal *t, uint8_t key);

// To be called when terminal_wait says so: shows unfinished and waiting lines, follows the VMs' ends.
void terminal_tick(struct terminal *t);

// Milliseconds until terminal_tick should be called; -1: no need.
int terminal_wait(const struct terminal *t);

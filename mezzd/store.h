// SPDX-License-Identifier: MIT
// The folder of definitions, which outlives the machine's power: one file NAME.json for each VM that is defined. A file is there whole or
// not at all, and what was acknowledged stays, whenever mezzd is killed or the power fails: written beside, to the disk, renamed, and
// the folder to the disk.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define STORE_FOLDER "/var/lib/mezz/vms"

// Makes the folder, and removes what one that was killed left half-written. False after a message.
bool store_open(const char *folder);

// 0 or -errno.
int store_put(const char *folder, const char *name, const char *text, size_t size);
int store_remove(const char *folder, const char *name);

// Calls take for each file: the name, and the text, ended by a zero byte. A file that cannot be read, or is longer than max, is left
// out with a message.
void store_each(const char *folder, size_t max,
	void (*take)(void *owner, const char *name, const char *text, size_t size), void *owner);

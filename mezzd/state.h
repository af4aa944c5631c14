// SPDX-License-Identifier: MIT
// The folder of what must outlive mezzd, in memory (/run): who is the one instance, and which process serves which VM.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define STATE_FOLDER "/run/mezzanine"
#define STATE_PATH   256u

// Makes the folder, for root alone. False after a message.
bool state_folder(const char *folder);

// This process is the one instance from now on, until it ends, and until processes that it has forked begin another program: who
// gets the lock knows that all of them have written their files. False after a message: another one has it.
bool state_lock(const char *folder);

// The path of FOLDER/NAME.SUFFIX.
void state_path(char path[STATE_PATH], const char *folder, const char *name, const char *suffix);

// Writes a small text: whole or not at all, whenever this process is killed. 0 or -errno.
int state_write(const char *path, const char *text);

// The text, ended by a zero byte. 0 or -errno; -EFBIG: it is longer.
int state_read(const char *path, char *text, size_t size);

// SPDX-License-Identifier: MIT
// Files that appear whole or not at all, and a folder for what is needed for a moment.
#pragma once

#include <stdbool.h>

// Calls write(fd, arg) on a new file beside path, which then takes path's place. When anything fails nothing
// is left behind. False after a complaint; write complains for itself.
bool save_file(const char *path, bool (*write)(int fd, const void *arg), const void *arg);

// Copies a finished file to path in the same way. False after a complaint.
bool save_copy(const char *from, const char *path);

// Makes a private folder in $TMPDIR; the caller frees the name. NULL after a complaint.
char *scratch_make(void);

// Removes the folder with everything in it.
void scratch_remove(const char *folder);

// SPDX-License-Identifier: MIT
// The kernel's command line: words separated by blanks, each `key` or `key=value`.
#pragma once

#include "lib/types.h"

// The text must stay in place; until this is called the line is empty.
void cmdline_set(const char *text);

// True when the key is there, with or without a value.
bool cmdline_has(const char *key);

// Copies the value of the first `key=value` (shortened to size - 1 characters, terminated); false
// when there is none.
bool cmdline_get(const char *key, char *out, size_t size);

// True when `key=value` is there with exactly this value.
bool cmdline_is(const char *key, const char *value);

// SPDX-License-Identifier: MIT
// Numbers, sizes and shell words as people write them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A growing list of strings that ends with NULL, as exec wants it. It owns its strings.
struct words {
	char **list;
	size_t count;
};

void words_add(struct words *w, const char *word);
__attribute__((format(printf, 2, 3))) void words_print(struct words *w, const char *fmt, ...);
void words_free(struct words *w);

// Splits text as a POSIX shell splits words: blanks, '...', "..." and backslash; nothing is expanded.
// Returns false when a quote is not closed; what was added until then stays.
bool words_split(struct words *w, const char *text);

// Returns the words as one line that a shell splits into the same words; the caller frees it.
char *words_quote(const struct words *w);

// The text with each comma doubled, as QEMU's option lists want a comma in a value; the caller frees it.
char *double_commas(const char *text);

// Decimal digits only, from min to max; false leaves *out alone.
bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);

// A number with the unit KiB, MiB, GiB or TiB, in bytes; false when it is none or above 2^63.
bool parse_size(const char *text, uint64_t *out);

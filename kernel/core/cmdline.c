// SPDX-License-Identifier: MIT
// Looks up words of the kernel's command line.
#include "kernel/core/cmdline.h"
#include "lib/string.h"

static const char *line = "";

void cmdline_set(const char *text)
{
	line = text;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

// Finds the next word at *s and moves *s behind it; its length, 0 at the end.
static size_t next_word(const char **s, const char **word)
{
	size_t n = 0;

	while (is_blank(**s))
		(*s)++;
	*word = *s;
	while (**s && !is_blank(**s)) {
		(*s)++;
		n++;
	}
	return n;
}

// The text behind the key in the first word that has it, and how long it is; NULL when none has.
static const char *find(const char *key, bool with_value, size_t *length)
{
	size_t key_length = strlen(key);
	const char *s = line, *word;
	size_t n;

	while ((n = next_word(&s, &word)) != 0) {
		if (n < key_length || memcmp(word, key, key_length) != 0)
			continue;
		*length = n - key_length;
		if (*length > 0 ? word[key_length] == '=' : !with_value)
			return word + key_length;
	}
	return NULL;
}

bool cmdline_has(const char *key)
{
	size_t n;

	return find(key, false, &n) != NULL;
}

bool cmdline_get(const char *key, char *out, size_t size)
{
	size_t n;
	const char *s = find(key, true, &n);

	if (!s || size == 0)
		return false;
	n = MIN(n - 1, size - 1); // behind the '='
	memcpy(out, s + 1, n);
	out[n] = 0;
	return true;
}

bool cmdline_is(const char *key, const char *value)
{
	size_t n;
	const char *s = find(key, true, &n);

	return s && n - 1 == strlen(value) && memcmp(s + 1, value, n - 1) == 0;
}

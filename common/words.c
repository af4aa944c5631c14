// SPDX-License-Identifier: MIT
// Numbers, sizes and shell words as people write them.
#include "common/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

static void add_owned(struct words *w, char *word)
{
	w->list = reallocate(w->list, (w->count + 2) * sizeof(*w->list));
	w->list[w->count++] = word;
	w->list[w->count] = NULL;
}

void words_add(struct words *w, const char *word)
{
	add_owned(w, copy_text(word, strlen(word)));
}

void words_print(struct words *w, const char *fmt, ...)
{
	va_list args;
	char *out;

	va_start(args, fmt);
	if (vasprintf(&out, fmt, args) < 0)
		out = NULL;
	va_end(args);
	if (!out) {
		complain("out of memory");
		exit(STATUS_FAILED);
	}
	add_owned(w, out);
}

char *double_commas(const char *text)
{
	struct text out = {0};

	text_add(&out, "", 0);
	for (; *text; text++)
		text_print(&out, *text == ',' ? ",," : "%c", *text);
	return out.data;
}

void words_free(struct words *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->list[i]);
	free(w->list);
	*w = (struct words){0};
}

// Takes one character of a word, quoted or not; returns where the next one begins, NULL at an open quote.
static const char *split_quoted(struct text *word, const char *p)
{
	char quote = *p++;

	if (quote == '\\') {
		if (*p)
			text_add(word, p++, 1);
		return p;
	}
	for (; *p != quote; p++) {
		if (!*p)
			return NULL;
		if (quote == '"' && *p == '\\' &&
			(p[1] == '"' || p[1] == '\\' || p[1] == '$' || p[1] == '`'))
			p++;
		text_add(word, p, 1);
	}
	return p + 1;
}

bool words_split(struct words *w, const char *text)
{
	const char *p = text;

	for (;;) {
		struct text word = {0};

		p += strspn(p, " \t\n");
		if (!*p)
			return true;
		text_add(&word, "", 0);
		while (p && *p && !strchr(" \t\n", *p)) {
			if (strchr("\"'\\", *p))
				p = split_quoted(&word, p);
			else
				text_add(&word, p++, 1);
		}
		if (p)
			words_add(w, word.data);
		text_free(&word);
		if (!p)
			return false;
	}
}

static bool is_plain(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-_./=,:+%@";

	return *word && word[strspn(word, plain)] == '\0';
}

char *words_quote(const struct words *w)
{
	struct text out = {0};

	text_add(&out, "", 0);
	for (size_t i = 0; i < w->count; i++) {
		const char *p = w->list[i];

		if (i)
			text_add(&out, " ", 1);
		if (is_plain(p)) {
			text_add(&out, p, strlen(p));
			continue;
		}
		text_add(&out, "'", 1);
		for (; *p; p++)
			text_print(&out, *p == '\'' ? "'\\''" : "%c", *p);
		text_add(&out, "'", 1);
	}
	return out.data;
}

// Reads digits and moves *p behind them; false without digits or above 2^63.
static bool read_digits(const char **p, uint64_t *out)
{
	uint64_t value = 0;
	const char *start = *p;

	for (; **p >= '0' && **p <= '9'; (*p)++) {
		if (value > (UINT64_MAX >> 1) / 10 - 1)
			return false;
		value = value * 10 + (uint64_t)(**p - '0');
	}
	*out = value;
	return *p != start;
}

bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t value;

	if (!read_digits(&text, &value) || *text || value < min || value > max)
		return false;
	*out = value;
	return true;
}

bool parse_size(const char *text, uint64_t *out)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	uint64_t value;

	if (!read_digits(&text, &value))
		return false;
	for (unsigned i = 0; i < 4; i++) {
		unsigned shift = 10 * (i + 1);

		if (strcmp(text, units[i]) != 0)
			continue;
		if (value > (UINT64_MAX >> 1) >> shift)
			return false;
		*out = value << shift;
		return true;
	}
	return false;
}

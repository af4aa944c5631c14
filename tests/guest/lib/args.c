// SPDX-License-Identifier: MIT
// The command line of a guest.
#include "guest.h"
#include "console.h"

static char text[512];

void args_init(const char *cmdline)
{
	size_t n = strnlen(cmdline, sizeof(text) - 1);

	memcpy(text, cmdline, n);
}

// The text behind `name` where that begins a word; NULL if it does not.
static const char *find(const char *name)
{
	size_t n = strlen(name);

	for (const char *p = text; *p;) {
		if (!strncmp(p, name, n))
			return p + n;
		while (*p && *p != ' ')
			p++;
		while (*p == ' ')
			p++;
	}
	return NULL;
}

static u32 digit(char c)
{
	if (c >= '0' && c <= '9')
		return (u32)(c - '0');
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? (u32)(c - 'a' + 10) : 99;
}

u64 arg_number(const char *name, u64 fallback)
{
	char key[40];
	size_t n = strnlen(name, sizeof(key) - 2);
	const char *p;
	u32 base = 10;
	u64 v = 0;

	memcpy(key, name, n);
	key[n] = '=';
	key[n + 1] = 0;
	p = find(key);
	if (!p)
		return fallback;
	if (p[0] == '0' && (p[1] | 0x20) == 'x') {
		base = 16;
		p += 2;
	}
	for (; digit(*p) < base; p++)
		v = v * base + digit(*p);
	return v;
}

bool arg_given(const char *word)
{
	const char *p = find(word);

	return p && (*p == 0 || *p == ' ');
}

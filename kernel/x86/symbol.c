// SPDX-License-Identifier: MIT
// Looks names up in the table that tools/symtab adds to the image when it is linked for the second
// time, and says how it is built.
#include "kernel/x86/symbol.h"
#include "kernel/x86/arch.h"

// What a byte of a name stands for: two more, or, where the second is 0, the character that is the first; the names. Not there in the
// first link.
extern const u8 symtab_pairs[][2] __attribute__((weak));
extern const u8 symtab_names[] __attribute__((weak)), symtab_end[] __attribute__((weak));

static u32 read_uleb128(const u8 **at)
{
	u32 v = 0, shift = 0;

	do
		v |= (u32)(**at & 127) << shift;
	while (shift += 7, *(*at)++ & 128);
	return v;
}

// Goes as deep as pairs are made of pairs: a name's length at most.
static char *expand(u8 c, char *to, const char *end)
{
	if (symtab_pairs[c][1]) {
		to = expand(symtab_pairs[c][0], to, end);
		return expand(symtab_pairs[c][1], to, end);
	}
	if (to < end)
		*to++ = (char)c;
	return to;
}

bool symbol_find(u64 address, char name[SYMBOL_MAX], u64 *offset)
{
	const u8 *found = NULL;
	u64 at = KERNEL_BASE, next;
	char *to = name;

	for (const u8 *p = symtab_names; p < symtab_end;) {
		next = at + read_uleb128(&p);
		if (next > address)
			break;
		at = next;
		found = p;
		while (*p++)
			;
	}
	if (!found)
		return false;
	while (*found)
		to = expand(*found++, to, name + SYMBOL_MAX - 1);
	*to = 0;
	*offset = address - at;
	return true;
}

// SPDX-License-Identifier: MIT
// Looks names up in the table that tools/symtab adds to the image when it is linked for the second
// time. It is read from its start each time: only a panic asks.
#include "kernel/x86/symbol.h"
#include "kernel/x86/arch.h"

// The table's form stands in tools/symtab. Not there in the first link.
extern const u32 symtab_count __attribute__((weak));
extern const u32 symtab_first __attribute__((weak));
extern const u8 symtab_bytes[] __attribute__((weak));

static const u8 *read_uleb128(const u8 *p, u32 *value)
{
	unsigned shift = 0;

	*value = 0;
	do {
		*value |= (u32)(*p & 0x7f) << shift;
		shift += 7;
	} while (*p++ & 0x80 && shift < 32);
	return p;
}

// The name that follows the one in `name`; what does not fit is cut off.
static const u8 *read_name(const u8 *p, char name[SYMBOL_NAME_MAX])
{
	size_t at = *p++;

	for (; *p; p++, at++)
		if (at < SYMBOL_NAME_MAX - 1)
			name[at] = (char)*p;
	name[at < SYMBOL_NAME_MAX - 1 ? at : SYMBOL_NAME_MAX - 1] = 0;
	return p + 1;
}

bool symbol_find(u64 address, char name[SYMBOL_NAME_MAX], u64 *offset)
{
	const u8 *p = symtab_bytes;
	u32 at, distance;

	if (address < KERNEL_BASE || !&symtab_count || (u32)address < symtab_first)
		return false;
	at = symtab_first;
	name[0] = 0;
	for (u32 i = 0; i < symtab_count; i++) {
		const u8 *next = read_uleb128(p, &distance);

		if (at + distance > (u32)address)
			break;
		at += distance;
		p = read_name(next, name);
	}
	*offset = (u32)address - at;
	return true;
}

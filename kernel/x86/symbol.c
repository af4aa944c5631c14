// SPDX-License-Identifier: MIT
// Looks names up in the table that tools/symtab adds to the image when it is linked for the second
// time.
#include "kernel/x86/symbol.h"
#include "kernel/x86/arch.h"

// Sorted by address: the low 32 bits of it, and where the name begins. Not there in the first link.
extern const u32 symtab_count __attribute__((weak));
extern const u32 symtab_entries[][2] __attribute__((weak));
extern const char symtab_names[] __attribute__((weak));

const char *symbol_find(u64 address, u64 *offset)
{
	u32 low = 0, high, a = (u32)address;

	if (address < KERNEL_BASE || !&symtab_count)
		return NULL;
	high = symtab_count;
	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (symtab_entries[middle][0] <= a)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	*offset = a - symtab_entries[low - 1][0];
	return symtab_names + symtab_entries[low - 1][1];
}

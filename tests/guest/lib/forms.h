// SPDX-License-Identifier: MIT
// Instruction forms that access memory at RDI, to be run on device memory and on RAM alike.
#pragma once

#include "lib/types.h"

// Registers before and after. RSI points to `s`, RBX is RDI - 0x1000; other registers are free.
struct form_regs {
	u64 a, c, d, flags;
	u64 s;                // a word of RAM for string instructions
	u64 di_move, si_move; // how far RDI and RSI went
};

struct form {
	void (*code)(void);
	const char *name;
	u8 width;  // of the access in bytes
	u8 writes; // whether it writes at RDI
};

extern const struct form forms_exact[], forms_odd[], forms_end[];

void form_enter(void (*code)(void), volatile void *cell, struct form_regs *r);

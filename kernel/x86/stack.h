// SPDX-License-Identifier: MIT
// The kernel's stacks.
#pragma once

#include "lib/types.h"

extern char boot_stack[], boot_stack_top[];
extern bool boot_stack_used; // until its memory is given away

// True when the byte at this address belongs to a mapped stack.
bool stack_contains(u64 a);

// Goes on in fn(arg) on another, empty stack (entry.S).
_Noreturn void stack_switch(u64 top, void (*fn)(void *), void *arg);

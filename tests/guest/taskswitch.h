// SPDX-License-Identifier: MIT
// Selectors of the tasks, for taskswitch.S and taskswitch.c.
#pragma once

#define TASK_MAIN   0x30 // SEL_FREE and the two after it
#define TASK_OTHER  0x38
#define TASK_NESTED 0x40

#define TASKS_STACK  0x7000 // tops of their stacks, in low memory
#define OTHER_STACK  0x6000
#define NESTED_STACK 0x5000

// SPDX-License-Identifier: MIT
// Waiting for a lock. In a virtual machine there is no order: the CPU whose turn it is may not run for a while, and all would wait for it,
// at each change of hands; so the first that finds the lock free has it.
#include "kernel/core/spinlock.h"

static bool in_vm;

void spin_in_vm(void)
{
	in_vm = true;
}

static void wait_for_turn(struct spinlock *l)
{
	u16 ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&l->owner, __ATOMIC_ACQUIRE) != ticket)
		cpu_relax();
}

void spin_take(struct spinlock *l)
{
	if (!in_vm)
		wait_for_turn(l);
	else
		while (!spin_trylock_beside(l))
			cpu_relax();
}

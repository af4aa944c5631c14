// SPDX-License-Identifier: MIT
// Ticket spinlocks. The kernel runs with interrupts off, so a lock needs no care about them.
// The order in which locks may be taken stands in docs/locking.md and is checked in debug builds by `rank`:
// a CPU takes locks in rising rank only.
#pragma once

#include "lib/atomic.h"
#include "arch.h"

enum lock_rank {
	LOCK_VM_LIST = 1, // the list of VMs
	LOCK_NIC,         // the list of network cards and switches; who empties a card's inbox
	LOCK_VM,          // a VM's devices
	LOCK_BLOCK,       // a queue of a disk; the list of disks
	LOCK_DRIVER,      // what a driver keeps for a whole controller
	LOCK_UPLINK,      // which switch a network card of the machine belongs to
	LOCK_NET,         // a virtual switch
	LOCK_CARD,        // a network card of the machine
	LOCK_GMAP,        // a VM's memory map
	LOCK_IOMMU,       // what a device reaches; the commands of an IOMMU
	LOCK_SCHED,       // the run queue
	LOCK_TIMER,       // a CPU's timer queue
	LOCK_FRAME,       // the frame allocator
	LOCK_CONSOLE,     // consoles and log
};

struct spinlock {
	u16 next;
	u16 owner;
	u8 rank;
};

#define SPINLOCK(r) ((struct spinlock){.rank = (r)})

// lockcheck.c: panics when this CPU holds a lock of the same or a higher rank, or drops what it does not hold.
void lock_check_take(u8 rank);
void lock_check_drop(u8 rank);

#ifdef DEBUG
#define LOCK_CHECK(what, rank) lock_check_##what(rank)
#else
#define LOCK_CHECK(what, rank) ((void)0)
#endif

// Takes it, whatever is held already.
void spin_take(struct spinlock *l);

// Who waits is served in its turn; in a virtual machine, see spinlock.c, not.
static inline void spin_lock(struct spinlock *l)
{
	LOCK_CHECK(take, l->rank);
	spin_take(l);
}

// The kernel runs in a virtual machine. Before there is a second CPU.
void spin_in_vm(void);

// The same as spin_trylock whatever this CPU holds, since it does not wait; what it takes after that has the ranks of what it held
// before. Ends with spin_unlock_beside.
static inline bool spin_trylock_beside(struct spinlock *l)
{
	u16 ticket = READ_ONCE(l->owner), next = ticket;

	return __atomic_compare_exchange_n(
		&l->next, &next, (u16)(ticket + 1), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

// Takes the lock if it is free; for work that can wait better than whoever else wants the lock.
static inline bool spin_trylock(struct spinlock *l)
{
	if (!spin_trylock_beside(l))
		return false;
	LOCK_CHECK(take, l->rank);
	return true;
}

static inline void spin_unlock(struct spinlock *l)
{
	LOCK_CHECK(drop, l->rank);
	__atomic_store_n(&l->owner, (u16)(l->owner + 1), __ATOMIC_RELEASE);
}

static inline void spin_unlock_beside(struct spinlock *l)
{
	__atomic_store_n(&l->owner, (u16)(l->owner + 1), __ATOMIC_RELEASE);
}

static inline bool spin_is_locked(const struct spinlock *l)
{
	return READ_ONCE(l->next) != READ_ONCE(l->owner);
}

// SPDX-License-Identifier: MIT
// The console's output ring and its drainer.
//
// Writers move `head` under the lock. The drainer, one CPU at a time (`draining`), moves `tail` without it. Writers may hold
// any lock, so the timer is set by console_input (WORK_CONSOLE), and vm_console_room is called from the timer only.
#include "kernel/core/console_out.h"
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/core/hw_console.h"
#include "kernel/core/log.h"
#include "kernel/core/timer.h"
#include "lib/string.h"

#define RING_SIZE    16384u
#define DRAIN_CHUNK  16u   // bytes offered to the UART at once: its FIFO
#define DRAIN_MAX    1024u // bytes in one turn of the drainer
#define RETRY_NS     1000000ull
#define FLUSH_ROUNDS 2000000u // without any byte taken

static const u32 kept_free[] = {[OUT_EVENT] = 0, [OUT_LOG] = 1024, [OUT_VM] = 4096};

static struct spinlock lock = SPINLOCK(LOCK_CONSOLE);
static u8 *ring;
static u32 head, tail; // running counters; head under lock, tail by the drainer
static u64 draining;
static u64 waiting; // VMs that want to know when there is room; atomic
static struct timer timer;

bool out_ready(void)
{
	return ring != NULL;
}
void out_lock(void)
{
	spin_lock(&lock);
}
void out_unlock(void)
{
	spin_unlock(&lock);
}

static u32 out_used(void)
{
	return READ_ONCE(head) - __atomic_load_n(&tail, __ATOMIC_ACQUIRE);
}

size_t out_room(enum out_class class)
{
	u32 used = out_used(), limit = RING_SIZE - kept_free[class];

	return used < limit ? limit - used : 0;
}

void out_put(const void *bytes, size_t n)
{
	u32 at = head % RING_SIZE, first = MIN((u32)n, RING_SIZE - at);

	ASSERT(n <= RING_SIZE - out_used());
	memcpy(ring + at, bytes, first);
	memcpy(ring, (const u8 *)bytes + first, n - first);
	__atomic_store_n(&head, head + (u32)n, __ATOMIC_RELEASE);
}

void out_want_room(unsigned index)
{
	atomic_or(&waiting, BIT(index % 64));
}

// Offers the UART up to `max` bytes; true when it took all that there was.
static bool drain(u32 max)
{
	while (max) {
		u32 at = tail % RING_SIZE, n = __atomic_load_n(&head, __ATOMIC_ACQUIRE) - tail,
		    taken;

		n = MIN(MIN(n, RING_SIZE - at), MIN(DRAIN_CHUNK, max));
		if (!n)
			return true;
		taken = (u32)serial_try_write(ring + at, n);
		__atomic_store_n(&tail, tail + taken, __ATOMIC_RELEASE);
		max -= taken;
		if (taken < n)
			return false;
	}
	return out_used() == 0;
}

// One turn of the drainer, unless another CPU has the role: that one looks again after it gave it up. False when bytes
// are left that nobody has promised to carry on.
static bool drain_turn(bool may_set_timer)
{
	bool all;

	do {
		if (atomic_exchange(&draining, 1))
			return true;
		all = drain(DRAIN_MAX);
		if (may_set_timer && (!all || atomic_load(&waiting)) && !timer_is_set(&timer))
			timer_set(&timer, time_now() + time_from_ns(RETRY_NS));
		atomic_store(&draining, 0);
	} while (all && out_used());
	return all && !READ_ONCE(waiting);
}

void out_kick(void)
{
	if (!drain_turn(false) && !timer_is_set(&timer))
		pcpu_post(this_pcpu(),
			WORK_CONSOLE); // any lock may be held here: the timer is set later
}

void out_service(void)
{
	drain_turn(true);
}

static void on_timer(struct timer *t)
{
	u64 vms;

	(void)t;
	if (out_used() <= RING_SIZE / 2) {
		vms = atomic_exchange(&waiting, 0);
		for (unsigned i = 0; i < 64; i++)
			if (vms >> i & 1)
				vm_console_room(i);
	}
	out_service();
}

void out_init(void)
{
	u8 *memory = kmem_alloc(RING_SIZE, FRAME_OWNER_KERNEL);

	if (!memory)
		panic("no memory for the console");
	timer_init(&timer, on_timer);
	__atomic_store_n(&ring, memory, __ATOMIC_RELEASE);
}

static void flush_all(void)
{
	u32 before = tail;

	for (u32 rounds = 0; rounds < FLUSH_ROUNDS && !drain(DRAIN_MAX); rounds++) {
		if (tail != before)
			rounds = 0;
		before = tail;
	}
	serial_write_sync("", 0); // until all is sent
}

void out_flush(void)
{
	u32 rounds = 0;

	while (atomic_exchange(&draining, 1) && rounds++ < FLUSH_ROUNDS)
		cpu_relax();
	flush_all();
	atomic_store(&draining, 0);
}

void out_flush_panic(void)
{
	flush_all();
}

// SPDX-License-Identifier: MIT
// Commands to the IOMMU (2.4). Whoever gives some waits for their end, which is a matter of a microsecond; an IOMMU that
// does not answer is a chipset that does not work, and panics as a machine check does.
#include "drivers/amd_iommu/amd_iommu_internal.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "lib/errno.h"

#define ANSWER_NS 1000000000ull
#define BATCH     128u // commands before a wait, well below RING_ENTRIES
#define DOMAINS   65536u

int amd_commands_init(struct amd_iommu *u)
{
	u->lock = SPINLOCK(LOCK_IOMMU);
	u->commands = kmem_alloc(RING_ENTRIES * sizeof(*u->commands), FRAME_OWNER_KERNEL);
	u->answered = kmem_alloc(PAGE_SIZE, FRAME_OWNER_KERNEL);
	u->asked = 0;
	u->tail = 0;
	return u->commands && u->answered ? 0 : -ENOMEM;
}

static void put(struct amd_iommu *u, u64 low, u64 high)
{
	u->commands[u->tail][0] = low;
	u->commands[u->tail][1] = high;
	u->tail = (u->tail + 1) % RING_ENTRIES;
}

// On x86 stores become visible in their order, so the commands are there before the tail says so.
static void finish(struct amd_iommu *u)
{
	u64 start = time_now(), limit = time_from_ns(ANSWER_NS);

	put(u, COMMAND_WAIT | va_to_hpa((const void *)u->answered).v | WAIT_STORE, ++u->asked);
	amd_write(u, R_COMMAND_TAIL, u->tail * sizeof(*u->commands));
	while (*u->answered != u->asked) {
		if (time_now() - start > limit)
			panic("the IOMMU does not answer");
		cpu_relax();
	}
}

// One command is for a power of two of pages at a multiple of it (2.4.3): the ones at the end of the address, and the zero
// before them, say how many.
static void put_pages(struct amd_iommu *u, u16 domain, u64 first, u64 last)
{
	u64 bits = PAGES_DIRECTORY, page = first;
	u32 n = 0;

	while (first >> n != last >> n)
		n++;
	if (n) {
		page = (first >> n << n) | (BIT(n - 1) - 1);
		bits |= PAGES_SIZE;
	}
	put(u, COMMAND_PAGES | (u64)domain << 32, page << PAGE_SHIFT | bits);
}

static void put_domain(struct amd_iommu *u, u16 domain)
{
	put(u, COMMAND_PAGES | (u64)domain << 32, PAGES_EVERYTHING | PAGES_SIZE | PAGES_DIRECTORY);
}

void amd_forget_pages(struct amd_iommu *u, u16 domain, u64 first, u64 last)
{
	spin_lock(&u->lock);
	put_pages(u, domain, first, last);
	finish(u);
	spin_unlock(&u->lock);
}

void amd_forget_device(struct amd_iommu *u, u16 address, u16 domain)
{
	spin_lock(&u->lock);
	put(u, COMMAND_DEVICE | address, 0);
	put(u, COMMAND_IRQS | address, 0);
	put_domain(u, domain);
	finish(u);
	spin_unlock(&u->lock);
}

void amd_forget_all(struct amd_iommu *u, bool at_once)
{
	spin_lock(&u->lock);
	if (at_once)
		put(u, COMMAND_ALL, 0);
	for (u32 i = 0; i < DOMAINS && !at_once; i++) {
		put(u, COMMAND_DEVICE | i, 0);
		put(u, COMMAND_IRQS | i, 0);
		put_domain(u, (u16)i);
		if (i % (BATCH / 4) == 0)
			finish(u);
	}
	finish(u);
	spin_unlock(&u->lock);
}

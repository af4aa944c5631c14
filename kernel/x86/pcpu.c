// SPDX-License-Identifier: MIT
// Makes physical CPUs: their structs, and stacks with a guard page below each.
#include "kernel/x86/arch_pcpu.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/stack.h"

struct pcpu *pcpus[PCPU_MAX];
u32 pcpu_count = 1;

// Both parts in one page.
struct cpu_page {
	struct pcpu pcpu;
	struct arch_pcpu arch;
};

_Static_assert(sizeof(struct cpu_page) <= PAGE_SIZE, "one page holds it");

// Maps fresh frames there; the addresses around stay empty.
static bool map_fresh(u64 va, u64 size)
{
	for (u64 done = 0; done < size; done += PAGE_SIZE) {
		hpa_t a = frame_alloc(FRAME_OWNER_KERNEL, FRAME_KERNEL, ORDER_4K);

		if (hpa_is_none(a) || !paging_map(va + done, a, PAGE_SIZE, MAP_DATA))
			return false;
	}
	return true;
}

struct pcpu *arch_pcpu_create(u32 id, u32 apic_id)
{
	struct cpu_page *page = kmem_alloc(sizeof(*page), FRAME_OWNER_KERNEL);
	u64 at = STACK_AREA + id * STACK_SLOT + PAGE_SIZE;

	if (!page || !map_fresh(at, STACK_SIZE))
		return NULL;
	page->arch.stack_top = at + STACK_SIZE;
	for (u32 i = 0; i < IST_COUNT; i++) {
		at = STACK_AREA + id * STACK_SLOT + STACK_SIZE + (2 * i + 2) * PAGE_SIZE;
		if (!map_fresh(at, IST_SIZE))
			return NULL;
		page->arch.tss.ist[i] = at + IST_SIZE;
	}
	page->pcpu.self = &page->pcpu;
	page->pcpu.id = id;
	page->pcpu.apic_id = apic_id;
	page->pcpu.arch = &page->arch;
	page->pcpu.timer_armed = ~0ull;
	return &page->pcpu;
}

// Not its guard pages, nor addresses of CPUs that are not there.
bool stack_contains(u64 a)
{
	u64 page = (a - STACK_AREA) % STACK_SLOT / PAGE_SIZE;

	if (a >= (u64)boot_stack && a < (u64)boot_stack_top)
		return boot_stack_used;
	if (a < STACK_AREA || a >= STACK_AREA + pcpu_count * STACK_SLOT)
		return false;
	return (page >= 1 && page < 1 + STACK_SIZE / PAGE_SIZE) || page == 6 || page == 8 ||
	       page == 10;
}

void arch_idle(void)
{
	struct pcpu *p = this_pcpu();
	u64 start = time_now();

	WRITE_ONCE(p->asleep, start);
	// "sti" takes effect only behind "hlt": an interrupt between the test and the sleep ends
	// the sleep.
	if (!READ_ONCE(p->work))
		__asm__ volatile("sti; hlt; cli" ::: "memory");
	else
		arch_take_interrupts();
	WRITE_ONCE(p->asleep, 0);
	p->idle_ticks += time_now() - start;
}

void arch_zero(void *p, size_t n)
{
	for (u64 *q = p, *end = q + n / 8; q < end; q += 8)
		__asm__ volatile("movnti %1, (%0)\n\t"
				 "movnti %1, 8(%0)\n\t"
				 "movnti %1, 16(%0)\n\t"
				 "movnti %1, 24(%0)\n\t"
				 "movnti %1, 32(%0)\n\t"
				 "movnti %1, 40(%0)\n\t"
				 "movnti %1, 48(%0)\n\t"
				 "movnti %1, 56(%0)"
				 :
				 : "r"(q), "r"(0ull)
				 : "memory");
	__asm__ volatile("sfence" ::: "memory"); // the stores above are not ordered with others
}

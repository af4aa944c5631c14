// SPDX-License-Identifier: MIT
// Starts the other CPUs, one after the other, by INIT and start-up IPIs (SDM vol. 3, 8.4.4).
#include "kernel/x86/smp.h"
#include "kernel/core/log.h"
#include "kernel/core/timer.h"
#include "kernel/x86/arch_pcpu.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/hvm.h"
#include "kernel/x86/lapic.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/time.h"
#include "kernel/x86/trap.h"
#include "kernel/x86/xstate.h"
#include "lib/string.h"

#define LOW_FIRST       0x1000ull
#define LOW_END         0x9F000ull
#define LOW_SIZE        (5 * PAGE_SIZE)
#define INIT_WAIT_NS    10000000ull
#define STARTUP_WAIT_NS 200000ull
#define ANSWER_WAIT_NS  5000000000ull // an emulated CPU may have to wait for a real one
#define READY_WAIT_NS   10000000000ull
#define XAPIC_MAX_ID    254

extern const char trampoline_start[], trampoline_end[], trampoline_root[], trampoline_efer[];
extern const char trampoline_pointer[], trampoline_to_protected[], trampoline_to_long[];

_Noreturn void smp_main(struct pcpu *p);

// What ap_entry loads; one CPU starts at a time.
u64 smp_root, smp_stack;
struct pcpu *smp_pcpu;

static bool is_free_low(const struct boot_info *info, u64 start, u64 end)
{
	bool ram = false;

	if (!hpa_is_none(info->module) && info->module.v < end &&
		info->module.v + info->module_size > start)
		return false;
	for (u32 i = 0; i < info->map_count; i++) {
		const struct boot_range *r = &info->map[i];

		if (r->type == BOOT_RAM)
			ram |= r->start <= start && r->end >= end;
		else if (r->start < end && r->end > start)
			return false;
	}
	return ram;
}

// The highest pages of low RAM that the firmware calls free: for the trampoline and four tables.
static hpa_t find_low_pages(const struct boot_info *info)
{
	for (u64 a = LOW_END - LOW_SIZE; a >= LOW_FIRST; a -= PAGE_SIZE)
		if (is_free_low(info, a, a + LOW_SIZE))
			return hpa(a);
	return HPA_NONE;
}

static void patch(u8 *page, const char *symbol, u32 add)
{
	u8 *p = page + (symbol - trampoline_start);
	u32 v;

	memcpy(&v, p, 4);
	v += add;
	memcpy(p, &v, 4);
}

// In the four pages behind the trampoline: the kernel's tables with the trampoline's page at its
// own address besides, executable and read-only.
static hpa_t make_start_tables(hpa_t page)
{
	u64 *t = hpa_to_va(hpa_add(page, PAGE_SIZE));

	arch_zero(t, 4 * PAGE_SIZE);
	memcpy(t, hpa_to_va(paging_root()), PAGE_SIZE);
	for (u64 i = 0; i < 3; i++)
		t[512 * i] = (page.v + (i + 2) * PAGE_SIZE) | PTE_PRESENT | PTE_WRITE;
	t[512 * 3 + (page.v >> PAGE_SHIFT)] = page.v | PTE_PRESENT;
	return hpa_add(page, PAGE_SIZE);
}

static void copy_trampoline(hpa_t page, hpa_t root)
{
	u8 *to = hpa_to_va(page);

	memcpy(to, trampoline_start, (size_t)(trampoline_end - trampoline_start));
	patch(to, trampoline_pointer, (u32)page.v);
	patch(to, trampoline_to_protected, (u32)page.v);
	patch(to, trampoline_to_long, (u32)page.v);
	patch(to, trampoline_root, (u32)root.v);
	patch(to, trampoline_efer, cpu_info.nx ? EFER_NXE : 0);
}

static bool wait_started(const struct pcpu *p, u64 ns)
{
	u64 start = time_now(), ticks = time_from_ns(ns);

	while (time_now() - start < ticks) {
		if (atomic_load(&p->arch->started))
			return true;
		cpu_relax();
	}
	return atomic_load(&p->arch->started);
}

// A CPU's clock must show a moment between the two at which it was started and seen to run.
static void check_clock(const struct pcpu *p, u64 before)
{
	u64 there = p->arch->started, after = time_now();

	if (there < before || there > after)
		log_line("smp: CPU %u's TSC differs from the boot CPU's by about %lld ns", p->id,
			(long long)(there < before ? -(s64)time_to_ns(before - there)
						   : (s64)time_to_ns(there - after)));
}

static bool start_one(struct pcpu *p, hpa_t page)
{
	u32 startup = LAPIC_STARTUP | (u32)(page.v >> PAGE_SHIFT);
	u64 before = time_now();

	smp_stack = p->arch->stack_top;
	smp_pcpu = p;
	atomic_store(&pcpus[p->id], p);
	lapic_send(p->apic_id, startup);
	if (!wait_started(p, STARTUP_WAIT_NS))
		lapic_send(p->apic_id, startup);
	if (wait_started(p, ANSWER_WAIT_NS)) {
		check_clock(p, before);
		return true;
	}
	lapic_send(p->apic_id,
		LAPIC_INIT); // so that it does not come later and use the next one's stack
	pcpus[p->id] = NULL;
	return false;
}

static void start_all(const struct acpi_info *acpi, u32 max, hpa_t page)
{
	u32 self = lapic_id(), count = 1;

	for (u32 i = 0; i < acpi->cpu_count; i++)
		if (acpi->cpus[i] != self && (lapic_is_x2apic() || acpi->cpus[i] <= XAPIC_MAX_ID))
			lapic_send(acpi->cpus[i], LAPIC_INIT);
	time_wait_ns(INIT_WAIT_NS);
	for (u32 i = 0; i < acpi->cpu_count && count < max; i++) {
		struct pcpu *p;

		if (acpi->cpus[i] == self || (!lapic_is_x2apic() && acpi->cpus[i] > XAPIC_MAX_ID))
			continue;
		p = arch_pcpu_create(count, acpi->cpus[i]);
		if (p && start_one(p, page))
			pcpu_count = ++count;
		else
			log_line("smp: the CPU with APIC id %u does not start", acpi->cpus[i]);
	}
}

// What a CPU settles for all (memory it takes, whether VMs run on CPU 0) must be settled before there are VMs.
static void wait_ready(void)
{
	u64 start = time_now(), ticks = time_from_ns(READY_WAIT_NS);

	for (u32 i = 1; i < pcpu_count; i++) {
		while (!atomic_load(&pcpus[i]->arch->ready)) {
			if (time_now() - start > ticks)
				panic("CPU %u has started and does not come up", i);
			cpu_relax();
		}
	}
}

void smp_start(const struct boot_info *info, const struct acpi_info *acpi, u32 max)
{
	hpa_t page = find_low_pages(info);

	if (acpi->cpu_count <= 1 || max <= 1)
		return;
	if (hpa_is_none(page)) {
		log_line("smp: no low memory to start other CPUs with");
		return;
	}
	smp_root = paging_root().v;
	copy_trampoline(page, make_start_tables(page));
	start_all(acpi, max, page);
	wait_ready();
	arch_zero(hpa_to_va(page), LOW_SIZE);
}

// The other CPUs' first C code, on their own stacks.
_Noreturn void smp_main(struct pcpu *p)
{
	cpu_protect();
	desc_load(p);
	lapic_init_cpu();
	// Before the first lock: a CPU that comes too late gets an INIT, and would take the lock with it.
	atomic_store(&p->arch->started, time_now() | 1);
	xstate_init_cpu();
	timer_init_pcpu(p);
	hvm_init_cpu();
	atomic_store(&p->arch->ready, 1);
	pcpu_loop();
}

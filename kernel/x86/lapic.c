// SPDX-License-Identifier: MIT
// Drives the local APIC (SDM vol. 3, 10; APM vol. 2, 16).
#include "kernel/x86/lapic.h"
#include "kernel/core/log.h"
#include "kernel/x86/arch_pcpu.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/port.h"
#include "kernel/x86/trap.h"

enum {
	REG_ID = 0x02,
	REG_TPR = 0x08,
	REG_EOI = 0x0B,
	REG_LDR = 0x0D,
	REG_DFR = 0x0E,
	REG_SVR = 0x0F,
	REG_TMR = 0x18, // and seven more
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT_TIMER = 0x32,
	REG_LVT_THERMAL = 0x33,
	REG_LVT_PERF = 0x34,
	REG_LVT_LINT0 = 0x35,
	REG_LVT_LINT1 = 0x36,
	REG_LVT_ERROR = 0x37,
	REG_TIMER_INITIAL = 0x38,
	REG_TIMER_CURRENT = 0x39,
	REG_TIMER_DIVIDE = 0x3E,
};

#define APIC_BASE_ENABLE BIT(11)
#define APIC_BASE_X2     BIT(10)
#define SVR_ENABLE       0x100u
#define LVT_MASKED       0x10000u
#define LVT_NMI          0x400u
#define LVT_DEADLINE     0x40000u
#define ICR_PENDING      0x1000u
#define ICR_FIXED        0x4000u // assert
#define ICR_NMI_OTHERS   0xC4400u
#define DIVIDE_BY_1      0xBu
#define PENDING_LOOPS    1000000

static volatile u8 *mmio;
static bool x2apic;

static u32 reg_read(u32 reg)
{
	return x2apic ? (u32)msr_read(MSR_X2APIC + reg) : mmio_read32(mmio + reg * 16);
}

static void reg_write(u32 reg, u32 v)
{
	if (x2apic)
		msr_write(MSR_X2APIC + reg, v);
	else
		mmio_write32(mmio + reg * 16, v);
}

bool lapic_is_x2apic(void)
{
	return x2apic;
}
u32 lapic_id(void)
{
	return x2apic ? reg_read(REG_ID) : reg_read(REG_ID) >> 24;
}
void lapic_eoi(void)
{
	reg_write(REG_EOI, 0);
}

void lapic_init(hpa_t base)
{
	x2apic = cpu_info.x2apic;
	if (!x2apic) {
		mmio = mmio_map(base, PAGE_SIZE);
		if (!mmio)
			panic("no memory to map the local APIC");
	}
}

void lapic_init_cpu(void)
{
	u64 base = msr_read(MSR_APIC_BASE);

	// From xAPIC to x2APIC only, never back: that would take a detour through "disabled".
	msr_write(MSR_APIC_BASE, base | APIC_BASE_ENABLE | (x2apic ? APIC_BASE_X2 : 0));
	reg_write(REG_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
	reg_write(REG_TPR, 0);
	if (!x2apic) {
		reg_write(REG_DFR, ~0u);
		reg_write(REG_LDR, 0);
	}
	reg_write(REG_LVT_LINT0, LVT_MASKED);
	reg_write(REG_LVT_LINT1, LVT_NMI);
	reg_write(REG_LVT_ERROR, LVT_MASKED);
	reg_write(REG_LVT_PERF, LVT_MASKED);
	reg_write(REG_TIMER_DIVIDE, DIVIDE_BY_1);
	reg_write(REG_TIMER_INITIAL, 0);
	reg_write(REG_LVT_TIMER, VECTOR_TIMER | (cpu_info.tsc_deadline ? LVT_DEADLINE : 0));
	// The write above must have taken effect before the first write of the deadline (SDM vol.
	// 3, 10.5.4.1).
	__asm__ volatile("mfence" ::: "memory");
	reg_write(REG_EOI, 0);
}

bool lapic_was_level(u8 vector)
{
	return reg_read(REG_TMR + vector / 32u) >> (vector % 32) & 1;
}

void lapic_set_logical(u32 format, u32 id)
{
	if (x2apic)
		return;
	reg_write(REG_DFR, format);
	reg_write(REG_LDR, id);
}

static void icr_write(u32 apic_id, u32 command)
{
	if (x2apic) {
		// This write is not ordered behind earlier stores, as one to memory would be.
		__asm__ volatile("mfence; lfence" ::: "memory");
		msr_write(MSR_X2APIC + REG_ICR, (u64)apic_id << 32 | command);
		return;
	}
	for (int i = 0; i < PENDING_LOOPS && reg_read(REG_ICR) & ICR_PENDING; i++)
		cpu_relax();
	reg_write(REG_ICR_HIGH, apic_id << 24);
	reg_write(REG_ICR, command);
}

void lapic_send(u32 apic_id, u32 command)
{
	icr_write(apic_id, command);
}

void lapic_nmi_others(void)
{
	if (x2apic || mmio)
		icr_write(0, ICR_NMI_OTHERS);
}

void arch_kick(struct pcpu *p)
{
	icr_write(p->apic_id, ICR_FIXED | VECTOR_KICK);
}

void lapic_timer_count(u32 count)
{
	reg_write(REG_TIMER_INITIAL, count);
}
u32 lapic_timer_current(void)
{
	return reg_read(REG_TIMER_CURRENT);
}

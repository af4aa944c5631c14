// SPDX-License-Identifier: MIT
// Access to the local APIC (xAPIC page or x2APIC MSRs) and to the IOAPIC.
#include "guest.h"
#include "apic.h"

static volatile u32 *page(u32 reg)
{
	return (volatile u32 *)(APIC_DEFAULT + reg);
}

bool apic_is_x2(void)
{
	return rdmsr(MSR_APIC_BASE) & APIC_BASE_X2;
}
bool apic_has_x2(void)
{
	return cpuid(1, 0).c & BIT(21);
}

void apic_enter_x2(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_ON | APIC_BASE_X2);
}

void apic_leave_x2(void)
{
	u64 base = rdmsr(MSR_APIC_BASE) & ~(APIC_BASE_ON | APIC_BASE_X2);

	wrmsr(MSR_APIC_BASE, base);
	wrmsr(MSR_APIC_BASE, base | APIC_BASE_ON);
}

u32 apic_read(u32 reg)
{
	return apic_is_x2() ? (u32)rdmsr(MSR_X2APIC + (reg >> 4)) : *page(reg);
}

void apic_write(u32 reg, u32 v)
{
	if (apic_is_x2())
		wrmsr(MSR_X2APIC + (reg >> 4), v);
	else
		*page(reg) = v;
}

u32 apic_id(void)
{
	return apic_is_x2() ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}
static void spurious(struct trap *t)
{
	(void)t; // takes no EOI
}

void apic_enable(void)
{
	trap_handle(SPURIOUS_VECTOR, spurious);
	apic_write(APIC_SVR, 0x100 | SPURIOUS_VECTOR);
}
void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

bool apic_bit(u32 bank, u32 vector)
{
	return apic_read(bank + vector / 32 * 0x10) >> (vector % 32) & 1;
}

void apic_ipi(u32 dest, u32 icr)
{
	if (apic_is_x2()) {
		wrmsr(MSR_X2APIC + (APIC_ICR >> 4), (u64)dest << 32 | icr);
		return;
	}
	*page(APIC_ICR_HIGH) = dest << 24;
	*page(APIC_ICR) = icr;
	for (u32 i = 0; i < 100000 && (*page(APIC_ICR) & APIC_PENDING); i++)
		cpu_relax();
}

static volatile u32 *ioapic(u32 offset)
{
	return (volatile u32 *)(IOAPIC_DEFAULT + offset);
}

u32 ioapic_read(u32 reg)
{
	*ioapic(0) = reg;
	return *ioapic(0x10);
}

void ioapic_write(u32 reg, u32 v)
{
	*ioapic(0) = reg;
	*ioapic(0x10) = v;
}

u32 ioapic_pins(void)
{
	return (ioapic_read(IOAPIC_VERSION) >> 16 & 0xFF) + 1;
}

void ioapic_route(u32 pin, u32 low, u32 apic_id_to)
{
	ioapic_write(IOAPIC_REDIR + 2 * pin, low | REDIR_MASKED);
	ioapic_write(IOAPIC_REDIR + 2 * pin + 1, apic_id_to << 24);
	ioapic_write(IOAPIC_REDIR + 2 * pin, low);
}

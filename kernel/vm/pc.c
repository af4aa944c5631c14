// SPDX-License-Identifier: MIT
// The PC around the vcpus: life of its chips, device memory, and the PIC's way to vcpu 0. Ports are in pc_io.c.

#include "kernel/vm/pc.h"
#include "kernel/vm/irq.h"
#include "kernel/vm/vm.h"

#define IOAPIC_SIZE     0x1000u
#define REDIRECT_MASKED BIT(16)
#define TIMER_PIN       2u // of the IOAPIC; IRQ 0 leads there

#define COM1_IRQ 4u
#define COM2_IRQ 3u

void pc_init(struct vm *vm)
{
	struct pc *pc = &vm->pc;

	spin_lock(&vm->lock);
	vpic_reset(&pc->pic);
	vioapic_reset(vm);
	vpit_init(&pc->pit, vm);
	vrtc_init(&pc->rtc, vm);
	vuart_init(&pc->uart[0], vm, COM1_IRQ, true);
	vuart_init(&pc->uart[1], vm, COM2_IRQ, false);
	vpm_init(&pc->pm, vm);
	vpci_init(&pc->pci, vm);
	spin_unlock(&vm->lock);
}

void pc_reset(struct vm *vm)
{
	struct pc *pc = &vm->pc;

	spin_lock(&vm->lock);
	// Devices first: they release their lines into the interrupt controllers.
	vpit_reset(&pc->pit);
	vrtc_reset(&pc->rtc);
	for (unsigned i = 0; i < ARRAY_SIZE(pc->uart); i++)
		vuart_reset(&pc->uart[i]);
	vpm_reset(&pc->pm);
	vpci_reset(&pc->pci);
	vpic_reset(&pc->pic);
	vpic_write(
		&pc->pic, VPIC_ELCR + 1, 1u << (VPM_SCI_IRQ - 8)); // as firmware does for the SCI
	vioapic_reset(vm);
	pc->post = pc->reset_control = pc->kbd_polls = 0;
	pc->port92 = PC_A20_OPEN;
	spin_unlock(&vm->lock);
}

void pc_destroy(struct vm *vm)
{
	vpit_destroy(&vm->pc.pit);
	vrtc_destroy(&vm->pc.rtc);
	vpm_destroy(&vm->pc.pm);
}

bool pc_irq0_visible(const struct vm *vm)
{
	return !vpic_masked(&vm->pc.pic, VPIT_IRQ) ||
	       !(vm->pc.ioapic.redirect[TIMER_PIN] & REDIRECT_MASKED);
}

void pc_irq0_latch(struct vm *vm)
{
	vpic_line_set(&vm->pc.pic, VPIT_IRQ, false);
	vpic_line_set(&vm->pc.pic, VPIT_IRQ, true);
}

bool pc_extint_pending(struct vm *vm)
{
	return vpic_pending(&vm->pc.pic);
}

int pc_extint_ack(struct vm *vm)
{
	int vector = -1;

	spin_lock(&vm->lock);
	if (vpic_pending(&vm->pc.pic))
		vector = vpic_ack(&vm->pc.pic);
	spin_unlock(&vm->lock);
	return vector;
}

static u64 size_mask(unsigned size)
{
	return size >= 8 ? ~0ull : BIT(size * 8) - 1;
}

static bool in_range(u64 gpa, unsigned size, u64 start, u64 length)
{
	return gpa >= start && gpa - start < length && size <= length - (gpa - start);
}

// The IOAPIC has 32-bit registers; a narrow read gets its part of one, a wide one what is in both halves.
static u64 ioapic_read(struct vm *vm, u32 offset, unsigned size)
{
	u64 value = vioapic_mmio_read(vm, offset & ~3u);

	if ((offset & 3) + size > 4 && (offset | 3) + 1 < IOAPIC_SIZE)
		value |= (u64)vioapic_mmio_read(vm, (offset & ~3u) + 4) << 32;
	return value >> (offset & 3) * 8;
}

static void ioapic_write(struct vm *vm, u32 offset, u64 value)
{
	bool visible = pc_irq0_visible(vm);

	if (offset & 3)
		return;
	if (!visible)
		vpit_look(&vm->pc.pit);
	vioapic_mmio_write(vm, offset, (u32)value);
	if (visible != pc_irq0_visible(vm))
		vpit_update(&vm->pc.pit);
}

static bool mmio_read(struct vm *vm, u64 gpa, unsigned size, u64 *value)
{
	if (in_range(gpa, size, GPA_IOAPIC, IOAPIC_SIZE))
		*value = ioapic_read(vm, (u32)(gpa - GPA_IOAPIC), size);
	else if (in_range(gpa, size, GPA_ECAM, GPA_ECAM_SIZE))
		*value =
			size > 4 ? ~0ull : vpci_ecam_read(&vm->pc.pci, (u32)(gpa - GPA_ECAM), size);
	else
		return vpci_mmio_read(&vm->pc.pci, gpa, size, value);
	return true;
}

static bool mmio_write(struct vm *vm, u64 gpa, unsigned size, u64 value)
{
	if (in_range(gpa, size, GPA_IOAPIC, IOAPIC_SIZE))
		ioapic_write(vm, (u32)(gpa - GPA_IOAPIC), value);
	else if (in_range(gpa, size, GPA_ECAM, GPA_ECAM_SIZE))
		vpci_ecam_write(&vm->pc.pci, (u32)(gpa - GPA_ECAM), size, (u32)value);
	else
		return vpci_mmio_write(&vm->pc.pci, gpa, size, value);
	return true;
}

bool pc_mmio_read(struct vcpu *v, u64 gpa, unsigned size, u64 *value)
{
	bool found;

	*value = ~0ull;
	spin_lock(&v->vm->lock);
	found = mmio_read(v->vm, gpa, size, value);
	spin_unlock(&v->vm->lock);
	*value &= size_mask(size);
	return found;
}

bool pc_mmio_write(struct vcpu *v, u64 gpa, unsigned size, u64 value)
{
	bool found;

	spin_lock(&v->vm->lock);
	found = mmio_write(v->vm, gpa, size, value & size_mask(size));
	spin_unlock(&v->vm->lock);
	return found;
}

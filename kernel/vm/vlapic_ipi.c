// SPDX-License-Identifier: MIT
// Messages between the virtual interrupt controllers: destinations, delivery modes, IPIs and MSIs (SDM 10.6, 10.11).
#include "kernel/vm/vm.h"
#include "kernel/vm/vlapic_regs.h"

_Static_assert(BUNDLE_MAX_VCPUS <= 64, "a set of vcpus is a u64");

static u64 vcpus_all(const struct vm *vm)
{
	return ~0ull >> (64 - vm->vcpu_count);
}

static bool logical_match(const struct vcpu *v, u32 dest)
{
	const struct vlapic *l = &v->lapic;
	u32 ldr;

	if (vlapic_x2apic(l)) // 16 clusters of 16 in use (SDM 10.12.10.2)
		return dest >> 16 == vcpu_apic_id(v) >> 4 && (dest >> (vcpu_apic_id(v) & 15) & 1);
	ldr = READ_ONCE(l->ldr) >> 24;
	if (dest > 0xff)
		return false;
	if (READ_ONCE(l->dfr) >> 28 == 0xf) // flat
		return (ldr & dest) != 0;
	return ldr >> 4 == dest >> 4 && (ldr & dest & 0xf);
}

static u64 message_targets(const struct vm *vm, const struct apic_message *m)
{
	u64 set = 0;

	if (m->dest == APIC_BROADCAST)
		return vcpus_all(vm);
	if (!m->logical)
		return m->dest - vm->apic_first < vm->vcpu_count ? BIT(m->dest - vm->apic_first)
								 : 0;
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		if (logical_match(vm->vcpus[i], m->dest))
			set |= BIT(i);
	}
	return set;
}

static bool deliver_one(struct vcpu *v, const struct apic_message *m)
{
	switch (m->mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		return vlapic_set_irq(v, m->vector, m->level);
	case APIC_NMI:
		vcpu_post(v, VCPU_NMI);
		return true;
	case APIC_INIT:
		vcpu_post(v, VCPU_INIT);
		return true;
	case APIC_STARTUP:
		WRITE_ONCE(v->sipi_vector, m->vector);
		vcpu_post(v, VCPU_SIPI);
		return true;
	default:
		return false;
	}
}

// The one of the set that takes a lowest-priority message.
static u64 lowest_choose(const struct vm *vm, u64 set, u8 vector)
{
	u64 able = 0;
	unsigned skip;

	for (u64 left = set; left; left &= left - 1) {
		const struct vlapic *l = &vm->vcpus[__builtin_ctzll(left)]->lapic;

		if (vlapic_hard_enabled(l) && vlapic_soft_enabled(l))
			able |= left & -left;
	}
	if (!able)
		return 0;
	for (skip = vector % (unsigned)__builtin_popcountll(able); skip; skip--)
		able &= able - 1;
	return able & -able;
}

u32 vlapic_deliver_mask(struct vm *vm, u64 vcpus, const struct apic_message *m)
{
	u32 accepted = 0;

	for (vcpus &= vcpus_all(vm); vcpus; vcpus &= vcpus - 1)
		accepted += deliver_one(vm->vcpus[__builtin_ctzll(vcpus)], m);
	return accepted;
}

bool vlapic_deliver(struct vm *vm, const struct apic_message *m)
{
	u64 set = message_targets(vm, m);

	if (m->mode == APIC_LOWEST)
		set = lowest_choose(vm, set, m->vector);
	return vlapic_deliver_mask(vm, set, m) != 0;
}

#define ICR_MODE    0x700u
#define ICR_LOGICAL 0x800u
#define ICR_ASSERT  0x4000u
#define ICR_LEVEL   0x8000u
#define ICR_SHORT   0xc0000u
#define ICR_SELF    0x40000u
#define ICR_ALL     0x80000u
#define ICR_OTHERS  0xc0000u

// All but a fixed interrupt to one APIC.
static void icr_send_other(struct vcpu *v, u32 low, u32 dest)
{
	// Whatever the trigger bit says an IPI is an edge.
	struct apic_message m = {
		.dest = dest,
		.logical = low & ICR_LOGICAL,
		.mode = low >> 8 & 7,
		.vector = (u8)low,
	};

	if (m.mode == APIC_INIT && (low & ICR_LEVEL) && !(low & ICR_ASSERT))
		return; // "INIT level de-assert", which only old processors know
	switch (low & ICR_SHORT) {
	case ICR_SELF: // a fixed one is not for here; no other is defined
		break;
	case ICR_ALL:
		m.dest = APIC_BROADCAST;
		vlapic_deliver(v->vm, &m);
		break;
	case ICR_OTHERS:
		vlapic_deliver_mask(v->vm, vcpus_all(v->vm) & ~BIT(v->id), &m);
		break;
	default:
		vlapic_deliver(v->vm, &m);
		break;
	}
}

void vlapic_icr_send(struct vcpu *v, u32 low, u32 dest)
{
	u32 mode = low & ICR_MODE, index = dest - v->vm->apic_first;

	if ((mode == APIC_FIXED << 8 || mode == APIC_LOWEST << 8) && (u8)low < 16)
		vlapic_error(v, ESR_SEND_VECTOR);
	else if ((low & (ICR_MODE | ICR_SHORT)) == ICR_SELF)
		vlapic_set_irq(v, (u8)low, false);
	else if (!(low & (ICR_MODE | ICR_LOGICAL | ICR_SHORT)) && index < v->vm->vcpu_count)
		vlapic_set_irq(v->vm->vcpus[index], (u8)low, false);
	else
		icr_send_other(v, low, dest);
}

#define MSI_LOGICAL  0x4u // of the address: destination mode
#define MSI_REDIRECT 0x8u // redirection hint: to one of them
#define MSI_ASSERT   0x4000u
#define MSI_LEVEL    0x8000u

void vlapic_msi(struct vm *vm, u64 addr, u32 data)
{
	struct apic_message m = {
		.dest = apic_dest8((u8)(addr >> 12)),
		.logical = addr & MSI_LOGICAL,
		.level = data & MSI_LEVEL,
		.mode = data >> 8 & 7,
		.vector = (u8)data,
	};

	if (addr >> 20 != GPA_LAPIC >> 20 || (m.level && !(data & MSI_ASSERT)))
		return;
	if (m.mode == APIC_FIXED && m.logical && (addr & MSI_REDIRECT))
		m.mode = APIC_LOWEST;
	vlapic_deliver(vm, &m);
}

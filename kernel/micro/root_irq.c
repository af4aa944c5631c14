// SPDX-License-Identifier: MIT
// Interrupts of the machine's devices, for the root VM: a message reaches the CPU and the vector that the VM gave it; a pin
// of the I/O APIC the same, as its entries are copied to the machine's. A level that is asserted comes again as soon as the
// local APIC has heard of its end, so its pin is masked until the VM says that it has ended.
#include "kernel/micro/backend.h"
#include "kernel/micro/root.h"
#include "kernel/x86/ioapic.h"
#include "kernel/x86/irq.h"
#include "kernel/x86/lapic.h"

#define CONSOLE_PIN 4u // COM1 is the kernel's; the VM has one of its own

#define ENTRY_VECTOR     0xffull
#define ENTRY_REMOTE_IRR BIT(14)
#define ENTRY_LEVEL      BIT(15)
#define ENTRY_MASKED     BIT(16)

static struct vm *root;
static u32 first;

static bool is_machines(unsigned pin)
{
	return pin != CONSOLE_PIN && pin < VIOAPIC_PINS;
}

// Lock held. Masks the pins that may have sent a level-triggered interrupt of this vector; false: there are none that have
// not done so already, and not been told its end.
static bool take_level(struct vm *vm, u8 vector)
{
	bool taken = false;

	for (unsigned pin = 0; pin < VIOAPIC_PINS; pin++) {
		u64 *e = &vm->pc.ioapic.redirect[pin];

		if (!is_machines(pin) || (*e & ENTRY_VECTOR) != vector || !(*e & ENTRY_LEVEL) ||
			*e & ENTRY_REMOTE_IRR)
			continue;
		ioapic_pin_mask(pin, true);
		*e |= ENTRY_REMOTE_IRR;
		taken = true;
	}
	return taken;
}

// Vectors are a CPU's own: only its APIC can say whether this one came from a pin.
static void take(u8 vector)
{
	u32 i = this_pcpu()->id - first;
	bool level = lapic_was_level(vector), taken = true;

	if (level) {
		spin_lock(&root->lock);
		taken = take_level(root, vector);
		spin_unlock(&root->lock);
	}
	if (taken && i < root->vcpu_count)
		vlapic_set_irq(root->vcpus[i], vector, level);
}

void root_irq_init(struct vm *vm, u32 first_cpu)
{
	root = vm;
	first = first_cpu;
	irq_pass_on(take);
}

void root_pin_changed(struct vm *vm, unsigned pin)
{
	u64 e = vm->pc.ioapic.redirect[pin];

	if (pin == VIOAPIC_EVENT_PIN)
		backend_events_again();
	if (!is_machines(pin))
		return;
	ioapic_pin_set(pin, e & ENTRY_REMOTE_IRR ? e | ENTRY_MASKED : e);
}

void root_pin_ended(struct vm *vm, unsigned pin)
{
	if (is_machines(pin) && !(vm->pc.ioapic.redirect[pin] & ENTRY_MASKED))
		ioapic_pin_mask(pin, false);
}

void root_logical_id_changed(struct vcpu *v)
{
	lapic_set_logical(v->lapic.dfr, v->lapic.ldr);
}

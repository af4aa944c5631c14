// SPDX-License-Identifier: MIT
// How the root VM is told that a bell has rung: a bit for the VM in a page that it gave, and an interrupt from a pin of its I/O APIC
// that no machine's device has.
#include "kernel/micro/backend.h"
#include "kernel/vm/vioapic.h"

static struct vm *root;
static struct mezz_events *events; // NULL: the root VM does not listen

s64 backend_events(struct vm *vm, void *page)
{
	root = vm;
	atomic_store(&events, page);
	return VIOAPIC_EVENT_PIN;
}

// Whoever finds a bit set knows that somebody is about to look.
void backend_ring(const struct vm *vm, u64 *word, u64 bits)
{
	struct mezz_events *e = atomic_load(&events);

	if (atomic_or(word, bits) || !e || vm->id >= MEZZ_MAX_VMS)
		return;
	if (!atomic_or(&e->vm[vm->id / 64], BIT(vm->id % 64)))
		vioapic_pulse(root, VIOAPIC_EVENT_PIN);
}

void backend_rest(struct vm *vm)
{
	struct mezz_bells *bells;
	u64 slots = 0;

	spin_lock(&vm->lock);
	bells = vm->backend->bells;
	if (bells && READ_ONCE(bells->rest))
		slots = atomic_exchange(&bells->rest, 0) & (BIT(MEZZ_SLOTS) - 1);
	for (; slots; slots &= slots - 1)
		backend_ring(vm, &bells->device[__builtin_ctzll(slots)], MEZZ_BELL_REST);
	spin_unlock(&vm->lock);
}

// An interrupt while the entry was masked, or half written, was lost.
void backend_events_again(void)
{
	struct mezz_events *e = atomic_load(&events);

	for (unsigned i = 0; e && i < ARRAY_SIZE(e->vm); i++) {
		if (READ_ONCE(e->vm[i])) {
			vioapic_pulse(root, VIOAPIC_EVENT_PIN);
			return;
		}
	}
}

// SPDX-License-Identifier: MIT
// Interrupts of the machine on their way to the root VM, and their ends on the way back.
// link: kernel/micro/root_irq.c kernel/vm/vioapic.c kernel/vm/irq.c kernel/vm/vpic.c kernel/vm/vlapic.c kernel/vm/vlapic_regs.c
// link: kernel/vm/vlapic_timer.c kernel/vm/vlapic_ipi.c kernel/vm/vpv.c kernel/core/timer.c
// link: tests/unit/fake/arch.c tests/unit/fake/guest.c
#include "tests/unit/test.h"
#include "tests/unit/fake/guest.h"
#include "kernel/micro/backend.h"
#include "kernel/micro/root.h"
#include "kernel/x86/ioapic.h"
#include "kernel/x86/irq.h"
#include "kernel/x86/lapic.h"

#define PIN    16u
#define VECTOR 0x41u
#define LEVEL  BIT(15)
#define MASKED BIT(16)

static void (*passed_on)(u8 vector);
static u64 pins[24]; // the machine's I/O APIC
static u32 logical[2];
static bool level;     // what comes is
static unsigned again; // events that may have been lost were looked for

static const struct vm_machine machine = {
	.pin_changed = root_pin_changed,
	.pin_ended = root_pin_ended,
	.logical_id_changed = root_logical_id_changed,
};

void backend_events_again(void)
{
	again++;
}

void irq_pass_on(void (*fn)(u8 vector))
{
	passed_on = fn;
}

void ioapic_pin_set(u32 gsi, u64 entry)
{
	pins[gsi] = entry;
}

void ioapic_pin_mask(u32 gsi, bool masked)
{
	pins[gsi] = masked ? pins[gsi] | MASKED : pins[gsi] & ~MASKED;
}

bool lapic_was_level(u8 vector)
{
	return level && vector == VECTOR;
}

void lapic_set_logical(u32 format, u32 id)
{
	logical[0] = format;
	logical[1] = id;
}

// A VM of one vcpu, on CPU 1, that has its APIC on.
static struct vm *start(void)
{
	struct vm *vm = fake_vm(1);

	vm->machine = &machine;
	level = false;
	vlapic_mmio_write(vm->vcpus[0], 0xf0, 0x1ff);
	for (unsigned i = 0; i < ARRAY_SIZE(pins); i++)
		pins[i] = MASKED;
	root_irq_init(vm, 1);
	fake_cpu = pcpus[1];
	return vm;
}

static void program(struct vm *vm, unsigned pin, u64 entry)
{
	spin_lock(&vm->lock);
	for (unsigned i = 0; i < 2; i++) {
		vioapic_mmio_write(vm, 0, 0x10 + 2 * pin + !i);
		vioapic_mmio_write(vm, 0x10, (u32)(i ? entry : entry >> 32));
	}
	spin_unlock(&vm->lock);
}

TEST(messages)
{
	struct vm *vm = start();

	passed_on(0x55);
	CHECK_EQ(fake_deliver(vm->vcpus[0]), 0x55);
	vlapic_eoi(vm->vcpus[0]);
	fake_cpu = pcpus[0]; // none of the VM's
	passed_on(0x55);
	CHECK_EQ(fake_deliver(vm->vcpus[0]), -1);
}

TEST(entries_are_copied)
{
	struct vm *vm = start();

	program(vm, PIN, VECTOR | LEVEL | 3ull << 56);
	CHECK_EQ(pins[PIN], VECTOR | LEVEL | 3ull << 56);
	program(vm, 4, VECTOR);
	CHECK_EQ(pins[4], MASKED); // the kernel's own
}

TEST(a_level_is_masked_until_it_ends)
{
	struct vm *vm = start();
	struct vcpu *v = vm->vcpus[0];

	level = true;
	program(vm, PIN, VECTOR | LEVEL);
	passed_on(VECTOR);
	CHECK(pins[PIN] & MASKED);
	CHECK_EQ(fake_deliver(v), VECTOR);
	passed_on(VECTOR); // it was on its way already
	CHECK_EQ(fake_deliver(v), -1);
	CHECK(pins[PIN] & MASKED);
	vlapic_eoi(v);
	CHECK(!(pins[PIN] & MASKED));
	passed_on(VECTOR);
	CHECK(pins[PIN] & MASKED && fake_deliver(v) == VECTOR);
	program(vm, PIN, VECTOR | LEVEL | MASKED); // Linux masks it meanwhile
	vlapic_eoi(v);
	CHECK(pins[PIN] & MASKED);
	program(vm, PIN, VECTOR | LEVEL);
	CHECK(!(pins[PIN] & MASKED));
}

TEST(an_entry_that_is_written_meanwhile_stays_masked)
{
	struct vm *vm = start();

	level = true;
	program(vm, PIN, VECTOR | LEVEL);
	passed_on(VECTOR);
	program(vm, PIN, VECTOR | LEVEL | 1ull << 56);
	CHECK(pins[PIN] & MASKED && pins[PIN] >> 56 == 1);
	CHECK_EQ(fake_deliver(vm->vcpus[0]), VECTOR);
	vlapic_eoi(vm->vcpus[0]);
	CHECK(!(pins[PIN] & MASKED));
}

// The pin's vector is another CPU's there.
TEST(a_message_with_the_vector_of_a_pin)
{
	struct vm *vm = start();

	program(vm, PIN, VECTOR | LEVEL | 1ull << 56);
	passed_on(VECTOR);
	CHECK(!(pins[PIN] & MASKED));
	CHECK_EQ(fake_deliver(vm->vcpus[0]), VECTOR);
	vlapic_eoi(vm->vcpus[0]);
}

TEST(edges)
{
	struct vm *vm = start();

	program(vm, PIN, VECTOR);
	passed_on(VECTOR);
	CHECK(!(pins[PIN] & MASKED));
	CHECK_EQ(fake_deliver(vm->vcpus[0]), VECTOR);
}

TEST(logical_ids)
{
	struct vm *vm = start();

	vlapic_mmio_write(vm->vcpus[0], 0xd0, 0x02000000);
	CHECK(logical[0] == ~0u && logical[1] == 0x02000000);
	vlapic_mmio_write(vm->vcpus[0], 0xe0, 0x0fffffff);
	CHECK_EQ(logical[0], 0x0fffffff);
}

// The pin for events is the kernel's: nothing of it reaches the machine, and each change of its entry has events looked for.
TEST(pin_for_events)
{
	struct vm *vm = start();

	vioapic_pulse(vm, VIOAPIC_EVENT_PIN);
	CHECK(vlapic_irq_pending(vm->vcpus[0]) < 0); // masked
	again = 0;
	program(vm, VIOAPIC_EVENT_PIN, VECTOR);
	CHECK(again >= 1);
	vioapic_pulse(vm, VIOAPIC_EVENT_PIN);
	CHECK_EQ(vlapic_irq_pending(vm->vcpus[0]), (int)VECTOR);
	for (unsigned i = 0; i < ARRAY_SIZE(pins); i++)
		CHECK_EQ(pins[i], MASKED);
	vioapic_mmio_write(vm, 0, 1);
	CHECK_EQ(vioapic_mmio_read(vm, 0x10) >> 16, 24); // the highest pin
	vm->machine = NULL;
	CHECK_EQ(vioapic_mmio_read(vm, 0x10) >> 16, 23);
}

TEST_MAIN()

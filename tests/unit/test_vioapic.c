// SPDX-License-Identifier: MIT
// The virtual I/O APIC and the routing of the PC's interrupt lines.
// link: kernel/vm/vioapic.c kernel/vm/irq.c kernel/vm/vpic.c kernel/vm/vlapic.c kernel/vm/vlapic_regs.c
// link: kernel/vm/vlapic_timer.c kernel/vm/vlapic_ipi.c kernel/vm/vpv.c kernel/core/timer.c
// link: tests/unit/fake/arch.c tests/unit/fake/guest.c
#include "tests/unit/test.h"
#include "tests/unit/fake/guest.h"
#include "kernel/vm/irq.h"

#define MASKED  0x10000u
#define LEVEL   0x8000u
#define REMOTE  0x4000u
#define LOW     0x2000u // polarity
#define LOGICAL 0x800u

static struct vm *start(void)
{
	struct vm *vm = fake_vm(4);

	vioapic_reset(vm);
	vpic_reset(&vm->pc.pic);
	for (u32 i = 0; i < vm->vcpu_count; i++)
		vlapic_mmio_write(vm->vcpus[i], 0xf0, 0x11ff & ~0x1000u);
	return vm;
}

static u32 read_reg(struct vm *vm, u32 reg)
{
	vioapic_mmio_write(vm, 0, reg);
	CHECK_EQ(vioapic_mmio_read(vm, 0), reg);
	return vioapic_mmio_read(vm, 0x10);
}

static void write_reg(struct vm *vm, u32 reg, u32 value)
{
	vioapic_mmio_write(vm, 0, reg);
	vioapic_mmio_write(vm, 0x10, value);
}

static void entry(struct vm *vm, unsigned pin, u32 low, u8 dest)
{
	write_reg(vm, 0x11 + 2 * pin, (u32)dest << 24);
	write_reg(vm, 0x10 + 2 * pin, low);
}

TEST(registers)
{
	struct vm *vm = start();

	CHECK_EQ(read_reg(vm, 1), 0x00170020);
	write_reg(vm, 0, 0xffffffff);
	CHECK_EQ(read_reg(vm, 0), 0x0f000000);
	for (u32 i = 0; i < 24; i++) {
		CHECK_EQ(read_reg(vm, 0x10 + 2 * i), MASKED);
		write_reg(vm, 0x10 + 2 * i, 0xffffffff);
		write_reg(vm, 0x11 + 2 * i, 0xffffffff);
		CHECK_EQ(read_reg(vm, 0x10 + 2 * i), 0x0001afff); // not the status bits
		CHECK_EQ(read_reg(vm, 0x11 + 2 * i), 0xff000000);
	}
	for (u32 i = 0x40; i < 0x100; i++) {
		write_reg(vm, i, 0);
		CHECK_EQ(read_reg(vm, i), 0);
	}
	for (u32 i = 2; i < 0x10; i++)
		write_reg(vm, i, 0);
	CHECK_EQ(read_reg(vm, 0x3e), 0x0001afff);
	for (u32 at = 0; at < 4096; at++)
		CHECK(at == 0 || at == 0x10 || vioapic_mmio_read(vm, at) == 0);
}

TEST(edge)
{
	struct vm *vm = start();
	struct vcpu *v = vm->vcpus[2];

	entry(vm, 5, 0x35, 2);
	vioapic_set_irq(vm, 5, true);
	CHECK_EQ(fake_deliver(v), 0x35);
	vioapic_set_irq(vm, 5, true); // no edge
	vlapic_eoi(v);
	CHECK_EQ(fake_deliver(v), -1);
	vioapic_set_irq(vm, 5, false);
	CHECK_EQ(fake_deliver(v), -1);
	vioapic_set_irq(vm, 5, true);
	CHECK_EQ(fake_deliver(v), 0x35);
	vlapic_eoi(v);
	// At a masked pin an edge is lost.
	vioapic_set_irq(vm, 5, false);
	entry(vm, 5, 0x35 | MASKED, 2);
	vioapic_set_irq(vm, 5, true);
	entry(vm, 5, 0x35, 2);
	CHECK_EQ(fake_deliver(v), -1);
	vioapic_set_irq(vm, 24, true);
	vioapic_set_irq(vm, ~0u, true);
}

TEST(level)
{
	struct vm *vm = start();
	struct vcpu *v = vm->vcpus[1];

	entry(vm, 11, 0x51 | LEVEL | LOW, 1);
	vioapic_set_irq(vm, 11, true);
	CHECK_EQ(read_reg(vm, 0x10 + 22), 0x51 | LEVEL | LOW | REMOTE);
	CHECK_EQ(fake_deliver(v), 0x51);
	vlapic_eoi(v); // still asserted: again
	CHECK_EQ(fake_deliver(v), 0x51);
	CHECK_EQ(read_reg(vm, 0x10 + 22), 0x51 | LEVEL | LOW | REMOTE);
	vioapic_set_irq(vm, 11, false);
	vlapic_eoi(v);
	CHECK_EQ(fake_deliver(v), -1);
	CHECK_EQ(read_reg(vm, 0x10 + 22), 0x51 | LEVEL | LOW);
	// Off and on while in service: the second comes after the EOI.
	vioapic_set_irq(vm, 11, true);
	CHECK_EQ(fake_deliver(v), 0x51);
	vioapic_set_irq(vm, 11, false);
	vioapic_set_irq(vm, 11, true);
	CHECK_EQ(fake_deliver(v), -1);
	vlapic_eoi(v);
	CHECK_EQ(fake_deliver(v), 0x51);
}

TEST(level_behind_a_mask)
{
	struct vm *vm = start();
	struct vcpu *v = vm->vcpus[0];

	entry(vm, 20, 0x61 | LEVEL | MASKED, 0);
	vioapic_set_irq(vm, 20, true);
	CHECK_EQ(fake_deliver(v), -1);
	entry(vm, 20, 0x61 | LEVEL, 0);
	CHECK_EQ(fake_deliver(v), 0x61);
	entry(vm, 20, 0x61 | LEVEL | MASKED, 0);
	vlapic_eoi(v); // masked: not again
	CHECK_EQ(fake_deliver(v), -1);
	CHECK_EQ(read_reg(vm, 0x10 + 40), 0x61 | LEVEL | MASKED);
}

TEST(two_pins_one_vector)
{
	struct vm *vm = start();
	struct vcpu *v = vm->vcpus[0];

	entry(vm, 16, 0x61 | LEVEL, 0);
	entry(vm, 17, 0x61 | LEVEL, 0);
	vioapic_set_irq(vm, 16, true);
	vioapic_set_irq(vm, 17, true);
	CHECK_EQ(fake_deliver(v), 0x61);
	vioapic_set_irq(vm, 16, false);
	vlapic_eoi(v);
	CHECK_EQ(fake_deliver(v), 0x61); // for 17
	CHECK_EQ(read_reg(vm, 0x10 + 32) & REMOTE, 0);
	CHECK_EQ(read_reg(vm, 0x10 + 34) & REMOTE, REMOTE);
}

TEST(directed_eoi)
{
	struct vm *vm = start();
	struct vcpu *v = vm->vcpus[0];

	vlapic_mmio_write(v, 0xf0, 0x11ff); // suppress the broadcast
	entry(vm, 9, 0x39 | LEVEL, 0);
	vioapic_set_irq(vm, 9, true);
	CHECK_EQ(fake_deliver(v), 0x39);
	vioapic_set_irq(vm, 9, false);
	vlapic_eoi(v);
	CHECK_EQ(read_reg(vm, 0x10 + 18) & REMOTE, REMOTE);
	vioapic_mmio_write(vm, 0x40, 0x38);
	CHECK_EQ(read_reg(vm, 0x10 + 18) & REMOTE, REMOTE);
	vioapic_mmio_write(vm, 0x40, 0x39);
	CHECK_EQ(read_reg(vm, 0x10 + 18) & REMOTE, 0);
}

TEST(edge_mode_clears_remote_irr)
{
	struct vm *vm = start();

	entry(vm, 9, 0x39 | LEVEL, 0);
	vioapic_set_irq(vm, 9, true);
	CHECK_EQ(fake_deliver(vm->vcpus[0]), 0x39);
	entry(vm, 9, 0x39 | MASKED, 0);
	CHECK_EQ(read_reg(vm, 0x10 + 18), 0x39 | MASKED);
	entry(vm, 9, 0x39 | LEVEL, 0);
	CHECK_EQ(read_reg(vm, 0x10 + 18), 0x39 | LEVEL | REMOTE);
}

TEST(nobody_accepts)
{
	struct vm *vm = start();

	entry(vm, 9, 0x39 | LEVEL, 7); // no such APIC
	vioapic_set_irq(vm, 9, true);
	CHECK_EQ(read_reg(vm, 0x10 + 18) & REMOTE, 0);
	entry(vm, 9, 0x39 | LEVEL, 3);
	CHECK_EQ(fake_deliver(vm->vcpus[3]), 0x39);
}

TEST(modes_and_destinations)
{
	struct vm *vm = start();

	for (u32 i = 0; i < 4; i++)
		vlapic_mmio_write(vm->vcpus[i], 0xd0, 1u << (24 + i));
	entry(vm, 4, 0x44 | LOGICAL, 0x0a);
	vioapic_set_irq(vm, 4, true);
	CHECK_EQ(fake_deliver(vm->vcpus[0]), -1);
	CHECK_EQ(fake_deliver(vm->vcpus[1]), 0x44);
	CHECK_EQ(fake_deliver(vm->vcpus[3]), 0x44);
	entry(vm, 6, 0x400, 2); // NMI
	vm->vcpus[2]->events = 0;
	vioapic_set_irq(vm, 6, true);
	CHECK_EQ(vm->vcpus[2]->events, VCPU_NMI);
}

// ---------------------------------------------------------------- lines

TEST(isa_lines)
{
	struct vm *vm = start();

	entry(vm, 2, 0x30, 1);
	entry(vm, 0, 0x31, 1);
	entry(vm, 4, 0x34, 1);
	vm_irq_set(vm, 0, true); // the PIT's line: pin 2
	CHECK_EQ(fake_deliver(vm->vcpus[1]), 0x30);
	CHECK_EQ(fake_deliver(vm->vcpus[1]), -1);
	vm_irq_set(vm, 2, true); // the cascade: nothing
	CHECK_EQ(vm->pc.ioapic.lines, BIT(2));
	vm_irq_set(vm, 4, true);
	vlapic_eoi(vm->vcpus[1]);
	CHECK_EQ(fake_deliver(vm->vcpus[1]), 0x34);
	vm_irq_set(vm, 23, true);
	vm_irq_set(vm, 24, true);
	vm_irq_set(vm, ~0u, true);
	CHECK_EQ(vm->pc.ioapic.lines, BIT(2) | BIT(4) | BIT(23));
}

static void pic_start(struct vm *vm)
{
	static const u16 port[] = {0x20, 0x21, 0x21, 0x21, 0xa0, 0xa1, 0xa1, 0xa1, 0x21, 0xa1};
	static const u8 value[] = {0x11, 0x20, 0x04, 0x01, 0x11, 0x28, 0x02, 0x01, 0, 0};

	for (unsigned i = 0; i < ARRAY_SIZE(port); i++)
		vpic_write(&vm->pc.pic, port[i], value[i]);
}

TEST(pic_wakes_vcpu_0)
{
	struct vm *vm = start();
	struct vcpu *v = vm->vcpus[0];

	pic_start(vm);
	v->events = 0;
	fake_posts[0] = 0;
	vm_irq_set(vm, 4, true);
	CHECK_EQ(v->events, VCPU_LAPIC);
	CHECK_EQ(fake_posts[0], 1);
	vm_irq_set(vm, 3, true); // the output is up already
	CHECK_EQ(fake_posts[0], 1);
	CHECK(vpic_pending(&vm->pc.pic));
	CHECK_EQ(vpic_ack(&vm->pc.pic), 0x23);
	// Once LINT0 is masked the PIC reaches nobody.
	vlapic_mmio_write(v, 0x350, 0x10700);
	vpic_write(&vm->pc.pic, 0x20, 0x20);
	fake_posts[0] = 0;
	vm_irq_pic_update(vm);
	vm_irq_set(vm, 1, true);
	CHECK_EQ(fake_posts[0], 0);
}

TEST_MAIN()

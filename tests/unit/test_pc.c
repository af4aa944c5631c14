// SPDX-License-Identifier: MIT
// The PC as its guest sees it: ports of every width, device memory, the ways to reset, interrupts through both controllers.
// link: kernel/vm/pc.c kernel/vm/pc_io.c kernel/vm/irq.c kernel/vm/vioapic.c kernel/vm/vpic.c kernel/vm/vpit.c
// link: kernel/vm/vrtc.c kernel/vm/vrtc_time.c kernel/vm/vuart.c kernel/vm/vpm.c kernel/vm/vpci.c
// link: kernel/core/timer.c tests/unit/fake/arch.c
#include "kernel/vm/vclock.h"
#include "tests/unit/pc_whole_fake.h"

static u32 in(u16 port, unsigned size)
{
	return pc_io_read(&vcpu0, port, size);
}

static void out(u16 port, unsigned size, u32 value)
{
	pc_io_write(&vcpu0, port, size, value);
}

static void pic_setup(void)
{
	static const u8 words[2][4] = {{0x11, 0x20, 4, 1}, {0x11, 0x28, 2, 1}};

	for (unsigned i = 0; i < 2; i++) {
		out(i ? 0xa0 : 0x20, 1, words[i][0]);
		for (unsigned j = 1; j < 4; j++)
			out(i ? 0xa1 : 0x21, 1, words[i][j]);
		out(i ? 0xa1 : 0x21, 1, 0xff);
	}
}

static void ioapic_route(unsigned pin, u64 value)
{
	for (unsigned i = 0; i < 2; i++) {
		pc_mmio_write(&vcpu0, GPA_IOAPIC, 4, 0x10 + pin * 2 + i);
		pc_mmio_write(&vcpu0, GPA_IOAPIC + 0x10, 4, (u32)(value >> i * 32));
	}
}

TEST(nothing_there_reads_as_ones)
{
	static const u16 ports[] = {0x00, 0x22, 0x60, 0x62, 0x72, 0xe9, 0x170, 0x1f0, 0x3b0, 0x3d4,
		0x2e8, 0x3e8, 0x510, 0x60c, 0xcf7, 0xd00, 0xb004, 0xfff0};
	u64 value;

	pc_whole_reset();
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		CHECK_EQ(in(ports[i], 1), 0xff);
		out(ports[i], 1, 0x55);
	}
	CHECK_EQ(in(0x3b0, 2), 0xffff);
	CHECK_EQ(in(0x3b0, 4), 0xffffffff);
	CHECK_EQ(in(0xffff, 4), 0xffffffff);
	out(0xffff, 4, 0);
	CHECK(!pc_mmio_read(&vcpu0, 0xfed00000, 8, &value)); // no HPET
	CHECK_EQ(value, ~0ull);
	CHECK(!pc_mmio_read(&vcpu0, 0xc0000000, 2, &value));
	CHECK_EQ(value, 0xffff);
	CHECK(!pc_mmio_write(&vcpu0, 0xfffffffffffffffc, 8, 0));
	CHECK_EQ(ended, VM_END_NONE);
}

TEST(wide_accesses_are_split)
{
	pc_whole_reset();
	out(0x80, 1, 0x42);
	CHECK_EQ(in(0x80, 2), 0xff42);
	CHECK_EQ(in(0x7f, 4), 0xffff42ff);
	pic_setup();
	out(0x20, 2, 0x5a0b); // command, then mask
	CHECK_EQ(in(0x21, 1), 0x5a);
	out(0x70, 2, 0x770f); // index 0Fh, then data
	CHECK_EQ(in(0x70, 2), 0x77ff);
	CHECK_EQ(in(0x3f8 + 4, 4) & 0xff00, 0x6000); // MCR, LSR, MSR, SCR
	CHECK_EQ(in(0x3ff, 2), 0xff00);
}

TEST(pci_ports)
{
	pc_whole_reset();
	out(0xcf8, 4, 0x80000000);
	CHECK_EQ(in(0xcf8, 4), 0x80000000);
	CHECK_EQ(in(0xcfc, 4), 0x0d578086);
	CHECK_EQ(in(0xcfe, 2), 0x0d57);
	CHECK_EQ(in(0xcfd, 1), 0x80);
	out(0xcf8, 1, 0x55); // only 32 bits reach the address
	out(0xcfa, 2, 0x5555);
	CHECK_EQ(in(0xcf8, 4), 0x80000000);
	out(0xcf8, 4, 0xffffffff);
	CHECK_EQ(in(0xcf8, 4), 0x80fffffc);
	CHECK_EQ(in(0xcf8, 2), 0xffff);
	out(0xcf8, 4, 0);
	CHECK_EQ(in(0xcf8, 4), 0);
	CHECK_EQ(ended, VM_END_NONE);
}

TEST(ecam_by_memory)
{
	u64 value;

	pc_whole_reset();
	CHECK(pc_mmio_read(&vcpu0, GPA_ECAM, 4, &value));
	CHECK_EQ(value, 0x0d578086);
	CHECK(pc_mmio_read(&vcpu0, GPA_ECAM, 8, &value));
	CHECK_EQ(value, ~0ull);
	CHECK(pc_mmio_read(&vcpu0, GPA_ECAM + (1 << 15), 2, &value));
	CHECK_EQ(value, 0xffff);
}

TEST(ways_to_reset)
{
	static const struct {
		u16 port;
		u32 before, value;
		enum vm_end end;
	} ways[] = {
		{0x64, 0xae, 0xfe, VM_END_RESET},
		{0x64, 0, 0xf0, VM_END_RESET},
		{0x64, 0, 0xff, VM_END_NONE},
		{0x64, 0, 0xaa, VM_END_NONE},
		{0x60, 0, 0xfe, VM_END_NONE},
		{0xcf9, 0x02, 0x06, VM_END_RESET},
		{0xcf9, 0x00, 0x0e, VM_END_RESET},
		{0xcf9, 0, 0x02, VM_END_NONE},
		{0x92, 0x02, 0x03, VM_END_RESET},
		{0x92, 0, 0x02, VM_END_NONE},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		pc_whole_reset();
		out(ways[i].port, 1, ways[i].before);
		CHECK_EQ(ended, VM_END_NONE);
		out(ways[i].port, 1, ways[i].value);
		CHECK_EQ(ended, ways[i].end);
	}
}

TEST(missing_keyboard_controller)
{
	unsigned ones = 0;

	pc_whole_reset();
	CHECK_EQ(in(0x60, 1), 0xff);
	while (in(0x64, 1) == 0xff && ones < 1000)
		ones++;
	CHECK(ones >= 32 && ones < 200); // a probe sees none; a reset loop goes on
	out(0x64, 1, 0xfe);
	CHECK_EQ(ended, VM_END_RESET);
}

TEST(debug_exit)
{
	pc_whole_reset();
	out(0xf4, 4, 7);
	CHECK_EQ(ended, VM_END_NONE);
	config.debug_exit = true;
	out(0xf4, 1, 7);
	out(0xf4, 2, 7);
	out(0xf5, 4, 7);
	out(0xf3, 4, 7);
	CHECK_EQ(ended, VM_END_NONE);
	out(0xf4, 4, 0xfedcba98);
	CHECK_EQ(ended, VM_END_EXIT);
	CHECK_EQ(ended_code, 0xfedcba98);
	CHECK_EQ(in(0xf4, 4), 0xffffffff);
}

TEST(power_off_by_port)
{
	pc_whole_reset();
	CHECK_EQ(in(0x604, 2), 1);
	out(0x604, 2, 0x3401);
	CHECK_EQ(ended, VM_END_POWEROFF);
}

TEST(pit_through_pic)
{
	pc_whole_reset();
	pic_setup();
	out(0x43, 1, 0x34);
	out(0x40, 1, 0xa9);
	out(0x40, 1, 0x04); // 1193: 1 kHz
	run_to(NS_PER_SEC);
	CHECK_EQ(extints, 0);
	CHECK(!timer_is_set(&vm.pc.pit.timer)); // masked at both controllers
	out(0x20, 1, 0x0a);
	CHECK_EQ(in(0x20, 1), 0x01); // but the PIC has it
	out(0x21, 1, 0xfe);
	CHECK(timer_is_set(&vm.pc.pit.timer));
	CHECK(pc_extint_pending(&vm));
	CHECK_EQ(extints, 1);
	CHECK_EQ(pc_extint_ack(&vm), 0x20);
	CHECK(!pc_extint_pending(&vm));
	CHECK_EQ(pc_extint_ack(&vm), -1);
	out(0x20, 1, 0x20);
	run_to(NS_PER_SEC + 1100000);
	CHECK(pc_extint_pending(&vm));
	CHECK_EQ(extints, 2);
	CHECK_EQ(messages, 0);
	out(0x21, 1, 0xff);
	run_to(2 * NS_PER_SEC);
	CHECK(!timer_is_set(&vm.pc.pit.timer));
}

TEST(pit_through_ioapic)
{
	pc_whole_reset();
	out(0x43, 1, 0x34);
	out(0x40, 1, 0xa9);
	out(0x40, 1, 0x04);
	run_to(5000000);
	CHECK(!timer_is_set(&vm.pc.pit.timer));
	ioapic_route(2, 0x30);
	CHECK(timer_is_set(&vm.pc.pit.timer));
	CHECK_EQ(messages, 0); // an IOAPIC forgets masked edges
	run_to(15 * NS_PER_SEC / 1000 + 10000);
	CHECK(messages >= 9 && messages <= 11);
	CHECK_EQ(last_vector, 0x30);
	CHECK_EQ(extints, 0);
	ioapic_route(2, 0x10030);
	run_to(NS_PER_SEC);
	CHECK(messages <= 11);
	CHECK(!timer_is_set(&vm.pc.pit.timer));
}

TEST(uart_through_ioapic)
{
	pc_whole_reset();
	ioapic_route(4, 0x44);
	out(0x3fc, 1, 0x08);
	out(0x3f9, 1, 0x01);
	CHECK_EQ(vuart_input(&vm, (const u8 *)"a", 1), 1);
	CHECK_EQ(messages, 1);
	CHECK_EQ(last_vector, 0x44);
	CHECK_EQ(in(0x3f8, 1), 'a');
	out(0x2f8, 1, 'b'); // nobody is at the other UART
	CHECK_EQ(console_used, 0);
	out(0x3f8, 1, 'b');
	CHECK_EQ(console_used, 1);
}

TEST(sci_is_level_triggered_at_the_pic)
{
	pc_whole_reset();
	CHECK_EQ(in(0x4d1, 1), 0x02);
	pic_setup();
	out(0xa1, 1, 0xfd);
	out(0x21, 1, 0xfb);
	vpm_power_button(&vm);
	out(0x602, 2, 0x100);
	CHECK_EQ(pc_extint_ack(&vm), 0x29);
	out(0xa0, 1, 0x20);
	out(0x20, 1, 0x20);
	CHECK(pc_extint_pending(&vm));
	out(0x600, 2, 0x100);
	CHECK(!pc_extint_pending(&vm));
}

TEST(ioapic_access_widths)
{
	u64 value;

	pc_whole_reset();
	CHECK(pc_mmio_write(&vcpu0, GPA_IOAPIC, 1, 1));
	CHECK(pc_mmio_read(&vcpu0, GPA_IOAPIC + 0x10, 4, &value));
	CHECK_EQ(value, 0x170020);
	CHECK(pc_mmio_read(&vcpu0, GPA_IOAPIC + 0x12, 1, &value));
	CHECK_EQ(value, 0x17);
	CHECK(pc_mmio_read(&vcpu0, GPA_IOAPIC + 0xffc, 4, &value));
	CHECK(!pc_mmio_read(&vcpu0, GPA_IOAPIC + 0xffc, 8, &value)); // leaves the page
	CHECK(pc_mmio_read(&vcpu0, GPA_IOAPIC + 0xff9, 4, &value));
}

TEST(reset_silences_and_keeps_cmos)
{
	pc_whole_reset();
	out(0x70, 1, 0x40);
	out(0x71, 1, 0x99);
	out(0x70, 1, 0x0b);
	out(0x71, 1, 0x72);
	out(0x43, 1, 0x34);
	out(0x40, 1, 0x10);
	out(0x40, 1, 0x10);
	ioapic_route(2, 0x30);
	CHECK(timer_is_set(&vm.pc.pit.timer));
	CHECK(timer_is_set(&vm.pc.rtc.timer));
	pc_reset(&vm);
	CHECK(!timer_is_set(&vm.pc.pit.timer));
	CHECK(!timer_is_set(&vm.pc.rtc.timer));
	CHECK_EQ(in(0x92, 1), 0x02);
	out(0x70, 1, 0x40);
	CHECK_EQ(in(0x71, 1), 0x99);
	pc_destroy(&vm);
	CHECK(list_empty(&fake_cpu->timers));
}

TEST_MAIN()

// SPDX-License-Identifier: MIT
// The root VM's ports: which of them exit, and what ends the machine.
// link: kernel/micro/root_port.c
#include "tests/unit/test.h"
#include "kernel/core/pcpu.h"
#include "kernel/micro/root.h"
#include "kernel/x86/acpi.h"

#define PM1_CONTROL 0x604u
#define SLEEP       0x2000u

struct acpi_info acpi_info = {
	.pm1a_control = {1, PM1_CONTROL}, .s5_a = 5, .reset = {1, 0xb8}, .reset_value = 3};

static struct vm vm;
static enum vm_end ended;

void vm_end(struct vm *v, enum vm_end end, u32 code)
{
	CHECK(v == &vm && !code);
	ended = end;
}

// What the VM writes, as far as it does not reach the machine.
static enum vm_end writes(u16 port, unsigned size, u32 value)
{
	ended = VM_END_NONE;
	root_port_write(&vm, port, size, value);
	return ended;
}

TEST(exits)
{
	static const u16 those[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x3f8, 0x3ff, 0x64, 0xcf9,
		PM1_CONTROL, PM1_CONTROL + 1, 0xb8, 0xb9};
	unsigned count = 0;

	for (u32 port = 0; port < 0x10000; port++)
		count += root_port_exits((u16)port);
	CHECK_EQ(count, ARRAY_SIZE(those) + 6); // 3F9h to 3FEh
	for (unsigned i = 0; i < ARRAY_SIZE(those); i++)
		CHECK(root_port_exits(those[i]));
	CHECK(root_port_is_virtual(0x3f8) && root_port_is_virtual(0xa1) &&
		!root_port_is_virtual(0x64));
	CHECK(!root_port_is_virtual(0x2f8) && !root_port_is_virtual(0x40) &&
		!root_port_is_virtual(PM1_CONTROL));
}

TEST(the_machine_ends)
{
	CHECK_EQ(writes(PM1_CONTROL, 2, SLEEP | 5 << 10 | 1), VM_END_POWEROFF);
	CHECK_EQ(writes(0xcf9, 1, 6), VM_END_RESET);
	CHECK_EQ(writes(0x64, 1, 0xfe), VM_END_RESET);
	CHECK_EQ(writes(0xb8, 1, 3), VM_END_RESET);
}

TEST_MAIN()

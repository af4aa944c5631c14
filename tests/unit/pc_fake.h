// SPDX-License-Identifier: MIT
// What the virtual PC's chips need around them in a unit test: a VM, interrupt lines that are counted, a clock that
// the test moves, a console with a size.
#pragma once

#include "kernel/core/wallclock.h"
#include "kernel/vm/irq.h"
#include "kernel/vm/vm.h"
#include "tests/unit/test.h"

static struct vm vm;
static struct bundle_vm config;

static bool irq_level[24];
static unsigned irq_rises[24];
static u64 wall_base;
static enum vm_end ended;
static u32 ended_code;
static u8 console_bytes[256];
static size_t console_used, console_size;
static unsigned console_rooms;

__attribute__((unused)) static void pc_fake_reset(void)
{
	fake_reset(1);
	timer_init_pcpu(fake_cpu);
	memset(&vm, 0, sizeof(vm));
	memset(&config, 0, sizeof(config));
	memset(irq_level, 0, sizeof(irq_level));
	memset(irq_rises, 0, sizeof(irq_rises));
	vm.lock = SPINLOCK(LOCK_VM);
	vm.config = &config;
	wall_base = 0;
	ended = VM_END_NONE;
	ended_code = 0;
	console_used = 0;
	console_size = sizeof(console_bytes);
	console_rooms = 0;
}

// Time passes up to `ns`, timers fire when they are due.
__attribute__((unused)) static void run_to(u64 ns)
{
	timer_run(TIMER_NEVER);
	while (fake_armed[0] <= ns) {
		fake_now = MAX(fake_now, fake_armed[0]);
		timer_run(TIMER_NEVER);
	}
	fake_now = ns;
}

u64 wall_clock_ns(void)
{
	return wall_base + fake_now;
}

void vm_end(struct vm *v, enum vm_end end, u32 code)
{
	(void)v;
	if (ended == VM_END_NONE) {
		ended = end;
		ended_code = code;
	}
}

size_t vm_console_output(struct vm *v, const u8 *bytes, size_t n)
{
	size_t taken = MIN(n, console_size - console_used);

	(void)v;
	memcpy(console_bytes + console_used, bytes, taken);
	console_used += taken;
	return taken;
}

void vm_console_input_room(struct vm *v)
{
	(void)v;
	console_rooms++;
}

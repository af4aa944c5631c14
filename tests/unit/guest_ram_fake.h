// SPDX-License-Identifier: MIT
// Guest RAM in host memory, for tests of what is written there before a guest runs.
#pragma once

#include "tests/unit/pc_fake.h"

static u8 *guest_ram;
static u64 *guest_ram_written; // set of its pages
static u8 *guest_top;          // RAM from guest_top_start to 4 GiB, where a test has put some
static u64 guest_top_start = 0x100000000ull;

// RAM from 0 to `low`; nothing above 4 GiB can be touched, whatever `high` says.
__attribute__((unused)) static void guest_ram_make(u64 low, u64 high)
{
	free(guest_ram);
	free(guest_ram_written);
	guest_ram = calloc(1, low);
	guest_ram_written = calloc(low / PAGE_SIZE / 64 + 1, sizeof(u64));
	if (!guest_ram || !guest_ram_written)
		abort();
	vm.ram_low = low;
	vm.ram_high = high;
}

static void guest_ram_note(u64 at, size_t size)
{
	for (u64 page = at / PAGE_SIZE; page * PAGE_SIZE < at + size; page++)
		guest_ram_written[page / 64] |= 1ull << page % 64;
}

// All zeros again, for the cost of what was written.
__attribute__((unused)) static void guest_ram_clear(void)
{
	for (u64 i = 0; i <= vm.ram_low / PAGE_SIZE / 64; i++) {
		for (u64 set = guest_ram_written[i]; set; set &= set - 1) {
			u64 at = (64 * i + (unsigned)__builtin_ctzll(set)) * PAGE_SIZE;

			memset(guest_ram + at, 0, MIN(PAGE_SIZE, vm.ram_low - at));
		}
		guest_ram_written[i] = 0;
	}
}

static bool guest_ram_has(u64 at, size_t size)
{
	if (at > vm.ram_low || size > vm.ram_low - at)
		return false;
	return at + size <= GPA_VGA_HOLE || at >= GPA_VGA_END;
}

bool guest_write(struct vm *v, gpa_t addr, const void *from, size_t size)
{
	if (v == &vm && addr.v >= guest_top_start && addr.v + size <= 0x100000000ull) {
		memcpy(guest_top + (addr.v - guest_top_start), from, size);
		return true;
	}
	if (v != &vm || !guest_ram_has(addr.v, size))
		return false;
	guest_ram_note(addr.v, size);
	memcpy(guest_ram + addr.v, from, size);
	return true;
}

bool guest_read(struct vm *v, gpa_t addr, void *to, size_t size)
{
	if (v != &vm || !guest_ram_has(addr.v, size))
		return false;
	memcpy(to, guest_ram + addr.v, size);
	return true;
}

__attribute__((unused)) static u32 ram32(u64 at)
{
	u32 value = 0;

	CHECK(guest_read(&vm, gpa(at), &value, 4));
	return value;
}

__attribute__((unused)) static u64 ram64(u64 at)
{
	return ram32(at) | (u64)ram32(at + 4) << 32;
}

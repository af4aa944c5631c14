// SPDX-License-Identifier: MIT
// Page tables that lie in device memory, beyond RAM, in a loop or on themselves; and code that is fetched from
// device memory. The guest gets a fault or, where declared, is stopped; the kernel lives.
#include "guest.h"
#include "apic.h"

#define AREA BIT(39) // the second entry of the top table

extern u64 boot_pml4[512];

static void touch(void *arg)
{
	(void)*(volatile u8 *)arg;
}
static void touch_write(void *arg)
{
	*(volatile u8 *)arg = 1;
}
static void execute(void *arg)
{
	((void (*)(void))arg)();
}

static void try_all(u64 at)
{
	(void)try_call(touch, (void *)at);
	(void)try_call(touch_write, (void *)at);
	(void)try_call(execute, (void *)at);
}

static void use_table(u64 where)
{
	u64 *pdpt = memory_pages(1), *pd = memory_pages(1);

	boot_pml4[AREA >> 39] = where | 3; // as the second level
	write_cr3(read_cr3());
	try_all(AREA + 0x1000);
	boot_pml4[AREA >> 39] = (u64)pdpt | 3;
	pdpt[0] = where | 3; // third
	write_cr3(read_cr3());
	try_all(AREA + 0x1000);
	pdpt[0] = (u64)pd | 3;
	pd[0] = where | 3; // fourth
	write_cr3(read_cr3());
	try_all(AREA + 0x1000);
	pd[0] = where | 0x83; // a large page
	write_cr3(read_cr3());
	try_all(AREA + 0x1000);
	boot_pml4[AREA >> 39] = 0;
	write_cr3(read_cr3());
}

void guest_main(void)
{
	static const u64 places[] = {0xD0000000, 0xA0000, APIC_DEFAULT, IOAPIC_DEFAULT, 0xE0000000,
		0xFFFFF000, 64 * GiB, BIT(39), BIT(46)};
	u64 start = arg_number("place", 0), end = arg_given("one") ? start + 1 : ARRAY_SIZE(places);

	boot_pml4[AREA >> 39] = (u64)boot_pml4 | 3; // the top table as every level
	write_cr3(read_cr3());
	try_all(AREA + 0x1000);
	boot_pml4[AREA >> 39] = 0;
	write_cr3(read_cr3());
	check(true, "tables on themselves are survived");
	for (u64 i = start; i < end; i++) {
		use_table(places[i]);
		check(true, "tables at 0x%lx are survived", places[i]);
	}
}

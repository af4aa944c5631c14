// SPDX-License-Identifier: MIT
// Random port accesses of every width, in, out and strings, on all ports but those that rightly end the guest.
#include "guest.h"
#include "acpi.h"
#include "console.h"

static u16 pm1a, reset_port;
static u8 *buffer;

static bool overlaps(u32 port, u32 width, u32 at)
{
	return port <= at && at < port + width;
}

// F4h: debug exit; 64h, 92h, CF9h and the ACPI register: reset; PM1a_CNT: power-off.
static bool deadly(u32 port, u32 width)
{
	if (port == 0xCF8 && width == 4)
		return false;
	return overlaps(port, width, 0xF4) || overlaps(port, width, 0x64) ||
	       overlaps(port, width, 0x92) || overlaps(port, width, 0xCF9) ||
	       overlaps(port, width, pm1a) || overlaps(port, width, pm1a + 1u) ||
	       overlaps(port, width, reset_port);
}

static void in_once(u16 port, u32 width)
{
	if (width == 1)
		inb(port);
	else if (width == 2)
		inw(port);
	else
		inl(port);
}

static void out_once(u16 port, u32 width, u32 v)
{
	if (width == 1)
		outb(port, (u8)v);
	else if (width == 2)
		outw(port, (u16)v);
	else
		outl(port, v);
}

static void string_io(u16 port, u32 width, bool in, u64 count)
{
	u8 *at = buffer + random_below(4096 - 8); // may cross into the next page
	bool down = random64() & 1;

	if (down) {
		at += 2048;
		__asm__ volatile("std");
	}
	if (in && width == 1)
		__asm__ volatile("rep insb" : "+D"(at), "+c"(count) : "d"(port) : "memory");
	else if (in && width == 2)
		__asm__ volatile("rep insw" : "+D"(at), "+c"(count) : "d"(port) : "memory");
	else if (in)
		__asm__ volatile("rep insl" : "+D"(at), "+c"(count) : "d"(port) : "memory");
	else if (width == 1)
		__asm__ volatile("rep outsb" : "+S"(at), "+c"(count) : "d"(port) : "memory");
	else if (width == 2)
		__asm__ volatile("rep outsw" : "+S"(at), "+c"(count) : "d"(port) : "memory");
	else
		__asm__ volatile("rep outsl" : "+S"(at), "+c"(count) : "d"(port) : "memory");
	__asm__ volatile("cld");
	check_quiet(count == 0, "a string of port 0x%x left %lu", port, count);
}

static void random_access(void)
{
	u32 port = random64() & 1 ? (u32)random_below(0x10000) : (u32)random_below(0x1000);
	u32 width = 1u << random_below(3), kind = (u32)random_below(8);
	bool in = random64() & 1;

	if (!in && deadly(port, width))
		return;
	if (port == 0x3F8 && !in) // keeps the log readable
		return;
	if (kind == 0)
		string_io((u16)port, width, in, random_below(64));
	else if (in)
		in_once((u16)port, width);
	else
		out_once((u16)port, width, (u32)random_odd());
}

static void test_absent(void)
{
	static const u16 absent[] = {0x1234, 0x5678, 0xABCD, 0xE000, 0x0599, 0x03D0, 0xFFF0};

	for (u32 i = 0; i < ARRAY_SIZE(absent); i++)
		check_quiet(
			inb(absent[i]) == 0xFF && inw(absent[i]) == 0xFFFF && inl(absent[i]) == ~0u,
			"port 0x%x is not all ones", absent[i]);
}

static void strings_in_order(void)
{
	u32 wrong = 0;

	// The UART's scratch register takes the last byte of a string; its reading fills a buffer.
	for (u32 i = 0; i < 64; i++)
		buffer[i] = (u8)(i * 7 + 1);
	for (u32 n = 1; n <= 64; n++) {
		const u8 *from = buffer;
		u8 *to = buffer + 4096 - 32; // crosses a page
		u64 count = n;

		__asm__ volatile("rep outsb"
				 : "+S"(from), "+c"(count)
				 : "d"((u16)0x3FF)
				 : "memory");
		wrong += count || from != buffer + n || inb(0x3FF) != buffer[n - 1];
		count = n;
		__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"((u16)0x3FF) : "memory");
		wrong += count || to != buffer + 4096 - 32 + n || to[-1] != buffer[n - 1];
	}
	check(!wrong, "strings move all bytes and registers (%u wrong)", wrong);
}

static void outs_from_nowhere(void *arg)
{
	u64 count = 4;

	__asm__ volatile("rep outsb" : "+S"(arg), "+c"(count) : "d"((u16)0x3FF) : "memory");
}

static void ins_to_nowhere(void *arg)
{
	u64 count = 4;

	__asm__ volatile("rep insl" : "+D"(arg), "+c"(count) : "d"((u16)0x3FF) : "memory");
}

static void test_faults(void)
{
	void *nowhere = (void *)(1ull << 40), *odd = (void *)(1ull << 60);

	check(try_call(outs_from_nowhere, nowhere) == VEC_PF && try_cr2() == (u64)nowhere,
		"a string from an address that is not mapped is a page fault");
	check(try_call(ins_to_nowhere, nowhere) == VEC_PF && try_cr2() == (u64)nowhere &&
			(try_error() & 2),
		"and to one");
	check(try_call(outs_from_nowhere, odd) == VEC_GP,
		"a string from a non-canonical address is a #GP");
	check(try_call(ins_to_nowhere, odd) == VEC_GP, "and to one");
}

void guest_main(void)
{
	u64 n = arg_number("n", 20000);

	pm1a = (u16)fadt_field(FADT_PM1A_CNT, 4);
	reset_port = (u16)fadt_field(FADT_RESET_REG + 4, 8);
	buffer = (u8 *)memory_pages(3) + 512;
	test_absent();
	strings_in_order();
	test_faults();
	while (n--)
		random_access();
	console_init();
	strings_in_order();
	outl(0xCF8, 0x80000000);
	check(inl(0xCFC) != 0xFFFFFFFF, "the host bridge is still there");
}

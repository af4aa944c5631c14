// SPDX-License-Identifier: MIT
// XSETBV: invalid masks fault, valid ones are kept; vector registers keep their contents through exits and
// turns of other CPUs. Only where CPUID offers XSAVE.
#include "guest.h"
#include "smp.h"

#define X87 BIT(0)
#define SSE BIT(1)
#define AVX BIT(2)

struct xcr {
	u32 number;
	u64 value;
};

static u64 offered;

static u64 xgetbv(u32 n)
{
	u32 lo, hi;

	__asm__ volatile(".byte 0x0F, 0x01, 0xD0" : "=a"(lo), "=d"(hi) : "c"(n));
	return (u64)hi << 32 | lo;
}

static void do_xsetbv(void *arg)
{
	struct xcr *x = arg;

	__asm__ volatile(".byte 0x0F, 0x01, 0xD1"
			 :
			 : "c"(x->number), "a"((u32)x->value), "d"((u32)(x->value >> 32)));
}

static int xsetbv(u32 number, u64 value)
{
	struct xcr x = {number, value};

	return try_call(do_xsetbv, &x);
}

static void test_masks(void)
{
	u64 start = xgetbv(0);

	check(xsetbv(0, 0) == VEC_GP, "XCR0 without x87 faults");
	check(xsetbv(0, SSE) == VEC_GP, "and with SSE only");
	check(xsetbv(0, X87 | AVX) == VEC_GP, "AVX without SSE faults");
	check(xsetbv(0, offered | BIT(62)) == VEC_GP, "bit 62 faults");
	check(xsetbv(0, ~0ull) == VEC_GP, "all ones fault");
	check(xsetbv(1, X87) == VEC_GP && xsetbv(0xFFFFFFFF, X87) == VEC_GP, "there is only XCR0");
	for (u32 i = 3; i < 63 && arg_given("strict"); i++) // QEMU asks no hypervisor
		if (!(offered & BIT(i)))
			check_quiet(xsetbv(0, X87 | SSE | BIT(i)) == VEC_GP,
				"XCR0 bit %u, not offered, is taken", i);
	check(xgetbv(0) == start, "XCR0 is as before: 0x%lx", xgetbv(0));
	check(xsetbv(0, X87) == NO_FAULT && xgetbv(0) == X87, "x87 alone");
	cpuid(0, 0);
	check(xgetbv(0) == X87, "is kept through an exit");
	check(xsetbv(0, offered & 7) == NO_FAULT && xgetbv(0) == (offered & 7), "all of 0x%lx",
		offered & 7);
	cpuid(0, 0);
	check(xgetbv(0) == (offered & 7), "is kept through an exit");
}

static void test_off(void)
{
	u64 cr4 = read_cr4();
	struct xcr x = {0, X87};

	write_cr4(cr4 & ~CR4_OSXSAVE);
	check(try_call(do_xsetbv, &x) == VEC_UD, "XSETBV without CR4.OSXSAVE is #UD");
	write_cr4(cr4);
}

static void load_registers(const u8 *area)
{
	__asm__ volatile("movups (%0), %%xmm0; movups 16(%0), %%xmm7; movups 32(%0), %%xmm15"
			 :
			 : "r"(area));
	if (offered & AVX)
		__asm__ volatile("vmovups 64(%0), %%ymm1; vmovups 96(%0), %%ymm14" : : "r"(area));
}

static void store_registers(u8 *area)
{
	__asm__ volatile("movups %%xmm0, (%0); movups %%xmm7, 16(%0); movups %%xmm15, 32(%0)"
			 :
			 : "r"(area)
			 : "memory");
	if (offered & AVX)
		__asm__ volatile("vmovups %%ymm1, 64(%0); vmovups %%ymm14, 96(%0)"
				 :
				 : "r"(area)
				 : "memory");
}

static void enable(void)
{
	write_cr4(read_cr4() | CR4_OSXSAVE);
	offered = (u64)cpuid(0xD, 0).d << 32 | cpuid(0xD, 0).a;
	xsetbv(0, offered & 7);
}

static void keep(void *arg)
{
	u8 in[128], out[128];

	enable();
	for (u64 n = (u64)arg; n; n--) {
		for (u32 i = 0; i < sizeof(in); i++)
			out[i] = in[i] = (u8)random64();
		load_registers(in);
		cpuid(0, 0);
		inb(0x3FD);
		if (n % 8 == 0)
			delay_us(500);
		store_registers(out);
		check_quiet(!memcmp(in, out, offered & AVX ? 128 : 48),
			"CPU %u: vector registers have changed", this_cpu()->index);
	}
}

void guest_main(void)
{
	u64 n = arg_number("n", 500);

	smp_start();
	if (!(cpuid(1, 0).c & BIT(26))) {
		check(try_write_cr4(read_cr4() | CR4_OSXSAVE) == VEC_GP,
			"CR4.OSXSAVE, not offered, faults");
		check(xsetbv(0, X87) == VEC_UD, "XSETBV is #UD");
		return;
	}
	enable();
	print("XSAVE offers 0x%lx\n", offered);
	test_masks();
	test_off();
	smp_run_others(keep, (void *)n);
	keep((void *)n);
	smp_wait();
	check(!check_failures(), "vector registers are kept");
}

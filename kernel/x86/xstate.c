// SPDX-License-Identifier: MIT
// Saves and restores extended state by XSAVE, or by FXSAVE where that is all there is (SDM vol. 1,
// 13).
#include "kernel/x86/xstate.h"
#include "kernel/x86/cpu.h"
#include "lib/string.h"

#define LEGACY_SIZE  512
#define HEADER_SIZE  64
#define XCR0_X87     BIT(0)
#define XCR0_SSE     BIT(1)
#define XCR0_TILES   (3ull << 17) // AMX: 8 KiB a vcpu, and switched off by XFD besides: not offered
#define FCW_RESET    0x40
#define MXCSR_RESET  0x1F80
#define OFFSET_MXCSR 24
#define OFFSET_FTW   4

static u64 mask;
static size_t size = LEGACY_SIZE;

size_t xstate_size(void)
{
	return size;
}
u64 xstate_mask(void)
{
	return mask;
}

void xstate_init_cpu(void)
{
	struct cpuid r;

	cr4_write(cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT | (cpu_info.xsave ? CR4_OSXSAVE : 0));
	if (!cpu_info.xsave)
		return;
	r = cpuid(13, 0);
	mask = ((u64)r.edx << 32 | r.eax) & ~XCR0_TILES;
	xcr_write(0, mask);
	size = cpuid(13, 0).ebx; // for what XCR0 holds now
	if (size < LEGACY_SIZE + HEADER_SIZE)
		size = LEGACY_SIZE + HEADER_SIZE;
}

void xstate_reset(void *area)
{
	u8 *p = area;
	const u16 fcw = FCW_RESET;
	const u32 mxcsr = MXCSR_RESET;
	const u64 valid = XCR0_X87 | XCR0_SSE;

	memset(p, 0, size);
	memcpy(p, &fcw, sizeof(fcw));
	p[OFFSET_FTW] = 0xFF; // all in use, all zero
	memcpy(p + OFFSET_MXCSR, &mxcsr, sizeof(mxcsr));
	if (mask)
		memcpy(p + LEGACY_SIZE, &valid, sizeof(valid));
}

void xstate_save(void *area, u64 *xcr0)
{
	if (!mask) {
		*xcr0 = XCR0_X87;
		__asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
		return;
	}
	*xcr0 = xcr_read(0);
	if (*xcr0 != mask)
		xcr_write(0, mask);
	if (cpu_info.xsaveopt)
		__asm__ volatile(
			"xsaveopt64 (%0)" ::"r"(area), "a"((u32)mask), "d"((u32)(mask >> 32))
			: "memory");
	else
		__asm__ volatile("xsave64 (%0)" ::"r"(area), "a"((u32)mask), "d"((u32)(mask >> 32))
				 : "memory");
}

void xstate_load(const void *area, u64 xcr0)
{
	if (!mask) {
		__asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
		return;
	}
	__asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"((u32)mask), "d"((u32)(mask >> 32))
			 : "memory");
	if (xcr0 != mask)
		xcr_write(0, xcr0);
}

// SPDX-License-Identifier: MIT
// Shows what the boot page tables do not reach: a window in the last 4 MiB of what they map.
#include "kernel/core/log.h"
#include "kernel/x86/arch.h"
#include "kernel/x86/boot.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/paging.h"

extern u64 boot_pd[512]; // boot.S: the first GiB, by 2 MiB

const void *boot_reach(u64 a, u64 size)
{
	u64 start = ALIGN_DOWN(a, 2 * MiB);
	u64 *window = &boot_pd[BOOT_REACH / (2 * MiB)];

	ASSERT(size <= 2 * MiB);
	window[0] = start | PTE_PRESENT | PTE_LARGE;
	window[1] = (start + 2 * MiB) | PTE_PRESENT | PTE_LARGE;
	cr3_write(cr3_read());
	return (const void *)(KERNEL_BASE + BOOT_REACH + (a - start));
}

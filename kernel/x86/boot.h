// SPDX-License-Identifier: MIT
// The start of the kernel: what its pieces offer each other before mezz_main.
#pragma once

#include "kernel/core/boot_info.h"

// Which boot loader entered, as boot.S passes it.
enum { BOOT_MULTIBOOT2 = 1, BOOT_PVH = 2 };

// Called by boot.S on the boot stack, with the boot page tables.
_Noreturn void kernel_main(u32 loader, u32 info);

// What lies below is mapped from the first instruction on; all else only by boot_reach until
// paging_init.
#define BOOT_REACH (GiB - 4 * MiB)

// Makes [a, a + size) readable, at most 2 MiB below 4 GiB; until the next call. Before paging_init.
const void *boot_reach(u64 a, u64 size);

// The two readers of boot loaders' information; false when it makes no sense.
bool boot_read_multiboot2(struct boot_info *info, hpa_t at);
bool boot_read_pvh(struct boot_info *info, hpa_t at);

// Adds to the map, joining neighbours; what does not fit any more is left out (and so not used).
void boot_map_add(struct boot_info *info, u64 start, u64 size, u32 type);

// Copies a boot loader's string, bounded by `max` bytes there.
void boot_copy_cmdline(struct boot_info *info, const char *text, size_t max);

// Finds ACPI's root pointer in the BIOS' area if the boot loader gave none (ACPI 6.4, 5.2.5.1).
void boot_find_rsdp(struct boot_info *info);

// Where the image lies.
struct boot_image {
	hpa_t start;
	hpa_t start_only; // from here on what serves the start alone: boot stack, boot page tables
	hpa_t end;
};

// Memory before the frame allocator: pages of RAM below BOOT_REACH that nobody uses. Zeroed;
// panics if there is none. `info` must stay in place.
void boot_memory_init(const struct boot_info *info, const struct boot_image *image);
hpa_t boot_alloc(size_t size);

// Gives all RAM that is left to the frame allocator. Then boot_alloc is over.
void boot_memory_handover(void);

// Bytes of RAM that the kernel took before the frame allocator counted: the image, page tables,
// bookkeeping.
u64 boot_memory_used(void);

// Gives the frame allocator the boot stack and the boot page tables too, which must be out of use.
void boot_memory_release_start(void);

// Implemented in kernel/core/main.c; the machine is up and all CPUs but this one are in pcpu_loop.
_Noreturn void mezz_main(const struct boot_info *info);

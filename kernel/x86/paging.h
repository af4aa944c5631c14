// SPDX-License-Identifier: MIT
// The kernel's own address space: the image (code RX, constants R, data RW), all RAM at DIRECT_MAP
// (RW, NX, the image's code and constants there read-only too), stacks with guard pages, and device
// memory. Nothing is both writable and executable; the lower half is empty.
#pragma once

#include "lib/addr.h"

struct boot_info;

#define PTE_PRESENT BIT(0)
#define PTE_WRITE   BIT(1)
#define PTE_USER    BIT(2)
#define PTE_PWT     BIT(3)
#define PTE_PCD     BIT(4)
#define PTE_LARGE   BIT(7)
#define PTE_GLOBAL  BIT(8)
#define PTE_NX      BIT(63)
#define PTE_ADDR    0x000FFFFFFFFFF000ull

// Kinds of mapping.
#define MAP_CODE   (PTE_PRESENT | PTE_GLOBAL)
#define MAP_CONST  (PTE_PRESENT | PTE_GLOBAL | PTE_NX)
#define MAP_DATA   (PTE_PRESENT | PTE_GLOBAL | PTE_NX | PTE_WRITE)
#define MAP_DEVICE (MAP_DATA | PTE_PCD | PTE_PWT)

// Builds the tables and switches to them. Uses boot_alloc.
void paging_init(const struct boot_info *info);

// From now on new tables come from the frame allocator.
void paging_use_frames(void);

// Maps [a, a + size) at va, whole pages; what is mapped already stays as it is. Start or a lock of
// the caller's; false when there is no memory for a table.
bool paging_map(u64 va, hpa_t a, u64 size, u64 flags);

// Takes away 4 KiB mappings; of this CPU only, so before others run.
void paging_unmap(u64 va, u64 size);

// This CPU forgets what it knows of mappings that are not global (window.h).
void paging_flush(void);

// Device registers, uncached, at any alignment; stays mapped for good. NULL when there is no room.
void *mmio_map(hpa_t a, size_t size);

// Makes [a, a + size) readable in the direct map, whatever the firmware's map says of it; for
// ACPI's tables.
const void *paging_map_firmware(hpa_t a, size_t size);

// The root of the kernel's tables, below 4 GiB.
hpa_t paging_root(void);

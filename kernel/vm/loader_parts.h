// SPDX-License-Identifier: MIT
// What the loaders of the file formats share; private to loader*.c.
#pragma once

#include "kernel/vm/vm.h"

#define LOADER_LOW_START  0x1000u  // page 0 stays free
#define LOADER_LOW_END    0x9f000u // up to the last page below the VGA hole
#define LOADER_KERNEL_MIN MiB      // kernels lie at or above

// Bytes of a file.
struct image {
	const u8 *data;
	u64 size;
};

struct load {
	struct vm *vm;
	const struct bundle_vm *config;
	struct image kernel;
	const char *why;
	u64 low;          // next free byte below 640 KiB: boot parameters, strings, tables
	u64 kernel_start; // guest-physical, once the kernel is in place
	u64 kernel_end;
	gpa_t rsdp;
};

struct memory_entry {
	u64 start, size;
	u32 type; // as in E820
};

#define MEMORY_RAM      1u
#define MEMORY_RESERVED 2u
#define MEMORY_ENTRIES  32u

// Fails with a reason: returns -EINVAL.
int load_fail(struct load *l, const char *why);

// The guest's memory map; returns the number of entries.
unsigned load_memory_map(const struct vm *vm, struct memory_entry map[static MEMORY_ENTRIES]);

// [start, start + size) is RAM where a kernel or module may lie: from LOADER_KERNEL_MIN to the end of low RAM.
bool load_fits(const struct load *l, u64 start, u64 size);

// Takes `size` bytes of low memory, aligned to 16; 0: none are left.
u64 load_low_take(struct load *l, u64 size);

// Copies into low memory; the address, or 0 (then why is set).
u64 load_low_put(struct load *l, const void *data, size_t size);
u64 load_low_string(struct load *l, const char *text);

// Copies to / zeroes a range that load_fits() allowed. 0 or -ENOMEM.
int load_copy(struct load *l, u64 to, const u8 *data, u64 size);
int load_zero(struct load *l, u64 to, u64 size);

// Fetches `size` bytes at `offset` of the file; false: it ends before.
bool image_read(const struct image *i, u64 offset, void *to, u64 size);
struct image image_part(
	const struct image *i, u64 offset); // from offset on; empty when that is past the end

// Modules: the initrd first, then config's modules.
unsigned load_module_count(const struct load *l);
struct image load_module(const struct load *l, unsigned index, const char **args);

// vcpu 0 at `entry`, interrupts off, flat segments; general registers are the caller's. 64-bit: with an identity map of the first 4 GiB.
int load_enter_32(struct load *l, u64 entry);
int load_enter_64(struct load *l, u64 entry);

// The formats. -ENOEXEC: not of this format; else as loader_load.
int load_bzimage(struct load *l);
int load_multiboot(struct load *l);
int load_pvh(struct load *l);
int load_firmware(struct load *l);

// An ELF file's loadable segments at their physical addresses; sets kernel_start and kernel_end, and *entry. -ENOEXEC:
// no x86 ELF.
int load_elf(struct load *l, u64 *entry);

// The entry that the PVH note of an ELF file gives. -ENOEXEC: no ELF, or no such note.
int load_elf_pvh_entry(const struct load *l, u32 *entry);

// Puts the modules behind `after`, page by page apart; ranges[i] is where module i is. 0, -EINVAL, -ENOMEM.
#define LOADER_MODULES (BUNDLE_MAX_MODULES + 1u)
int load_modules(struct load *l, u64 after, struct memory_entry ranges[static LOADER_MODULES]);

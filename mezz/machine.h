// SPDX-License-Identifier: MIT
// The emulated machine that `mezz run` starts: what it is made of, and QEMU's words for it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "mezz/hardware.h"
#include "common/words.h"

enum machine_boot { BOOT_PVH, BOOT_BIOS, BOOT_UEFI };

// What the command line chose.
struct machine {
	enum machine_boot boot;
	const char *model; // micro or mono
	const char *cpu;   // QEMU's -cpu
	unsigned cpus;
	uint64_t memory;         // bytes; 0: by the VMs
	const char *kernel_args; // for the kernel's command line, may be empty
	struct hardware hardware;
	struct words more; // further words for QEMU
	bool gdb;
};

// Files and lines as QEMU is to name them.
struct machine_parts {
	const char *kernel; // PVH only
	const char *image;  // the bundle, or the ISO image
	const char *line;   // -chardev of the serial line, with id=line
	const char *qmp;    // -chardev of the monitor, with id=qmp; NULL: none
};

// The machine's memory in bytes: as chosen, or enough for the VMs and a bundle of this size.
uint64_t machine_memory(const struct machine *m, const struct config *config, uint64_t bundle_size);

// QEMU's command line; the caller frees it with words_free.
struct words machine_words(
	const struct machine *m, const struct machine_parts *parts, uint64_t memory);

// The kernel's command line under `mezz run`; the caller frees it.
char *machine_kernel_args(const struct machine *m);

// The path of build/mezzanine-MODEL.elf, beside this program; the caller frees it. NULL after a complaint.
char *machine_kernel(const char *model);

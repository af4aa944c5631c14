// SPDX-License-Identifier: MIT
// Puts a guest's kernel into its memory and its first vcpu at the entry, as a boot loader would.
//
// The file decides how, the first that fits of:
//	Linux bzImage           by the Linux/x86 boot protocol: 64-bit entry, or the 32-bit one of a kernel without it
//	Multiboot 1 header      in the first 8 KiB (it wins over a PVH note, being the more deliberate of the two)
//	ELF with a PVH note     (XEN_ELFNOTE_PHYS32_ENTRY)
// Nothing in a file is believed before it is checked.
#pragma once

#include "kernel/core/bundle.h"

struct vm;

// Loads config's kernel, initrd or modules and command line, writes the ACPI tables and what the protocol wants, and sets the
// registers of vcpu 0, which was reset before. Memory that the kernel's file asks to be zero is zeroed; the rest stays as it is.
// 0; else -ENOEXEC, -EINVAL, -ENOMEM, and *why is one line for people.
int loader_load(struct vm *vm, const struct bundle_vm *config, const char **why);

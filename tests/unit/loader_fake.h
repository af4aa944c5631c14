// SPDX-License-Identifier: MIT
// Kernels of every format made in memory, and a vcpu whose registers can be looked at, for tests of the loader.
#pragma once

#include "kernel/core/model.h"
#include "kernel/vm/loader.h"
#include "kernel/vm/loader_parts.h"
#include "lib/errno.h"
#include "tests/unit/guest_ram_fake.h"

#define FILE_MAX (256 * KiB)

static u8 file[FILE_MAX];
static struct vcpu vcpu0;
static u64 registers[HVM_REG_COUNT];
static struct hvm_segment segments[SEG_COUNT];

static void fake_reg_set(struct vcpu *v, enum hvm_reg r, u64 value)
{
	(void)v;
	registers[r] = value;
}

static void fake_seg_set(struct vcpu *v, enum hvm_seg s, const struct hvm_segment *in)
{
	(void)v;
	segments[s] = *in;
}

static const struct hvm_ops fake_hvm = {.reg_set = fake_reg_set, .seg_set = fake_seg_set};
const struct hvm_ops *hvm = &fake_hvm;

// Unless a test is linked with a model's.
__attribute__((weak)) int load_firmware(struct load *l)
{
	(void)l;
	return -ENOEXEC;
}

static u64 ram_from; // a root VM has no RAM in the second MiB

u64 gmap_ram_left(const struct gmap *g, u64 gpa)
{
	CHECK(g == &vm.gmap);
	if (gpa >= ram_from && gpa < vm.ram_low)
		return vm.ram_low - gpa;
	return guest_top && gpa >= guest_top_start && gpa < 4 * GiB ? 4 * GiB - gpa : 0;
}

bool gmap_is_ram(const struct gmap *g, u64 gpa)
{
	return gmap_ram_left(g, gpa) > 0;
}

static char cmdline[] = "console=hvc0 quiet";
static u8 initrd[5000];

// A vcpu that has not run and a configuration without a kernel.
static void loader_fake_vm(void)
{
	memset(&vcpu0, 0xa5, sizeof(vcpu0));
	memset(registers, 0, sizeof(registers));
	memset(segments, 0, sizeof(segments));
	ram_from = 0;
	vm.vcpu_count = 1;
	vm.vcpus[0] = &vcpu0;
	config = (struct bundle_vm){.cmdline = cmdline, .kernel = {file, 0}};
}

// A VM with that much low RAM and, so far, no kernel.
__attribute__((unused)) static void loader_fake_reset(u64 low)
{
	pc_fake_reset();
	guest_ram_make(low, 0);
	memset(file, 0, sizeof(file));
	for (unsigned i = 0; i < sizeof(initrd); i++)
		initrd[i] = (u8)(i * 7);
	loader_fake_vm();
}

// The same again, but for the file, for the cost of what was written.
__attribute__((unused)) static void loader_fake_again(void)
{
	guest_ram_clear();
	loader_fake_vm();
}

static void put(u64 at, u64 value, size_t size)
{
	memcpy(file + at, &value, size);
}

// A bzImage: protocol 2.15, 64-bit, relocatable, prefers 16 MiB, wants 1 MiB there.
__attribute__((unused)) static void make_bzimage(void)
{
	put(0x1f1, 3, 1);
	put(0x1fe, 0xaa55, 2);
	put(0x200, 0x66eb, 2);
	memcpy(file + 0x202, "HdrS", 4);
	put(0x206, 0x020f, 2);
	put(0x211, 1, 1);
	put(0x22c, 0x7fffffff, 4);
	put(0x230, 2 * MiB, 4);
	put(0x234, 1, 1);
	put(0x235, 21, 1);
	put(0x236, 3, 2);
	put(0x238, 2047, 4);
	put(0x258, 16 * MiB, 8);
	put(0x260, MiB, 4);
	for (unsigned i = 0; i < 8192; i++)
		file[2048 + i] = (u8)(i * 3 + 1);
	config.kernel.size = 2048 + 8192;
}

// An ELF at 2 MiB: 4 KiB of file, 12 KiB of memory, entry 2 MiB + 16, and room for notes.
__attribute__((unused)) static void make_elf(bool wide)
{
	memcpy(file, "\177ELF", 4);
	file[4] = wide ? 2 : 1;
	put(18, wide ? 62 : 3, 2);
	if (wide) {
		put(24, 2 * MiB + 16, 8);
		put(32, 64, 8);
		put(54, 56, 2);
		put(56, 2, 2);
		put(64, 1, 4);
		put(64 + 8, 0x1000, 8);
		put(64 + 24, 2 * MiB, 8);
		put(64 + 32, 0x1000, 8);
		put(64 + 40, 0x3000, 8);
		put(120, 4, 4);
		put(120 + 8, 0x800, 8);
		put(120 + 32, 0x40, 8);
	} else {
		put(24, 2 * MiB + 16, 4);
		put(28, 64, 4);
		put(42, 32, 2);
		put(44, 2, 2);
		put(64, 1, 4);
		put(64 + 4, 0x1000, 4);
		put(64 + 12, 2 * MiB, 4);
		put(64 + 16, 0x1000, 4);
		put(64 + 20, 0x3000, 4);
		put(96, 4, 4);
		put(96 + 4, 0x800, 4);
		put(96 + 16, 0x40, 4);
	}
	memset(file + 0x1000, 0x5a, 0x1000);
	config.kernel.size = 0x2000;
}

// A note of another kind, then the one that counts.
__attribute__((unused)) static void make_pvh_note(u32 entry)
{
	put(0x800, 4, 4);
	put(0x804, 6, 4);
	put(0x808, 5, 4);
	memcpy(file + 0x80c, "Xen", 4);
	put(0x818, 4, 4);
	put(0x81c, 4, 4);
	put(0x820, 18, 4);
	memcpy(file + 0x824, "Xen", 4);
	put(0x828, entry, 4);
}

__attribute__((unused)) static void make_multiboot_header(u64 at, u32 flags)
{
	put(at, 0x1badb002, 4);
	put(at + 4, flags, 4);
	put(at + 8, 0u - (0x1badb002u + flags), 4);
}

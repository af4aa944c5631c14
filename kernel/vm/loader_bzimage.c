// SPDX-License-Identifier: MIT
// The Linux/x86 boot protocol: bzImage and initrd. Source: Linux, Documentation/x86/boot.rst and zero-page.rst.

#include "kernel/vm/loader_parts.h"
#include "lib/errno.h"
#include "lib/string.h"

// Offsets in the file and in boot_params alike.
#define SETUP_SECTS    0x1f1u
#define BOOT_FLAG      0x1feu
#define JUMP_LENGTH    0x201u
#define HEADER_MAGIC   0x202u
#define HEADER_END_MAX 0x290u

#define MAGIC      0x53726448u // "HdrS"
#define BOOT_MAGIC 0xaa55u

#define VERSION_MIN    0x0204u // of 2.6 kernels: command line by pointer, initrd_addr_max
#define LOADED_HIGH    0x01u
#define XLF_KERNEL_64  0x01u
#define LOADER_UNKNOWN 0xffu

// boot_params only.
#define PARAMS_SIZE   4096u
#define PARAMS_RSDP   0x070u
#define PARAMS_E820_N 0x1e8u
#define PARAMS_E820   0x2d0u
#define ENTRY_64      0x200u

#define PLACE_OLD 0x100000u // of kernels that cannot say where

// struct setup_header from its version on.
struct setup {
	u16 version; // 206h
	u32 realmode_switch;
	u16 start_sys, kernel_version;
	u8 type_of_loader;
	u8 loadflags;
	u16 setup_move_size;
	u32 code32_start; // 214h
	u32 ramdisk_image;
	u32 ramdisk_size;
	u32 bootsect_kludge;
	u16 heap_end;
	u8 ext_loader_version, ext_loader_type;
	u32 cmdline;
	u32 initrd_max; // 22Ch
	u32 alignment;
	u8 relocatable;
	u8 min_alignment;
	u16 xloadflags;
	u32 cmdline_size;
	u32 subarch;
	u64 subarch_data;
	u32 payload_offset, payload_length;
	u64 setup_data;
	u64 pref_address; // 258h
	u32 init_size;
} __attribute__((packed));

#define SETUP 0x206u
_Static_assert(offsetof(struct setup, code32_start) == 0x214 - SETUP, "boot.rst");
_Static_assert(offsetof(struct setup, initrd_max) == 0x22c - SETUP, "boot.rst");
_Static_assert(offsetof(struct setup, pref_address) == 0x258 - SETUP, "boot.rst");

struct linux_kernel {
	struct setup setup;  // fields that its version does not have are 0
	unsigned header_end; // file offset
	struct image code;   // the protected-mode part
	u64 at;              // where it goes
	u64 size;            // memory it wants there
};

// Which byte the setup header of that version ends before.
static unsigned version_end(u16 version)
{
	if (version >= 0x020a)
		return 0x264;
	if (version >= 0x0206)
		return 0x23c;
	return version == 0x0205 ? 0x236 : 0x230;
}

static int parse(struct load *l, struct linux_kernel *k)
{
	u32 magic = 0;
	u16 boot = 0;
	u8 sects, jump;
	unsigned end;

	if (!image_read(&l->kernel, HEADER_MAGIC, &magic, 4) || magic != MAGIC ||
		!image_read(&l->kernel, BOOT_FLAG, &boot, 2) || boot != BOOT_MAGIC)
		return -ENOEXEC;
	memset(k, 0, sizeof(*k));
	if (!image_read(&l->kernel, SETUP_SECTS, &sects, 1) ||
		!image_read(&l->kernel, JUMP_LENGTH, &jump, 1) ||
		!image_read(&l->kernel, SETUP, &k->setup.version, 2))
		return load_fail(l, "its kernel's setup header is cut off");
	if (k->setup.version < VERSION_MIN)
		return load_fail(l, "its kernel's boot protocol is older than 2.04");
	k->header_end = MIN(HEADER_MAGIC + jump, HEADER_END_MAX);
	end = version_end(k->setup.version);
	if (k->header_end < end || !image_read(&l->kernel, SETUP, &k->setup, end - SETUP))
		return load_fail(l, "its kernel's setup header is cut off");
	if (!(k->setup.loadflags & LOADED_HIGH))
		return load_fail(l, "its kernel is a zImage, not a bzImage");
	k->code = image_part(&l->kernel, ((sects ? sects : 4u) + 1u) * 512u);
	if (k->code.size <= ENTRY_64)
		return load_fail(l, "its kernel's file is cut off");
	return 0;
}

// A relocatable kernel goes where it prefers to be, else as high as its alignment allows.
static int place(struct load *l, struct linux_kernel *k)
{
	u64 align = k->setup.alignment, least = BIT(MIN(k->setup.min_alignment, 63u));

	k->size = MAX(k->code.size, k->setup.init_size);
	k->at = k->setup.version >= 0x020a ? k->setup.pref_address : PLACE_OLD;
	if (k->at <= UINT32_MAX && load_fits(l, k->at, k->size) &&
		(!k->setup.relocatable || IS_ALIGNED(k->at, PAGE_SIZE)))
		return 0;
	if (k->setup.relocatable && least >= PAGE_SIZE && least < align)
		align = least;
	if (!k->setup.relocatable || align < PAGE_SIZE || (align & (align - 1)) ||
		k->size > l->vm->ram_low)
		return load_fail(l, "its memory is too small for its kernel");
	k->at = ALIGN_DOWN(l->vm->ram_low - k->size, align);
	if (!load_fits(l, k->at, k->size))
		return load_fail(l, "its memory is too small for its kernel");
	return 0;
}

// As high as the kernel allows; above the kernel or, when there is no room, below.
static int put_initrd(struct load *l, struct linux_kernel *k)
{
	const struct image initrd = {l->config->initrd.data, l->config->initrd.size};
	u64 top = MIN((u64)k->setup.initrd_max + 1, l->vm->ram_low), at;

	if (l->config->module_count)
		return load_fail(l, "a Linux bzImage takes an initrd, not modules");
	if (!initrd.size)
		return 0;
	if (top < k->at + k->size || top - k->at - k->size < initrd.size + PAGE_SIZE)
		top = MIN(top, k->at);
	at = initrd.size < top ? ALIGN_DOWN(top - initrd.size, PAGE_SIZE) : 0;
	if (!load_fits(l, at, initrd.size))
		return load_fail(l, "its memory is too small for its initrd");
	k->setup.ramdisk_image = (u32)at;
	k->setup.ramdisk_size = (u32)initrd.size;
	return load_copy(l, at, initrd.data, initrd.size);
}

static void fill_e820(const struct load *l, u8 *params)
{
	struct memory_entry map[MEMORY_ENTRIES];
	unsigned n = load_memory_map(l->vm, map);

	params[PARAMS_E820_N] = (u8)n;
	for (unsigned i = 0; i < n; i++) {
		u8 *entry = params + PARAMS_E820 + i * 20u;

		memcpy(entry, &map[i].start, 8);
		memcpy(entry + 8, &map[i].size, 8);
		memcpy(entry + 16, &map[i].type, 4);
	}
}

// Writes boot_params; the address or 0.
static u64 put_params(struct load *l, struct linux_kernel *k)
{
	u8 params[0x600] = {0}; // the rest, up to PARAMS_SIZE, is zero
	u64 room = load_low_take(l, PARAMS_SIZE);

	if (!room || load_zero(l, room, PARAMS_SIZE)) {
		l->why = "out of memory";
		return 0;
	}
	image_read(&l->kernel, SETUP_SECTS, params + SETUP_SECTS, k->header_end - SETUP_SECTS);
	memcpy(params + SETUP, &k->setup, version_end(k->setup.version) - SETUP);
	memcpy(params + PARAMS_RSDP, &l->rsdp.v, 8);
	fill_e820(l, params);
	return load_copy(l, room, params, sizeof(params)) ? 0 : room;
}

static int put_cmdline(struct load *l, struct linux_kernel *k)
{
	size_t max = k->setup.version >= 0x0206 ? k->setup.cmdline_size : 255;

	if (strlen(l->config->cmdline) > max)
		return load_fail(l, "its command line is longer than its kernel takes");
	k->setup.cmdline = (u32)load_low_string(l, l->config->cmdline);
	return k->setup.cmdline ? 0 : -ENOMEM;
}

static int enter(struct load *l, const struct linux_kernel *k, u64 params)
{
	struct vcpu *v = l->vm->vcpus[0];
	bool wide = k->setup.version >= 0x020c && (k->setup.xloadflags & XLF_KERNEL_64);
	int err = wide ? load_enter_64(l, k->at + ENTRY_64) : load_enter_32(l, k->at);

	if (err)
		return err;
	v->gpr[RSI] = params;
	return 0;
}

int load_bzimage(struct load *l)
{
	struct linux_kernel k;
	u64 params;
	int err;

	if ((err = parse(l, &k)) || (err = place(l, &k)) || (err = put_initrd(l, &k)) ||
		(err = put_cmdline(l, &k)))
		return err;
	k.setup.type_of_loader = LOADER_UNKNOWN;
	k.setup.code32_start = (u32)k.at;
	params = put_params(l, &k);
	if (!params)
		return -ENOMEM;
	l->kernel_start = k.at;
	l->kernel_end = k.at + k.size;
	err = load_copy(l, k.at, k.code.data, k.code.size);
	return err ? err : enter(l, &k, params);
}

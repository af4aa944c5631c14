// SPDX-License-Identifier: MIT
// The loader on files that lie: a good kernel of a kind that the input chooses, with bytes changed where it says, or
// the input itself.
// link: kernel/vm/loader.c kernel/vm/loader_bzimage.c kernel/vm/loader_elf.c kernel/vm/loader_entry.c
// link: kernel/vm/loader_multiboot.c kernel/vm/loader_pvh.c kernel/vm/acpi_tables.c kernel/core/timer.c tests/unit/fake/arch.c
// fuzz: -max_len=1024
#include "tests/fuzz/input.h"
#include "tests/unit/loader_fake.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define KINDS     6u
#define BYTES_MAX 0x4000u // of a kernel

static struct {
	u8 bytes[BYTES_MAX];
	size_t size;
} good[KINDS];

static void make(unsigned kind)
{
	switch (kind) {
	case 0:
		make_bzimage();
		break;
	case 1:
	case 2:
		make_elf(kind & 1);
		make_pvh_note(2 * MiB);
		break;
	case 3:
	case 4:
		make_elf(kind & 1);
		make_multiboot_header(0x1000, 3);
		break;
	case 5:
		make_multiboot_header(0x40, 0x10000);
		put(0x4c, 3 * MiB + 0x40, 4);
		put(0x50, 3 * MiB, 4);
		config.kernel.size = 0x2000;
		break;
	}
}

static void make_all(void)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		loader_fake_reset(4 * MiB);
		make(kind);
		memcpy(good[kind].bytes, file, BYTES_MAX);
		good[kind].size = config.kernel.size;
	}
}

// A change is a place and the byte that is to be there; some places say where the file ends, too.
static size_t changed_size(struct input in, size_t size)
{
	while (in.left) {
		u16 at = input_u16(&in);

		input_u8(&in);
		if (at & 0x8000)
			size = at & 0x3fff;
	}
	return size;
}

static void change(struct input in, u8 *bytes, size_t size)
{
	while (in.left) {
		u16 at = input_u16(&in) & 0x1fff;
		u8 value = input_u8(&in);

		if (at < size)
			bytes[at] = value;
	}
}

// In memory of just its size, so that a read beyond it is found.
static struct bundle_file kernel_make(u8 kind, const struct input *in)
{
	bool any = kind >= KINDS;
	size_t size = any ? in->left : changed_size(*in, good[kind].size);
	u8 *bytes = malloc(size);

	MUST(bytes);
	memcpy(bytes, any ? in->at : good[kind].bytes, size);
	if (!any)
		change(*in, bytes, size);
	return (struct bundle_file){bytes, size};
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size};
	u8 kind = input_u8(&in);
	const char *why = NULL;

	if (!guest_ram)
		make_all();
	loader_fake_again();
	config.kernel = kernel_make(kind & 7, &in);
	if (kind & 0x10)
		config.initrd = (struct bundle_file){initrd, sizeof(initrd)};
	if (kind & 0x20) {
		config.modules[0] = (struct bundle_module){{initrd, 100}, cmdline};
		config.module_count = 1;
	}
	if (loader_load(&vm, &config, &why))
		MUST(why && *why);
	else
		MUST(vcpu0.rflags == 2);
	free((u8 *)(uintptr_t)config.kernel.data);
	return 0;
}

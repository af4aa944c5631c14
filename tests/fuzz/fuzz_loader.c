// SPDX-License-Identifier: MIT
// The loader on files that lie: a good kernel of a kind that the input chooses, with bytes changed where it says, or
// the input itself.
// link: kernel/vm/loader.c kernel/vm/loader_bzimage.c kernel/vm/loader_elf.c kernel/vm/loader_entry.c
// link: kernel/vm/loader_multiboot.c kernel/vm/loader_pvh.c kernel/vm/acpi_tables.c kernel/core/timer.c tests/unit/fake/arch.c
#include "tests/fuzz/input.h"
#include "tests/unit/loader_fake.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void make(u8 kind, struct input *in)
{
	switch (kind & 7) {
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
	default:
		config.kernel.size = MIN(in->left, sizeof(file));
		memcpy(file, in->at, config.kernel.size);
		in->left = 0;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size};
	u8 kind = input_u8(&in), *copy;
	const char *why = NULL;

	loader_fake_reset(4 * MiB);
	make(kind, &in);
	if (kind & 0x10)
		config.initrd = (struct bundle_file){initrd, sizeof(initrd)};
	if (kind & 0x20) {
		config.modules[0] = (struct bundle_module){{initrd, 100}, cmdline};
		config.module_count = 1;
	}
	while (in.left) {
		u16 at = input_u16(&in);

		file[at & 0x1fff] = input_u8(&in);
		if (at & 0x8000)
			config.kernel.size = at & 0x3fff;
	}
	// A copy of just its size, so that a read beyond it is found.
	copy = malloc(config.kernel.size);
	MUST(copy);
	memcpy(copy, file, config.kernel.size);
	config.kernel.data = copy;
	if (loader_load(&vm, &config, &why))
		MUST(why && *why);
	else
		MUST(vcpu0.rflags == 2);
	free(copy);
	return 0;
}

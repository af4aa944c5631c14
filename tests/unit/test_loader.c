// SPDX-License-Identifier: MIT
// The loader: each format as its specification wants it, and files that lie.
// link: kernel/vm/loader.c kernel/vm/loader_bzimage.c kernel/vm/loader_elf.c kernel/vm/loader_entry.c
// link: kernel/vm/loader_multiboot.c kernel/vm/loader_pvh.c kernel/vm/acpi_tables.c kernel/core/timer.c tests/unit/fake/arch.c
#include "tests/unit/loader_fake.h"

static const char *why;

static int load(void)
{
	why = NULL;
	return loader_load(&vm, &config, &why);
}

// It fails with a line that has this in it.
static void check_fails(const char *with)
{
	CHECK(load() != 0);
	CHECK(why && strstr(why, with));
	if (why && !strstr(why, with))
		fprintf(stderr, "why: %s\n", why);
}

static void check_flat_32(u64 entry)
{
	CHECK_EQ(vcpu0.rip, entry);
	CHECK_EQ(vcpu0.rflags, 2);
	CHECK_EQ(registers[HVM_CR0], 0x11);
	CHECK_EQ(registers[HVM_CR4], 0);
	CHECK_EQ(registers[HVM_EFER], 0);
	CHECK_EQ(segments[SEG_CS].attr, 0xc9b);
	CHECK_EQ(segments[SEG_CS].selector, 0x10);
	CHECK_EQ(segments[SEG_DS].attr, 0xc93);
	CHECK_EQ(segments[SEG_SS].limit, 0xffffffff);
}

// Translates by the page tables that the loader made.
static u64 walk(u64 va)
{
	u64 entry = ram64((registers[HVM_CR3] & ~0xfffull) + (va >> 39 & 511) * 8);

	CHECK(entry & 1);
	entry = ram64((entry & ~0xfffull) + (va >> 30 & 511) * 8);
	CHECK(entry & 1);
	entry = ram64((entry & ~0xfffull) + (va >> 21 & 511) * 8);
	CHECK((entry & 0x83) == 0x83);
	return (entry & ~0x1fffffull) | (va & 0x1fffff);
}

static void check_params(u64 params, u64 kernel)
{
	CHECK_EQ(ram32(params + 0x202), 0x53726448);
	CHECK_EQ(ram64(params + 0x70), GPA_BIOS);
	CHECK_EQ(ram32(params + 0x214), kernel);
	CHECK_EQ(guest_ram[params + 0x210], 0xff);
	CHECK(!strcmp((char *)guest_ram + ram32(params + 0x228), cmdline));
	CHECK(guest_ram[params + 0x1e8] >= 4);
	CHECK_EQ(ram64(params + 0x2d0), 0);
	CHECK_EQ(ram64(params + 0x2d8), GPA_VGA_HOLE);
	CHECK_EQ(ram32(params + 0x2e0), 1);
	CHECK(!memcmp(guest_ram + kernel, file + 2048, 8192));
}

TEST(bzimage_64)
{
	u64 params;

	loader_fake_reset(64 * MiB);
	make_bzimage();
	config.initrd = (struct bundle_file){initrd, sizeof(initrd)};
	CHECK_EQ(load(), 0);
	CHECK_EQ(vcpu0.rip, 16 * MiB + 0x200);
	CHECK_EQ(vcpu0.rflags, 2);
	CHECK_EQ(registers[HVM_CR0], 0x80000011);
	CHECK_EQ(registers[HVM_CR4], 0x20);
	CHECK_EQ(registers[HVM_EFER], 0x500);
	CHECK_EQ(segments[SEG_CS].attr, 0xa9b);
	CHECK_EQ(segments[SEG_CS].selector, 0x10);
	CHECK_EQ(segments[SEG_DS].selector, 0x18);
	CHECK_EQ(ram64(segments[SEG_GDTR].base + 0x10), 0x00af9b000000ffff);
	CHECK_EQ(ram64(segments[SEG_GDTR].base + 0x18), 0x00cf93000000ffff);
	CHECK_EQ(walk(0), 0);
	CHECK_EQ(walk(16 * MiB + 0x234), 16 * MiB + 0x234);
	CHECK_EQ(walk(0xfffff123), 0xfffff123);
	params = vcpu0.gpr[RSI];
	check_params(params, 16 * MiB);
	CHECK_EQ(ram32(params + 0x218) % PAGE_SIZE, 0);
	CHECK_EQ(ram32(params + 0x21c), sizeof(initrd));
	CHECK(ram32(params + 0x218) > 17 * MiB);
	CHECK(!memcmp(guest_ram + ram32(params + 0x218), initrd, sizeof(initrd)));
}

TEST(bzimage_32)
{
	loader_fake_reset(64 * MiB);
	make_bzimage();
	put(0x236, 2, 2);
	CHECK_EQ(load(), 0);
	check_flat_32(16 * MiB);
	check_params(vcpu0.gpr[RSI], 16 * MiB);
	CHECK_EQ(vcpu0.gpr[RBP], 0);
	CHECK_EQ(vcpu0.gpr[RDI], 0);
	CHECK_EQ(vcpu0.gpr[RBX], 0);
	CHECK_EQ(ram32(vcpu0.gpr[RSI] + 0x218), 0);
}

TEST(bzimage_is_moved_where_memory_is_small)
{
	loader_fake_reset(8 * MiB);
	make_bzimage();
	config.initrd = (struct bundle_file){initrd, sizeof(initrd)};
	CHECK_EQ(load(), 0);
	CHECK_EQ(vcpu0.rip, 6 * MiB + 0x200);
	check_params(vcpu0.gpr[RSI], 6 * MiB);
	CHECK(ram32(vcpu0.gpr[RSI] + 0x218) + sizeof(initrd) <= 8 * MiB);
	CHECK(!memcmp(guest_ram + ram32(vcpu0.gpr[RSI] + 0x218), initrd, sizeof(initrd)));
	put(0x234, 0, 1);
	check_fails("too small for its kernel");
	put(0x234, 1, 1);
	put(0x260, 8 * MiB, 4);
	check_fails("too small for its kernel");
}

TEST(bzimage_initrd_limits)
{
	u64 params;

	loader_fake_reset(64 * MiB);
	make_bzimage();
	config.initrd = (struct bundle_file){initrd, sizeof(initrd)};
	put(0x22c, 0x00ffffff, 4); // has to lie below the kernel
	CHECK_EQ(load(), 0);
	params = vcpu0.gpr[RSI];
	CHECK(ram32(params + 0x218) + sizeof(initrd) <= 16 * MiB);
	CHECK(!memcmp(guest_ram + ram32(params + 0x218), initrd, sizeof(initrd)));
	put(0x22c, 0x1000, 4);
	check_fails("too small for its initrd");
	put(0x22c, 0, 4);
	check_fails("too small for its initrd");
	put(0x22c, 0x7fffffff, 4);
	config.module_count = 1;
	check_fails("takes an initrd, not modules");
}

TEST(bzimage_old_protocols)
{
	loader_fake_reset(64 * MiB);
	make_bzimage();
	put(0x206, 0x0204, 2);
	CHECK_EQ(load(), 0);
	check_flat_32(MiB);
	put(0x206, 0x0203, 2);
	check_fails("older than 2.04");
	put(0x206, 0x0209, 2);
	CHECK_EQ(load(), 0);
	check_flat_32(MiB);
	put(0x206, 0x0204, 2); // cannot be moved
	ram_from = 2 * MiB;
	check_fails("too small for its kernel");
}

TEST(bzimage_that_lies)
{
	loader_fake_reset(64 * MiB);
	make_bzimage();
	config.kernel.size = 2048;
	check_fails("cut off");
	config.kernel.size = 0x204;
	check_fails("is no Linux bzImage");
	config.kernel.size = 0x210;
	check_fails("cut off");
	config.kernel.size = 2048 + 8192;
	put(0x1f1, 255, 1);
	check_fails("cut off");
	put(0x1f1, 3, 1);
	put(0x211, 0, 1);
	check_fails("not a bzImage");
	put(0x211, 1, 1);
	put(0x201, 0x20, 1);
	check_fails("cut off");
	put(0x201, 0xff, 1);
	CHECK_EQ(load(), 0);
	put(0x238, 5, 4);
	check_fails("command line is longer");
	put(0x238, 2047, 4);
	put(0x258, ~0ull, 8);
	put(0x235, 255, 1);
	put(0x230, 0, 4);
	check_fails("too small for its kernel");
	put(0x230, 3, 4);
	check_fails("too small for its kernel");
	put(0x230, 0x80000000, 4);
	check_fails("too small for its kernel");
}

TEST(pvh)
{
	u64 info;

	for (int wide = 0; wide < 2; wide++) {
		loader_fake_reset(64 * MiB);
		memset(guest_ram + 2 * MiB, 0xff, 0x4000);
		make_elf(wide);
		make_pvh_note(2 * MiB + 0x40);
		config.initrd = (struct bundle_file){initrd, sizeof(initrd)};
		CHECK_EQ(load(), 0);
		check_flat_32(2 * MiB + 0x40);
		CHECK_EQ(guest_ram[2 * MiB], 0x5a);
		CHECK_EQ(guest_ram[2 * MiB + 0xfff], 0x5a);
		CHECK_EQ(guest_ram[2 * MiB + 0x1000], 0); // memory beyond the file is zero
		CHECK_EQ(guest_ram[2 * MiB + 0x2fff], 0);
		info = vcpu0.gpr[RBX];
		CHECK_EQ(ram32(info), 0x336ec578);
		CHECK_EQ(ram32(info + 4), 1);
		CHECK_EQ(ram32(info + 12), 1);
		CHECK(!strcmp((char *)guest_ram + ram64(info + 24), cmdline));
		CHECK_EQ(ram64(info + 32), GPA_BIOS);
		CHECK_EQ(ram32(info + 48), 4);
		CHECK_EQ(ram64(ram64(info + 40) + 8), GPA_VGA_HOLE);
		CHECK_EQ(ram64(ram64(info + 16) + 8), sizeof(initrd));
		CHECK(!memcmp(guest_ram + ram64(ram64(info + 16)), initrd, sizeof(initrd)));
		CHECK(ram64(ram64(info + 16)) >= 2 * MiB + 0x3000);
	}
}

TEST(memory_above_4_gib_is_in_the_map)
{
	u64 info;

	loader_fake_reset(64 * MiB);
	vm.ram_high = 5 * GiB;
	make_elf(true);
	make_pvh_note(2 * MiB);
	CHECK_EQ(load(), 0);
	info = vcpu0.gpr[RBX];
	CHECK_EQ(ram32(info + 48), 5);
	CHECK_EQ(ram64(ram64(info + 40) + 4 * 24), 4 * GiB);
	CHECK_EQ(ram64(ram64(info + 40) + 4 * 24 + 8), 5 * GiB);
}

TEST(multiboot_elf_with_modules)
{
	static char args[] = "first one", none[] = "";
	u64 info, mods;

	for (int wide = 0; wide < 2; wide++) {
		loader_fake_reset(64 * MiB);
		make_elf(wide);
		make_pvh_note(2 * MiB); // the Multiboot header wins
		make_multiboot_header(0x1000, 3);
		config.module_count = 2;
		config.modules[0].file = (struct bundle_file){initrd, sizeof(initrd)};
		config.modules[0].args = args;
		config.modules[1].file = (struct bundle_file){initrd, 10};
		config.modules[1].args = none;
		CHECK_EQ(load(), 0);
		check_flat_32(2 * MiB + 16);
		CHECK_EQ(vcpu0.gpr[RAX], 0x2badb002);
		info = vcpu0.gpr[RBX];
		CHECK_EQ(ram32(info), 0x24d);
		CHECK_EQ(ram32(info + 4), 640);
		CHECK_EQ(ram32(info + 8), 63 * 1024);
		CHECK(!strcmp((char *)guest_ram + ram32(info + 16), cmdline));
		CHECK_EQ(ram32(info + 20), 2);
		mods = ram32(info + 24);
		CHECK_EQ(ram32(mods) % PAGE_SIZE, 0);
		CHECK(ram32(mods) >= 2 * MiB + 0x3000);
		CHECK_EQ(ram32(mods + 4) - ram32(mods), sizeof(initrd));
		CHECK(!strcmp((char *)guest_ram + ram32(mods + 8), args));
		CHECK_EQ(ram32(mods + 20) - ram32(mods + 16), 10);
		CHECK(!memcmp(guest_ram + ram32(mods), initrd, sizeof(initrd)));
		CHECK_EQ(ram32(info + 44), 4 * 24);
		CHECK_EQ(ram32(ram32(info + 48)), 20);
		CHECK_EQ(ram64(ram32(info + 48) + 12), GPA_VGA_HOLE);
	}
}

TEST(multiboot_flat)
{
	loader_fake_reset(64 * MiB);
	make_multiboot_header(0x40, 0x10000);
	put(0x4c, 3 * MiB + 0x40, 4);
	put(0x50, 3 * MiB, 4);
	put(0x54, 3 * MiB + 0x800, 4);
	put(0x58, 3 * MiB + 0x1000, 4);
	put(0x5c, 3 * MiB + 0x60, 4);
	memset(file + 0x60, 0x77, 0x2000);
	memset(guest_ram + 3 * MiB, 0xff, 0x2000);
	config.kernel.size = 0x2000;
	CHECK_EQ(load(), 0);
	check_flat_32(3 * MiB + 0x60);
	CHECK_EQ(guest_ram[3 * MiB + 0x7ff], 0x77);
	CHECK_EQ(guest_ram[3 * MiB + 0x800], 0);
	CHECK_EQ(guest_ram[3 * MiB + 0x1000], 0xff);
	put(0x50, 3 * MiB - 0x40, 4); // the header lies further behind than the file reaches
	check_fails("contradicts itself");
	put(0x50, 4 * MiB, 4);
	check_fails("contradicts itself");
	put(0x50, 3 * MiB, 4);
	put(0x54, 3 * MiB + 0x3000, 4);
	check_fails("cannot be");
	put(0x54, 1, 4);
	check_fails("cannot be");
	put(0x54, 0, 4);
	put(0x58, 3 * MiB + 8, 4);
	check_fails("cannot be");
	put(0x58, 0xffffffff, 4);
	check_fails("cannot be");
}

TEST(multiboot_wishes)
{
	loader_fake_reset(64 * MiB);
	make_elf(true);
	make_multiboot_header(0x1000, 0x8);
	check_fails("asks for what is not known");
	make_multiboot_header(0x1000, 0x20000004); // optional bits and a video mode
	CHECK_EQ(load(), 0);
	file[0] = 0;
	check_fails("no x86 ELF");
	make_elf(true);
	put(0x1008, 1, 4); // the checksum is wrong: no header
	check_fails("is no Linux bzImage");
}

TEST(elf_that_lies)
{
	loader_fake_reset(64 * MiB);
	make_elf(true);
	make_pvh_note(2 * MiB);
	put(64 + 24, 64 * MiB - 0x1000, 8);
	check_fails("outside of its memory");
	put(64 + 24, 0x9000, 8); // where the boot parameters are
	check_fails("outside of its memory");
	put(64 + 24, ~0ull - 0xfff, 8);
	check_fails("outside of its memory");
	put(64 + 24, 2 * MiB, 8);
	put(64 + 40, ~0ull, 8);
	check_fails("outside of its memory");
	put(64 + 40, 0x800, 8);
	check_fails("longer than the file");
	put(64 + 40, 0x3000, 8);
	put(64 + 8, 0x1001, 8);
	check_fails("longer than the file");
	put(64 + 8, ~0ull, 8);
	check_fails("longer than the file");
	put(64, 2, 4);
	check_fails("no segment to load");
	put(56, 3, 2);
	put(32, 0x2000 - 130, 8);
	check_fails("is no Linux bzImage");
	put(32, ~0ull, 8);
	check_fails("is no Linux bzImage");
	make_elf(true);
	put(0x818, 0xffffffff, 4); // the note's name
	check_fails("is no Linux bzImage");
	make_pvh_note(2 * MiB);
	put(120 + 32, 0x2c, 8); // the note is cut off
	put(0x804, 0xffffffff, 4);
	check_fails("is no Linux bzImage");
}

TEST(modules_that_do_not_fit)
{
	loader_fake_reset(4 * MiB);
	make_elf(true);
	make_pvh_note(2 * MiB);
	config.initrd = (struct bundle_file){file, sizeof(file)};
	CHECK_EQ(load(), 0);
	config.module_count = BUNDLE_MAX_MODULES;
	for (unsigned i = 0; i < BUNDLE_MAX_MODULES; i++)
		config.modules[i] = (struct bundle_module){{file, sizeof(file)}, cmdline};
	check_fails("too small for its modules");
}

TEST(no_kernel_at_all)
{
	loader_fake_reset(4 * MiB);
	check_fails("is no Linux bzImage");
	guest_ram_make(MiB / 2, 0);
	check_fails("ACPI");
}

TEST_MAIN()

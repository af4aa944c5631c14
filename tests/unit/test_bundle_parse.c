// SPDX-License-Identifier: MIT
// Tests of the boot bundle's reader: what it takes, and the line and the words with which it refuses.
// link: kernel/core/bundle.c kernel/core/bundle_disk.c kernel/core/disk_line.c kernel/core/cpio.c
#include "tests/unit/test.h"
#include "kernel/core/bundle_disk.h"
#include "kernel/core/cpio.h"
#include "tests/unit/cpio_build.h"

#define HEAD "mezzanine-bundle 1\n"
#define VM(n)                                                                                      \
	"vm " n                                                                                    \
	"\nmemory 1048576\nvcpus 1\nkernel k\ncmdline \nweight 256\nrepeat 0\ndebug_exit 0\nend\n"

static const u8 sectors[1024];
static u8 archive[200000];
static void *memory;
static struct bundle bundle;
static const char *why;

static size_t build(const char *config)
{
	size_t n = 0;

	memset(archive, 0, sizeof(archive));
	n = cpio_add(archive, n, BUNDLE_CONFIG, config, strlen(config));
	n = cpio_add(archive, n, "k", "kernel!", 7);
	n = cpio_add(archive, n, "i", "initrd", 6);
	n = cpio_add(archive, n, "d", sectors, 1024);
	n = cpio_add(archive, n, "e", sectors, 512);
	return cpio_add(archive, n, "TRAILER!!!", "", 0);
}

static int parse(const char *config)
{
	size_t size = build(config), need;

	why = NULL;
	free(memory);
	memory = NULL;
	need = bundle_memory(archive, size, &why);
	if (!need)
		return -1;
	memory = calloc(1, need);
	return bundle_parse(&bundle, archive, size, memory, &why);
}

TEST(everything)
{
	const struct bundle_vm *vm;

	CHECK_EQ(
		parse(HEAD
			"vm web-1\nmemory 268435456\nvcpus 64\nkernel k\ninitrd i\nmodule i a b\nmodule k\n"
			"cmdline console=hvc0 quiet\nweight 10000\ncap 6400\naffinity ff00000000000001\nrepeat 7\n"
			"debug_exit 1\nend\n" VM("b")),
		0);
	CHECK_EQ(bundle.count, 2);
	vm = &bundle.vms[0];
	CHECK(!strcmp(vm->name, "web-1") && !strcmp(vm->cmdline, "console=hvc0 quiet"));
	CHECK_EQ(vm->memory, 256 * MiB);
	CHECK(vm->vcpus == 64 && vm->weight == 10000 && vm->cap == 6400 && vm->repeat == 7 &&
		vm->debug_exit);
	CHECK_EQ(vm->affinity, 0xff00000000000001);
	CHECK(vm->kernel.size == 7 && !memcmp(vm->kernel.data, "kernel!", 7));
	CHECK(vm->initrd.size == 6 && !memcmp(vm->initrd.data, "initrd", 6));
	CHECK_EQ(vm->module_count, 2);
	CHECK(!strcmp(vm->modules[0].args, "a b") && vm->modules[0].file.data == vm->initrd.data);
	CHECK(!strcmp(vm->modules[1].args, ""));
	vm = &bundle.vms[1];
	CHECK(!strcmp(vm->name, "b") && !strcmp(vm->cmdline, "") && !vm->initrd.data);
	CHECK(vm->cap == 0 && vm->affinity == 0 && !vm->debug_exit);
}

#define ROOT                                                                                       \
	"root\nmemory 2097152\nkernel k\ncmdline quiet\nweight 1024\nrepeat 0\ndebug_exit 0\nend\n"

TEST(the_root_vm_is_the_first)
{
	CHECK_EQ(parse(HEAD ROOT VM("a")), 0);
	CHECK_EQ(bundle.count, 2);
	CHECK(bundle.vms[0].is_root && !bundle.vms[0].vcpus && !strcmp(bundle.vms[0].name, "root"));
	CHECK(bundle.vms[0].memory == 2 * MiB && !bundle.vms[1].is_root);
	CHECK_EQ(parse(HEAD ROOT), 0);
	CHECK_EQ(parse(HEAD VM("a") ROOT), 11);
	CHECK(why && strstr(why, "vm was expected"));
	CHECK_EQ(parse(HEAD ROOT ROOT), 10);
	CHECK_EQ(parse(HEAD ROOT VM("root")), 10);
	CHECK(why && strstr(why, "twice"));
	CHECK_EQ(parse(HEAD "root x\n"), 2);
	CHECK_EQ(parse(HEAD ROOT VM("a") "x\n"), 19);
}

TEST(disks_and_nics_are_kept_for_the_model)
{
	static char many[2000];
	const struct bundle_vm *vm;

	CHECK_EQ(parse(HEAD "vm a\nmemory 1048576\nvcpus 1\nkernel k\ncmdline \nweight 1\n"
			    "nic lan 10 02:00:00:00:00:01 0 0\ndisk i rw\nnic\nvars nvme0n1p1\n"
			    "balloon off\n"
			    "repeat 0\ndebug_exit 0\nend\n" VM("b")),
		0);
	vm = &bundle.vms[0];
	CHECK_EQ(vm->io_count, 5);
	CHECK(!strcmp(vm->io[4].key, "balloon") && !strcmp(vm->io[4].value, "off"));
	CHECK(!strcmp(vm->io[0].key, "nic") &&
		!strcmp(vm->io[0].value, "lan 10 02:00:00:00:00:01 0 0"));
	CHECK(!strcmp(vm->io[1].key, "disk") && !strcmp(vm->io[1].value, "i rw"));
	CHECK(!strcmp(vm->io[2].key, "nic") && !strcmp(vm->io[2].value, ""));
	CHECK(!strcmp(vm->io[3].key, "vars") && !strcmp(vm->io[3].value, "nvme0n1p1"));
	CHECK(bundle.vms[1].io_count == 0 && bundle.vms[1].bundle == &bundle);
	strcpy(many, HEAD "vm a\nmemory 1048576\nvcpus 1\nkernel k\ncmdline \nweight 1\n");
	for (unsigned i = 0; i <= BUNDLE_MAX_IO; i++)
		strcat(many, "nic x\n");
	CHECK_EQ(parse(many), 8 + BUNDLE_MAX_IO);
	CHECK(why && strstr(why, "at most 18"));
}

TEST(refusals)
{
	static const struct {
		const char *config;
		int line;
		const char *why; // a part of it
	} cases[] = {
		{"", 1, "mezzanine-bundle 1"},
		{"mezzanine-bundle 2\n" VM("a"), 1, "mezzanine-bundle 1"},
		{HEAD, 1, "at least one VM"},
		{HEAD "VM a\n", 2, "vm"},
		{HEAD "vm\n", 2, "a name"},
		{HEAD "vm Web\n", 2, "a name"},
		{HEAD "vm a b\n", 2, "a name"},
		{HEAD "vm abcdefghijklmnopqrstuvwxyz012345\n", 2, "1 to 31"},
		{HEAD VM("a") VM("a"), 11, "twice"},
		{HEAD "vm a\n", 3, "too early"},
		{HEAD "vm a\nmemory 1048577\n", 3, "multiple of 1 MiB"},
		{HEAD "vm a\nmemory 0\n", 3, "memory"},
		{HEAD "vm a\nmemory 18446744073709551616\n", 3, "memory"},
		{HEAD "vm a\nmemory -1048576\n", 3, "memory"},
		{HEAD "vm a\nmemory 1048576\nvcpus 0\n", 4, "1 to 64"},
		{HEAD "vm a\nmemory 1048576\nvcpus 65\n", 4, "1 to 64"},
		{HEAD "vm a\nmemory 1048576\nvcpus 1x\n", 4, "1 to 64"},
		{HEAD "vm a\nmemory 1048576\nvcpus 1\nkernel z\n", 5, "member"},
		{HEAD "vm a\nmemory 1048576\nvcpus 1\ninitrd i\n", 5, "kernel"},
		{HEAD "vm a\nmemory 1048576\nvcpus 1\nkernel k\nweight 1\n", 6, "cmdline"},
		{HEAD "vm a\nmemory 1048576\nvcpus 1\nkernel k\ncmdline\nweight 0\n", 7,
			"1 to 10000"},
		{HEAD "vm a\nmemory 1048576\nvcpus 1\nkernel k\ncmdline\nweight 1\ncap 0\n", 8,
			"cap"},
		{HEAD "vm a\nmemory 1048576\nvcpus 1\nkernel k\ncmdline\nweight 1\naffinity 0\n", 8,
			"affinity"},
		{HEAD "vm a\nmemory 1048576\nvcpus 1\nkernel k\ncmdline\nweight 1\naffinity 1\ncap 1\n",
			9, "repeat"},
		{HEAD "vm a\nmemory 1048576\nvcpus 1\nkernel k\ncmdline\nweight 1\nrepeat 0\ndebug_exit 2\n",
			9, "0 or 1"},
		{HEAD "vm a\nmemory 1048576\nvcpus 1\nkernel k\ncmdline\nweight 1\nrepeat 0\ndebug_exit 1\nvm b\n",
			10, "end"},
		{HEAD VM("a") "end", 11, "too early"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		int line = parse(cases[i].config);

		if (line != cases[i].line || !why || !strstr(why, cases[i].why)) {
			fprintf(stderr, "case %u: line %d: %s\n", i, line,
				why ? why : "(nothing said)");
			test_failures++;
		}
	}
}

TEST(limits)
{
	static char config[70000];
	size_t n = (size_t)sprintf(config, HEAD);

	for (unsigned i = 0; i < 64; i++)
		n += (size_t)sprintf(config + n,
			"vm v%u\nmemory 1048576\nvcpus 1\nkernel k\ncmdline\nweight 1\nrepeat 0\ndebug_exit 0\nend\n",
			i);
	CHECK_EQ(parse(config), 0);
	CHECK_EQ(bundle.count, 64);
	strcpy(config + n, VM("x"));
	CHECK_EQ(parse(config), 2 + 64 * 9 - 1);
	CHECK(why && strstr(why, "64 VMs"));

	n = (size_t)sprintf(config, HEAD "vm a\nmemory 1048576\nvcpus 1\nkernel k\n");
	for (unsigned i = 0; i < 9; i++)
		n += (size_t)sprintf(config + n, "module k\n");
	CHECK_EQ(parse(config), 14);
	CHECK(why && strstr(why, "8 modules"));

	n = (size_t)sprintf(config, HEAD "vm a\nmemory 1048576\nvcpus 1\nkernel k\ncmdline ");
	memset(config + n, 'c', 2048);
	strcpy(config + n + 2048, "\nweight 1\nrepeat 0\ndebug_exit 0\nend\n");
	CHECK_EQ(parse(config), 6);
	CHECK(why && strstr(why, "2047"));
	strcpy(config + n + 2047, "\nweight 1\nrepeat 0\ndebug_exit 0\nend\n");
	CHECK_EQ(parse(config), 0);
}

TEST(archives_that_lie)
{
	size_t size = build(HEAD VM("a"));
	const char *s;

	for (size_t cut = 0; cut < 110 + 15 + strlen(HEAD VM("a")); cut++)
		CHECK_EQ(bundle_memory(archive, cut, &s), 0);
	CHECK(bundle_memory(archive, size, &s) > 0);
	memcpy(archive + 54, "ffffffff", 8); // the first member's size
	CHECK_EQ(bundle_memory(archive, size, &s), 0);
	build(HEAD VM("a"));
	memcpy(archive + 94, "ffffffff", 8); // its name's size
	CHECK_EQ(bundle_memory(archive, size, &s), 0);
	build(HEAD VM("a"));
	memcpy(archive + 94, "00000000", 8);
	CHECK_EQ(bundle_memory(archive, size, &s), 0);
	build(HEAD VM("a"));
	archive[54] = 'g';
	CHECK_EQ(bundle_memory(archive, size, &s), 0);
}

#define VM_WITH(n, lines)                                                                          \
	"vm " n "\nmemory 1048576\nvcpus 1\nkernel k\ncmdline \nweight 256\n" lines                \
	"repeat 0\ndebug_exit 0\nend\n"

TEST(disks)
{
	struct bundle_disk d;
	const struct bundle_vm *vm;

	CHECK_EQ(parse(HEAD VM_WITH("a", "nic lan 1 -\ndisk d rw\ndisk e ro\n"
					 "disk device nvme0n1p3 ro\n")
				 VM_WITH("b", "affinity 1\ndisk e snapshot\n")),
		0);
	vm = &bundle.vms[0];
	CHECK_EQ(vm->io_count, 4);
	CHECK(!strcmp(vm->io[0].key, "nic") && !strcmp(vm->io[0].value, "lan 1 -"));
	CHECK_EQ(bundle_disk_line(vm, 0), 1);
	CHECK_EQ(bundle_disk_line(vm, 2), 3);
	CHECK_EQ(bundle_disk_line(vm, 3), -1);
	CHECK(bundle_disk_parse(vm, 1, &d, &why));
	CHECK(d.mode == BUNDLE_DISK_RW && d.image.size == 1024);
	CHECK(d.image.data > archive && d.image.data < archive + sizeof(archive));
	CHECK(bundle_disk_parse(vm, 2, &d, &why) && d.mode == BUNDLE_DISK_RO);
	CHECK(bundle_disk_parse(vm, 3, &d, &why) && !d.image.data);
	CHECK(!strcmp(d.device, "nvme0n1p3") && d.mode == BUNDLE_DISK_RO);
	CHECK(bundle_disk_parse(&bundle.vms[1], 0, &d, &why) && d.mode == BUNDLE_DISK_SNAPSHOT);
}

TEST(wrong_disks)
{
	static const struct {
		const char *config;
		const char *why; // a part of it
	} cases[] = {
		{HEAD VM_WITH("a", "disk z rw\n"), "member"},
		{HEAD VM_WITH("a", "disk\n"), "member"},
		{HEAD VM_WITH("a", "disk d\n"), "rw, ro or snapshot"},
		{HEAD VM_WITH("a", "disk d ro \n"), "rw, ro or snapshot"},
		{HEAD VM_WITH("a", "disk d wr\n"), "rw, ro or snapshot"},
		{HEAD VM_WITH("a", "disk i ro\n"), "whole sectors"},
		{HEAD VM_WITH("a", "disk d rw\ndisk d ro\n"), "used twice"},
		{HEAD VM_WITH("a", "disk d rw\n") VM_WITH("b", "disk d rw\n"), "used twice"},
		{HEAD VM_WITH("a", "disk d rw\n") VM_WITH("b", "disk e ro\ndisk d snapshot\n"),
			"used twice"},
		{HEAD VM_WITH("a", "disk device  rw\n"), "a device's name"},
		{HEAD VM_WITH("a", "disk device 1234567890123456789012345678901234567 rw\n"),
			"a device's name"},
		{HEAD VM_WITH("a", "disk device sda snapshot\n"), "rw or ro"},
	};
	struct bundle_disk d;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_EQ(parse(cases[i].config), 0);
		if (bundle_disk_parse(&bundle.vms[0], 0, &d, &why) || !strstr(why, cases[i].why)) {
			fprintf(stderr, "case %u: %s\n", i, why ? why : "(nothing said)");
			test_failures++;
		}
	}
	CHECK_EQ(parse(HEAD "vm a\nmemory 1048576\nvcpus 1\nkernel k\ncmdline \nweight 256\n"
			    "disk d ro\nend\n"),
		9);
	CHECK(why && strstr(why, "repeat"));
	{
		char config[2000];
		size_t n = (size_t)sprintf(config,
			HEAD "vm a\nmemory 1048576\nvcpus 1\nkernel k\ncmdline \nweight 256\n");

		for (unsigned i = 0; i <= BUNDLE_MAX_IO; i++)
			n += (size_t)sprintf(config + n, "disk d ro\n");
		CHECK_EQ(parse(config), 8 + BUNDLE_MAX_IO);
		CHECK(why && strstr(why, "18 disks"));
	}
}

// So that who looks for a file is done soon, whatever the archive is.
TEST(many_members)
{
	static u8 many[4200 * 112];
	struct cpio_member m;
	size_t n = 0;

	for (unsigned i = 0; i < 4094; i++)
		n = cpio_add(many, n, "m", "", 0);
	n = cpio_add(many, n, "k", "kernel!", 7);
	n = cpio_add(many, n, "in", "i", 1);
	CHECK(cpio_find(many, n, "k", &m) && m.size == 7);
	CHECK(cpio_find(many, n, "in", &m));
	n = cpio_add(many, n, "behind", "b", 1);
	CHECK(!cpio_find(many, n, "behind", &m));
}

TEST_MAIN()

// SPDX-License-Identifier: MIT
// The boot bundle, byte for byte: headers, members stored once, the text, files that appear whole.
// link: config/bundle.c config/nocloud.c common/save.c common/util.c kernel/core/bundle.c kernel/core/cpio.c
// link: net/config.c lib/firmware.c
#include "tests/unit/test.h"

#include <fcntl.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "kernel/core/bundle.h"
#include "config/bundle.h"
#include "net/config.h"
#include "tests/unit/firmware_build.h"

static char folder[] = "/tmp/test_bundle.XXXXXX";
static char paths[4][64]; // a kernel, an initrd, the kernel's bytes under another name, the output

__attribute__((constructor)) static void make_files(void)
{
	static const char *const names[] = {"kernel", "initrd", "same", "out"};
	static const char *const bytes[] = {"the kernel", "RD", "the kernel"};

	if (!mkdtemp(folder))
		abort();
	for (int i = 0; i < 4; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", folder, names[i]);
		if (i < 3) {
			FILE *f = fopen(paths[i], "w");

			if (!f || fputs(bytes[i], f) < 0 || fclose(f) != 0)
				abort();
		}
	}
}

__attribute__((destructor)) static void remove_files(void)
{
	for (int i = 0; i < 4; i++)
		unlink(paths[i]);
	rmdir(folder);
}

static void two_vms(struct config *config)
{
	static char cmdline[] = "console=hvc0 x", none[] = "", args[] = "a b";

	*config = (struct config){.vm_count = 2};
	config->vms[0] = (struct config_vm){.name = "web",
		.memory = 64 << 20,
		.vcpus = 2,
		.kernel = paths[0],
		.initrd = paths[1],
		.cmdline = cmdline,
		.weight = 256,
		.cap = 50,
		.affinity = 0x8000000000000001,
		.repeat = 3,
		.debug_exit = true,
		.balloon = 3 << 20,
		.nic_count = 3,
		.nics = {{.switch_name = "lan", .vlan = 10, .mac = {2, 0, 0xab, 0, 0, 1}},
			{.switch_name = "wan", .trunk = true, .mac = {2, 0, 0, 0, 0, 2}},
			{.switch_name = "lan",
				.trunk = true,
				.trunk_vlans = {10, 0, 4094},
				.trunk_count = 3,
				.follow = true,
				.mac = {2, 0, 0, 0, 0, 3}}}};
	config->switch_count = 2;
	config->switches[0] = (struct config_switch){
		.name = "lan", .uplink = "eth0", .storm = 7, .rate = 1 << 20};
	config->switches[1] = (struct config_switch){.name = "wan"};
	config->vms[1] = (struct config_vm){.name = "db",
		.memory = 1ull << 40,
		.vcpus = 64,
		.kernel = paths[2],
		.cmdline = none,
		.weight = 1,
		.no_balloon = true,
		.module_count = 2,
		.modules = {{paths[1], args}, {paths[0], none}}};
}

static const char text[] =
	"mezzanine-bundle 1\n"
	"vm web\nmemory 67108864\nvcpus 2\nkernel f0\ninitrd f1\n"
	"cmdline console=hvc0 x\nweight 256\ncap 50\naffinity 8000000000000001\n"
	"nic lan 10 02:00:ab:00:00:01 7 1048576 eth0\nnic wan trunk 02:00:00:00:00:02 0 0\n"
	"nic lan trunk:10,0,4094 02:00:00:00:00:03 7 1048576 eth0 follow\n"
	"balloon 3145728\nrepeat 3\ndebug_exit 1\nend\n"
	"vm db\nmemory 1099511627776\nvcpus 64\nkernel f0\n"
	"module f1 a b\nmodule f0 \ncmdline \nweight 1\nballoon off\nrepeat 0\ndebug_exit 0\nend\n";

// One member at *at, checked by the format's own rules; moves *at behind it.
static void member(const uint8_t *all, size_t size, size_t *at, const char *name, const char *bytes)
{
	const char *header = (const char *)all + *at;
	unsigned fields[13];

	CHECK_EQ(*at % 4, 0);
	CHECK(*at + 110 <= size && memcmp(header, "070701", 6) == 0);
	for (int i = 0; i < 13; i++) {
		char digits[9] = {0};

		memcpy(digits, header + 6 + 8 * i, 8);
		fields[i] = (unsigned)strtoul(digits, NULL, 16);
	}
	CHECK_EQ(fields[6], strlen(bytes));
	CHECK_EQ(fields[11], strlen(name) + 1);
	CHECK_EQ(fields[5], 0); // no time: the same input gives the same bytes
	CHECK(strcmp(header + 110, name) == 0);
	*at += (110 + strlen(name) + 1 + 3) / 4 * 4;
	CHECK(memcmp(all + *at, bytes, strlen(bytes)) == 0);
	*at += (strlen(bytes) + 3) / 4 * 4;
}

TEST(members_and_text)
{
	static struct config config;
	int fd = memfd_create("bundle", 0);
	uint8_t *all;
	int64_t size;
	size_t at = 0;

	two_vms(&config);
	size = bundle_write(&config, fd);
	CHECK(size > 0 && size % 512 == 0);
	all = calloc(1, (size_t)size);
	CHECK_EQ(pread(fd, all, (size_t)size + 1, 0), size);
	member(all, (size_t)size, &at, "mezzanine.conf", text);
	member(all, (size_t)size, &at, "f0", "the kernel");
	member(all, (size_t)size, &at, "f1", "RD");
	member(all, (size_t)size, &at, "TRAILER!!!", "");
	CHECK((size_t)size - at < 512);
	for (; at < (size_t)size; at++)
		CHECK_EQ(all[at], 0);
	free(all);
	close(fd);
}

static bool holds(struct bundle_file file, const char *bytes)
{
	return file.size == strlen(bytes) && memcmp(file.data, bytes, file.size) == 0;
}

TEST(the_kernel_reads_it)
{
	static struct config config;
	int fd = memfd_create("bundle", 0);
	const char *why = "";
	struct net_card_config card;
	struct bundle bundle;
	int64_t size;
	void *all, *memory;

	two_vms(&config);
	size = bundle_write(&config, fd);
	all = calloc(1, (size_t)size);
	CHECK_EQ(pread(fd, all, (size_t)size, 0), size);
	memory = calloc(1, bundle_memory(all, (size_t)size, &why));
	CHECK_EQ(bundle_parse(&bundle, all, (size_t)size, memory, &why), 0);
	CHECK_EQ(bundle.count, 2);
	CHECK(strcmp(bundle.vms[0].name, "web") == 0);
	CHECK(bundle.vms[0].memory == 64 << 20 && bundle.vms[0].vcpus == 2);
	CHECK(holds(bundle.vms[0].kernel, "the kernel") && holds(bundle.vms[0].initrd, "RD"));
	CHECK(strcmp(bundle.vms[0].cmdline, "console=hvc0 x") == 0);
	CHECK(bundle.vms[0].weight == 256 && bundle.vms[0].cap == 50 && bundle.vms[0].repeat == 3);
	CHECK(bundle.vms[0].affinity == 0x8000000000000001 && bundle.vms[0].debug_exit);
	CHECK(holds(bundle.vms[1].kernel, "the kernel") && !bundle.vms[1].initrd.data);
	CHECK(bundle.vms[1].module_count == 2 && holds(bundle.vms[1].modules[0].file, "RD"));
	CHECK(strcmp(bundle.vms[1].modules[0].args, "a b") == 0);
	CHECK(strcmp(bundle.vms[1].modules[1].args, "") == 0);
	CHECK_EQ(bundle.vms[0].io_count, 4);
	CHECK(strcmp(bundle.vms[0].io[1].key, "nic") == 0);
	CHECK(net_card_parse(&card, bundle.vms[0].io[0].value) == NULL);
	CHECK(strcmp(card.name, "lan") == 0 && card.port.vlan == 10 && !card.port.trunk);
	CHECK(card.port.locked && card.port.addr == 0x0200ab000001 && card.addr[2] == 0xab);
	CHECK(card.port.storm == 7 && card.port.rate == 1 << 20);
	CHECK(strcmp(card.uplink, "eth0") == 0);
	CHECK(net_card_parse(&card, bundle.vms[0].io[1].value) == NULL);
	CHECK(card.port.trunk && card.port.vlan == 0 && !card.port.storm && !card.port.rate);
	CHECK(!*card.uplink && !card.follow && !card.port.vlans);
	CHECK(net_card_parse(&card, bundle.vms[0].io[2].value) == NULL);
	CHECK(card.port.trunk && card.port.vlans == card.vlans && card.follow);
	CHECK(card.vlans[0] == 1 && card.vlans[1] == 4 && card.vlans[4094 / 8] == 0x40);
	CHECK(strcmp(card.uplink, "eth0") == 0);
	CHECK(bundle.vms[1].cap == 0 && bundle.vms[1].affinity == 0 && !bundle.vms[1].debug_exit);
	free(memory);
	free(all);
	close(fd);
}

static unsigned entries(void)
{
	unsigned n = 0;
	char command[100];
	FILE *f;

	snprintf(command, sizeof(command), "ls -A %s", folder);
	f = popen(command, "r");
	while (f && fgets(command, sizeof(command), f))
		n++;
	return f && pclose(f) == 0 ? n : 0;
}

TEST(wrong_card_lines)
{
	static const char *const wrong[] = {"", "lan", "lan 10", "lan 4095 02:00:00:00:00:01 0 0",
		"lan x 02:00:00:00:00:01 0 0", "lan 1 02:00:00:00:00:0 0 0",
		"lan 1 03:00:00:00:00:01 0 0", "lan 1 00:00:00:00:00:00 0 0",
		"lan 1 02:00:00:00:00:0g 0 0", "lan 1 02:00:00:00:00:01 0", "lan trunk",
		"lan 1 02:00:00:00:00:01 0 0 eth0 eth1",
		"lan 1 02:00:00:00:00:01 0 0 eth0 follow x", "lan trunk: 02:00:00:00:00:01 0 0",
		"lan trunk:1, 02:00:00:00:00:01 0 0", "lan trunk:4095 02:00:00:00:00:01 0 0",
		"lan trunk:00001 02:00:00:00:00:01 0 0", "lan trunk:1",
		"lan trunk:x 02:00:00:00:00:01 0 0", "lan trunks 02:00:00:00:00:01 0 0",
		"lan 1 02:00:00:00:00:01 0 0 a-name-of-16-char",
		"lan 1 02:00:00:00:00:01 1099511627777 0",
		"lan 1 02:00:00:00:00:01 0 18446744073709551616",
		"a-name-of-a-switch-that-is-too-long 1 02:00:00:00:00:01 0 0"};
	struct net_card_config card;

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		CHECK(net_card_parse(&card, wrong[i]) != NULL);
	CHECK(net_card_parse(&card, "lan 4094 02:00:00:00:00:01 1099511627776 0") == NULL);
	CHECK_EQ(card.port.storm, 1ull << 40);
}

TEST(saved_whole)
{
	static struct config config;
	struct stat st;

	two_vms(&config);
	CHECK(bundle_save(&config, paths[3]));
	CHECK(stat(paths[3], &st) == 0 && st.st_size > 0 && (st.st_mode & 0400));
	CHECK_EQ(entries(), 4);
}

static void quiet(bool on)
{
	static int saved = -1;

	fflush(stderr);
	if (on) {
		int null = open("/dev/null", O_WRONLY);

		saved = dup(2);
		dup2(null, 2);
		close(null);
	} else {
		dup2(saved, 2);
		close(saved);
	}
}

TEST(not_saved_at_all)
{
	static char gone[] = "/nonexistent/kernel";
	static struct config config;
	struct stat before, st;
	bool ok;

	two_vms(&config);
	CHECK(bundle_save(&config, paths[3]));
	CHECK(stat(paths[3], &before) == 0);
	config.vms[1].kernel = gone;
	quiet(true);
	ok = bundle_save(&config, paths[3]);
	quiet(false);
	CHECK(!ok);
	CHECK(stat(paths[3], &st) == 0 &&
		st.st_ino == before.st_ino); // what was there is still there
	CHECK_EQ(entries(), 4);
	config.vms[1].kernel = paths[2];
	quiet(true);
	ok = bundle_save(&config, "/dev/null");
	quiet(false);
	CHECK(!ok);
	CHECK(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
}

static char parts[2][64]; // firmware's variables and code

static void make_parts(const u8 *image, size_t middle, size_t end)
{
	for (int i = 0; i < 2; i++) {
		FILE *f;

		snprintf(parts[i], sizeof(parts[i]), "%s/part%d", folder, i);
		f = fopen(parts[i], "w");
		CHECK(f && fwrite(image + (i ? middle : 0), i ? end - middle : middle, 1, f) == 1);
		if (f)
			fclose(f);
	}
}

static void remove_parts(void)
{
	unlink(parts[0]);
	unlink(parts[1]);
}

// Files in the wrong order, or others, are told of before a machine starts.
TEST(wrong_firmware)
{
	static struct config config;
	static u8 image[16384];
	static char none[] = "", vars[] = "nvme0n1p3";
	struct config_vm *vm = &config.vms[0];
	int fd = memfd_create("bundle", 0);

	firmware_build(image, sizeof(image), 4096);
	make_parts(image, 4096, sizeof(image));
	config = (struct config){.vm_count = 1};
	*vm = (struct config_vm){
		.name = "web", .memory = 64 << 20, .vcpus = 1, .cmdline = none, .weight = 1};
	vm->firmware[0] = parts[0], vm->firmware[1] = parts[1];
	CHECK(bundle_write(&config, fd) > 0);
	quiet(true);
	vm->firmware[0] = parts[1], vm->firmware[1] = parts[0];
	CHECK(bundle_write(&config, fd) < 0);
	vm->firmware[0] = paths[0], vm->firmware[1] = NULL;
	CHECK(bundle_write(&config, fd) < 0);
	firmware_build(image, sizeof(image), 0);
	make_parts(image, sizeof(image) / 2, sizeof(image));
	vm->firmware[0] = parts[0], vm->firmware[1] = parts[1];
	CHECK(bundle_write(&config, fd) > 0);
	vm->firmware_vars = vars;
	CHECK(bundle_write(&config, fd) < 0);
	quiet(false);
	remove_parts();
	close(fd);
}

// Two VMs that boot disks: the firmware's two files are one member, stored once; cloud-init's volumes differ by name.
TEST(firmware_and_cloud_init)
{
	static struct config config;
	static char none[] = "", vars[] = "nvme0n1p3";
	static u8 image[16384];
	int fd = memfd_create("bundle", 0);
	const char *why = "";
	struct bundle bundle;
	int64_t size;
	void *all, *memory;

	firmware_build(image, sizeof(image), 4096);
	make_parts(image, 4096, sizeof(image));
	config = (struct config){.vm_count = 2};
	for (int i = 0; i < 2; i++)
		config.vms[i] = (struct config_vm){.memory = 64 << 20,
			.vcpus = 1,
			.firmware = {parts[0], parts[1]},
			.firmware_vars = i ? vars : NULL,
			.user_data = paths[0],
			.cmdline = none,
			.weight = 1};
	strcpy(config.vms[0].name, "web");
	strcpy(config.vms[1].name, "db");
	size = bundle_write(&config, fd);
	CHECK(size > 0);
	all = calloc(1, (size_t)size);
	CHECK_EQ(pread(fd, all, (size_t)size, 0), size);
	memory = calloc(1, bundle_memory(all, (size_t)size, &why));
	CHECK_EQ(bundle_parse(&bundle, all, (size_t)size, memory, &why), 0);
	CHECK_EQ(bundle.count, 2);
	CHECK_EQ(bundle.vms[0].kernel.size, sizeof(image));
	CHECK(memcmp(bundle.vms[0].kernel.data, image, sizeof(image)) == 0);
	CHECK(bundle.vms[1].kernel.data == bundle.vms[0].kernel.data);
	CHECK_EQ(bundle.vms[0].io_count, 1);
	CHECK(strcmp(bundle.vms[0].io[0].key, "disk") == 0);
	CHECK(strcmp(bundle.vms[0].io[0].value, "f1 ro") == 0);
	CHECK(strcmp(bundle.vms[1].io[0].value, "f2 ro") == 0);
	CHECK_EQ(bundle.vms[1].io_count, 2);
	CHECK(strcmp(bundle.vms[1].io[1].key, "vars") == 0);
	CHECK(strcmp(bundle.vms[1].io[1].value, vars) == 0);
	CHECK(memmem(all, (size_t)size, "instance-id: web\n", 17));
	CHECK(memmem(all, (size_t)size, "instance-id: db\n", 16));
	free(all);
	free(memory);
	remove_parts();
	close(fd);
}

TEST_MAIN()

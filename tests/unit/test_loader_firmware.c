// SPDX-License-Identifier: MIT
// A VM that starts from firmware: this test is the firmware, and finds through its ports what it needs.
// link: kernel/vm/loader.c kernel/vm/loader_bzimage.c kernel/vm/loader_elf.c kernel/vm/loader_entry.c
// link: kernel/vm/loader_multiboot.c kernel/vm/loader_pvh.c kernel/vm/acpi_tables.c kernel/core/timer.c tests/unit/fake/arch.c
// link: kernel/vm/loader_firmware.c kernel/mono/firmware.c kernel/vm/lpc.c kernel/vm/vpci.c devices/fw_cfg.c devices/fw_cfg_list.c
// link: devices/fw_cfg_acpi.c devices/fw_tell.c devices/pflash.c lib/firmware.c
#include "devices/fw_cfg_list.h"
#include "devices/fw_tell.h"
#include "kernel/core/frame.h"
#include "kernel/mono/firmware.h"
#include "kernel/vm/lpc.h"
#include "kernel/mono/nvram.h"
#include "tests/unit/irq_fake.h"
#include "tests/unit/loader_fake.h"

#define IMAGE (64 * KiB)
#define VARS  (8 * KiB)
#define PLACE 0x12340000u // where this firmware puts the tables

static struct vpci *pci = &vm.pc.pci;
static u64 added_start, added_end;
static u8 tables[8 * KiB], script[8 * KiB];
static const char *why;
static int frees; // less what was taken

void gmap_add_ram(struct gmap *g, u64 start, u64 end)
{
	CHECK(g == &vm.gmap);
	added_start = start;
	added_end = end;
	guest_top = calloc(1, end - start);
	guest_top_start = start;
}

static struct vflash chip;
static bool has_chip;
static u8 variables[VARS];

struct vflash *nvram_start(struct vm *v)
{
	CHECK(v == &vm);
	return has_chip ? &chip : NULL;
}

static void nothing_changed(struct pflash *f, u32 offset, u32 bytes)
{
	(void)f, (void)offset, (void)bytes;
}

static void nothing_mapped(struct pflash *f, bool array)
{
	(void)f, (void)array;
}

static const struct pflash_ops chip_ops = {nothing_changed, nothing_mapped};

void *kmem_alloc(size_t size, u16 owner)
{
	CHECK_EQ(owner, vm.id);
	frees--;
	return calloc(1, size);
}

void kmem_free(void *p, size_t size)
{
	(void)size;
	frees++;
	free(p);
}

static int start(u64 memory)
{
	int err;

	firmware_destroy(&vm);
	CHECK_EQ(frees, 0);
	free(guest_top);
	guest_top = NULL;
	guest_top_start = 0x100000000ull;
	loader_fake_reset(memory);
	vpci_init(pci, &vm);
	vm.vcpu_count = 2;
	memcpy(file + 0x28, "_FVH", 4);
	memset(file + IMAGE - 16, 0x90, 16);
	config.kernel.size = IMAGE;
	why = NULL;
	err = loader_load(&vm, &config, &why);
	return err;
}

static u32 data_be(unsigned bytes)
{
	u32 value = 0, byte = 0;

	while (bytes--) {
		CHECK(vpci_io_read(pci, LPC_FW_CFG_PORT + 1, 1, &byte));
		value = value << 8 | byte;
	}
	return value;
}

// Reads the file; its size, 0 when the list has none of this name.
static u32 read_file(const char *name, u8 *to, u32 room)
{
	u32 size = 0, item = 0, files, byte;

	CHECK(vpci_io_write(pci, LPC_FW_CFG_PORT, 2, FW_CFG_DIRECTORY));
	files = data_be(4);
	for (u32 i = 0; i < files; i++) {
		u32 n = data_be(4), at = data_be(2);
		char is[56];

		data_be(2);
		for (unsigned c = 0; c < sizeof(is); c++)
			is[c] = (char)data_be(1);
		if (strcmp(is, name) == 0) {
			size = n;
			item = at;
		}
	}
	CHECK(size <= room);
	CHECK(vpci_io_write(pci, LPC_FW_CFG_PORT, 2, item));
	for (u32 i = 0; i < size; i++) {
		vpci_io_read(pci, LPC_FW_CFG_PORT + 1, 1, &byte);
		to[i] = (u8)byte;
	}
	return size;
}

static u64 number(const u8 *at, unsigned bytes)
{
	u64 value = 0;

	memcpy(&value, at, bytes);
	return value;
}

static u8 sum(const u8 *at, u64 n)
{
	u8 total = 0;

	while (n--)
		total = (u8)(total + *at++);
	return total;
}

static u8 rsdp[FW_ACPI_RSDP_BYTES];

// The file that a command names, as long as it may be.
static u8 *file_of(const u8 *name, u32 *size)
{
	bool first = strcmp((const char *)name, FW_ACPI_RSDP) == 0;

	CHECK(first || strcmp((const char *)name, FW_ACPI_TABLES) == 0);
	*size = first ? sizeof(rsdp) : sizeof(tables);
	return first ? rsdp : tables;
}

// Does what the script says, as firmware does, with the tables at PLACE.
static void run_script(u32 size)
{
	CHECK(size && size % FW_ACPI_COMMAND == 0);
	for (const u8 *c = script; c < script + size; c += FW_ACPI_COMMAND) {
		u64 at, value;
		u32 room;
		u8 *of = file_of(c + 4, &room);

		switch (number(c, 4)) {
		case 1:
			CHECK((c == script) == (of == tables)); // before all else
			CHECK_EQ(number(c + 60, 4), 64);
			CHECK_EQ(c[64], of == tables ? 1 : 2); // the RSDP below 1 MiB
			break;
		case 2:
			at = number(c + 116, 4);
			CHECK(strcmp((const char *)c + 60, FW_ACPI_TABLES) == 0);
			CHECK(c[120] == 4 || c[120] == 8);
			CHECK(at + c[120] <= room);
			value = number(of + at, c[120]);
			CHECK(value < sizeof(tables));
			value += PLACE;
			memcpy(of + at, &value, c[120]);
			break;
		case 3:
			at = number(c + 60, 4);
			CHECK_EQ(of[at], 0);
			CHECK(number(c + 64, 4) + number(c + 68, 4) <= room);
			of[at] = (u8)-sum(of + number(c + 64, 4), number(c + 68, 4));
			break;
		default:
			CHECK(false);
		}
	}
}

static const u8 *table_at(u64 address, const char *signature)
{
	CHECK(address >= PLACE && address - PLACE < sizeof(tables) - 36);
	CHECK(memcmp(tables + address - PLACE, signature, 4) == 0);
	return tables + address - PLACE;
}

TEST(image_lies_below_4_gib)
{
	CHECK_EQ(start(128 * MiB), 0);
	CHECK_EQ(added_start, 0x100000000ull - IMAGE);
	CHECK_EQ(added_end, 0x100000000ull);
	CHECK(memcmp(guest_top, file, IMAGE) == 0);
	// The vcpu stays as its reset left it: at the reset vector.
	CHECK_EQ(vcpu0.rip, 0xa5a5a5a5a5a5a5a5);
	CHECK_EQ(vm.pc.rtc.cmos[0x34] | vm.pc.rtc.cmos[0x35] << 8, 112 * 16);
}

// The variables' part of the image is no RAM, but a chip that takes commands.
TEST(variables_are_a_chip)
{
	const u64 at = 0x100000000ull - IMAGE;
	u64 value;

	memset(variables, 0xff, sizeof(variables));
	pflash_init(&chip.chip, &chip_ops, variables, VARS);
	chip.at = at;
	chip.size = VARS;
	has_chip = true;
	CHECK_EQ(start(128 * MiB), 0);
	has_chip = false;
	CHECK_EQ(added_start, at + VARS);
	CHECK_EQ(added_end, 0x100000000ull);
	CHECK(memcmp(guest_top, file + VARS, IMAGE - VARS) == 0);
	CHECK(vpci_mmio_write(pci, at + 100, 1, 0x10));
	CHECK(vpci_mmio_write(pci, at + 100, 1, 0x5a));
	CHECK_EQ(variables[100], 0x5a);
	CHECK(vpci_mmio_read(pci, at + 100, 1, &value));
	CHECK_EQ(value, 0x80);
	CHECK(vpci_mmio_read(pci, at + VARS - 8, 8, &value));
	CHECK(!vpci_mmio_read(pci, at + VARS, 1, &value));
	CHECK(!vpci_mmio_write(pci, at - 1, 1, 0));
}

TEST(bridges_of_a_q35)
{
	u64 value;

	start(128 * MiB);
	CHECK_EQ(vpci_ecam_read(pci, 0, 4), 0x29c08086);
	CHECK_EQ(vpci_ecam_read(pci, LPC_SLOT << 15 | 8, 4) >> 16, 0x0601);
	CHECK_EQ(vpci_ecam_read(pci, LPC_SLOT << 15 | 0x40, 4), VPM_PORT | 1);
	CHECK_EQ(vpci_ecam_read(pci, LPC_SLOT << 15 | 0x44, 1), 0x80);
	CHECK(vpci_mmio_read(pci, LPC_ECAM, 4, &value));
	CHECK_EQ(value, 0x29c08086);
	CHECK(vpci_mmio_write(pci, LPC_ECAM + (LPC_SLOT << 15) + 0x40, 4, 0));
	CHECK_EQ(vpci_ecam_read(pci, LPC_SLOT << 15 | 0x40, 4), VPM_PORT | 1);
	CHECK(vpci_mmio_read(pci, LPC_ECAM, 8, &value));
	CHECK_EQ(value, ~0ull);
}

TEST(memory_map)
{
	u8 e820[64];

	start(128 * MiB);
	CHECK_EQ(read_file("etc/e820", e820, sizeof(e820)), 20);
	CHECK_EQ(number(e820, 8), 0);
	CHECK_EQ(number(e820 + 8, 8), 128 * MiB);
	CHECK_EQ(number(e820 + 16, 4), 1);
}

TEST(memory_above_4_gib)
{
	u8 e820[64];

	start(128 * MiB);
	vm.ram_high = 0x1234560000ull;
	CHECK_EQ(loader_load(&vm, &config, &why), 0);
	CHECK_EQ(read_file("etc/e820", e820, sizeof(e820)), 40);
	CHECK_EQ(number(e820 + 20, 8), 0x100000000ull);
	CHECK_EQ(number(e820 + 28, 8), 0x1234560000ull);
	CHECK_EQ(number(e820 + 36, 4), 1);
	CHECK_EQ(number(&vm.pc.rtc.cmos[0x5b], 3), 0x123456);
}

TEST(acpi_tables_move)
{
	const u8 *fadt, *xsdt;

	start(128 * MiB);
	CHECK_EQ(read_file(FW_ACPI_TABLES, tables, sizeof(tables)), sizeof(tables));
	run_script(read_file(FW_ACPI_SCRIPT, script, sizeof(script)));
	CHECK(memcmp(tables, "RSD PTR ", 8) == 0);
	xsdt = tables + (number(tables + 24, 8) - GPA_BIOS);
	CHECK(memcmp(xsdt, "XSDT", 4) == 0);
	CHECK_EQ(number(xsdt + 4, 4), 36 + 3 * 8);
	fadt = table_at(number(xsdt + 36, 8), "FACP");
	CHECK_EQ(sum(fadt, number(fadt + 4, 4)), 0);
	table_at(number(fadt + 36, 4), "FACS");
	table_at(number(fadt + 40, 4), "DSDT");
	CHECK_EQ(number(fadt + 140, 8), number(fadt + 40, 4));
	table_at(number(xsdt + 44, 8), "APIC");
	table_at(number(xsdt + 52, 8), "MCFG");
	for (unsigned i = 0; i < 3; i++) {
		const u8 *t = tables + (number(xsdt + 36 + i * 8, 8) - PLACE);

		CHECK_EQ(sum(t, number(t + 4, 4)), 0);
	}
}

static void make_bios(void)
{
	memset(file, 0, 0x100);
	config.kernel.size = 256 * KiB;
	for (u32 i = 0; i < 256 * KiB; i++)
		file[i] = (u8)(i * 7 + (i >> 10));
	memcpy(file + 256 * KiB - 16, "\xea\x5b\xe0\x00\xf0", 5);
}

// A BIOS lies below 4 GiB, and its end below 1 MiB; ACPI's tables come by fw_cfg, with an RSDP for its guests.
TEST(bios)
{
	static u8 low[128 * KiB];
	const u8 *xsdt;
	u8 port[2];

	start(128 * MiB);
	make_bios();
	free(guest_top);
	guest_top_start = 0x100000000ull;
	firmware_destroy(&vm);
	vpci_init(pci, &vm);
	why = NULL;
	CHECK_EQ(loader_load(&vm, &config, &why), 0);
	CHECK_EQ(added_start, 0x100000000ull - 256 * KiB);
	CHECK(memcmp(guest_top, file, 256 * KiB) == 0);
	guest_read(&vm, gpa(GPA_BIOS), low, sizeof(low));
	CHECK(memcmp(low, file + 128 * KiB, sizeof(low)) == 0);
	CHECK_EQ(vpci_ecam_read(pci, PCI_SUBSYSTEM_VENDOR, 4), 0x11001af4);
	CHECK_EQ(read_file("etc/sercon-port", port, sizeof(port)), 2);
	CHECK_EQ(number(port, 2), VUART_COM1);
	CHECK_EQ(read_file(FW_ACPI_TABLES, tables, sizeof(tables)), sizeof(tables));
	CHECK_EQ(read_file(FW_ACPI_RSDP, rsdp, sizeof(rsdp)), sizeof(rsdp));
	run_script(read_file(FW_ACPI_SCRIPT, script, sizeof(script)));
	CHECK(memcmp(rsdp, "RSD PTR ", 8) == 0);
	CHECK(sum(rsdp, 20) == 0 && sum(rsdp, sizeof(rsdp)) == 0);
	xsdt = table_at(number(rsdp + 24, 8), "XSDT");
	CHECK_EQ(sum(xsdt, number(xsdt + 4, 4)), 0);
	table_at(number(xsdt + 36, 8), "FACP");
}

TEST(starts_again)
{
	u8 byte;

	start(128 * MiB);
	guest_top[100] = 1;
	why = NULL;
	CHECK_EQ(loader_load(&vm, &config, &why), 0);
	CHECK_EQ(guest_top[100], file[100]);
	CHECK_EQ(read_file("opt/ovmf/X-PciMmio64Mb", &byte, 1), 1);
	CHECK_EQ(byte, '0');
}

TEST(what_cannot_start)
{
	CHECK_EQ(start(32 * MiB), -EINVAL);
	CHECK(why && strstr(why, "64 MiB"));
	CHECK_EQ(start(128 * MiB), 0);
	file[0x28] = 0;
	CHECK_EQ(loader_load(&vm, &config, &why), -ENOEXEC);
	file[0x28] = '_';
	config.kernel.size = 0x20;
	CHECK_EQ(loader_load(&vm, &config, &why), -ENOEXEC);
	config.kernel.size = IMAGE;
}

// Tables that lie about themselves give no script, and nothing beyond them is read.
TEST(tables_that_lie)
{
	static const u16 fields[] = {24, 25, 31};

	start(128 * MiB);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		guest_read(&vm, gpa(GPA_BIOS), tables, sizeof(tables));
		tables[fields[i]] = 0xff;
		if (fields[i] != 24) // an odd place in the file is refused for its length, below
			CHECK_EQ(
				fw_acpi_convert(tables, sizeof(tables), GPA_BIOS, NULL, script), 0);
	}
	for (unsigned cut = 0; cut < 1024; cut += 5) {
		u8 *copy = malloc(cut ? cut : 1);

		guest_read(&vm, gpa(GPA_BIOS), tables, sizeof(tables));
		memcpy(copy, tables, cut);
		CHECK_EQ(fw_acpi_convert(copy, cut, GPA_BIOS, NULL, script), 0);
		free(copy);
	}
}

TEST_MAIN()

// SPDX-License-Identifier: MIT
// fw_cfg under a guest's accesses, over an area that may hold anything, and the conversion of ACPI tables that lie.
// link: devices/fw_cfg.c devices/fw_cfg_list.c devices/fw_cfg_acpi.c devices/fw_tell.c
// cc: -fno-sanitize-coverage=trace-cmp
#include "devices/fw_cfg_list.h"
#include "devices/fw_tell.h"

#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void convert(const struct input *in)
{
	static u8 script[FW_ACPI_SCRIPT_MAX];
	u8 rsdp[FW_ACPI_RSDP_BYTES], *tables = malloc(in->left);
	u32 length;

	MUST(tables);
	memcpy(tables, in->at, in->left);
	length =
		fw_acpi_convert(tables, (u32)in->left, 0xe0000, in->left & 1 ? rsdp : NULL, script);
	MUST(length % FW_ACPI_COMMAND == 0 && length <= FW_ACPI_SCRIPT_MAX);
	free(tables);
}

static void tell(const struct input *in)
{
	static struct fw_machine m;
	u32 room = sizeof(struct fw_cfg_area) + (u32)in->left * 64;
	u8 *area = malloc(room);

	MUST(area);
	m.bios = in->left & 1;
	m.ram_high = in->left & 2;
	memcpy(m.tables, in->at, MIN(in->left, sizeof(m.tables)));
	fw_tell(&m, area, room);
	free(area);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size};
	const u32 room = sizeof(struct fw_cfg_area) + 700;
	struct fw_cfg_list list;
	struct fw_cfg_area *area = malloc(room);
	struct fw_cfg f = {.area = area, .size = room};

	MUST(area);
	fw_cfg_list_init(&list, area, room, 2);
	fw_cfg_add(&list, "etc/file", "\xff\xff\xff", 3);
	convert(&in);
	tell(&in);
	while (in.left) {
		u8 op = input_u8(&in), offset = input_u8(&in) & 15;
		unsigned bytes = 1u << (op >> 1 & 3) % 3;

		if (op == 0xfe) // its owner writes
			((u8 *)area)[input_u8(&in)] = offset;
		else if (op & 1)
			fw_cfg_write(&f, offset, bytes, input_u8(&in) | (u32)(op >> 4) << 12);
		else if (fw_cfg_read(&f, offset, bytes) > 0xff && bytes == 1)
			abort();
	}
	free(area);
	return 0;
}

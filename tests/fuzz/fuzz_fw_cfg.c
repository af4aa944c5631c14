// SPDX-License-Identifier: MIT
// fw_cfg under a guest's accesses, and the conversion of ACPI tables that lie.
// link: devices/fw_cfg.c devices/fw_cfg_acpi.c
// cc: -fno-sanitize-coverage=trace-cmp
#include "devices/fw_cfg.h"
#include "devices/fw_cfg_acpi.h"

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

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size};
	struct fw_cfg f;
	u8 *file = malloc(3);

	MUST(file);
	memset(file, 0xff, 3);
	fw_cfg_init(&f, 2);
	fw_cfg_add(&f, "etc/file", file, 3);
	convert(&in);
	while (in.left) {
		u8 op = input_u8(&in), offset = input_u8(&in) & 15;
		unsigned bytes = 1u << (op >> 1 & 3) % 3;

		if (op & 1)
			fw_cfg_write(&f, offset, bytes, input_u8(&in) | (u32)(op >> 4) << 12);
		else if (fw_cfg_read(&f, offset, bytes) > 0xff && bytes == 1)
			abort();
	}
	free(file);
	return 0;
}

// SPDX-License-Identifier: MIT
// ACPI tables for the firmware's table loader: addresses out of them, commands for them into the script.
#include "devices/fw_cfg_acpi.h"

#include "lib/string.h"

#define COMMAND_ALLOCATE 1u
#define COMMAND_POINTER  2u
#define COMMAND_CHECKSUM 3u
#define NAME_FIELD       56u
#define ZONE_HIGH        1u
#define ZONE_FSEG        2u
#define ALIGNMENT        64u // what a FACS wants

#define RSDP_SUM    8u // of its first 20 bytes
#define RSDP_FIRST  20u
#define RSDP_RSDT   16u // the RSDT's address
#define RSDP_XSDT   24u // the XSDT's
#define RSDP_SUM_2  32u // of all
#define HEADER      36u // bytes of a table's header
#define LENGTH      4u  // its length
#define CHECKSUM    9u
#define FADT_FACS   36u
#define FADT_DSDT   40u
#define FADT_X_DSDT 140u
#define FADT_BYTES  148u

struct convert {
	u8 *tables;
	u32 size;
	u64 base;
	u8 *script;
	u32 length;
	bool failed;
};

static u64 load(const struct convert *c, u32 at, u32 bytes)
{
	u64 value = 0;

	memcpy(&value, c->tables + at, bytes);
	return value;
}

// The next command, about a file.
static u8 *command(struct convert *c, u32 number, const char *file)
{
	u8 *to = c->script + c->length;

	if (c->length + FW_ACPI_COMMAND > FW_ACPI_SCRIPT_MAX) {
		c->failed = true;
		return c->script;
	}
	memset(to, 0, FW_ACPI_COMMAND);
	memcpy(to, &number, 4);
	memcpy(to + 4, file, strlen(file));
	c->length += FW_ACPI_COMMAND;
	return to;
}

static void add_allocate(struct convert *c, const char *file, u8 zone)
{
	u8 *to = command(c, COMMAND_ALLOCATE, file);
	const u32 alignment = ALIGNMENT;

	memcpy(to + 4 + NAME_FIELD, &alignment, 4);
	to[4 + NAME_FIELD + 4] = zone;
}

// The address at offset `at`; returns the offset in the file that it leads to, where a header must have room.
static u32 add_pointer(struct convert *c, u32 at, u32 bytes)
{
	u64 target = load(c, at, bytes) - c->base;
	u8 *to;

	if (target > c->size || c->size - target < HEADER) {
		c->failed = true;
		return 0;
	}
	to = command(c, COMMAND_POINTER, FW_ACPI_TABLES);
	memcpy(c->tables + at, &target, bytes);
	memcpy(to + 4 + NAME_FIELD, FW_ACPI_TABLES, sizeof(FW_ACPI_TABLES));
	memcpy(to + 4 + 2 * NAME_FIELD, &at, 4);
	to[4 + 2 * NAME_FIELD + 4] = (u8)bytes;
	return (u32)target;
}

// Over `length` bytes from `start` of the file, into its byte `result`, which is 0 there.
static void add_sum(struct convert *c, const char *file, u32 result, u32 start, u32 length)
{
	u8 *to = command(c, COMMAND_CHECKSUM, file);

	memcpy(to + 4 + NAME_FIELD, &result, 4);
	memcpy(to + 4 + NAME_FIELD + 4, &start, 4);
	memcpy(to + 4 + NAME_FIELD + 8, &length, 4);
}

static void add_checksum(struct convert *c, u32 table, u32 length)
{
	c->tables[table + CHECKSUM] = 0;
	add_sum(c, FW_ACPI_TABLES, table + CHECKSUM, table, length);
}

// The length that the table at this offset gives itself, at least `least` and within the file; 0: it is not.
static u32 table_length(struct convert *c, u32 table, u32 least)
{
	u32 length = (u32)load(c, table + LENGTH, 4);

	if (length >= least && length <= c->size - table)
		return length;
	c->failed = true;
	return 0;
}

static void convert_fadt(struct convert *c, u32 table)
{
	u32 length = table_length(c, table, FADT_BYTES);

	if (!length)
		return;
	add_pointer(c, table + FADT_FACS, 4);
	add_pointer(c, table + FADT_DSDT, 4);
	add_pointer(c, table + FADT_X_DSDT, 8);
	add_checksum(c, table, length);
}

// UEFI firmware makes an XSDT of its own and takes the tables behind the pointers.
static void convert_xsdt(struct convert *c, u32 xsdt)
{
	u32 length = table_length(c, xsdt, HEADER);

	if (length > HEADER + FW_ACPI_ENTRIES * 8)
		c->failed = true;
	for (u32 at = HEADER; !c->failed && at + 8 <= length; at += 8) {
		u32 table = add_pointer(c, xsdt + at, 8);

		if (!c->failed && memcmp(c->tables + table, "FACP", 4) == 0)
			convert_fadt(c, table);
	}
}

// The RSDP as a file of its own, which leads to the XSDT only, and the XSDT's checksum.
static void convert_rsdp(struct convert *c, u32 xsdt, u8 *rsdp)
{
	const u64 target = xsdt;
	const u32 at = RSDP_XSDT;
	u32 length = table_length(c, xsdt, HEADER);
	u8 *to;

	if (!length)
		return;
	add_checksum(c, xsdt, length);
	memcpy(rsdp, c->tables, FW_ACPI_RSDP_BYTES);
	memset(rsdp + RSDP_RSDT, 0, 4);
	memcpy(rsdp + RSDP_XSDT, &target, 8);
	rsdp[RSDP_SUM] = rsdp[RSDP_SUM_2] = 0;
	add_allocate(c, FW_ACPI_RSDP, ZONE_FSEG);
	to = command(c, COMMAND_POINTER, FW_ACPI_RSDP);
	memcpy(to + 4 + NAME_FIELD, FW_ACPI_TABLES, sizeof(FW_ACPI_TABLES));
	memcpy(to + 4 + 2 * NAME_FIELD, &at, 4);
	to[4 + 2 * NAME_FIELD + 4] = 8;
	add_sum(c, FW_ACPI_RSDP, RSDP_SUM, 0, RSDP_FIRST);
	add_sum(c, FW_ACPI_RSDP, RSDP_SUM_2, 0, FW_ACPI_RSDP_BYTES);
}

u32 fw_acpi_convert(u8 *tables, u32 size, u64 base, u8 *rsdp, u8 script[static FW_ACPI_SCRIPT_MAX])
{
	struct convert c = {.tables = tables, .size = size, .base = base, .script = script};
	u64 xsdt;

	if (size < FW_ACPI_RSDP_BYTES || memcmp(tables, "RSD PTR ", 8) != 0)
		return 0;
	xsdt = load(&c, RSDP_XSDT, 8) - base;
	if (xsdt > size || size - xsdt < HEADER)
		return 0;
	add_allocate(&c, FW_ACPI_TABLES, ZONE_HIGH);
	convert_xsdt(&c, (u32)xsdt);
	if (rsdp && !c.failed)
		convert_rsdp(&c, (u32)xsdt, rsdp);
	return c.failed ? 0 : c.length;
}

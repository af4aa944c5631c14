// SPDX-License-Identifier: MIT
// ACPI tables for tests, made by hand in a piece of memory that stands for the physical memory
// below TABLES_SIZE. What acpi_map_copy gives is a copy of exactly the size asked for, so that a
// reader who goes beyond it is caught.
#pragma once

#include <stdlib.h>
#include <string.h>

#include "kernel/x86/acpi.h"

#define TABLES_SIZE 65536u
#define COPIES_MAX  4096

static u8 tables_memory[TABLES_SIZE];
static u8 tables_rsdp[36];
static u32 tables_next; // where the next table goes
static u32 tables_root[16], tables_count;
static u32 root_table;
static void *copies[COPIES_MAX];
static unsigned copies_count;

static void copies_free(void)
{
	while (copies_count > 0)
		free(copies[--copies_count]);
}

static const void *acpi_map_copy(hpa_t a, size_t size)
{
	void *p;

	if (a.v > TABLES_SIZE || size > TABLES_SIZE - a.v || copies_count == COPIES_MAX)
		return NULL;
	p = malloc(size);
	if (!p)
		abort();
	memcpy(p, tables_memory + a.v, size);
	copies[copies_count++] = p;
	return p;
}

static inline void put32(u32 at, u32 v)
{
	memcpy(tables_memory + at, &v, 4);
}

static inline void sum_fix(u8 *p, u32 size, u32 at)
{
	u8 sum = 0;

	p[at] = 0;
	for (u32 i = 0; i < size; i++)
		sum = (u8)(sum + p[i]);
	p[at] = (u8)-sum;
}

static void tables_begin(void)
{
	copies_free();
	memset(tables_memory, 0, sizeof(tables_memory));
	tables_next = 0x1000;
	tables_count = 0;
}

// A table with this name and body; where it lies.
static u32 table_add(const char *name, const void *body, u32 size, bool in_root)
{
	u32 at = tables_next;

	memcpy(tables_memory + at, name, 4);
	put32(at + 4, 36 + size);
	memcpy(tables_memory + at + 36, body, size);
	sum_fix(tables_memory + at, 36 + size, 9);
	tables_next = (at + 36 + size + 15) & ~15u;
	if (in_root)
		tables_root[tables_count++] = at;
	return at;
}

// The root table (XSDT or RSDT) and the pointer to it.
static void tables_end(bool extended)
{
	u8 body[128] = {0};
	u32 width = extended ? 8 : 4;

	for (u32 i = 0; i < tables_count; i++)
		memcpy(body + i * width, &tables_root[i], 4);
	root_table = table_add(extended ? "XSDT" : "RSDT", body, tables_count * width, false);
	memset(tables_rsdp, 0, sizeof(tables_rsdp));
	memcpy(tables_rsdp, "RSD PTR ", 8);
	tables_rsdp[15] = extended ? 2 : 0;
	memcpy(tables_rsdp + (extended ? 24 : 16), &root_table, 4);
	sum_fix(tables_rsdp, 20, 8);
	if (extended)
		sum_fix(tables_rsdp, 36, 32);
}

// A machine as QEMU's q35 describes it: two CPUs, an IOAPIC, an override, ECAM, power-off and
// reset.
static void tables_make_pc(bool extended)
{
	static const u8 madt[] = {
		0, 0, 0xE0, 0xFE, 1, 0, 0, 0,                       // local APIC, flags
		0, 8, 0, 0, 1, 0, 0, 0,                             // CPU, APIC id 0
		0, 8, 1, 1, 1, 0, 0, 0,                             // CPU, APIC id 1
		0, 8, 2, 2, 0, 0, 0, 0,                             // CPU that is not there
		1, 12, 0, 0, 0, 0, 0xC0, 0xFE, 0, 0, 0, 0,          // IOAPIC
		2, 10, 0, 0, 2, 0, 0, 0, 0, 0,                      // IRQ 0 is GSI 2
		2, 10, 0, 9, 9, 0, 0, 0, 0x0F, 0,                   // IRQ 9: level, active low
		9, 16, 0, 0, 0x2C, 1, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, // x2APIC id 300
	};
	static const u8 dsdt[] = {0x10, 0x05, 0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x0A,
		0x05, 0x01, 0x00, 0x00};
	u8 mcfg[24] = {0}, fadt[244 - 36] = {0};
	u64 ecam = 0xB0000000;
	u32 at;

	tables_begin();
	at = table_add("DSDT", dsdt, sizeof(dsdt), false);
	memcpy(fadt + 40 - 36, &at, 4);
	fadt[48 - 36] = 0xB2;
	fadt[52 - 36] = 2;
	memcpy(fadt + 64 - 36, &(u32){0x604}, 4);
	memcpy(fadt + 76 - 36, &(u32){0x608}, 4);
	memcpy(fadt + 112 - 36, &(u32){1 << 10 | 1 << 8}, 4);
	fadt[116 - 36] = 1;
	memcpy(fadt + 120 - 36, &(u64){0xCF9}, 8);
	fadt[128 - 36] = 0x0F;
	memcpy(mcfg + 8, &ecam, 8);
	mcfg[8 + 11] = 255;
	table_add("FACP", fadt, sizeof(fadt), true);
	table_add("APIC", madt, sizeof(madt), true);
	table_add("MCFG", mcfg, sizeof(mcfg), true);
	tables_end(extended);
}

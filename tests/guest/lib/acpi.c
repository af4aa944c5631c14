// SPDX-License-Identifier: MIT
// Finding ACPI tables.
#include "guest.h"
#include "acpi.h"

static bool sums_up(const void *p, u32 n)
{
	const u8 *b = p;
	u8 sum = 0;

	while (n--)
		sum = (u8)(sum + *b++);
	return sum == 0;
}

u64 acpi_rsdp(void)
{
	for (u64 at = 0xE0000; at < 0x100000; at += 16)
		if (!memcmp((void *)at, "RSD PTR ", 8) && sums_up((void *)at, 20))
			return at;
	return 0;
}

static u64 load(u64 at, u32 bytes)
{
	u64 v = 0;

	memcpy(&v, (void *)at, bytes);
	return v;
}

const struct acpi_header *acpi_table(const char *signature)
{
	u64 rsdp = acpi_rsdp(), root;
	u32 entry = 4;

	if (!rsdp)
		return NULL;
	root = load(rsdp + 16, 4);
	if (load(rsdp + 15, 1) >= 2 && load(rsdp + 24, 8)) {
		root = load(rsdp + 24, 8);
		entry = 8;
	}
	for (u64 at = root + 36; at + entry <= root + load(root + 4, 4); at += entry) {
		const struct acpi_header *t = (const void *)load(at, entry);

		if (!memcmp(t->signature, signature, 4) && sums_up(t, t->length))
			return t;
	}
	return NULL;
}

u64 fadt_field(u32 offset, u32 bytes)
{
	const struct acpi_header *fadt = acpi_table("FACP");

	if (!fadt || fadt->length < offset + bytes)
		return 0;
	return load((u64)fadt + offset, bytes);
}

const struct acpi_header *acpi_dsdt(void)
{
	u64 at = fadt_field(140, 8);

	if (!at)
		at = fadt_field(40, 4);
	return at && sums_up((void *)at, (u32)load(at + 4, 4)) ? (const void *)at : NULL;
}

u32 acpi_gsi(u32 irq)
{
	const struct acpi_header *madt = acpi_table("APIC");
	const u8 *p = (const u8 *)madt + 44, *end;

	if (!madt)
		return irq;
	for (end = (const u8 *)madt + madt->length; p + 2 <= end && p[1] >= 2; p += p[1])
		if (p[0] == 2 && p[3] == irq)
			return (u32)load((u64)p + 4, 4);
	return irq;
}

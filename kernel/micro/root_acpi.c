// SPDX-License-Identifier: MIT
// The machine's ACPI tables as the root VM is to see them: a root table of our own names them, but for those of IOMMUs, which
// are the kernel's; and of the processors in the MADT only those that the VM has are enabled.
#include "kernel/core/boot_info.h"
#include "kernel/core/log.h"
#include "kernel/micro/root.h"
#include "kernel/x86/acpi.h"
#include "kernel/x86/paging.h"
#include "lib/string.h"

#define TABLES_MAX  64u
#define HEADER_SIZE 36u
#define RSDP_SIZE   36u

#define MADT_ENTRIES  44u
#define MADT_LAPIC    0u
#define MADT_X2APIC   9u
#define LAPIC_ENABLED 3u // or can be

// What has been written so far, and room for more.
struct writer {
	u8 *at;
	u64 address, end;
};

static u8 sum_of(const u8 *p, u32 size)
{
	u8 sum = 0;

	for (u32 i = 0; i < size; i++)
		sum = (u8)(sum + p[i]);
	return sum;
}

// Room for a table; NULL: none is left.
static u8 *table_begin(struct writer *w, u32 size, u64 *address)
{
	u8 *at = w->at;

	if (size > w->end - w->address)
		return NULL;
	*address = w->address;
	memset(at, 0, size);
	w->at += ALIGN_UP(size, 16u);
	w->address += ALIGN_UP(size, 16u);
	return at;
}

static u32 table_size(const u8 *t)
{
	u32 size;

	memcpy(&size, t + 4, 4);
	return size;
}

static void madt_entry_filter(const struct vm *vm, u8 *e, u32 size)
{
	u32 id = e[3], flags = 4;

	if (e[0] == MADT_X2APIC && size >= 16) {
		memcpy(&id, e + 4, 4);
		flags = 8;
	} else if (e[0] != MADT_LAPIC || size < 8) {
		return;
	}
	if (id - vm->apic_first >= vm->vcpu_count)
		e[flags] &= (u8)~LAPIC_ENABLED;
}

// The table's own checksum was good, so its length is that of what was read.
static u64 madt_copy(struct writer *w, const struct vm *vm, const u8 *from)
{
	u32 size = table_size(from), step;
	u64 address;
	u8 *t = table_begin(w, size, &address);

	if (!t)
		return 0;
	memcpy(t, from, size);
	for (u32 at = MADT_ENTRIES; at + 2 <= size; at += step) {
		step = t[at + 1];
		if (step < 2 || step > size - at)
			break;
		madt_entry_filter(vm, t + at, step);
	}
	t[9] = 0;
	t[9] = (u8)-sum_of(t, size);
	return address;
}

static bool is_kept(const u8 *t)
{
	return memcmp(t, "IVRS", 4) == 0 || memcmp(t, "DMAR", 4) == 0;
}

// The root table (ACPI 6.4, 5.2.8).
static u64 xsdt_write(struct writer *w, const struct vm *vm, const u64 *tables, u32 count)
{
	u32 size = HEADER_SIZE, room = HEADER_SIZE + 8 * count;
	u64 address;
	u8 *t = table_begin(w, room, &address);

	if (!t)
		return 0;
	for (u32 i = 0; i < count; i++) {
		const u8 *from = paging_map_firmware(hpa(tables[i]), HEADER_SIZE);
		u64 to = tables[i];

		if (!from || is_kept(from))
			continue;
		if (memcmp(from, "APIC", 4) == 0) {
			from = paging_map_firmware(hpa(tables[i]), table_size(from));
			to = from ? madt_copy(w, vm, from) : 0;
		}
		if (!to)
			return 0;
		memcpy(t + size, &to, 8);
		size += 8;
	}
	memcpy(t, "XSDT", 4);
	memcpy(t + 4, &size, 4);
	t[8] = 1;
	memcpy(t + 10, "MEZZ  MEZZROOT", 14);
	t[9] = (u8)-sum_of(t, size);
	return address;
}

// The pointer to it (5.2.5.3).
static u64 rsdp_write(struct writer *w, u64 xsdt)
{
	u32 size = RSDP_SIZE;
	u64 address;
	u8 *p = table_begin(w, size, &address);

	if (!p)
		return 0;
	memcpy(p, "RSD PTR ", 8);
	memcpy(p + 9, "MEZZ  ", 6);
	p[15] = 2;
	memcpy(p + 20, &size, 4);
	memcpy(p + 24, &xsdt, 8);
	p[8] = (u8)-sum_of(p, 20);
	p[32] = (u8)-sum_of(p, size);
	return address;
}

u64 root_acpi_write(const struct vm *vm, const struct boot_info *info, u64 start, u64 size)
{
	struct writer w = {.at = hpa_to_va(hpa(start)), .address = start, .end = start + size};
	u64 tables[TABLES_MAX], xsdt;
	u32 n = acpi_list(tables, TABLES_MAX, info->rsdp, paging_map_firmware);

	xsdt = n ? xsdt_write(&w, vm, tables, n) : 0;
	return xsdt ? rsdp_write(&w, xsdt) : 0;
}

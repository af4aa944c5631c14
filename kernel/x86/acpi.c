// SPDX-License-Identifier: MIT
// Reads ACPI tables (ACPI 6.4, chapter 5). Portable: how memory is reached is the caller's
// business.
#include "kernel/x86/acpi.h"
#include "lib/string.h"

#define TABLE_MAX    (1 * MiB) // longer ones are not read
#define ROOT_ENTRIES 256
#define HEADER_SIZE  36

// A table whose header, length and checksum have been checked.
struct table {
	const u8 *bytes;
	u32 size;
};

// The next three give 0 for what lies outside of the table.
static u64 get(const struct table *t, u32 offset, u32 size)
{
	u64 v = 0;

	if (offset > t->size || size > t->size - offset)
		return 0;
	memcpy(&v, t->bytes + offset, size);
	return v;
}

static u8 get8(const struct table *t, u32 offset)
{
	return (u8)get(t, offset, 1);
}
static u16 get16(const struct table *t, u32 offset)
{
	return (u16)get(t, offset, 2);
}
static u32 get32(const struct table *t, u32 offset)
{
	return (u32)get(t, offset, 4);
}
static u64 get64(const struct table *t, u32 offset)
{
	return get(t, offset, 8);
}

static bool sum_is_zero(const u8 *p, u32 size)
{
	u8 sum = 0;

	for (u32 i = 0; i < size; i++)
		sum = (u8)(sum + p[i]);
	return sum == 0;
}

static bool open_table(struct table *t, u64 a, acpi_map_fn *map)
{
	const u8 *header = a ? map(hpa(a), HEADER_SIZE) : NULL;
	u32 size;

	if (!header)
		return false;
	memcpy(&size, header + 4, 4);
	if (size < HEADER_SIZE || size > TABLE_MAX)
		return false;
	t->bytes = map(hpa(a), size);
	t->size = size;
	return t->bytes && sum_is_zero(t->bytes, size);
}

static bool has_name(const struct table *t, const char *name)
{
	return memcmp(t->bytes, name, 4) == 0;
}

static void add_cpu(struct acpi_info *info, u32 apic_id, u32 flags)
{
	if (!(flags & 1) || apic_id == ~0u)
		return;
	for (u32 i = 0; i < info->cpu_count; i++)
		if (info->cpus[i] == apic_id)
			return;
	if (info->cpu_count < ACPI_MAX_CPUS)
		info->cpus[info->cpu_count++] = apic_id;
	else
		info->cpus_left_out++;
}

static void add_ioapic(struct acpi_info *info, const struct table *t, u32 at)
{
	u32 i = info->ioapic_count;

	if (i >= ACPI_MAX_IOAPICS)
		return;
	info->ioapics[i].id = get8(t, at + 2);
	info->ioapics[i].base = hpa(get32(t, at + 4));
	info->ioapics[i].gsi = get32(t, at + 8);
	info->ioapic_count++;
}

// Polarity and trigger mode: 0 means as the bus has it, which for ISA is active high and edge.
static void add_override(struct acpi_info *info, const struct table *t, u32 at)
{
	u32 irq = get8(t, at + 3), flags = get16(t, at + 8);

	if (get8(t, at + 2) != 0 || irq >= ARRAY_SIZE(info->isa))
		return;
	info->isa[irq].gsi = get32(t, at + 4);
	info->isa[irq].active_low = (flags & 3) == 3;
	info->isa[irq].level = (flags >> 2 & 3) == 3;
}

static void read_madt_entry(struct acpi_info *info, const struct table *t, u32 at, u32 size)
{
	switch (get8(t, at)) {
	case 0:
		if (size >= 8)
			add_cpu(info, get8(t, at + 3) == 255 ? ~0u : get8(t, at + 3),
				get32(t, at + 4));
		break;
	case 1:
		if (size >= 12)
			add_ioapic(info, t, at);
		break;
	case 2:
		if (size >= 10)
			add_override(info, t, at);
		break;
	case 5:
		if (size >= 12)
			info->lapic = hpa(get64(t, at + 4));
		break;
	case 9:
		if (size >= 16)
			add_cpu(info, get32(t, at + 4), get32(t, at + 8));
		break;
	default:
		break;
	}
}

static void read_madt(struct acpi_info *info, const struct table *t)
{
	u32 size;

	if (t->size < 44)
		return;
	info->lapic = hpa(get32(t, 36));
	for (u32 at = 44; at + 2 <= t->size; at += size) {
		size = get8(t, at + 1);
		if (size < 2 || size > t->size - at)
			return;
		read_madt_entry(info, t, at, size);
	}
}

static void read_mcfg(struct acpi_info *info, const struct table *t)
{
	for (u32 at = 44; t->size >= 16 && at <= t->size - 16; at += 16) {
		u32 i = info->ecam_count;

		if (i >= ACPI_MAX_ECAMS)
			return;
		if (get8(t, at + 10) > get8(t, at + 11))
			continue;
		info->ecams[i].base = hpa(get64(t, at));
		info->ecams[i].segment = get16(t, at + 8);
		info->ecams[i].first_bus = get8(t, at + 10);
		info->ecams[i].last_bus = get8(t, at + 11);
		info->ecam_count++;
	}
}

// The address as the 64-bit "X" field has it, else as the old 32-bit field has it.
static struct acpi_register fadt_register(const struct table *t, u32 old, u32 extended)
{
	if (get64(t, extended + 4) != 0)
		return (struct acpi_register){get8(t, extended), get64(t, extended + 4)};
	return (struct acpi_register){1, get32(t, old)};
}

static u8 package_byte(const struct table *t, u32 *at)
{
	u8 op = get8(t, *at);

	if (*at >= t->size)
		return ACPI_NO_SLEEP;
	if (op == 0x0A) { // BytePrefix
		*at += 2;
		return get8(t, *at - 1) & 7;
	}
	*at += 1;
	return op <= 1 ? op : ACPI_NO_SLEEP; // ZeroOp, OneOp
}

// Looks for Name (_S5_, Package () {a, b, ...}) without interpreting AML: 08 [5C] '_S5_' 12 length
// count a b.
static void read_s5(struct acpi_info *info, const struct table *t)
{
	for (u32 at = HEADER_SIZE + 2; at + 4 <= t->size; at++) {
		u32 body;

		if (memcmp(t->bytes + at, "_S5_", 4) != 0 || get8(t, at + 4) != 0x12)
			continue;
		if (get8(t, at - 1) != 0x08 &&
			!(get8(t, at - 1) == 0x5C && get8(t, at - 2) == 0x08))
			continue;
		body = at + 6 + (get8(t, at + 5) >> 6) + 1; // behind length and count
		info->s5_a = package_byte(t, &body);
		info->s5_b = package_byte(t, &body);
		return;
	}
}

static void read_fadt(struct acpi_info *info, const struct table *t, acpi_map_fn *map)
{
	struct table dsdt;
	u32 flags = get32(t, 112);

	info->smi_command = get32(t, 48);
	info->acpi_enable = get8(t, 52);
	info->pm1a_control = fadt_register(t, 64, 172);
	info->pm1b_control = fadt_register(t, 68, 184);
	info->pm_timer = fadt_register(t, 76, 208);
	info->pm_timer_32 = flags >> 8 & 1;
	if (flags >> 10 & 1) {
		info->reset = (struct acpi_register){get8(t, 116), get64(t, 120)};
		info->reset_value = get8(t, 128);
	}
	if (open_table(&dsdt, get64(t, 140), map) || open_table(&dsdt, get32(t, 40), map))
		read_s5(info, &dsdt);
}

static void read_table(struct acpi_info *info, u64 a, acpi_map_fn *map)
{
	struct table t;

	if (!open_table(&t, a, map))
		return;
	if (has_name(&t, "APIC"))
		read_madt(info, &t);
	else if (has_name(&t, "FACP"))
		read_fadt(info, &t, map);
	else if (has_name(&t, "MCFG"))
		read_mcfg(info, &t);
	else if (has_name(&t, "IVRS"))
		info->ivrs = t.bytes, info->ivrs_size = t.size;
}

static void set_defaults(struct acpi_info *info)
{
	memset(info, 0, sizeof(*info));
	info->lapic = hpa(0xFEE00000);
	info->s5_a = info->s5_b = ACPI_NO_SLEEP;
	for (u32 i = 0; i < ARRAY_SIZE(info->isa); i++)
		info->isa[i].gsi = i;
}

// The root table and the width of its entries; 0: there is none that is good.
static u32 open_root(struct table *root, const u8 rsdp[36], acpi_map_fn *map)
{
	const struct table pointer = {rsdp, 36};

	if (memcmp(rsdp, "RSD PTR ", 8) != 0 || !sum_is_zero(rsdp, 20))
		return 0;
	if (rsdp[15] >= 2 && sum_is_zero(rsdp, 36) && open_table(root, get64(&pointer, 24), map) &&
		has_name(root, "XSDT"))
		return 8;
	return open_table(root, get32(&pointer, 16), map) && has_name(root, "RSDT") ? 4 : 0;
}

bool acpi_read(struct acpi_info *info, const u8 rsdp[36], acpi_map_fn *map)
{
	struct table root = {NULL, 0};
	u32 width = open_root(&root, rsdp, map);

	set_defaults(info);
	for (u32 i = 0; width && i < ROOT_ENTRIES && HEADER_SIZE + (i + 1) * width <= root.size;
		i++)
		read_table(info, get(&root, HEADER_SIZE + i * width, width), map);
	return width;
}

u32 acpi_list(u64 *tables, u32 max, const u8 rsdp[36], acpi_map_fn *map)
{
	struct table root = {NULL, 0}, t;
	u32 width = open_root(&root, rsdp, map), n = 0;

	for (u32 i = 0;
		width && n < max && i < ROOT_ENTRIES && HEADER_SIZE + (i + 1) * width <= root.size;
		i++) {
		tables[n] = get(&root, HEADER_SIZE + i * width, width);
		n += open_table(&t, tables[n], map);
	}
	return n;
}

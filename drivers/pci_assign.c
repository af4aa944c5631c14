// SPDX-License-Identifier: MIT
// Finds room for BARs that the firmware left without an address. What a host bridge passes on is told by ACPI's AML only, which
// is not interpreted; so room is looked for where addresses lead to the function's bus for sure: in the window of
// the bridge before it, on a root bus between the lowest and the highest address that the firmware gave out there.
#include "drivers/pci_assign.h"
#include "kernel/core/log.h"

#define BRIDGES_MAX   32u
#define REG_BAR       0x10
#define REG_BUSES     0x18
#define REG_MEMORY    0x20 // PCI-to-PCI bridge architecture 1.2, 3.2.5.8
#define REG_PREFETCH  0x24
#define REG_BASE_HIGH 0x28
#define REG_LAST_HIGH 0x2C
#define CHIPSET       0xFEC00000ull // from here to 4 GiB the chipset has its own
#define CHIP_SIZE     MiB // that a chip whose BARs are not measured is thought to have behind each
#define MOVES_MAX     4096u // attempts for one BAR

// Addresses [first, last]; first > last: none.
struct range {
	u64 first, last;
};

#define NO_RANGE ((struct range){~0ull, 0})

struct bridge {
	u8 before, behind;       // buses
	struct range windows[2]; // what it passes on: memory; memory that may be prefetched
	struct range own[2];     // its own BARs
};

static struct bridge bridges[BRIDGES_MAX];
static u32 count;

void pci_assign_begin(void)
{
	count = 0;
}

static struct range window(u16 address, u32 reg)
{
	u32 v = pci_read32(address, reg);
	struct range r = {(u64)(v & 0xFFF0) << 16, (v & 0xFFF00000u) | 0xFFFFFu};

	if (reg == REG_PREFETCH && (v & 15) == 1) { // of 64 bits
		r.first |= (u64)pci_read32(address, REG_BASE_HIGH) << 32;
		r.last |= (u64)pci_read32(address, REG_LAST_HIGH) << 32;
	}
	return r.first && r.first <= r.last ? r : NO_RANGE;
}

static struct range bar_range(const struct pci_bar *b)
{
	if (hpa_is_none(b->base))
		return NO_RANGE;
	return (struct range){b->base.v, b->base.v + b->size - 1};
}

// What is behind BAR n of a function: the chipset's are left in peace, so nobody knows how much it is.
static struct range function_range(const struct pci_function *f, u32 n)
{
	u32 v;

	if (f->class >> 16 != 0x06)
		return bar_range(&f->bars[n]);
	v = pci_read32(f->address, REG_BAR + 4 * n);
	if (v & 1 || !(v & ~15u))
		return NO_RANGE;
	return (struct range){v & ~15u, (v & ~15u) + CHIP_SIZE - 1};
}

void pci_assign_bridge(const struct pci_function *f)
{
	u32 buses = pci_read32(f->address, REG_BUSES);

	if (count == BRIDGES_MAX)
		return;
	bridges[count++] = (struct bridge){
		.before = (u8)buses,
		.behind = (u8)(buses >> 8),
		.windows = {window(f->address, REG_MEMORY), window(f->address, REG_PREFETCH)},
		.own = {bar_range(&f->bars[0]), bar_range(&f->bars[1])},
	};
}

// ---------------------------------------------------------------- what is taken

static bool overlap(struct range a, struct range b)
{
	return a.first <= a.last && b.first <= b.last && a.first <= b.last && b.first <= a.last;
}

// A range that has something in common with r; false: there is none. `bus` is the one that r is on.
static bool find_taken(u8 bus, struct range r, struct range *out)
{
	for (u32 i = 0; pci_reserved(i, &out->first, &out->last); i++)
		if (overlap(*out, r))
			return true;
	for (u32 i = 0; i < pci_count() * PCI_BARS; i++) {
		*out = function_range(pci_at(i / PCI_BARS), i % PCI_BARS);
		if (overlap(*out, r))
			return true;
	}
	for (u32 i = 0; i < count * 4; i++) {
		const struct bridge *b = &bridges[i / 4];

		*out = i % 4 < 2 ? b->own[i % 2] : b->before == bus ? b->windows[i % 2] : NO_RANGE;
		if (overlap(*out, r))
			return true;
	}
	return false;
}

// The first place in the room that is free and a multiple of the size; 0: there is none.
static u64 find_free(u8 bus, struct range room, u64 size)
{
	struct range taken;
	u64 at = ALIGN_UP(room.first, size);

	for (u32 i = 0; i < MOVES_MAX; i++) {
		if (room.first > room.last || at < room.first || at > room.last ||
			room.last - at < size - 1)
			return 0;
		if (!find_taken(bus, (struct range){at, at + size - 1}, &taken))
			return at;
		at = ALIGN_UP(taken.last + 1, size);
	}
	return 0;
}

// ---------------------------------------------------------------- where there may be room

static void grow(struct range *r, struct range by)
{
	if (by.first > by.last || by.last >= CHIPSET)
		return;
	r->first = MIN(r->first, by.first);
	r->last = MAX(r->last, by.last);
}

// Between the lowest and the highest address on the bus, below 4 GiB.
static struct range hull(u8 bus)
{
	struct range r = NO_RANGE;

	for (u32 i = 0; i < pci_count(); i++)
		for (u32 k = 0; k < PCI_BARS && pci_at(i)->address >> 8 == bus; k++)
			grow(&r, bar_range(&pci_at(i)->bars[k]));
	for (u32 i = 0; i < count * 4; i++)
		if (bridges[i / 4].before == bus)
			grow(&r, i % 4 < 2 ? bridges[i / 4].own[i % 2]
					   : bridges[i / 4].windows[i % 2]);
	return r;
}

static u64 find_place(const struct pci_function *f, const struct pci_bar *b)
{
	u8 bus = (u8)(f->address >> 8);
	u64 at = 0;

	for (u32 i = 0; i < count; i++) {
		const struct range *w = bridges[i].windows;

		if (bridges[i].behind != bus)
			continue;
		if (b->prefetch && (b->wide || w[1].last <= ~0u))
			at = find_free(bus, w[1], b->size);
		return at ? at : find_free(bus, w[0], b->size);
	}
	return find_free(bus, hull(bus), b->size);
}

void pci_assign(void)
{
	for (u32 i = 0; i < pci_count() * PCI_BARS; i++) {
		struct pci_function *f = pci_at(i / PCI_BARS);
		struct pci_bar *b = &f->bars[i % PCI_BARS];
		u64 at;

		if (!b->size || !hpa_is_none(b->base))
			continue;
		at = find_place(f, b);
		if (at && pci_bar_write(f, i % PCI_BARS, at))
			b->base = hpa(at);
		log_line("pci: %02x:%02x.%u: BAR %u had no usable address%s%#llx", f->address >> 8,
			f->address >> 3 & 31, f->address & 7, i % PCI_BARS,
			hpa_is_none(b->base) ? " and gets none; its size is " : " and gets ",
			(unsigned long long)(hpa_is_none(b->base) ? b->size : at));
	}
}

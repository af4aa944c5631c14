// SPDX-License-Identifier: MIT
// Finds the functions on the PCI buses and measures their BARs (PCI 3.0, 6.1 and 6.2.5). Portable: how
// configuration space is reached, and memory mapped, is another file's business.
#include "drivers/pci.h"
#include "drivers/iommu.h"
#include "drivers/pci_assign.h"
#include "kernel/core/cmdline.h"
#include "kernel/core/log.h"
#include "kernel/x86/paging.h"
#include "lib/string.h"

#define REG_ID          0x00
#define REG_COMMAND     0x04
#define REG_CLASS       0x08
#define REG_HEADER      0x0E
#define REG_BAR         0x10
#define REG_BUSES       0x18
#define REG_CAPABILITY  0x34
#define COMMAND_IO      BIT(0)
#define COMMAND_MEMORY  BIT(1)
#define COMMAND_MASTER  BIT(2)
#define COMMAND_NO_INTX BIT(10)
#define STATUS_CAPS     BIT(20) // of the command register read as 32 bits
#define HEADER_MULTI    0x80
#define BAR_IO          1u
#define BAR_64          4u
#define BAR_PREFETCH    8u
#define CLASS_BRIDGE    0x0604
#define CAPS_MAX        48 // as many as fit
#define ROOTS_MAX       8
#define BAR_SIZE_MAX    BIT(40)

static struct pci_function functions[PCI_MAX_FUNCTIONS];
static u32 count, left_out;

// Buses to be looked at, and those that were found: each is looked at once, whatever bridges say.
struct scan {
	u64 found[4];
	u8 queue[256];
	u32 queued;
};

u32 pci_count(void)
{
	return count;
}
struct pci_function *pci_at(u32 i)
{
	ASSERT(i < count);
	return &functions[i];
}

static void add_bus(struct scan *s, u8 bus)
{
	if (s->found[bus / 64] & BIT(bus % 64))
		return;
	s->found[bus / 64] |= BIT(bus % 64);
	s->queue[s->queued++] = bus;
}

static void command_set(u16 address, u32 set, u32 clear)
{
	u32 v = pci_read32(address, REG_COMMAND) & 0xFFFF; // zeros leave the status bits alone

	pci_write32(address, REG_COMMAND, (v & ~clear) | set);
}

// The bits that can be written of one BAR register.
static u32 bar_mask(u16 address, u32 reg)
{
	u32 before = pci_read32(address, reg), mask;

	pci_write32(address, reg, ~0u);
	mask = pci_read32(address, reg);
	pci_write32(address, reg, before);
	return mask;
}

// Measures BAR i; how many registers it takes. The function decodes nothing meanwhile.
static u32 read_bar(struct pci_function *f, u32 i, u32 bars)
{
	u32 reg = REG_BAR + 4 * i, low = pci_read32(f->address, reg);
	bool wide = !(low & BAR_IO) && (low & 6) == BAR_64;
	u64 base = low & ~15u, mask = bar_mask(f->address, reg) & ~15u, size;

	f->bars[i].base = HPA_NONE;
	if (low & BAR_IO)
		return 1;
	if (wide && i + 1 >= bars)
		return 1;
	if (wide) {
		base |= (u64)pci_read32(f->address, reg + 4) << 32;
		mask |= (u64)bar_mask(f->address, reg + 4) << 32;
		f->bars[i + 1].base = HPA_NONE;
	} else {
		mask |= mask ? 0xFFFFFFFF00000000ull : 0;
	}
	size = 0 - mask;
	if (mask && !(size & (size - 1)) && size <= BAR_SIZE_MAX)
		f->bars[i] = (struct pci_bar){
			.base = base && IS_ALIGNED(base, size) && base < BIT(52) ? hpa(base)
										 : HPA_NONE,
			.size = size,
			.wide = wide,
			.prefetch = low & BAR_PREFETCH};
	else if (mask)
		log_line("pci: %02x:%02x.%u: BAR %u has a size that makes no sense",
			f->address >> 8, f->address >> 3 & 31, f->address & 7, i);
	return wide ? 2 : 1;
}

static void make_function(struct pci_function *f, u16 address)
{
	*f = (struct pci_function){.address = address};
	for (u32 i = 0; i < PCI_BARS; i++)
		f->bars[i].base = HPA_NONE;
}

static void read_bars(struct pci_function *f, u32 bars)
{
	u32 command = pci_read32(f->address, REG_COMMAND) & 0xFFFF;

	command_set(f->address, 0, COMMAND_IO | COMMAND_MEMORY);
	for (u32 i = 0; i < bars;)
		i += read_bar(f, i, bars);
	pci_write32(f->address, REG_COMMAND, command);
}

bool pci_bar_write(struct pci_function *f, u32 bar, u64 base)
{
	u32 command = pci_read32(f->address, REG_COMMAND) & 0xFFFF, reg = REG_BAR + 4 * bar;
	u64 now;

	command_set(f->address, 0, COMMAND_IO | COMMAND_MEMORY);
	pci_write32(f->address, reg, (u32)base);
	if (f->bars[bar].wide)
		pci_write32(f->address, reg + 4, (u32)(base >> 32));
	now = pci_read32(f->address, reg) & ~15u;
	if (f->bars[bar].wide)
		now |= (u64)pci_read32(f->address, reg + 4) << 32;
	pci_write32(f->address, REG_COMMAND, command);
	return now == base;
}

// pci_forget=BB:DD.F, for tests: as if the firmware had given the function no addresses.
static void forget_bars(const struct pci_function *f)
{
	char word[16], name[16];

	format(name, sizeof(name), "%02x:%02x.%u", f->address >> 8, f->address >> 3 & 31,
		f->address & 7);
	if (!cmdline_get("pci_forget", word, sizeof(word)) || strcmp(word, name) != 0)
		return;
	command_set(f->address, 0, COMMAND_IO | COMMAND_MEMORY);
	for (u32 i = 0; i < PCI_BARS; i++)
		pci_write32(f->address, REG_BAR + 4 * i, 0);
}

// A bridge: the bus behind it. One that leads back, or that the firmware left without a bus, leads nowhere.
static void read_bridge(struct scan *s, u16 address)
{
	u32 buses = pci_read32(address, REG_BUSES);
	u8 primary = (u8)buses, secondary = (u8)(buses >> 8);

	if (primary == address >> 8 && secondary > primary) {
		struct pci_function f;

		make_function(&f, address);
		read_bars(&f, 2);
		pci_assign_bridge(&f);
		add_bus(s, secondary);
	} else {
		log_line("pci: %02x:%02x.%u: a bridge that leads nowhere (from %u to %u)",
			address >> 8, address >> 3 & 31, address & 7, primary, secondary);
	}
}

static void add_function(struct scan *s, u16 address, u32 id)
{
	u8 header = pci_read8(address, REG_HEADER) & 0x7F;
	u32 class = pci_read32(address, REG_CLASS) >> 8;
	struct pci_function *f;

	if (header == 1 && class >> 8 == CLASS_BRIDGE)
		read_bridge(s, address);
	if (header != 0)
		return;
	if (count == PCI_MAX_FUNCTIONS) {
		left_out++;
		return;
	}
	f = &functions[count++];
	make_function(f, address);
	f->vendor = (u16)id;
	f->device = (u16)(id >> 16);
	f->class = class;
	if (class >> 16 != 0x06) { // what the chipset is made of is left in peace
		forget_bars(f);
		read_bars(f, PCI_BARS);
	}
	log_line("pci: %02x:%02x.%u %04x:%04x class %06x", address >> 8, address >> 3 & 31,
		address & 7, f->vendor, f->device, class);
}

static void scan_bus(struct scan *s, u8 bus)
{
	for (u32 device = 0; device < 32; device++) {
		u32 functions_here = 1;

		for (u32 n = 0; n < functions_here; n++) {
			u16 address = (u16)((u32)bus << 8 | device << 3 | n);
			u32 id = pci_read32(address, REG_ID);

			if ((u16)id == 0xFFFF || (u16)id == 0)
				continue;
			if (n == 0 && pci_read8(address, REG_HEADER) & HEADER_MULTI)
				functions_here = 8;
			add_function(s, address, id);
		}
	}
}

u32 pci_scan(void)
{
	static struct scan s;
	u8 roots[ROOTS_MAX];
	u32 n = pci_root_buses(roots, ROOTS_MAX);

	s = (struct scan){0};
	count = left_out = 0;
	pci_assign_begin();
	for (u32 i = 0; i < n; i++)
		add_bus(&s, roots[i]);
	for (u32 i = 0; i < s.queued; i++)
		scan_bus(&s, s.queue[i]);
	if (left_out)
		log_line("pci: %u functions more than the kernel keeps", left_out);
	else
		pci_assign();
	return count;
}

volatile u8 *pci_map(struct pci_function *f, unsigned bar, u64 least)
{
	struct pci_bar *b = bar < PCI_BARS ? &f->bars[bar] : NULL;

	if (!b || hpa_is_none(b->base) || b->size < least)
		return NULL;
	if (!b->map)
		b->map = mmio_map(b->base, b->size);
	return b->map;
}

void pci_enable(struct pci_function *f)
{
	f->domain = iommu_attach(f->address);
	command_set(f->address, COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX, 0);
}

void pci_disable(struct pci_function *f)
{
	command_set(f->address, COMMAND_NO_INTX, COMMAND_MEMORY | COMMAND_MASTER | COMMAND_IO);
	iommu_detach(f->address);
}

u32 pci_capability(const struct pci_function *f, u8 id, u32 after)
{
	u32 at;

	if (!(pci_read32(f->address, REG_COMMAND) & STATUS_CAPS))
		return 0;
	at = pci_read8(f->address, after ? after + 1 : REG_CAPABILITY);
	for (u32 i = 0; i < CAPS_MAX; i++) {
		at &= ~3u;
		if (at < 0x40)
			return 0;
		if (pci_read8(f->address, at) == id)
			return at;
		at = pci_read8(f->address, at + 1);
	}
	return 0;
}

// SPDX-License-Identifier: MIT
// Finding PCI functions: bridges that lie, BARs of all kinds, lists of capabilities without end.
//
// link: drivers/pci.c drivers/pci_assign.c drivers/iommu.c kernel/core/cmdline.c lib/format.c tests/unit/fake/arch.c
#include "drivers/pci_assign.h"
#include "kernel/core/cmdline.h"
#include "kernel/x86/paging.h"
#include "tests/unit/test.h"

#define FUNCTIONS 96

// A function's space, and which bits of each register can be written.
static struct {
	u16 address;
	u32 space[64], mask[64];
} machine[FUNCTIONS];
static u32 made;
static unsigned reads;
static u8 page[4096];

static u32 *find(u16 address, u32 offset, bool mask)
{
	for (u32 i = 0; i < made; i++)
		if (machine[i].address == address)
			return mask ? &machine[i].mask[offset / 4] : &machine[i].space[offset / 4];
	return NULL;
}

u32 pci_read32(u16 address, u32 offset)
{
	u32 *r = find(address, offset, false);

	reads++;
	return r ? *r : ~0u;
}

void pci_write32(u16 address, u32 offset, u32 v)
{
	u32 *r = find(address, offset, false), *m = find(address, offset, true);

	if (r)
		*r = (*r & ~*m) | (v & *m);
}

u32 pci_root_buses(u8 *buses, u32 max)
{
	buses[0] = 0;
	return max ? 1 : 0;
}

void *mmio_map(hpa_t a, size_t size)
{
	(void)a;
	return size <= sizeof(page) ? page : NULL;
}

static u64 reserved_first, reserved_last; // 0: nothing is

bool pci_reserved(u32 i, u64 *first, u64 *last)
{
	*first = reserved_first;
	*last = reserved_last;
	return i == 0 && reserved_last;
}

static u32 *add(u32 bus, u32 device, u32 function, u32 class, u8 header)
{
	memset(&machine[made], 0, sizeof(machine[made]));
	machine[made].address = (u16)(bus << 8 | device << 3 | function);
	machine[made].space[0] = 0x00101b36;
	machine[made].space[2] = class << 8;
	machine[made].space[3] = (u32)header << 16;
	machine[made].mask[1] = 0x407;
	return machine[made++].space;
}

static void bridge(u32 bus, u32 device, u32 primary, u32 secondary)
{
	add(bus, device, 0, 0x060400, 1)[6] = primary | secondary << 8 | 0xFF0000;
}

static struct pci_function *only(void)
{
	CHECK_EQ(pci_scan(), 1);
	return pci_at(0);
}

TEST(empty)
{
	made = 0;
	CHECK_EQ(pci_scan(), 0);
}

TEST(behind_bridges)
{
	made = 0;
	bridge(0, 1, 0, 5);
	bridge(5, 0, 5, 9);
	add(9, 31, 0, 0x010802, 0x80);
	add(9, 31, 7, 0x010802, 0);
	add(9, 30, 1, 0x010802, 0); // no function 0: not there
	CHECK_EQ(pci_scan(), 2);
	CHECK_EQ(pci_at(0)->address, 0x9F8);
	CHECK_EQ(pci_at(1)->address, 0x9FF);
}

TEST(bridges_that_lead_back)
{
	made = 0;
	bridge(0, 1, 0, 0);
	bridge(0, 2, 0, 3);
	bridge(3, 0, 3, 2);
	bridge(3, 1, 0, 7);
	bridge(0, 3, 0, 3); // the same bus once more
	add(3, 5, 0, 0x010802, 0);
	add(7, 0, 0, 0x010802, 0); // behind a bridge with a wrong primary bus
	CHECK_EQ(pci_scan(), 1);
}

TEST(too_many)
{
	made = 0;
	for (u32 i = 0; i < FUNCTIONS; i++)
		add(0, i / 8, i % 8, 0x010802, 0x80);
	CHECK_EQ(pci_scan(), PCI_MAX_FUNCTIONS);
}

TEST(bars)
{
	u32 *s;
	struct pci_function *f;

	made = 0;
	s = add(0, 4, 0, 0x010802, 0);
	s[1] = 7;
	s[4] = 0xFE000004; // 64 bits, 16 KiB, at 0x1_FE000000
	machine[0].mask[4] = 0xFFFFC000;
	s[5] = 1;
	machine[0].mask[5] = ~0u;
	s[6] = 0xC001; // ports
	machine[0].mask[6] = 0xFFF0;
	s[7] = 0xFD000000; // 32 bits, 4 KiB
	machine[0].mask[7] = 0xFFFFF000;
	s[8] = 0; // never given an address
	machine[0].mask[8] = 0xFFFFF000;
	s[9] = 0xFC000004; // says 64 bits, but is the last
	machine[0].mask[9] = 0xFFFFF000;
	f = only();
	CHECK_EQ(f->bars[0].base.v, 0x1FE000000ull);
	CHECK_EQ(f->bars[0].size, 0x4000);
	CHECK(hpa_is_none(f->bars[1].base) && hpa_is_none(f->bars[2].base));
	CHECK_EQ(f->bars[3].base.v, 0xFD000000ull);
	CHECK_EQ(f->bars[3].size, 0x1000);
	CHECK(hpa_is_none(f->bars[4].base) && hpa_is_none(f->bars[5].base));
	CHECK_EQ(s[1], 7); // as it was
	CHECK_EQ(s[4], 0xFE000004);
	CHECK(pci_map(f, 3, 0x1000) == page);
	CHECK(!pci_map(f, 3, 0x1001) && !pci_map(f, 4, 1) && !pci_map(f, 6, 1));
	CHECK(!pci_map(f, 0, 1)); // no room
}

TEST(bar_with_holes)
{
	u32 *s;

	made = 0;
	s = add(0, 4, 0, 0x010802, 0);
	s[4] = 0xFE001000;
	machine[0].mask[4] = 0xFFF0F000; // no power of two
	s[5] = 0xFE001000;
	machine[0].mask[5] = 0xFFFF0000; // not aligned to its size
	only();
	CHECK(hpa_is_none(pci_at(0)->bars[0].base) && hpa_is_none(pci_at(0)->bars[1].base));
}

// A function with a BAR of 32 bits; base 0: the firmware gave it none.
static u32 *with_bar(u32 bus, u32 device, u64 base, u32 size)
{
	u32 *s = add(bus, device, 0, 0x010802, 0);

	s[4] = (u32)base;
	machine[made - 1].mask[4] = 0u - size;
	return s;
}

static struct pci_function *at(u32 bus, u32 device)
{
	for (u32 i = 0; i < pci_count(); i++)
		if (pci_at(i)->address == (bus << 8 | device << 3))
			return pci_at(i);
	abort();
}

TEST(an_address_between_others)
{
	u32 *s;

	made = 0;
	with_bar(0, 1, 0xFE000000, 0x4000);
	with_bar(0, 2, 0xFE008000, 0x1000);
	with_bar(0, 3, 0xFE020000, 0x10000);
	s = with_bar(0, 4, 0, 0x4000);
	s[1] = 7;
	with_bar(0, 5, 0, 0x10000);
	with_bar(0, 6, 0, 0x10000); // no room is left for this one
	add(0, 7, 0, 0x060100, 0);  // left in peace
	CHECK_EQ(pci_scan(), 7);
	CHECK(!pci_map(at(0, 7), 0, 0));
	CHECK_EQ(at(0, 4)->bars[0].base.v, 0xFE004000);
	CHECK_EQ(s[4], 0xFE004000);
	CHECK_EQ(s[1], 7);
	CHECK_EQ(at(0, 5)->bars[0].base.v, 0xFE010000);
	CHECK(hpa_is_none(at(0, 6)->bars[0].base));
	CHECK(!pci_map(at(0, 6), 0, 1));
}

TEST(beside_a_chip)
{
	made = 0;
	with_bar(0, 1, 0xFD000000, 0x1000);
	with_bar(0, 2, 0xFE000000, 0x1000);
	add(0, 7, 0, 0x060100, 0)[4] = 0xFD001000;
	with_bar(0, 3, 0, 0x1000);
	pci_scan();
	CHECK_EQ(at(0, 3)->bars[0].base.v, 0xFD101000);
}

TEST(not_where_configuration_space_is)
{
	made = 0;
	with_bar(0, 1, 0xA0000000, 0x1000);
	with_bar(0, 2, 0xD0000000, 0x1000);
	with_bar(0, 3, 0, 0x1000000);
	reserved_first = 0xA0000000;
	reserved_last = 0xAFFFFFFF;
	pci_scan();
	CHECK_EQ(at(0, 3)->bars[0].base.v, 0xB0000000);
	reserved_last = 0xCFFFFFFF;
	machine[2].space[4] = 0;
	pci_scan();
	CHECK(hpa_is_none(at(0, 3)->bars[0].base));
	reserved_last = 0;
}

TEST(nothing_is_known_of_the_bus)
{
	made = 0;
	with_bar(0, 3, 0, 0x1000);
	pci_scan();
	CHECK(hpa_is_none(at(0, 3)->bars[0].base));
	made = 0;
	with_bar(0, 1, 0xFEC00000, 0x1000); // among what the chipset has
	with_bar(0, 2, 0xFED00000, 0x1000);
	with_bar(0, 3, 0, 0x1000);
	pci_scan();
	CHECK(hpa_is_none(at(0, 3)->bars[0].base));
}

TEST(inside_the_window_of_a_bridge)
{
	u32 *s;

	made = 0;
	bridge(0, 1, 0, 5);
	machine[0].space[8] = 0xFE30FE20; // 0xFE200000 to 0xFE3FFFFF
	machine[0].space[9] = 0x00110001; // 0x8_00000000 to 0x8_001FFFFF
	machine[0].space[10] = machine[0].space[11] = 8;
	with_bar(5, 0, 0xFE200000, 0x100000);
	with_bar(5, 1, 0, 0x80000);
	s = with_bar(5, 2, 0, 0x100000);
	s[4] |= 12; // 64 bits, may be prefetched
	machine[made - 1].mask[4] |= 12;
	machine[made - 1].mask[5] = ~0u;
	with_bar(5, 3, 0, 0x100000); // none is left
	with_bar(0, 2, 0xFE000000, 0x1000);
	with_bar(0, 3, 0xFE500000, 0x1000);
	with_bar(0, 4, 0, 0x200000); // not where the bridge's window is
	machine[made - 1].mask[4] = 0xFFE00000;
	pci_scan();
	CHECK_EQ(at(5, 1)->bars[0].base.v, 0xFE300000);
	CHECK_EQ(at(5, 2)->bars[0].base.v, 0x800000000ull);
	CHECK_EQ(s[5], 8);
	CHECK(hpa_is_none(at(5, 3)->bars[0].base));
	CHECK(hpa_is_none(at(0, 4)->bars[0].base));
}

TEST(more_than_the_window_of_a_bridge)
{
	made = 0;
	bridge(0, 1, 0, 5);
	machine[0].space[8] = 0xFE10FE00; // 2 MiB
	with_bar(5, 1, 0, 0x400000);
	with_bar(5, 2, 0, 0x200000);
	pci_scan();
	CHECK(hpa_is_none(at(5, 1)->bars[0].base));
	CHECK_EQ(at(5, 2)->bars[0].base.v, 0xFE000000);
}

TEST(a_bar_that_keeps_no_address)
{
	made = 0;
	with_bar(0, 1, 0xFE000000, 0x1000);
	with_bar(0, 2, 0xFE010000, 0x1000);
	with_bar(0, 3, 0, 0x1000);
	machine[2].mask[4] = 0xFDFFF000; // sizes itself as if it did
	pci_scan();
	CHECK(hpa_is_none(at(0, 3)->bars[0].base));
}

static bool within(u64 at_, u64 size, u64 first, u64 last)
{
	return at_ >= first && at_ + size - 1 <= last;
}

static bool apart(u64 at_, u64 size, u64 first, u64 last)
{
	return first > last || at_ > last || at_ + size - 1 < first;
}

// What was given to function n lies in the window of its bridge, or beside those of its bus, and beside all other BARs.
static void check_given(u32 n)
{
	const struct pci_bar *b = &pci_at(n)->bars[0];
	u32 bus = pci_at(n)->address >> 8;

	CHECK(IS_ALIGNED(b->base.v, b->size));
	for (u32 i = 0; i < 2; i++) { // machine[i] is the bridge to bus i + 1
		u64 first = (u64)(machine[i].space[8] & 0xFFF0) << 16;
		u64 last = machine[i].space[8] | 0xFFFFF;

		if (bus == i + 1)
			CHECK(within(b->base.v, b->size, first, last));
		else if (!bus)
			CHECK(apart(b->base.v, b->size, first, last));
	}
	for (u32 i = 0; i < pci_count(); i++)
		if (i != n && !hpa_is_none(pci_at(i)->bars[0].base))
			CHECK(apart(b->base.v, b->size, pci_at(i)->bars[0].base.v,
				pci_at(i)->bars[0].base.v + pci_at(i)->bars[0].size - 1));
}

TEST(random_buses)
{
	u32 random = 1, given = 0, left = 0;

	for (u32 round = 0; round < 3000; round++) {
		bool wants[32] = {false}; // by device

		made = 0;
		for (u32 i = 0; i < 12; i++) {
			random = random * 1664525 + 1013904223;
			wants[i] = i >= 2 && random & 1 << 20;
			if (i < 2) {
				bridge(0, i, 0, i + 1);
				machine[i].space[8] = 0xFE00FE00 | (random >> 8 & 0xF0) |
						      (random >> 4 & 0xF00000);
			} else {
				with_bar(i % 3, i,
					wants[i] ? 0 : 0xFE000000u + (random >> 8 & 0xFF) * 0x10000,
					0x10000u << (random >> 28 & 3));
			}
		}
		pci_scan();
		for (u32 i = 0; i < pci_count(); i++) {
			if (!wants[pci_at(i)->address >> 3 & 31])
				continue;
			left += hpa_is_none(pci_at(i)->bars[0].base);
			given += !hpa_is_none(pci_at(i)->bars[0].base);
			if (!hpa_is_none(pci_at(i)->bars[0].base))
				check_given(i);
		}
	}
	CHECK(given > 1000 && left > 1000);
}

TEST(forgotten)
{
	made = 0;
	with_bar(0, 1, 0xFE000000, 0x1000);
	with_bar(0, 2, 0xFE004000, 0x1000);
	with_bar(0, 3, 0xFE010000, 0x1000);
	cmdline_set("pci_forget=00:02.0");
	pci_scan();
	cmdline_set("");
	CHECK_EQ(at(0, 2)->bars[0].base.v, 0xFE001000);
}

TEST(capabilities)
{
	u32 *s;
	struct pci_function *f;

	made = 0;
	s = add(0, 4, 0, 0x010802, 0);
	s[1] = 1u << 20;
	s[13] = 0x40;
	s[16] = 0x6009;
	s[24] = 0x5011;
	s[20] = 0x4009; // back to the first
	f = only();
	CHECK_EQ(pci_capability(f, PCI_CAP_MSIX, 0), 0x60);
	CHECK_EQ(pci_capability(f, PCI_CAP_VENDOR, 0), 0x40);
	CHECK_EQ(pci_capability(f, PCI_CAP_VENDOR, 0x40), 0x50);
	reads = 0;
	CHECK_EQ(pci_capability(f, PCI_CAP_MSI, 0), 0); // a ring: ends all the same
	CHECK(reads < 200);
	s[24] = 0x0811; // into the header
	CHECK_EQ(pci_capability(f, PCI_CAP_MSI, 0), 0);
	s[1] = 0; // says it has no list
	CHECK_EQ(pci_capability(f, PCI_CAP_MSIX, 0), 0);
}

TEST(enable)
{
	u32 *s;

	made = 0;
	s = add(0, 4, 0, 0x010802, 0);
	s[1] = 1;
	pci_enable(only());
	CHECK_EQ(s[1], 0x407);
	pci_disable(pci_at(0));
	CHECK_EQ(s[1], 0x400);
}

TEST_MAIN()

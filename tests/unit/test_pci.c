// SPDX-License-Identifier: MIT
// Finding PCI functions: bridges that lie, BARs of all kinds, lists of capabilities without end.
//
// link: drivers/pci.c drivers/iommu.c tests/unit/fake/arch.c
#include "drivers/pci.h"
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

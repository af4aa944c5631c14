// SPDX-License-Identifier: MIT
// PCI: the host bridge by ports and by ECAM, what is absent, odd accesses, and virtio-console's BARs.
#include "guest.h"
#include "pci.h"

static u32 ecam32(pci_bdf at, u32 offset)
{
	return *(volatile u32 *)(pci_ecam(at) + offset);
}

static void test_bridge(void)
{
	check(pci_read(0, 0, 2) != 0xFFFF, "host bridge %04x:%04x", pci_read(0, 0, 2),
		pci_read(0, 2, 2));
	check(pci_read(0, 10, 2) == 0x0600, "class 0x%x", pci_read(0, 10, 2));
	check(pci_read(0, 0, 2) == (pci_read(0, 0, 4) & 0xFFFF) &&
			pci_read(0, 3, 1) == pci_read(0, 0, 4) >> 24,
		"bytes and words are parts of the double word");
}

static u32 count_functions(void)
{
	u32 found = 0;

	for (u32 f = 0; f < 256; f++)
		found += pci_read((pci_bdf)f, 0, 2) != 0xFFFF;
	return found;
}

static void test_ecam(void)
{
	u32 differing = 0, present = 0;

	if (!check(pci_ecam_buses(), "the MCFG covers %u buses", pci_ecam_buses()))
		return;
	for (u32 f = 0; f < 256; f++) {
		if (ecam32((pci_bdf)f, 0) == 0xFFFFFFFF)
			continue;
		present++;
		for (u32 o = 0; o < 256; o += 4)
			differing += ecam32((pci_bdf)f, o) != pci_read((pci_bdf)f, o, 4);
	}
	check(present == count_functions(), "%u functions by either way", present);
	check(!differing, "with equal contents (%u differ)", differing);
	check(*(volatile u16 *)(pci_ecam(0) + 2) == pci_read(0, 2, 2) &&
			*(pci_ecam(0) + 1) == pci_read(0, 1, 1),
		"ECAM takes words and bytes");
}

static void test_absent(void)
{
	u32 wrong = 0;

	for (u32 f = 0; f < 256; f++) {
		if (pci_read((pci_bdf)f, 0, 4) != 0xFFFFFFFF)
			continue;
		for (u32 o = 4; o < 256; o += 36)
			wrong += pci_read((pci_bdf)f, o, 4) != 0xFFFFFFFF;
		wrong += pci_read((pci_bdf)f, 0, 2) != 0xFFFF || pci_read((pci_bdf)f, 3, 1) != 0xFF;
		pci_write((pci_bdf)f, 4, 2, 7);
	}
	for (u32 bus = 128; bus < 256; bus += 31)
		wrong += pci_read(PCI_BDF(bus, 0, 0), 0, 4) != 0xFFFFFFFF;
	check(!wrong, "absent functions are all ones");
}

static void test_ports(void)
{
	u32 bridge = pci_read(0, 0, 4);

	outl(0xCF8, 0x80000000);
	check(inl(0xCF8) == 0x80000000 && inl(0xCFC) == bridge, "CF8 reads back");
	outb(0xCF8, 0x40);
	outw(0xCFA, 0x1234);
	check(inl(0xCF8) == 0x80000000 || arg_given("qemu"), "CF8 takes only double words (0x%x)",
		inl(0xCF8));
	outl(0xCF8, 0);
	check(inl(0xCFC) == 0xFFFFFFFF, "without the enable bit there is nothing");
}

static void test_console(void)
{
	pci_bdf at = pci_find(PCI_VIRTIO_VENDOR, PCI_VIRTIO_CONSOLE);
	u32 cap, kinds = 0, bars = 0;

	if (!check(at, "virtio-console is at 00:%02x.%u", at >> 3, at & 7u))
		return;
	for (u32 i = 0; i < 6; i++) {
		u64 base, size;
		bool wide;

		if (!pci_bar(at, i, &base, &size, &wide))
			continue;
		bars++;
		check(!(size & (size - 1)) && size >= 16, "BAR %u: 0x%lx bytes", i, size);
		check(base && !(base & (size - 1)), "BAR %u: at 0x%lx", i, base);
		i += wide;
	}
	check(bars, "%u memory BARs", bars);
	for (cap = pci_capability(at, 9, 0); cap; cap = pci_capability(at, 9, cap))
		kinds |= 1u << (pci_read(at, cap + 3, 1) & 31);
	check((kinds & 0x1E) == 0x1E, "virtio's common, notify, ISR and device structures (0x%x)",
		kinds);
	check(pci_capability(at, 0x11, 0), "MSI-X");
}

static void test_move(void)
{
	pci_bdf at = pci_find(PCI_VIRTIO_VENDOR, PCI_VIRTIO_CONSOLE);
	u32 cap, bar, offset;
	u64 base, size;
	bool wide, moved;

	for (cap = pci_capability(at, 9, 0); cap && pci_read(at, cap + 3, 1) != 1;)
		cap = pci_capability(at, 9, cap);
	if (!cap)
		return;
	bar = pci_read(at, cap + 4, 1);
	offset = pci_read(at, cap + 8, 4);
	if (!check(bar < 6 && pci_bar(at, bar, &base, &size, &wide),
		    "the common structure is in BAR %u", bar))
		return;
	pci_write(at, 4, 2, 6);
	check(*(volatile u16 *)(map_mmio(base + offset, 64) + 0x12) >= 2, "it has queues");
	pci_write(at, 4, 2, 0);
	check(*(volatile u16 *)(base + offset + 0x12) == 0xFFFF || arg_given("qemu"),
		"without memory decoding there is nothing");
	pci_write(at, 0x10 + 4 * bar, 4, (u32)(base ^ size));
	pci_write(at, 4, 2, 6);
	moved = *(volatile u16 *)(map_mmio((base ^ size) + offset, 64) + 0x12) >= 2;
	pci_write(at, 4, 2, 0);
	pci_write(at, 0x10 + 4 * bar, 4, (u32)base);
	pci_write(at, 4, 2, 6);
	check(moved, "a BAR can be moved");
}

void guest_main(void)
{
	test_bridge();
	test_ecam();
	test_absent();
	test_ports();
	test_console();
	test_move();
}

// SPDX-License-Identifier: MIT
// The host bridge: configuration by both ways, BARs, the shared interrupt lines.
// link: kernel/vm/vpci.c devices/pci_config.c kernel/core/timer.c tests/unit/fake/arch.c
#include "devices/pci_config.h"
#include "lib/errno.h"
#include "tests/unit/irq_fake.h"

static struct vpci *pci = &vm.pc.pci;

// A function that notes what reaches its BARs.
struct probe {
	struct pci_config config;
	unsigned bar, size, reads, writes, resets;
	u64 offset, value;
};

static struct probe probes[2];

static u32 probe_config_read(void *dev, unsigned offset, unsigned size)
{
	CHECK(offset + size <= PCI_CONFIG_SIZE && offset % size == 0);
	return pci_config_get(&((struct probe *)dev)->config, offset, size);
}

static void probe_config_write(void *dev, unsigned offset, unsigned size, u32 value)
{
	CHECK(offset + size <= PCI_CONFIG_SIZE && offset % size == 0);
	pci_config_write(&((struct probe *)dev)->config, offset, size, value);
}

static struct pci_bar probe_bar(void *dev, unsigned bar)
{
	return pci_config_bar_get(&((struct probe *)dev)->config, bar);
}

static u64 probe_mmio_read(void *dev, unsigned bar, u64 offset, unsigned size)
{
	struct probe *p = dev;

	p->reads++;
	p->bar = bar;
	p->offset = offset;
	p->size = size;
	return 0x1122334455667788;
}

static void probe_mmio_write(void *dev, unsigned bar, u64 offset, unsigned size, u64 value)
{
	struct probe *p = dev;

	p->writes++;
	p->bar = bar;
	p->offset = offset;
	p->size = size;
	p->value = value;
}

static void probe_reset(void *dev)
{
	struct probe *p = dev;

	p->resets++;
	pci_config_reset(&p->config);
}

static const struct pci_function_ops probe_ops = {probe_config_read, probe_config_write, probe_bar,
	probe_mmio_read, probe_mmio_write, probe_reset};

static void setup(void)
{
	static const struct pci_identity id = {.vendor = 0x1af4, .device = 0x1043};

	pc_fake_reset();
	memset(probes, 0, sizeof(probes));
	vpci_init(pci, &vm);
	for (unsigned i = 0; i < 2; i++) {
		pci_config_init(&probes[i].config, &id, true);
		pci_config_bar(&probes[i].config, 0, 0x4000, PCI_BAR_64);
		pci_config_bar(&probes[i].config, 2, 0x1000, 0);
		pci_config_bar(&probes[i].config, 3, 0x40, PCI_BAR_IO);
		CHECK_EQ(vpci_add(pci, 3 + 4 * i, &probe_ops, &probes[i]), 0);
	}
	vpci_reset(pci);
}

static void choose(unsigned slot, unsigned reg)
{
	pci->address = 0x80000000u | slot << 11 | reg;
}

static u32 get(unsigned slot, unsigned reg)
{
	choose(slot, reg & ~3u);
	return vpci_data_read(pci, 0xcfc, 4);
}

static void set(unsigned slot, unsigned reg, unsigned size, u32 value)
{
	choose(slot, reg & ~3u);
	vpci_data_write(pci, (u16)(0xcfc + (reg & 3)), size, value);
}

TEST(bridge_and_empty_slots)
{
	setup();
	CHECK_EQ(get(0, 0), 0x0d578086);
	CHECK_EQ(get(0, 8) >> 16, 0x0600);
	CHECK_EQ(get(0, 0xfc), 0);
	CHECK_EQ(get(1, 0), 0xffffffff);
	CHECK_EQ(get(3, 0), 0x10431af4);
	set(0, 0, 4, 0);
	CHECK_EQ(get(0, 0), 0x0d578086);
	set(1, 0, 4, 0);
}

TEST(functions_other_than_0_and_other_buses_are_empty)
{
	setup();
	pci->address = 0x80000000u | 3 << 11 | 1 << 8;
	CHECK_EQ(vpci_data_read(pci, 0xcfc, 4), 0xffffffff);
	pci->address = 0x80010000u | 3 << 11;
	CHECK_EQ(vpci_data_read(pci, 0xcfc, 2), 0xffff);
	pci->address = 3 << 11; // not enabled
	CHECK_EQ(vpci_data_read(pci, 0xcfc, 1), 0xff);
	vpci_data_write(pci, 0xcfc, 4, 0);
}

TEST(byte_lanes)
{
	setup();
	choose(3, 0);
	CHECK_EQ(vpci_data_read(pci, 0xcfc, 1), 0xf4);
	CHECK_EQ(vpci_data_read(pci, 0xcfd, 1), 0x1a);
	CHECK_EQ(vpci_data_read(pci, 0xcfe, 2), 0x1043);
	CHECK_EQ(vpci_data_read(pci, 0xcfd, 2), 0xffff); // across a word
	set(3, PCI_INTERRUPT_LINE, 1, 11);
	CHECK_EQ(get(3, PCI_INTERRUPT_LINE) & 0xff, 11);
}

TEST(ecam_sees_the_same)
{
	setup();
	CHECK_EQ(vpci_ecam_read(pci, 3 << 15, 4), 0x10431af4);
	CHECK_EQ(vpci_ecam_read(pci, (3 << 15) + 2, 2), 0x1043);
	CHECK_EQ(vpci_ecam_read(pci, (3 << 15) + 1, 2), 0xffff);
	CHECK_EQ(vpci_ecam_read(pci, (3 << 15) + 0x100, 4), 0xffffffff); // no extended space
	CHECK_EQ(vpci_ecam_read(pci, (3 << 15) + 0xfff, 1), 0xff);
	CHECK_EQ(vpci_ecam_read(pci, 3 << 15 | 1 << 12, 4), 0xffffffff);
	CHECK_EQ(vpci_ecam_read(pci, 0x100000, 4), 0xffffffff);
	vpci_ecam_write(pci, (3 << 15) + PCI_INTERRUPT_LINE, 1, 7);
	CHECK_EQ(get(3, PCI_INTERRUPT_LINE) & 0xff, 7);
	vpci_ecam_write(pci, 0xffffffff, 1, 7);
}

TEST(bars_are_assigned_apart_and_decode_when_enabled)
{
	u64 value = 0, bar;

	setup();
	bar = get(3, PCI_BAR_0) & ~15u;
	CHECK(bar >= GPA_PCI_WINDOW && bar % 0x4000 == 0);
	CHECK_EQ(get(3, PCI_BAR_0 + 4), 0);
	for (unsigned a = 0; a < 4; a++)
		for (unsigned b = 0; b < a; b++) {
			struct pci_bar x = probe_bar(&probes[a / 2], a % 2 * 2);
			struct pci_bar y = probe_bar(&probes[b / 2], b % 2 * 2);

			CHECK(x.addr + x.size <= y.addr || y.addr + y.size <= x.addr);
		}
	CHECK(!vpci_mmio_read(pci, bar, 4, &value));
	set(3, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK(vpci_mmio_read(pci, bar + 0x10, 4, &value));
	CHECK_EQ(probes[0].bar, 0);
	CHECK_EQ(probes[0].offset, 0x10);
	CHECK_EQ(probes[0].size, 4);
	CHECK_EQ(value, 0x1122334455667788);
	CHECK(vpci_mmio_write(pci, bar + 0x3ff8, 8, 5));
	CHECK(!vpci_mmio_write(pci, bar + 0x3ffc, 8, 5)); // reaches past the end
	CHECK_EQ(probes[0].writes, 1);
	CHECK_EQ(probes[1].reads, 0);
	set(3, PCI_COMMAND, 2, 0);
	CHECK(!vpci_mmio_read(pci, bar, 4, &value));
}

TEST(bars_move)
{
	u64 value;

	setup();
	set(7, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	set(7, PCI_BAR_0 + 8, 4, 0xd0000000);
	CHECK(vpci_mmio_read(pci, 0xd0000ffc, 4, &value));
	CHECK_EQ(probes[1].bar, 2);
	CHECK_EQ(probes[1].offset, 0xffc);
	set(7, PCI_BAR_0 + 8, 4, 0xffffffff); // sizing
	CHECK_EQ(get(7, PCI_BAR_0 + 8), 0xfffff000);
	CHECK(!vpci_mmio_read(pci, 0xd0000ffc, 4, &value));
}

TEST(bars_outside_of_the_window_do_not_decode)
{
	static const u32 places[] = {0, 0x100000, 0xbffff000, 0xfec00000, 0xfee00000, 0xfffff000};
	u64 value;

	setup();
	set(7, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		set(7, PCI_BAR_0 + 8, 4, places[i]);
		CHECK(!vpci_mmio_read(pci, places[i], 4, &value));
	}
	set(7, PCI_BAR_0 + 8, 4, 0xfebff000); // where a BIOS puts it
	CHECK(vpci_mmio_read(pci, 0xfebff000, 4, &value));
	set(7, PCI_BAR_0, 4, 0xdfffc000);
	CHECK(vpci_mmio_read(pci, 0xdfffc000, 4, &value));
	set(7, PCI_BAR_0 + 4, 4, 1); // above 4 GiB
	CHECK(!vpci_mmio_read(pci, 0xdfffc000, 4, &value));
	CHECK(!vpci_mmio_read(pci, 0x1dfffc000, 4, &value));
}

TEST(port_bars_decode_in_their_window)
{
	u64 memory;
	u32 value, at;

	setup();
	at = get(7, PCI_BAR_0 + 12) & ~3u;
	CHECK(at >= VPCI_IO_BASE && at + 0x40 <= VPCI_IO_END && at % 0x40 == 0);
	CHECK(at != (get(3, PCI_BAR_0 + 12) & ~3u));
	CHECK(!vpci_io_read(pci, at, 4, &value));
	set(7, PCI_COMMAND, 2, PCI_COMMAND_IO);
	CHECK(vpci_io_read(pci, at + 0x3e, 2, &value));
	CHECK_EQ(value, 0x7788);
	CHECK_EQ(probes[1].bar, 3);
	CHECK_EQ(probes[1].offset, 0x3e);
	CHECK(!vpci_io_read(pci, at + 0x3e, 4, &value));
	CHECK(!vpci_mmio_read(pci, at, 4, &memory)); // ports are no memory
	CHECK(vpci_io_write(pci, at, 1, 0x1ff));
	CHECK_EQ(probes[1].value, 0xff);
	set(7, PCI_BAR_0 + 12, 4, 0x3f8); // not over the chips of the PC
	CHECK(!vpci_io_read(pci, 0x3c0, 1, &value));
	set(7, PCI_BAR_0 + 12, 4, 0xffffffc0);
	CHECK(!vpci_io_read(pci, 0xffc0, 1, &value));
	set(7, PCI_BAR_0 + 12, 4, 0xffc0);
	CHECK(vpci_io_read(pci, 0xffff, 1, &value));
	CHECK(!vpci_io_read(pci, 0xffff, 2, &value));
}

TEST(pins_share_lines)
{
	setup();
	vpci_intx_set(pci, 3, true);
	CHECK(irq_level[19]);
	vpci_intx_set(pci, 7, true);
	vpci_intx_set(pci, 3, false);
	CHECK(irq_level[19]); // 7 holds it
	vpci_intx_set(pci, 4, true);
	CHECK(irq_level[16]);
	vpci_intx_set(pci, 7, false);
	CHECK(!irq_level[19]);
	CHECK_EQ(irq_rises[19], 1);
	vpci_intx_set(pci, 3, true);
	vpci_reset(pci);
	CHECK(!irq_level[19]);
	CHECK_EQ(probes[0].resets, 2);
	CHECK_EQ(probe_bar(&probes[0], 0).addr, GPA_PCI_WINDOW);
}

TEST(slots_are_taken_once)
{
	setup();
	CHECK_EQ(vpci_add(pci, 3, &probe_ops, &probes[0]), -EBUSY);
	CHECK_EQ(vpci_add(pci, 0, &probe_ops, &probes[0]), -EINVAL);
	CHECK_EQ(vpci_add(pci, 32, &probe_ops, &probes[0]), -EINVAL);
}

TEST_MAIN()

// SPDX-License-Identifier: MIT
// Malformed virtqueues: wild descriptors, loops, rings outside of RAM, indexes that jump, sizes of nonsense, changes
// while the device looks. After each the device must work again once it is reset.
#include "guest.h"
#include "apic.h"
#include "smp.h"
#include "virtio.h"

#define TX 1

static struct virtio dev;
static struct virtq tx;
static u32 attacks, asked_for_reset, answered;

static u64 odd_address(void)
{
	switch (random_below(7)) {
	case 0:
		return memory_top() - random_below(256);
	case 1:
		return memory_top() + random_below(0x100000);
	case 2:
		return ~0ull - random_below(256);
	case 3:
		return APIC_DEFAULT + random_below(0x1000);
	case 4:
		return 0xA0000 + random_below(0x20000);
	case 5:
		return (u64)dev.common + random_below(0x100);
	default:
		return random64();
	}
}

static u32 odd_length(void)
{
	switch (random_below(4)) {
	case 0:
		return (u32)random_below(64);
	case 1:
		return ~0u - (u32)random_below(64);
	case 2:
		return 1u << random_below(32);
	default:
		return (u32)random64();
	}
}

static void start(void)
{
	static u8 *memory;

	virtio_negotiate(&dev, 0);
	if (!memory) {
		virtq_make(&dev, &tx, TX, 64);
		memory = (u8 *)tx.desc;
	}
	memset((void *)tx.desc, 0, 3 * PAGE_SIZE);
	virtio_queue_at(&dev, TX, tx.size, (u64)tx.desc, (u64)tx.avail, (u64)tx.used);
	virtio_run(&dev);
}

// After an attack: what came of it is counted; then the device must do its work.
static void recover(const char *what)
{
	static const char text[] = ".";

	attacks++;
	asked_for_reset += !!(dev.common->status & VIRTIO_NEEDS_RESET);
	answered += tx.used->idx != 0;
	start();
	tx.desc[0] = (struct virtq_desc){.addr = (u64)text, .len = 1};
	virtq_offer(&tx, 0);
	check_quiet(wait_until(tx.used->idx == 1, 10000),
		"after %s the device does not work: status 0x%x", what, dev.common->status);
}

static void attack_descriptors(void)
{
	start();
	for (u32 i = 0; i < tx.size; i++)
		tx.desc[i] = (struct virtq_desc){odd_address(), odd_length(), (u16)random_below(8),
			(u16)(random64() & 1 ? random_below(tx.size) : random64())};
	for (u32 i = 0; i < 8; i++)
		virtq_offer(&tx, (u16)(random_below(4) ? random_below(tx.size) : random64()));
	recover("random descriptors");
}

static void attack_loop(u16 length, u16 flags)
{
	start();
	for (u16 i = 0; i < length; i++)
		tx.desc[i] = (struct virtq_desc){
			(u64)tx.used + 64, 0, (u16)(VIRTQ_NEXT | flags), (u16)((i + 1) % length)};
	virtq_offer(&tx, 0);
	recover("a loop");
}

static void attack_indirect(void)
{
	static volatile struct virtq_desc table[16];

	start();
	for (u32 i = 0; i < 16; i++)
		table[i] = (struct virtq_desc){random64() & 1 ? (u64)table : odd_address(),
			odd_length(), (u16)random_below(8), (u16)random_below(20)};
	tx.desc[0] = (struct virtq_desc){
		(u64)table, random64() & 1 ? sizeof(table) : odd_length(), VIRTQ_INDIRECT, 0};
	virtq_offer(&tx, 0);
	recover("an indirect table");
}

static void attack_index(void)
{
	static const u16 jumps[] = {65, 255, 0x7FFF, 0x8000, 0xFFFF, 2};

	for (u32 i = 0; i < ARRAY_SIZE(jumps); i++) {
		start();
		tx.desc[0] = (struct virtq_desc){.addr = (u64) "!", .len = 1};
		for (u32 j = 0; j < tx.size; j++)
			tx.avail->ring[j] = (u16)(random_below(8) ? 0 : random64());
		tx.avail->idx = jumps[i];
		virtq_ring(&tx);
		tx.avail->idx = (u16)(jumps[i] - 3); // and back
		virtq_ring(&tx);
		recover("an index that jumps");
	}
}

static void attack_rings(void)
{
	virtio_negotiate(&dev, 0);
	virtio_queue_at(&dev, TX, tx.size, random64() & 1 ? (u64)tx.desc : odd_address(),
		random64() & 1 ? (u64)tx.avail : odd_address(), odd_address());
	virtio_run(&dev);
	virtq_ring(&tx);
	*(volatile u16 *)tx.doorbell = (u16)random64();
	recover("rings that are no RAM");
}

static void attack_sizes(void)
{
	static const u16 sizes[] = {0, 1, 3, 63, 65, 0x7FFF, 0x8000, 0xFFFF};

	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
		virtio_negotiate(&dev, 0);
		memset((void *)tx.desc, 0, 3 * PAGE_SIZE);
		virtio_queue_at(&dev, TX, sizes[i], (u64)tx.desc, (u64)tx.avail, (u64)tx.used);
		virtio_run(&dev);
		tx.avail->idx = 1;
		virtq_ring(&tx);
		recover("a size of nonsense");
	}
}

// Registers in any order, any width and with any value; addresses are not RAM, so that nothing writes there.
static void attack_registers(void)
{
	volatile u8 *common = (volatile u8 *)dev.common;

	for (u32 i = 0; i < 50; i++) {
		u32 at = (u32)random_below(0x20 + 2); // up to queue_notify_off
		u64 v = random64();

		if (random64() & 1)
			*(volatile u16 *)(common + (at & ~1u)) = (u16)v;
		else if (random64() & 1)
			*(common + at) = (u8)v;
		else
			*(volatile u32 *)(common + (at & 0x1C)) = (u32)v;
		if (random_below(8) == 0)
			dev.common->status = (u8)v;
		if (random_below(8) == 0)
			*(volatile u32 *)(dev.notify + random_below(0x100)) = (u32)v;
		(void)*(volatile u32 *)(common + random_below(0x40));
		(void)*dev.isr;
	}
	recover("random registers");
}

static volatile bool go_on;

// Another CPU changes descriptors and indexes while the device walks them. What it writes stays off the rings.
static void change(void *arg)
{
	(void)arg;
	while (go_on) {
		u32 i = (u32)random_below(tx.size);

		tx.desc[i].addr = random64() & 1 ? (u64)arg : odd_address();
		tx.desc[i].len = odd_length();
		tx.desc[i].next = (u16)random_below(tx.size + 1u);
		tx.desc[i].flags = (u16)random_below(8);
		tx.avail->ring[random_below(tx.size)] = (u16)random_below(tx.size + 1u);
	}
}

static void attack_race(u64 n)
{
	if (smp_count() < 2)
		return;
	start();
	go_on = true;
	smp_run(1, change, memory_pages(1));
	while (n--) {
		tx.avail->idx++;
		virtq_ring(&tx);
		if (dev.common->status & VIRTIO_NEEDS_RESET)
			start();
	}
	go_on = false;
	smp_wait();
	recover("changes on the way");
}

static void attack_msix(void)
{
	u32 cap = pci_capability(dev.at, 0x11, 0), table = pci_read(dev.at, cap + 4, 4);
	u64 base, size;
	bool wide;
	volatile u32 *entry;

	if (!cap || !pci_bar(dev.at, table & 7, &base, &size, &wide))
		return;
	entry = map_mmio(base + (table & ~7u), 16);
	pci_write(dev.at, 4, 2, 7);
	for (u32 i = 0; i < 20; i++) {
		u64 to = odd_address();

		entry[0] = (u32)to & ~0xFu;
		entry[1] = random64() & 1 ? 0 : (u32)(to >> 32);
		entry[2] = (u32)(random64() & ~0x700ull) | 0xA0; // fixed, interrupts are off
		entry[3] = 0;
		pci_write(dev.at, cap + 2, 2, 0x8000);
		dev.common->queue_select = TX;
		dev.common->queue_msix = (u16)(random64() & 1 ? 0 : random64());
		tx.desc[0] = (struct virtq_desc){.addr = (u64) "?", .len = 1};
		virtq_offer(&tx, 0);
	}
	pci_write(dev.at, cap + 2, 2, 0);
	recover("MSI-X entries of nonsense");
}

void guest_main(void)
{
	u16 type = (u16)arg_number(
		"device", PCI_VIRTIO_CONSOLE); // any whose queue 1 takes what is sent
	pci_bdf at = pci_find(PCI_VIRTIO_VENDOR, type);
	u64 n = arg_number("n", 40);

	smp_start();
	if (!check(at && virtio_open(&dev, at), "there is a virtio device %x", type))
		return;
	start();
	recover("nothing");
	for (u16 length = 1; length <= tx.size; length = (u16)(length * 2)) {
		attack_loop(length, 0);
		attack_loop(length, VIRTQ_WRITE);
	}
	attack_index();
	attack_sizes();
	for (u64 i = 0; i < n; i++) {
		attack_descriptors();
		attack_indirect();
		attack_rings();
		attack_registers();
	}
	attack_msix();
	attack_race(n * 20);
	check(!check_failures(), "%u attacks: %u asked for a reset, %u used buffers", attacks,
		asked_for_reset, answered);
}

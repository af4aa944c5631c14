// SPDX-License-Identifier: MIT
// virtio-console as a good driver uses it: negotiation, output by chains, used entries, MSI-X.
#include "guest.h"
#include "apic.h"
#include "irq.h"
#include "virtio.h"

#define TX  1
#define VEC 0x62

static struct virtio dev;
static struct virtq tx;

static void send(const char *text, u16 pieces)
{
	u32 n = (u32)strlen(text);

	for (u16 i = 0; i < pieces; i++) {
		u32 from = n * i / pieces, to = n * (i + 1u) / pieces;

		tx.desc[i].addr = (u64)(text + from);
		tx.desc[i].len = to - from;
		tx.desc[i].flags = i + 1 < pieces ? VIRTQ_NEXT : 0;
		tx.desc[i].next = (u16)(i + 1);
	}
	virtq_offer(&tx, 0);
}

static void test_negotiation(void)
{
	virtio_reset(&dev);
	dev.common->device_feature_select = 1;
	check(dev.common->device_feature & 1, "VERSION_1 is offered");
	check(dev.common->num_queues >= 2, "%u queues", dev.common->num_queues);
	check(virtio_negotiate(&dev, 0), "features are accepted");
	dev.common->driver_feature_select = 0;
	virtio_reset(&dev);
	check(dev.common->status == 0, "a reset clears the status");
}

static void test_output(void)
{
	u16 used;
	u32 i;

	check(virtio_negotiate(&dev, 0) && virtq_make(&dev, &tx, TX, 64),
		"the transmit queue is set up");
	virtio_run(&dev);
	check(dev.common->status == VIRTIO_RUNNING, "the device runs");
	for (u16 pieces = 1; pieces <= 5; pieces++) {
		used = tx.used->idx;
		send("text by way of virtio\r\n", pieces);
		check(wait_until(tx.used->idx == (u16)(used + 1), 1000) &&
				tx.used->ring[used % tx.size].id == 0,
			"a chain of %u comes back", pieces);
	}
	for (i = 0; i < 200; i++) { // the index wraps around the ring
		used = tx.used->idx;
		send(".", 1);
		if (!wait_until(tx.used->idx == (u16)(used + 1), 1000))
			break;
	}
	check(i == 200, "%u single buffers come back", i);
}

static void test_msix(void)
{
	u32 cap = pci_capability(dev.at, 0x11, 0), table = pci_read(dev.at, cap + 4, 4);
	u64 base, size;
	bool wide;
	volatile u32 *entry;

	if (!check(cap && pci_bar(dev.at, table & 7, &base, &size, &wide),
		    "there is an MSI-X table"))
		return;
	entry = map_mmio(base + (table & ~7u), 16);
	entry[0] = (u32)APIC_DEFAULT | apic_id() << 12;
	entry[1] = 0;
	entry[2] = VEC;
	entry[3] = 0;
	pci_write(dev.at, cap + 2, 2, 0x8000);
	dev.common->queue_select = TX;
	dev.common->queue_msix = 0;
	check(dev.common->queue_msix == 0, "the queue has a vector");
	irq_count(VEC);
	send("x\r\n", 1);
	irq_enable();
	check(wait_until(irq_hits(VEC) == 1, 1000), "its interrupt comes");
	irq_disable();
	entry[3] = 1;
	send("y\r\n", 1);
	irq_enable();
	delay_us(5000);
	irq_disable();
	check(irq_hits(VEC) == 1, "masked it does not");
	entry[3] = 0;
	irq_enable();
	check(wait_until(irq_hits(VEC) == 2, 1000), "unmasked it comes later");
	irq_disable();
	tx.avail->flags = 1;
	send("z\r\n", 1);
	irq_enable();
	delay_us(5000);
	irq_disable();
	check(irq_hits(VEC) == 2, "not wanted it does not come");
	pci_write(dev.at, cap + 2, 2, 0);
}

void guest_main(void)
{
	pci_bdf at = pci_find(PCI_VIRTIO_VENDOR, PCI_VIRTIO_CONSOLE);

	apic_enable();
	if (!check(at && virtio_open(&dev, at), "there is a virtio-console"))
		return;
	test_negotiation();
	test_output();
	test_msix();
}

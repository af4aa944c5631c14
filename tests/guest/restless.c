// SPDX-License-Identifier: MIT
// Drives every virtio device it finds without a pause and in no order, whatever the devices answer: the guest whose back-end is hostile
// (tests/system/mezz_fuzz.c). It resets itself from time to time. With rounds=N it checks instead that each device comes up so many times.
#include "guest.h"
#include "virtio.h"

#define DEVICES   8u
#define QUEUES    4u
#define MSI_PLACE 0xFEE00000u
#define MSI_DATA  0xA0u // fixed; interrupts are off
#define PATIENCE  20000 // ms that a back-end may take

static struct virtio devices[DEVICES];
static struct virtq queues[DEVICES][QUEUES];
static u32 count;

static void find(void)
{
	for (u32 slot = 2; slot < 32 && count < DEVICES; slot++) {
		pci_bdf at = PCI_BDF(0, slot, 0);

		if (pci_read(at, 0, 2) == PCI_VIRTIO_VENDOR && virtio_open(&devices[count], at))
			count++;
	}
}

// Each queue interrupts by the table's first entry.
static void allow_messages(struct virtio *v)
{
	u32 cap = pci_capability(v->at, 0x11, 0), table = cap ? pci_read(v->at, cap + 4, 4) : 0;
	volatile u32 *entry;
	u64 base, size;
	bool wide;

	if (!cap || !pci_bar(v->at, table & 7, &base, &size, &wide))
		return;
	entry = map_mmio(base + (table & ~7u), 16);
	entry[0] = MSI_PLACE;
	entry[1] = 0;
	entry[2] = MSI_DATA;
	entry[3] = 0;
	pci_write(v->at, cap + 2, 2, random_below(4) ? 0x8000 : 0);
}

static void make_queue(u32 d, u16 index)
{
	struct virtq *q = &queues[d][index];

	if (!q->desc) {
		virtq_make(&devices[d], q, index, 64);
	} else {
		virtio_queue_at(
			&devices[d], index, q->size, (u64)q->desc, (u64)q->avail, (u64)q->used);
	}
	devices[d].common->queue_msix = 0;
}

static void come_up(u32 d)
{
	volatile struct virtio_common *c = devices[d].common;

	c->status = 1;
	c->status = 3;
	c->driver_feature_select = 1;
	c->driver_feature = 1; // VERSION_1
	c->status = 0xB;
	c->config_msix = 0;
	for (u16 i = 0; i < QUEUES; i++)
		make_queue(d, i);
	allow_messages(&devices[d]);
	c->status = VIRTIO_RUNNING;
}

static void ring(u32 d)
{
	struct virtq *q = &queues[d][random_below(QUEUES)];

	if (!q->desc)
		return;
	q->desc[0] = (struct virtq_desc){
		(u64)q->used, (u32)random_below(PAGE_SIZE), (u16)random_below(4), 0};
	virtq_offer(q, 0);
}

static void step(u32 d)
{
	volatile struct virtio_common *c = devices[d].common;

	switch (random_below(32)) {
	case 0:
		c->status = 0;
		break;
	case 1:
		pci_write(devices[d].at, 4, 2, 7u ^ (u32)(random_below(2) << 2)); // bus master
		break;
	case 2:
		*((volatile u8 *)c + random_below(sizeof(*c))) = (u8)random64();
		break;
	case 3:
	case 4:
		c->status = 0;
		(void)wait_until(c->status == 0, 20);
		come_up(d);
		break;
	case 5:
		if (c->status & VIRTIO_NEEDS_RESET)
			c->status = 0;
		break;
	case 6:
		come_up(d);
		break;
	default:
		ring(d);
	}
	(void)*devices[d].isr;
}

static void play(void)
{
	for (;;) {
		for (u32 i = 0; i < 600; i++)
			step((u32)random_below(count));
		outb(0xCF9, 6); // starts again
		delay_us(1000000);
	}
}

static void comes_up(u32 d)
{
	volatile struct virtio_common *c = devices[d].common;

	c->status = 0;
	if (check_quiet(wait_until(c->status == 0, PATIENCE), "device %u is not reset", d)) {
		come_up(d);
		check_quiet(c->status == VIRTIO_RUNNING, "device %u: status 0x%x", d, c->status);
	}
}

void guest_main(void)
{
	u64 rounds = arg_number("rounds", 0);

	find();
	if (!check(count, "there are %u virtio devices", count))
		return;
	if (!rounds)
		play();
	for (u64 i = 0; i < rounds; i++)
		for (u32 d = 0; d < count; d++)
			comes_up(d);
}

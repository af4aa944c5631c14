// SPDX-License-Identifier: MIT
// Floods the network with frames to everybody, to one station (to=0x525400000001) and from addresses that are not its
// own, as fast as the card takes them, for seconds=N.
#include "guest.h"
#include "virtio.h"

#define TX     1
#define FRAMES 64u
#define SIZE   (12u + 1514u) // of a header and a frame

static struct virtio dev;
static struct virtq tx;
static u8 *frames;

static void address_put(u8 *to, u64 addr)
{
	for (u32 i = 0; i < 6; i++)
		to[i] = (u8)(addr >> (40 - 8 * i));
}

// One in four to everybody, one from somebody else, the others to the station.
static void frames_make(u64 victim)
{
	for (u16 i = 0; i < FRAMES; i++) {
		u8 *f = frames + i * 2048u + 12;

		address_put(f, i % 4 ? victim : 0xffffffffffffull);
		for (u32 k = 0; k < 6; k++)
			f[6 + k] = dev.config[k];
		if (i % 4 == 1)
			address_put(f + 6, victim ^ 1);
		f[12] = 0x88; // an experimental type (IEEE 802, local experimental 1)
		f[13] = 0xb5;
		tx.desc[i] = (struct virtq_desc){(u64)(f - 12), SIZE, 0, 0};
		tx.avail->ring[i] = i;
	}
}

void guest_main(void)
{
	pci_bdf at = pci_find(PCI_VIRTIO_VENDOR, PCI_VIRTIO_NET);
	u64 end, rounds = 0;

	if (!check(at && virtio_open(&dev, at), "there is a virtio-net"))
		return;
	frames = memory_pages(FRAMES / 2);
	if (!check(virtio_negotiate(&dev, 1u << 5) && virtq_make(&dev, &tx, TX, FRAMES) &&
			    tx.size == FRAMES,
		    "the transmit queue is set up"))
		return;
	frames_make(arg_number("to", 0x525400000001));
	virtio_run(&dev);
	print("flooding\n");
	end = deadline_ms(arg_number("seconds", 10) * 1000);
	while (!deadline_past(end)) {
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		tx.avail->idx = (u16)(tx.avail->idx + FRAMES);
		virtq_ring(&tx);
		if (!wait_until(tx.used->idx == tx.avail->idx, 10000))
			break;
		rounds++;
	}
	check(rounds && tx.used->idx == tx.avail->idx, "%lu frames went out", rounds * FRAMES);
}

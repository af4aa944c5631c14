// SPDX-License-Identifier: MIT
// Drives virtio network cards (virtio 1.2, 5.1): one receive queue, one send queue, each entry with a buffer of its own
// for good. No offload is negotiated. Without the control queue such a card receives all frames (5.1.6.5.1).
#include "drivers/virtio/virtio_nic.h"
#include "drivers/dma.h"
#include "drivers/net.h"
#include "drivers/virtio/vfunc.h"
#include "kernel/core/log.h"
#include "kernel/x86/irq.h"
#include "kernel/x86/port.h"
#include "lib/string.h"

#define VENDOR      0x1AF4
#define DEVICE      0x1041
#define DEVICE_OLD  0x1000 // speaks version 1, too
#define F_MAC       BIT(5)
#define F_STATUS    BIT(16)
#define HEADER      12u // bytes of struct virtio_net_hdr
#define CONFIG_MAC  0u
#define CONFIG_LINK 6u
#define CONFIG_MIN  8u // bytes
#define LINK_UP     1u
#define QUEUES      2u
#define MESSAGES    (QUEUES + 1) // the last one for changes of the configuration
#define STEP_NS     1000000ull
#define RESET_STEPS 2000u

enum { RX, TX };

struct queue {
	struct vring ring;
	u8 *buffers;                     // NET_BUFFER each
	struct vring_descriptor *tables; // one for each slot
};

struct nic {
	struct net_device net;
	struct vfunc function;
	u32 steps; // of a reset
	struct queue rx;
	struct queue tx;            // the card's lock
	u64 with;                   // slots of tx that the card has, a bit each
	u32 taken[NET_TURN], takes; // slots of rx, until give
	u64 strange;                // came back without having been given
};

static struct nic *of(struct net_device *d)
{
	return container_of(d, struct nic, net);
}

static u8 *buffer(const struct queue *q, u32 slot)
{
	return q->buffers + slot * NET_BUFFER;
}

static void hand_over(struct queue *q, u32 slot, u32 len, u16 flags)
{
	q->tables[slot] = (struct vring_descriptor){dma_address(buffer(q, slot)), len, flags, 0};
	vring_put(&q->ring, slot, &q->tables[slot], 1);
}

// ---------------------------------------------------------------- sending

static u64 all_slots(const struct nic *n)
{
	return n->tx.ring.entries < 64 ? BIT(n->tx.ring.entries) - 1 : ~0ull;
}

static u32 free_slot(const struct nic *n)
{
	return (u32)__builtin_ctzll(all_slots(n) & ~n->with);
}

static u8 *room(struct net_device *d)
{
	struct nic *n = of(d);

	if (n->with == all_slots(n))
		return NULL;
	return buffer(&n->tx, free_slot(n)) + HEADER;
}

static void put(struct net_device *d, u32 len)
{
	struct nic *n = of(d);
	u32 slot = free_slot(n);

	memset(buffer(&n->tx, slot), 0, HEADER);
	n->with |= BIT(slot);
	hand_over(&n->tx, slot, HEADER + len, 0);
}

static void kick(struct net_device *d)
{
	vring_kick(&of(d)->tx.ring);
}

static u32 sent(struct net_device *d)
{
	struct nic *n = of(d);
	u32 slot;

	for (u32 i = 0; i < n->tx.ring.entries && vring_take(&n->tx.ring, &slot); i++) {
		if (slot < n->tx.ring.entries && n->with & BIT(slot))
			n->with &= ~BIT(slot);
		else
			n->strange++;
	}
	return (u32)__builtin_popcountll(n->with);
}

// ---------------------------------------------------------------- receiving

static bool ready(const struct net_device *d)
{
	return vring_more(&container_of(d, const struct nic, net)->rx.ring);
}

// A slot that the card names twice is given to it twice: it then overwrites what it has sent itself.
static bool take(struct net_device *d, struct net_received *r)
{
	struct nic *n = of(d);
	u32 slot, len;

	for (u32 i = 0; i < NET_TURN && vring_take_length(&n->rx.ring, &slot, &len); i++) {
		if (slot >= n->rx.ring.entries) {
			n->strange++;
			continue;
		}
		if (len >= HEADER && len <= NET_BUFFER) {
			*r = (struct net_received){
				.at = buffer(&n->rx, slot) + HEADER, .len = len - HEADER};
			n->taken[n->takes++] = slot;
			return true;
		}
		d->count.in_bad++;
		hand_over(&n->rx, slot, NET_BUFFER, VIRTIO_WRITE);
	}
	return false;
}

static void give(struct net_device *d)
{
	struct nic *n = of(d);

	if (!n->takes)
		return;
	for (u32 i = 0; i < n->takes; i++)
		hand_over(&n->rx, n->taken[i], NET_BUFFER, VIRTIO_WRITE);
	n->takes = 0;
	vring_kick(&n->rx.ring);
}

static bool link(struct net_device *d)
{
	const struct nic *n = of(d);

	return !(n->function.features & F_STATUS) ||
	       mmio_read32(n->function.device + (CONFIG_LINK & ~3u)) >> 16 & LINK_UP;
}

static void quiet(struct net_device *d)
{
	vring_quiet(&of(d)->rx.ring, true);
}

static bool listen(struct net_device *d)
{
	struct nic *n = of(d);

	vring_quiet(&n->rx.ring, false);
	return vring_more(&n->rx.ring) || link(d) != d->link;
}

// ---------------------------------------------------------------- bringing it to work

static u64 fail(struct nic *n, const char *why)
{
	n->net.why = why;
	return NET_FAILED;
}

static void read_address(struct nic *n)
{
	u32 low = mmio_read32(n->function.device + CONFIG_MAC);
	u32 high = mmio_read32(n->function.device + CONFIG_MAC + 4);

	for (u32 i = 0; i < 4; i++)
		n->net.addr[i] = (u8)(low >> 8 * i);
	n->net.addr[4] = (u8)high;
	n->net.addr[5] = (u8)(high >> 8);
}

static bool set_up(struct nic *n)
{
	if (!vfunc_negotiate(&n->function, F_MAC | F_STATUS))
		return false;
	vring_clear(&n->rx.ring);
	vring_clear(&n->tx.ring);
	vring_quiet(&n->rx.ring, true);
	vring_quiet(&n->tx.ring, true);
	n->with = 0;
	if (!vring_enable(&n->function, &n->rx.ring) || !vring_enable(&n->function, &n->tx.ring) ||
		!vfunc_config_message(&n->function, QUEUES))
		return false;
	vfunc_start(&n->function);
	for (u32 i = 0; i < n->rx.ring.entries; i++)
		hand_over(&n->rx, i, NET_BUFFER, VIRTIO_WRITE);
	vring_kick(&n->rx.ring);
	if (n->function.features & F_MAC)
		read_address(n);
	return true;
}

static u64 recover(struct net_device *d, bool first)
{
	struct nic *n = of(d);

	if (first) {
		vfunc_reset(&n->function);
		n->steps = 0;
		return STEP_NS / 10;
	}
	if (!vfunc_is_reset(&n->function))
		return n->steps++ < RESET_STEPS ? STEP_NS : fail(n, "it does not reset itself");
	return set_up(n) ? 0 : fail(n, "it refuses its features or queues");
}

static void cut_off(struct net_device *d)
{
	pci_disable(of(d)->function.pci);
}

static const struct net_driver driver = {
	room, put, NULL, kick, sent, ready, take, give, link, quiet, listen, recover, cut_off};

// ---------------------------------------------------------------- finding it

static bool make_queue(struct nic *n, struct queue *q, u32 number)
{
	struct iommu_domain *d = n->function.pci->domain;
	u32 entries = vfunc_queue_size(&n->function, number);

	if (!entries)
		return false;
	q->buffers = dma_alloc(d, entries * NET_BUFFER);
	q->tables = dma_alloc(d, entries * sizeof(*q->tables));
	return q->buffers && q->tables && !vring_init(&q->ring, d, number, entries);
}

// All messages raise the same interrupt.
static bool set_interrupts(struct nic *n)
{
	struct irq_message m;

	if (pci_irq_count(n->function.pci) < MESSAGES ||
		irq_alloc(net_device_cpu(), net_device_interrupt, &n->net, &m) < 0)
		return false;
	for (u32 i = 0; i < MESSAGES; i++)
		if (pci_irq_set(n->function.pci, i, &m))
			return false;
	return true;
}

static bool prepare(struct nic *n, struct pci_function *f)
{
	if (!vfunc_find(&n->function, f) || n->function.device_size < CONFIG_MIN) {
		log_line("virtio-net: its registers are not those of virtio 1");
		return false;
	}
	if (vfunc_queue_count(&n->function) < QUEUES || !make_queue(n, &n->rx, RX) ||
		!make_queue(n, &n->tx, TX) || !set_interrupts(n)) {
		log_line("virtio-net: no memory or interrupts for its queues");
		return false;
	}
	return true;
}

static void add(struct pci_function *f)
{
	struct nic *n = kmem_alloc(sizeof(*n), FRAME_OWNER_KERNEL);

	if (!n)
		return;
	n->net.driver = &driver;
	n->net.kind = "virtio-net";
	n->net.mtu = NET_MTU;
	pci_enable(f);
	if (prepare(n, f))
		net_device_register(&n->net);
	else
		pci_disable(f);
}

void virtio_nic_init(void)
{
	for (u32 i = 0; i < pci_count(); i++) {
		struct pci_function *f = pci_at(i);

		if (f->vendor == VENDOR && (f->device == DEVICE || f->device == DEVICE_OLD))
			add(f);
	}
}

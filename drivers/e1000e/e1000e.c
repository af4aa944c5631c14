// SPDX-License-Identifier: MIT
// Drives Intel's 82574L: one ring of legacy descriptors in each direction, each descriptor with a buffer of its own
// for good, one interrupt message for packets and one for the link. The card fills in and checks sums, and cuts TCP
// segments. What the card writes into a descriptor is read once and checked; which descriptor is next is our count, never
// the card's.
#include "drivers/e1000e/e1000e.h"
#include "drivers/dma.h"
#include "drivers/e1000e/e1000e_regs.h"
#include "drivers/net.h"
#include "drivers/pci.h"
#include "kernel/core/log.h"
#include "kernel/x86/irq.h"
#include "kernel/x86/port.h"
#include "lib/string.h"

#define VENDOR      0x8086
#define DEVICE      0x10D3
#define ENTRIES     256u
#define RING        (ENTRIES * 16u) // bytes
#define BUFFERS     (ENTRIES * NET_BUFFER)
#define STEP_NS     1000000ull
#define RESET_STEPS 100u

struct e1000e {
	struct net_device net;
	struct pci_function *pci;
	volatile u8 *regs;
	u32 steps; // of a reset

	volatile struct e1000e_rx *rx; // own CPU
	u8 *rx_buffers;
	u32 rx_first, rx_next; // the oldest that was taken; the next to be
	u32 rx_given;          // since the card was told
	bool has_link, look;   // look: at the register, as it may have changed
	bool other;            // such an interrupt has come, and its causes are not cleared

	volatile struct e1000e_tx *tx; // the card's lock
	u8 *tx_buffers;
	u32 tx_next, tx_first; // to be filled; the oldest with the card
};

static struct e1000e *of(struct net_device *d)
{
	return container_of(d, struct e1000e, net);
}

static u32 get(const struct e1000e *e, u32 reg)
{
	return mmio_read32(e->regs + reg);
}

static void set(const struct e1000e *e, u32 reg, u64 v)
{
	mmio_write32(e->regs + reg, (u32)v);
}

// ---------------------------------------------------------------- sending

// One descriptor stays free: a full ring would look like an empty one (7.2.3).
static u8 *room(struct net_device *d)
{
	struct e1000e *e = of(d);

	if ((e->tx_next + 1) % ENTRIES == e->tx_first)
		return NULL;
	return e->tx_buffers + e->tx_next * NET_BUFFER;
}

static void put(struct net_device *d, u32 len)
{
	struct e1000e *e = of(d);
	volatile struct e1000e_tx *t = &e->tx[e->tx_next];

	t->address = dma_address(e->tx_buffers + e->tx_next * NET_BUFFER);
	t->len = (u16)len;
	t->checksum_offset = t->checksum_start = 0;
	t->status = 0;
	t->tag = 0;
	t->command = TX_END | TX_CRC | TX_REPORT;
	e->tx_next = (e->tx_next + 1) % ENTRIES;
}

static void context_put(struct e1000e *e, const struct net_frame *f)
{
	const struct net_offload *o = &f->offload;
	volatile struct e1000e_context *c = (volatile void *)&e->tx[e->tx_next];
	u8 ip = net_get16(f->head + 2 * NET_ADDR) == NET_TYPE_VLAN ? NET_ETHERNET + NET_TAG
								   : NET_ETHERNET;
	u32 command = CONTEXT_MORE | CONTEXT_REPORT | (o->csum_offset == 16 ? CONTEXT_TCP : 0);

	c->ip_start = ip;
	c->ip_sum = (u8)(ip + 10);
	c->ip_end = (u16)(o->csum_start - 1);
	c->tcp_start = (u8)o->csum_start;
	c->tcp_sum = (u8)(o->csum_start + o->csum_offset);
	c->tcp_end = 0;
	c->status = 0;
	c->header = (u8)o->hdr_len;
	c->mss = o->gso_size;
	if (o->gso_type)
		command |= CONTEXT_CUT | (f->length - o->hdr_len);
	if ((o->gso_type & ~NET_GSO_ECN) == NET_GSO_TCPV4)
		command |= CONTEXT_IP4;
	c->command_and_payload = command;
	e->tx_next = (e->tx_next + 1) % ENTRIES;
}

// The card wants the lengths that change from packet to packet left out of a segment's headers (7.3.6.2).
static void segment_prepare(u8 *h, const struct net_offload *o)
{
	u32 tcp = o->csum_start;
	bool v6 = (o->gso_type & ~NET_GSO_ECN) == NET_GSO_TCPV6;
	u32 from = v6                                             ? tcp - 32
		   : net_get16(h + 2 * NET_ADDR) == NET_TYPE_VLAN ? NET_ETHERNET + NET_TAG + 12
								  : NET_ETHERNET + 12;
	u32 sum = 6; // the protocol

	if (v6) {
		net_put16(h + tcp - 36, 0);
	} else {
		net_put16(h + from - 10, 0);
		net_put16(h + from - 2, 0);
	}
	for (u32 i = 0; i < (v6 ? 32u : 8u); i += 2)
		sum += net_get16(h + from + i);
	sum = (sum & 0xffff) + (sum >> 16);
	net_put16(h + tcp + o->csum_offset, (u16)((sum & 0xffff) + (sum >> 16)));
}

// A frame with what its sender left to the card: a context, then the frame in as many buffers as it takes.
static u32 put_whole(struct net_device *d, const struct net_frame *f)
{
	struct e1000e *e = of(d);
	u32 first = e->tx_next, used = (first - e->tx_first) % ENTRIES;
	u32 parts = (f->length + NET_BUFFER - 1) / NET_BUFFER;
	bool cut = f->offload.gso_type;

	if (used + 1 + parts >= ENTRIES)
		return 0;
	context_put(e, f);
	for (u32 i = 0; i < parts; i++) {
		u32 len = MIN(f->length - i * NET_BUFFER, NET_BUFFER);
		u8 *to = e->tx_buffers + e->tx_next * NET_BUFFER;
		volatile struct e1000e_tx *t = &e->tx[e->tx_next];

		if (!net_frame_read(f, i * NET_BUFFER, to, len)) {
			e->tx_next = first;
			return 0;
		}
		if (!i && cut)
			segment_prepare(to, &f->offload);
		put(d, len);
		t->checksum_offset = TX_DATA;
		t->checksum_start = TX_SUM_TCP | (cut ? TX_SUM_IP : 0);
		t->command = (u8)(TX_MORE | TX_CRC | TX_REPORT | (cut ? TX_CUT : 0) |
				  (i + 1 == parts ? TX_END : 0));
	}
	return 1 + parts;
}

// On x86 stores become visible in their order, so the card sees descriptors that are complete.
static void kick(struct net_device *d)
{
	struct e1000e *e = of(d);

	set(e, E_TDT, e->tx_next);
}

static u32 sent(struct net_device *d)
{
	struct e1000e *e = of(d);

	while (e->tx_first != e->tx_next && e->tx[e->tx_first].status & TX_DONE)
		e->tx_first = (e->tx_first + 1) % ENTRIES;
	return (e->tx_next - e->tx_first) % ENTRIES;
}

// ---------------------------------------------------------------- receiving

#define TOLD_MIN 16u // each access to a register costs much where the card is emulated

// The descriptors are the card's again, and so is the one that the tail stood at.
static void give(struct net_device *d)
{
	struct e1000e *e = of(d);

	for (; e->rx_first != e->rx_next; e->rx_first = (e->rx_first + 1) % ENTRIES) {
		e->rx[e->rx_first].address = dma_address(e->rx_buffers + e->rx_first * NET_BUFFER);
		e->rx[e->rx_first].status = 0;
		e->rx_given++;
	}
	if (e->rx_given < TOLD_MIN)
		return;
	set(e, E_RDT, (e->rx_next - 1) % ENTRIES);
	e->rx_given = 0;
}

// The ring is never taken for another round than the card's, whatever is in it.
static bool ready(const struct net_device *d)
{
	const struct e1000e *e = container_of(d, const struct e1000e, net);

	return e->rx[e->rx_next].status & RX_DONE && (e->rx_next + 1) % ENTRIES != e->rx_first;
}

// Only packets of one buffer are received (RCTL.LPE is 0); one of several is none of ours.
static bool take(struct net_device *d, struct net_received *r)
{
	struct e1000e *e = of(d);

	for (u32 i = 0; i < NET_TURN && ready(d); i++) {
		volatile struct e1000e_rx *x = &e->rx[e->rx_next];
		u8 status = x->status, errors;

		__asm__ volatile("" ::: "memory");
		errors = x->errors;
		r->at = e->rx_buffers + e->rx_next * NET_BUFFER;
		r->len = x->len;
		r->summed = (status & (RX_TCPS | RX_IXSM)) == RX_TCPS && !errors;
		e->rx_next = (e->rx_next + 1) % ENTRIES;
		if (status & RX_END && !(errors & ~(RX_TCPE | RX_IPE)) && r->len <= NET_BUFFER)
			return true;
		d->count.in_bad++;
	}
	return false;
}

static bool link(struct net_device *d)
{
	struct e1000e *e = of(d);
	u32 status;

	if (e->look) {
		status = get(e, E_STATUS);
		e->has_link = status != ~0u && status & STATUS_LU;
		e->look = false;
	}
	return e->has_link;
}

// With its message a cause is cleared and masked by the card itself (EIAC).
static void quiet(struct net_device *d)
{
	(void)d;
}

static void link_interrupt(void *device)
{
	struct net_device *d = device;

	of(d)->look = of(d)->other = true;
	net_device_interrupt(d);
}

#define ALL_CAUSES (CAUSE_LSC | CAUSE_RXO | CAUSE_RXQ0 | CAUSE_OTHER)

// A cause that came while it was masked raises the interrupt as soon as it is not any more; those that were dealt
// with are cleared first, and what came since is looked for.
static bool listen(struct net_device *d)
{
	struct e1000e *e = of(d);

	if (e->other) { // the link may have changed since it was looked at
		set(e, E_ICR, ALL_CAUSES);
		e->other = false;
		e->look = true;
	} else {
		set(e, E_ICR, CAUSE_RXQ0);
	}
	if (ready(d) || e->look)
		return true;
	set(e, E_IMS, ALL_CAUSES);
	return false;
}

// ---------------------------------------------------------------- bringing it to work

static void set_up_interrupts(struct e1000e *e)
{
	set(e, E_CTRL_EXT, get(e, E_CTRL_EXT) & ~CTRL_EXT_IAME);
	set(e, E_IVAR, IVAR_ALL);
	set(e, E_EIAC, CAUSE_RXQ0 | CAUSE_OTHER);
	for (u32 i = 0; i < E_MESSAGES; i++)
		set(e, E_EITR + 4 * i, EITR_GAP);
}

static void set_up_receive(struct e1000e *e)
{
	for (u32 i = 0; i < ENTRIES; i++) {
		e->rx[i].address = dma_address(e->rx_buffers + i * NET_BUFFER);
		e->rx[i].status = 0;
	}
	e->rx_first = e->rx_next = e->rx_given = 0;
	e->look = true;
	e->other = false;
	set(e, E_RDBAL, dma_address(e->rx));
	set(e, E_RDBAH, dma_address(e->rx) >> 32);
	set(e, E_RDLEN, RING);
	set(e, E_RDH, 0);
	for (u32 i = 0; i < E_MTA_COUNT; i++)
		set(e, E_MTA + 4 * i, 0);
	set(e, E_RXCSUM, RXCSUM_IP | RXCSUM_TCP);
	set(e, E_RFCTL, get(e, E_RFCTL) | RFCTL_ACK_DIS | RFCTL_ACKD);
	set(e, E_RCTL, RCTL_EN | RCTL_UPE | RCTL_MPE | RCTL_BAM | RCTL_SECRC);
	set(e, E_RDT, ENTRIES - 1);
}

static void set_up_send(struct e1000e *e)
{
	memset((void *)e->tx, 0, RING);
	e->tx_next = e->tx_first = 0;
	set(e, E_TDBAL, dma_address(e->tx));
	set(e, E_TDBAH, dma_address(e->tx) >> 32);
	set(e, E_TDLEN, RING);
	set(e, E_TDH, 0);
	set(e, E_TDT, 0);
	set(e, E_TCTL, TCTL_EN | TCTL_PSP | TCTL_CT | TCTL_COLD);
}

// The address is loaded from the card's own memory by the reset (4.6.1).
static bool read_address(struct e1000e *e)
{
	u32 low = get(e, E_RAL), high = get(e, E_RAH);
	u8 *a = e->net.addr;

	for (u32 i = 0; i < 4; i++)
		a[i] = (u8)(low >> 8 * i);
	a[4] = (u8)high;
	a[5] = (u8)(high >> 8);
	return high & RAH_VALID && net_addr(a) && !net_addr_is_group(net_addr(a));
}

static u64 fail(struct e1000e *e, const char *why)
{
	e->net.why = why;
	return NET_FAILED;
}

// 4.6: interrupts off, reset, wait until it has loaded its settings, rings, link.
static u64 recover(struct net_device *d, bool first)
{
	struct e1000e *e = of(d);

	if (first) {
		set(e, E_IMC, ~0u);
		set(e, E_RCTL, 0);
		set(e, E_TCTL, 0);
		set(e, E_CTRL, get(e, E_CTRL) | CTRL_RST);
		e->steps = 0;
		return STEP_NS;
	}
	if (get(e, E_STATUS) == ~0u)
		return fail(e, "it has gone");
	if (get(e, E_CTRL) & CTRL_RST || !(get(e, E_EECD) & EECD_AUTO_RD))
		return e->steps++ < RESET_STEPS ? STEP_NS : fail(e, "it does not reset itself");
	set(e, E_IMC, ~0u);
	set(e, E_ICR, get(e, E_ICR));
	if (!read_address(e))
		return fail(e, "its address is none");
	set_up_interrupts(e);
	set_up_send(e);
	set_up_receive(e);
	set(e, E_CTRL, get(e, E_CTRL) | CTRL_SLU | CTRL_ASDE);
	return 0;
}

static void cut_off(struct net_device *d)
{
	pci_disable(of(d)->pci);
}

static const struct net_driver driver = {
	room, put, put_whole, kick, sent, ready, take, give, link, quiet, listen, recover, cut_off};

// ---------------------------------------------------------------- finding it

static bool make_rings(struct e1000e *e)
{
	e->rx = dma_alloc(e->pci->domain, RING);
	e->tx = dma_alloc(e->pci->domain, RING);
	e->rx_buffers = dma_alloc(e->pci->domain, BUFFERS);
	e->tx_buffers = dma_alloc(e->pci->domain, BUFFERS);
	return e->rx && e->tx && e->rx_buffers && e->tx_buffers;
}

static bool set_messages(struct e1000e *e)
{
	struct irq_message packets, other;

	return pci_irq_count(e->pci) >= E_MESSAGES &&
	       irq_alloc(net_device_cpu(), net_device_interrupt, &e->net, &packets) >= 0 &&
	       irq_alloc(net_device_cpu(), link_interrupt, &e->net, &other) >= 0 &&
	       !pci_irq_set(e->pci, 0, &packets) && !pci_irq_set(e->pci, 1, &other);
}

static void add(struct pci_function *f)
{
	struct e1000e *e = kmem_alloc(sizeof(*e), FRAME_OWNER_KERNEL);

	if (!e)
		return;
	e->pci = f;
	e->net.driver = &driver;
	e->net.kind = "e1000e";
	e->net.mtu = NET_MTU;
	e->regs = pci_map(f, 0, E_SIZE);
	if (!e->regs) {
		log_line("e1000e: its registers cannot be reached");
		return;
	}
	pci_enable(f);
	if (!make_rings(e) || !set_messages(e)) {
		log_line("e1000e: no memory or interrupts for it");
		pci_disable(f);
		return;
	}
	net_device_register(&e->net);
}

void e1000e_init(void)
{
	for (u32 i = 0; i < pci_count(); i++)
		if (pci_at(i)->vendor == VENDOR && pci_at(i)->device == DEVICE)
			add(pci_at(i));
}

// SPDX-License-Identifier: MIT
// The network cards of VMs: made and destroyed with them; frames from the switch to the guest.
#include "kernel/mono/nic.h"

#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"
#include "kernel/mono/nic_switch.h"
#include "kernel/mono/uplink.h"
#include "kernel/vm/vm.h"
#include "lib/errno.h"
#include "lib/string.h"

#define BATCH       32u         // frames moved with the VM's lock held once ...
#define BATCH_BYTES (256 * KiB) // ... or so many bytes, and one frame more

// Where a card is found as long as it is there. Who empties its inbox holds the lock, so nobody does when it goes.
struct place {
	struct spinlock lock; // LOCK_NIC
	bool taken;           // under list_lock
	u64 again; // a: frames have come, or there is room, since the inbox was looked at
	struct host_net *nic; // NULL: not there (yet, any more)
};

static struct place places[NIC_MAX];
static struct spinlock list_lock = {.rank = LOCK_NIC}; // not held together with that of a place
static u64 posted[PCPU_MAX][NIC_MAX / 64];             // own CPU: places to look at
static struct host_net
	*sending[PCPU_MAX]; // own CPU: whose frame the switch has; NULL: none of a VM's

// ---------------------------------------------------------------- from inbox to guest

static void nic_post(unsigned index)
{
	struct pcpu *p = this_pcpu();

	posted[p->id][index / 64] |= BIT(index % 64);
	pcpu_post(p, WORK_MODEL);
}

void host_net_room(struct host_net *n)
{
	nic_post(n->index);
}

// Nobody is woken here for a frame: the vcpu that notifies carries it itself.
bool host_net_rest(struct host_net *n, bool on)
{
	(void)n;
	(void)on;
	return false;
}

// The guest's lock is held; it has been given frames.
static void nic_tell(struct host_net *n)
{
	if (n->wait.in_flight)
		WRITE_ONCE(n->wait.in_flight, 0);
	if (!guest_wait_hold(&n->wait))
		virtio_net_receive_end(&n->dev);
}

static void nic_told_late(struct guest_wait *w)
{
	virtio_net_receive_end(&container_of(w, struct host_net, wait)->dev);
}

// true: there may be more.
static bool nic_drain(struct host_net *n)
{
	u64 bytes = 0;
	struct net_frame f;
	bool more = true;

	spin_lock(&n->vm->lock);
	for (unsigned i = 0; i < BATCH && bytes < BATCH_BYTES; i++) {
		more = net_inbox_peek(&n->inbox, &f) &&
		       virtio_net_receive(&n->dev, &f, &n->packet) == VIRTIO_NET_TAKEN;
		if (!more)
			break;
		bytes += f.length;
		n->packet = 0;
		net_inbox_next(&n->inbox);
	}
	nic_tell(n);
	spin_unlock(&n->vm->lock);
	return more;
}

// Whoever finds the place locked leaves it to who has it: he looks at `again` after he has unlocked.
static void place_work(unsigned index)
{
	struct place *p = &places[index];

	atomic_store(&p->again, 1);
	if (!spin_trylock(&p->lock))
		return;
	atomic_store(&p->again, 0);
	if (p->nic && nic_drain(p->nic))
		atomic_store(&p->again, 1);
	spin_unlock(&p->lock);
	if (atomic_load(&p->again))
		nic_post(index);
}

void nics_work(void)
{
	u64 *mine = posted[this_pcpu()->id];

	for (unsigned w = 0; w < ARRAY_SIZE(posted[0]); w++) {
		u64 set = mine[w];

		mine[w] = 0;
		for (; set; set &= set - 1)
			place_work(w * 64 + (unsigned)__builtin_ctzll(set));
	}
}

// ---------------------------------------------------------------- telling the receiver

// The receiver's guest is told if its lock is free; else this CPU does so later.
static void tell_receiver(unsigned index)
{
	struct place *p = &places[index];
	bool told = false;

	if (spin_trylock_beside(&p->lock)) {
		if (p->nic && spin_trylock_beside(&p->nic->vm->lock)) {
			virtio_net_receive_end(&p->nic->dev);
			spin_unlock_beside(&p->nic->vm->lock);
			told = true;
		}
		spin_unlock_beside(&p->lock);
	}
	if (!told)
		nic_post(index);
}

// The sender's lock is held.
static void owed_pay(struct host_net *sender)
{
	struct nic_owed *o = &sender->owed;

	if (!o->any)
		return;
	o->any = false;
	host_rest_set(&sender->host, &o->rest, false);
	timer_cancel(&o->timer);
	tell_receiver(o->index);
}

static void owed_rest(struct host_rest *r, unsigned vcpu)
{
	(void)vcpu;
	owed_pay(container_of(r, struct host_net, owed.rest));
}

static void owed_late(struct timer *t)
{
	struct host_net *sender = container_of(t, struct host_net, owed.timer);

	spin_lock(&sender->vm->lock);
	owed_pay(sender);
	spin_unlock(&sender->vm->lock);
}

// Could none of its vcpus run at once, on another CPU?
static bool vm_is_here(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		struct pcpu *p = READ_ONCE(vm->vcpus[i]->loaded_on);

		if (p ? p != this_pcpu() : pcpu_count > 1)
			return false;
	}
	return true;
}

// A frame of this length is in the receiver's queue: notes that it is to be told, or tells it.
static void owed_add(struct host_net *sender, struct host_net *n, u32 length)
{
	struct nic_owed *o = &sender->owed;

	if (o->any && o->index != n->index)
		owed_pay(sender);
	if (!o->any) {
		o->any = true;
		o->index = n->index;
		o->frames = o->bytes = 0;
		host_rest_set(&sender->host, &o->rest, true);
		timer_set(&o->timer, time_now() + time_from_ns(NIC_OWED_NS));
	}
	o->bytes += length;
	if (++o->frames == NIC_OWED_FRAMES || o->bytes >= NIC_OWED_BYTES)
		owed_pay(sender);
}

// ---------------------------------------------------------------- from the switch

// Straight into the guest's buffers: the one copy of the frame. Without buffers it waits, with the number of its packets
// that were taken. The inbox is empty, the receiver's lock held. *later: the guest has not been told.
static bool nic_hand_over(struct host_net *n, const struct net_frame *f, bool *later)
{
	bool taken = virtio_net_receive(&n->dev, f, &n->packet) == VIRTIO_NET_TAKEN;
	bool kept = !taken && net_inbox_put(&n->inbox, f);

	if (!kept)
		n->packet = 0;
	*later = taken && f->length > NET_PACKET_MAX && sending[this_pcpu()->id] &&
		 vm_is_here(n->vm);
	if (!*later)
		nic_tell(n);
	return taken || kept;
}

// From the switch, with its lock held, and perhaps that of the sender's VM: so the receiver's is taken only if it is free.
static bool nic_deliver(struct net_port *p, const struct net_frame *f)
{
	struct host_net *n = container_of(p, struct host_net, port);
	bool locked = spin_trylock_beside(&n->vm->lock), later = false, ok;

	if (locked && net_inbox_is_empty(&n->inbox)) {
		ok = nic_hand_over(n, f, &later);
	} else {
		ok = net_inbox_put(&n->inbox, f);
		if (ok)
			nic_post(n->index);
	}
	if (locked)
		spin_unlock_beside(&n->vm->lock);
	if (later)
		owed_add(sending[this_pcpu()->id], n, f->length);
	return ok;
}

void host_net_send(struct host_net *n, const struct net_frame *f)
{
	sending[this_pcpu()->id] = n;
	nic_switch_input(n->sw, &n->port, f);
	sending[this_pcpu()->id] = NULL;
}

// A single packet that will be answered: the guest may have nothing to do until then.
void nics_sent_outside(const struct net_frame *f)
{
	struct host_net *n = sending[this_pcpu()->id];

	if (!n || net_is_bare_ack(f))
		return;
	if (n->wait.in_flight < 2)
		guest_wait_begin(&n->wait);
	if (f->offload.gso_type && n->wait.in_flight < 2)
		guest_wait_begin(&n->wait);
	guest_wait_commit(&n->wait);
}

// ---------------------------------------------------------------- link

static void link_update(struct host_net *n)
{
	if (!*n->uplink)
		return;
	spin_lock(&n->vm->lock);
	virtio_net_set_link(&n->dev, uplink_has_link(n->uplink));
	spin_unlock(&n->vm->lock);
}

void nics_link_changed(const struct nic_switch *s)
{
	for (unsigned i = 0; i < NIC_MAX; i++) {
		if (!READ_ONCE(places[i].nic))
			continue;
		spin_lock(&places[i].lock);
		if (places[i].nic && places[i].nic->sw == s)
			link_update(places[i].nic);
		spin_unlock(&places[i].lock);
	}
}

// ---------------------------------------------------------------- life

static bool place_take(unsigned *index)
{
	bool found = false;

	spin_lock(&list_lock);
	for (unsigned i = 0; i < NIC_MAX && !found; i++) {
		if (places[i].taken)
			continue;
		places[i].taken = found = true;
		places[i].lock.rank = LOCK_NIC;
		*index = i;
	}
	spin_unlock(&list_lock);
	return found;
}

static void place_set(unsigned index, struct host_net *n)
{
	spin_lock(&places[index].lock);
	places[index].nic = n;
	if (n)
		link_update(n); // it may have changed just before
	spin_unlock(&places[index].lock);
}

static void place_give(unsigned index)
{
	spin_lock(&list_lock);
	places[index].taken = false;
	spin_unlock(&list_lock);
}

static const char *attach(struct host_net *n, const struct net_card_config *c)
{
	const char *why = nic_switch_get(c, &n->sw);
	int err;

	if (why)
		return why;
	n->port.config = c->port;
	if (c->port.vlans) {
		memcpy(n->vlans, c->vlans, sizeof(n->vlans));
		n->port.config.vlans = n->vlans;
	}
	if (c->follow)
		memcpy(n->uplink, c->uplink, sizeof(n->uplink));
	n->port.deliver = nic_deliver;
	n->port.name = n->vm->name;
	err = nic_switch_attach(n->sw, &n->port);
	return !err             ? NULL
	       : err == -EEXIST ? "nic: its MAC address is another card's"
	       : err == -ENOSPC ? "nic: the switch has no port left"
				: "nic: no such port";
}

// The card goes, as far as it came.
static void nic_free(struct host_net *n)
{
	if (n->sw)
		nic_switch_put(n->sw, &n->port);
	place_give(n->index);
	if (n->ring)
		kmem_free(n->ring, NIC_INBOX);
	kmem_free(n, sizeof(*n));
}

// The number-th card of the VM, of which the bundle says `text`.
static const char *nic_make(struct vm *vm, unsigned number, const char *text, struct host_net *n)
{
	struct net_card_config c;
	const char *why = net_card_parse(&c, text);
	unsigned slot = NIC_FIRST_SLOT + number;

	if (why)
		return why;
	n->ring = kmem_alloc(NIC_INBOX, vm->id);
	if (!n->ring)
		return "out of memory for a network card";
	net_inbox_init(&n->inbox, n->ring, NIC_INBOX);
	n->host.vm = vm;
	n->owed.rest.fn = owed_rest;
	timer_init(&n->owed.timer, owed_late);
	guest_wait_init(&n->wait, vm, &n->host, GUEST_WAIT_NET_NS, nic_told_late);
	why = attach(n, &c);
	if (why)
		return why;
	virtio_net_init(&n->dev, &n->host, n, c.addr, vm->vcpu_count);
	virtio_pci_init(&n->pci, &n->dev.dev, slot);
	if (vpci_add(&vm->pc.pci, slot, &virtio_pci_ops, &n->pci))
		return "its PCI bus is full";
	log_line("%s: nic %u: %s %s on switch %s", vm->name, number,
		c.port.trunk ? "trunk" : "port", text + strlen(c.name) + 1, c.name);
	return NULL;
}

static const char *nic_create(struct vm *vm, unsigned number, const char *text)
{
	struct host_net *n = kmem_alloc(sizeof(*n), vm->id);
	const char *why;

	if (!n)
		return "out of memory for a network card";
	n->vm = vm;
	if (!place_take(&n->index)) {
		kmem_free(n, sizeof(*n));
		return "too many network cards";
	}
	why = nic_make(vm, number, text, n);
	if (why)
		nic_free(n);
	else
		place_set(n->index, n);
	return why;
}

const char *nics_create(struct vm *vm)
{
	const struct bundle_vm *c = vm->config;
	const char *why = NULL;
	unsigned number = 0;

	for (unsigned i = 0; i < c->io_count && !why; i++) {
		if (strcmp(c->io[i].key, "nic") != 0)
			continue;
		why = number < BUNDLE_MAX_NICS ? nic_create(vm, number, c->io[i].value)
					       : "at most 8 network cards";
		number++;
	}
	return why;
}

static void nic_destroy(struct host_net *n)
{
	place_set(n->index, NULL);
	spin_lock(&n->vm->lock);
	virtio_reset(&n->dev.dev);
	owed_pay(n);
	guest_wait_stop(&n->wait);
	spin_unlock(&n->vm->lock);
	timer_cancel_sync(&n->owed.timer);
	guest_wait_destroy(&n->wait);
	virtio_net_destroy(&n->dev);
	nic_free(n);
}

void nics_destroy(struct vm *vm)
{
	for (unsigned i = 0; i < NIC_MAX && vm->config->io_count; i++) {
		struct host_net *n = READ_ONCE(places[i].nic);

		if (n && n->vm == vm)
			nic_destroy(n);
	}
}

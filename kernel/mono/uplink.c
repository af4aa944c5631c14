// SPDX-License-Identifier: MIT
// Uplinks: frames from a switch to a card of the machine, and from there to the switch.
#include "kernel/mono/uplink.h"

#include "kernel/core/log.h"
#include "kernel/mono/nic_switch.h"
#include "kernel/mono/nics.h"
#include "lib/errno.h"

struct uplink {
	struct spinlock lock; // LOCK_UPLINK: sw; held while a packet goes to the switch
	struct nic_switch *sw;
	struct net_device *device; // under LOCK_NIC: made once
	struct net_port port;      // under the switch's lock
};

static struct uplink uplinks[NET_DEVICES];

// From the switch, with its lock held.
static bool uplink_deliver(struct net_port *p, const struct net_frame *f)
{
	bool ok = net_device_send(container_of(p, struct uplink, port)->device, f);

	if (ok)
		nics_sent_outside(f);
	return ok;
}

static void uplink_receive(struct net_device *d, const struct net_frame *f)
{
	struct uplink *u = d->user;

	spin_lock(&u->lock);
	if (u->sw)
		nic_switch_input(u->sw, &u->port, f);
	spin_unlock(&u->lock);
}

// The switch is not used, only compared: it may go meanwhile.
static void uplink_link_changed(struct net_device *d)
{
	struct uplink *u = d->user;
	struct nic_switch *s;

	spin_lock(&u->lock);
	s = u->sw;
	spin_unlock(&u->lock);
	if (s)
		nics_link_changed(s);
}

bool uplink_has_link(const char *card)
{
	const struct net_device *d = net_device_find(card);

	return d && READ_ONCE(d->link);
}

// The uplink that is, or becomes, this card's.
static struct uplink *uplink_of(struct net_device *d)
{
	struct uplink *u = uplinks;

	if (d->user)
		return d->user;
	while (u->device)
		u++; // there are as many as cards
	u->lock = SPINLOCK(LOCK_UPLINK);
	u->device = d;
	d->user = u;
	d->receive = uplink_receive;
	d->link_changed = uplink_link_changed;
	return u;
}

// The uplink's lock held.
static const char *attach(struct uplink *u, struct nic_switch *s, u64 storm)
{
	if (u->sw)
		return u->sw == s ? NULL : "uplink: the card is another switch's";
	u->port.config = (struct net_port_config){.trunk = true, .uplink = true, .storm = storm};
	u->port.deliver = uplink_deliver;
	u->port.name = u->device->name;
	if (nic_switch_attach(s, &u->port))
		return "uplink: the switch has no port left";
	u->sw = s;
	return NULL;
}

const char *uplink_attach(struct nic_switch *s, const char *card, u64 storm)
{
	struct net_device *d = net_device_find(card);
	const char *why;
	struct uplink *u;

	if (!d)
		return "uplink: the machine has no such network card";
	u = uplink_of(d);
	spin_lock(&u->lock);
	why = attach(u, s, storm);
	spin_unlock(&u->lock);
	if (!why)
		net_device_open(d);
	return why;
}

void uplink_detach(struct nic_switch *s)
{
	for (unsigned i = 0; i < NET_DEVICES; i++) {
		struct uplink *u = &uplinks[i];

		if (!u->device)
			continue;
		spin_lock(&u->lock);
		if (u->sw == s) {
			net_device_close(u->device);
			nic_switch_detach(s, &u->port);
			u->sw = NULL;
		}
		spin_unlock(&u->lock);
	}
}

// SPDX-License-Identifier: MIT
// Switches by name, each under one lock, and what they count shown to people.
#include "kernel/mono/nic_switch.h"

#include "abi/bundle.h"
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/spinlock.h"
#include "kernel/mono/nics.h"
#include "kernel/mono/uplink.h"
#include "lib/format.h"
#include "lib/string.h"

struct nic_switch {
	struct spinlock lock; // LOCK_NET: sw and its ports
	char name[BUNDLE_NAME_MAX + 1];
	u32 users; // under list_lock
	struct net_switch sw;
};

static struct nic_switch *switches[BUNDLE_MAX_SWITCHES];
static struct spinlock list_lock = {.rank = LOCK_NIC};

static u64 now_ns(void)
{
	return time_to_ns(time_now());
}

// list_lock held.
static struct nic_switch *switch_make(struct nic_switch **place, const char *name)
{
	struct nic_switch *s = kmem_alloc(sizeof(*s), FRAME_OWNER_KERNEL);

	if (!s)
		return NULL;
	s->lock = SPINLOCK(LOCK_NET);
	memcpy(s->name, name, MIN(strlen(name), sizeof(s->name) - 1));
	net_switch_init(&s->sw, time_now() * 0x9e3779b97f4a7c15ull);
	*place = s;
	return s;
}

// list_lock held.
static void switch_unuse(struct nic_switch *s)
{
	if (--s->users)
		return;
	uplink_detach(s);
	for (unsigned i = 0; i < ARRAY_SIZE(switches); i++)
		if (switches[i] == s)
			switches[i] = NULL;
	kmem_free(s, sizeof(*s));
}

const char *nic_switch_get(const struct net_card_config *c, struct nic_switch **out)
{
	struct nic_switch **free = NULL, *s = NULL;
	const char *why = NULL;

	spin_lock(&list_lock);
	for (unsigned i = 0; i < ARRAY_SIZE(switches) && !s; i++) {
		if (switches[i] && strcmp(switches[i]->name, c->name) == 0)
			s = switches[i];
		else if (!switches[i] && !free)
			free = &switches[i];
	}
	if (!s && free)
		s = switch_make(free, c->name);
	if (s) {
		s->users++;
		why = *c->uplink ? uplink_attach(s, c->uplink, c->port.storm) : NULL;
		if (why)
			switch_unuse(s);
	} else {
		why = "out of memory for a switch";
	}
	spin_unlock(&list_lock);
	*out = why ? NULL : s;
	return why;
}

int nic_switch_attach(struct nic_switch *s, struct net_port *p)
{
	int err;

	spin_lock(&s->lock);
	err = net_switch_attach(&s->sw, p, now_ns());
	spin_unlock(&s->lock);
	return err;
}

void nic_switch_detach(struct nic_switch *s, struct net_port *p)
{
	spin_lock(&s->lock);
	net_switch_detach(p);
	spin_unlock(&s->lock);
}

void nic_switch_put(struct nic_switch *s, struct net_port *p)
{
	nic_switch_detach(s, p);
	spin_lock(&list_lock);
	switch_unuse(s);
	spin_unlock(&list_lock);
}

void nic_switch_input(struct nic_switch *s, struct net_port *p, const struct net_frame *f)
{
	spin_lock(&s->lock);
	net_switch_input(p, f, now_ns());
	spin_unlock(&s->lock);
}

// ---------------------------------------------------------------- shown

static void show_port(const struct net_port *p)
{
	const struct net_counters *c = &p->count;
	char drops[160], vlan[16] = "trunk";
	size_t at = 0;

	if (!p->config.trunk)
		format(vlan, sizeof(vlan), "vlan %u", p->config.vlan);
	drops[0] = 0;
	for (unsigned i = 0; i < NET_DROPS; i++)
		if (c->drop[i] && at < sizeof(drops))
			at += format(drops + at, sizeof(drops) - at, " %s %llu", net_drop_names[i],
				(unsigned long long)c->drop[i]);
	log_line(
		"  %s %s: sent %llu frames %llu bytes, received %llu frames %llu bytes; dropped:%s",
		p->name, vlan, (unsigned long long)c->in_frames, (unsigned long long)c->in_bytes,
		(unsigned long long)c->out_frames, (unsigned long long)c->out_bytes,
		drops[0] ? drops : " none");
}

static void show_card(const struct net_device *d)
{
	const struct net_device_counters *c = &d->count;

	log_line("card %s: link %s, sent %llu packets %llu bytes, received %llu packets %llu bytes "
		 "in %llu frames; no room %llu, bad %llu, resets %llu",
		d->name, d->link ? "up" : "down", (unsigned long long)c->out_packets,
		(unsigned long long)c->out_bytes, (unsigned long long)c->in_packets,
		(unsigned long long)c->in_bytes, (unsigned long long)c->in_frames,
		(unsigned long long)c->out_full, (unsigned long long)c->in_bad,
		(unsigned long long)c->resets);
}

// The list's lock keeps a switch there; its own keeps the ports.
static void key_switches(void)
{
	spin_lock(&list_lock);
	for (unsigned i = 0; i < ARRAY_SIZE(switches); i++) {
		struct nic_switch *s = switches[i];

		if (!s)
			continue;
		log_line("switch %s: %u ports", s->name, s->sw.ports);
		spin_lock(&s->lock);
		for (unsigned k = 0; k < NET_PORTS; k++)
			if (s->sw.port[k])
				show_port(s->sw.port[k]);
		spin_unlock(&s->lock);
	}
	spin_unlock(&list_lock);
	for (u32 i = 0; net_device_at(i); i++)
		show_card(net_device_at(i));
}

void nics_init(void)
{
	console_key_register(
		's', "virtual switches: what their ports sent, received and dropped", key_switches);
}

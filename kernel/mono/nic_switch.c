// SPDX-License-Identifier: MIT
// Switches by name, each under one lock, and what they count shown to people.
#include "kernel/mono/nic_switch.h"

#include "abi/bundle.h"
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/spinlock.h"
#include "kernel/mono/nics.h"
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

struct nic_switch *nic_switch_get(const char *name)
{
	struct nic_switch **free = NULL, *s = NULL;

	spin_lock(&list_lock);
	for (unsigned i = 0; i < ARRAY_SIZE(switches) && !s; i++) {
		if (switches[i] && strcmp(switches[i]->name, name) == 0)
			s = switches[i];
		else if (!switches[i] && !free)
			free = &switches[i];
	}
	if (!s && free)
		s = switch_make(free, name);
	if (s)
		s->users++;
	spin_unlock(&list_lock);
	return s;
}

int nic_switch_attach(struct nic_switch *s, struct net_port *p)
{
	int err;

	spin_lock(&s->lock);
	err = net_switch_attach(&s->sw, p, now_ns());
	spin_unlock(&s->lock);
	return err;
}

void nic_switch_put(struct nic_switch *s, struct net_port *p)
{
	spin_lock(&s->lock);
	net_switch_detach(p);
	spin_unlock(&s->lock);
	spin_lock(&list_lock);
	for (unsigned i = 0; i < ARRAY_SIZE(switches); i++) {
		if (switches[i] == s && !--s->users) {
			switches[i] = NULL;
			kmem_free(s, sizeof(*s));
		}
	}
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
	char drops[160];
	size_t at = 0;

	drops[0] = 0;
	for (unsigned i = 0; i < NET_DROPS; i++)
		if (c->drop[i] && at < sizeof(drops))
			at += format(drops + at, sizeof(drops) - at, " %s %llu", net_drop_names[i],
				(unsigned long long)c->drop[i]);
	log_line(
		"  %s vlan %u: sent %llu frames %llu bytes, received %llu frames %llu bytes; dropped:%s",
		p->name, p->config.vlan, (unsigned long long)c->in_frames,
		(unsigned long long)c->in_bytes, (unsigned long long)c->out_frames,
		(unsigned long long)c->out_bytes, drops[0] ? drops : " none");
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
}

void nics_init(void)
{
	console_key_register(
		's', "virtual switches: what their ports sent, received and dropped", key_switches);
}

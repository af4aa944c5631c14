// SPDX-License-Identifier: MIT
// The way of a frame through the virtual switch.
#include "net/switch.h"

#include "lib/errno.h"
#include "lib/string.h"
#include "net/stations.h"
#include "net/vlan.h"

#define RESERVED_GROUPS 0x0180c2000000ull   // to ...0f: between neighbours, never passed on (8.6.3)
#define STORM_BURST_MIN 100u                // frames; else a tenth of a second's
#define RATE_BURST_DIV  20u                 // a burst is what flows in 50 ms ...
#define RATE_BURST_MIN  (2 * NET_FRAME_MAX) // ... but lets two of the largest frames pass

const char *const net_drop_names[NET_DROPS] = {
	"bad", "vlan", "mac", "storm", "rate", "full", "link"};

void net_switch_init(struct net_switch *s, u64 seed)
{
	memset(s, 0, sizeof(*s));
	s->seed = seed;
}

static bool config_valid(const struct net_port_config *c)
{
	return c->vlan < NET_VLANS &&
	       (!c->locked || (c->addr && c->addr < NET_BROADCAST && !net_addr_is_group(c->addr)));
}

int net_switch_attach(struct net_switch *s, struct net_port *p, u64 now)
{
	const struct net_port_config *c = &p->config;
	u32 index = 0;

	if (!config_valid(c))
		return -EINVAL;
	if (c->locked && net_locked_port(s, c->addr))
		return -EEXIST;
	while (index < NET_PORTS && s->port[index])
		index++;
	if (index == NET_PORTS)
		return -ENOSPC;
	if (c->locked)
		net_station_forget(s, c->addr);
	p->sw = s;
	p->index = index;
	p->stations = 0;
	p->count = (struct net_counters){0};
	net_bucket_init(
		&p->storm, c->storm, MAX(c->storm / 10, MIN(c->storm, STORM_BURST_MIN)), now);
	net_bucket_init(&p->rate, c->rate, MAX(c->rate / RATE_BURST_DIV, RATE_BURST_MIN), now);
	s->port[index] = p;
	s->ports++;
	return 0;
}

void net_switch_detach(struct net_port *p)
{
	struct net_switch *s = p->sw;

	if (!s)
		return;
	net_stations_forget(s, p);
	s->port[p->index] = NULL;
	s->ports--;
	p->sw = NULL;
}

// ---------------------------------------------------------------- out

static void deliver(struct net_port *to, const struct net_frame *f)
{
	if (!to->deliver(to, f)) {
		to->count.drop[NET_DROP_FULL]++;
		return;
	}
	to->count.out_frames++;
	to->count.out_bytes += f->length;
}

// A frame as the ports of its VLAN get it; the one with a tag is made when the first port wants it.
struct forms {
	const struct net_frame *plain;
	struct net_frame tagged;
	bool made;
};

static void send(struct net_port *to, struct forms *forms, u16 vlan)
{
	if (!net_vlan_tagged(&to->config, vlan)) {
		deliver(to, forms->plain);
		return;
	}
	if (!forms->made) {
		forms->tagged = *forms->plain;
		net_tag_insert(&forms->tagged, vlan);
		forms->made = true;
	}
	deliver(to, &forms->tagged);
}

// Nobody unknown is behind a locked port.
static bool wants(const struct net_port *to, u64 dst)
{
	return net_addr_is_group(dst) || !to->config.locked || to->config.addr == dst;
}

static void flood(struct net_port *from, struct forms *forms, u16 vlan, u64 dst)
{
	struct net_switch *s = from->sw;

	for (u32 i = 0, seen = 0; i < NET_PORTS && seen < s->ports; i++) {
		struct net_port *to = s->port[i];

		if (!to)
			continue;
		seen++;
		if (to != from && net_vlan_member(&to->config, vlan) && wants(to, dst))
			send(to, forms, vlan);
	}
}

// ---------------------------------------------------------------- in

static bool frame_valid(const struct net_frame *f)
{
	u32 max = f->offload.gso_type ? NET_FRAME_MAX : NET_PACKET_MAX;

	return f->length >= NET_ETHERNET && f->length <= max &&
	       f->head_len == MIN(f->length, NET_HEAD);
}

// May the port speak as this station? If so the station is learned.
static bool source_allowed(struct net_port *p, u64 src, u16 vlan, u64 now)
{
	struct net_port *owner;

	if (!src || net_addr_is_group(src))
		return false;
	if (p->config.locked && src != p->config.addr)
		return false;
	if (net_station_refresh(p, src, vlan, now))
		return true;
	owner = net_locked_port(p->sw, src);
	if (owner && owner != p)
		return false;
	net_station_learn(p, src, vlan, now);
	return true;
}

static struct net_port *destination(struct net_port *p, u64 dst, u16 vlan, u64 now)
{
	struct net_port *to =
		net_addr_is_group(dst) ? NULL : net_station_find(p->sw, dst, vlan, now);

	if (!to && !net_addr_is_group(dst))
		to = net_locked_port(p->sw, dst);
	return to && net_vlan_member(&to->config, vlan) ? to : NULL;
}

// NET_DROPS: it may pass, as a member of *vlan and, without a tag, as *plain.
static enum net_drop judge(struct net_port *p, const struct net_frame *f, struct net_frame *space,
	const struct net_frame **plain, u16 *vlan, u64 now)
{
	if (!frame_valid(f))
		return NET_DROP_BAD;
	// A segment has one receiver; to copy one for all would be a cheap way to keep the machine busy.
	if (f->offload.gso_type && net_addr_is_group(net_addr(f->head)))
		return NET_DROP_BAD;
	if ((net_addr(f->head) & ~0xfull) == RESERVED_GROUPS)
		return NET_DROP_LINK;
	*plain = net_vlan_classify(&p->config, f, space, vlan);
	if (!*plain)
		return NET_DROP_VLAN;
	if ((*plain)->length > (f->offload.gso_type ? NET_FRAME_MAX : NET_PACKET_MAX) - NET_TAG)
		return NET_DROP_BAD;
	if (!source_allowed(p, net_addr(f->head + NET_ADDR), *vlan, now))
		return NET_DROP_MAC;
	if (!net_bucket_take(&p->rate, f->length, now))
		return NET_DROP_RATE;
	return NET_DROPS;
}

void net_switch_input(struct net_port *p, const struct net_frame *f, u64 now)
{
	struct net_frame space;
	struct forms forms;
	u64 dst = net_addr(f->head);
	struct net_port *to;
	u16 vlan;
	enum net_drop drop;

	if (!p->sw)
		return;
	forms.made = false;
	drop = judge(p, f, &space, &forms.plain, &vlan, now);
	if (drop != NET_DROPS) {
		p->count.drop[drop]++;
		return;
	}
	to = destination(p, dst, vlan, now);
	if (!to && !net_bucket_take(&p->storm, 1, now)) {
		p->count.drop[NET_DROP_STORM]++;
		return;
	}
	p->count.in_frames++;
	p->count.in_bytes += f->length;
	if (!to)
		flood(p, &forms, vlan, dst);
	else if (to != p)
		send(to, &forms, vlan);
}

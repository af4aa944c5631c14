// SPDX-License-Identifier: MIT
// Learning, finding and forgetting stations in a table of fixed size.
#include "net/stations.h"

#define WAYS 4u

static u64 station_key(u64 addr, u16 vlan)
{
	return addr << 16 | vlan;
}

// The first of the WAYS places where the key may be. The seed makes which keys meet there unknown to guests.
static struct net_station *station_set(struct net_switch *s, u64 key)
{
	u64 h = (key ^ s->seed) * 0x9e3779b97f4a7c15ull;

	h = (h ^ h >> 32 ^ s->seed >> 17) * 0xff51afd7ed558ccdull;
	return &s->table[(h >> 40) % (NET_TABLE / WAYS) * WAYS];
}

static bool station_old(const struct net_station *e, u64 now)
{
	return now > e->seen && now - e->seen > NET_AGEING_NS;
}

static struct net_station *station_at(struct net_switch *s, u64 key)
{
	struct net_station *e = station_set(s, key);

	for (u32 i = 0; i < WAYS; i++)
		if (e[i].key == key)
			return &e[i];
	return NULL;
}

static void station_clear(struct net_station *e)
{
	if (e->key)
		e->port->stations--;
	*e = (struct net_station){0};
}

struct net_port *net_station_find(struct net_switch *s, u64 addr, u16 vlan, u64 now)
{
	struct net_station *e = station_at(s, station_key(addr, vlan));

	if (e && station_old(e, now)) {
		station_clear(e);
		return NULL;
	}
	return e ? e->port : NULL;
}

bool net_station_refresh(struct net_port *p, u64 addr, u16 vlan, u64 now)
{
	struct net_station *e = station_at(p->sw, station_key(addr, vlan));

	if (!e || e->port != p)
		return false;
	e->seen = now;
	return true;
}

// A free place of the set, else the one that was silent for longest.
static struct net_station *station_victim(struct net_station *set)
{
	struct net_station *victim = set;

	for (u32 i = 0; i < WAYS; i++) {
		if (!set[i].key)
			return &set[i];
		if (set[i].seen < victim->seen)
			victim = &set[i];
	}
	return victim;
}

void net_station_learn(struct net_port *p, u64 addr, u16 vlan, u64 now)
{
	u64 key = station_key(addr, vlan);
	struct net_station *e = station_at(p->sw, key);

	if (e)
		station_clear(e); // it has moved
	else
		e = station_victim(station_set(p->sw, key));
	if (!p->config.uplink && p->stations >= NET_STATIONS && e->port != p)
		return;
	station_clear(e);
	*e = (struct net_station){.key = key, .seen = now, .port = p};
	p->stations++;
}

void net_station_forget(struct net_switch *s, u64 addr)
{
	for (u32 i = 0; i < NET_TABLE; i++)
		if (s->table[i].key >> 16 == addr)
			station_clear(&s->table[i]);
}

void net_stations_forget(struct net_switch *s, const struct net_port *p)
{
	for (u32 i = 0; i < NET_TABLE && p->stations; i++)
		if (s->table[i].key && s->table[i].port == p)
			station_clear(&s->table[i]);
}

struct net_port *net_locked_port(const struct net_switch *s, u64 addr)
{
	for (u32 i = 0, seen = 0; i < NET_PORTS && seen < s->ports; i++) {
		struct net_port *p = s->port[i];

		if (!p)
			continue;
		seen++;
		if (p->config.locked && p->config.addr == addr)
			return p;
	}
	return NULL;
}

// SPDX-License-Identifier: MIT
#include "mezzd/bridge.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <linux/if_bridge.h>
#include <linux/neighbour.h>

// FNV-1a.
static uint32_t hash(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 16777619u;
	return h;
}

void bridge_name(char name[IF_NAMESIZE], const char *sw)
{
	if (strlen(sw) <= IF_NAMESIZE - 1 - 3)
		snprintf(name, IF_NAMESIZE, "mz-%.12s", sw);
	else // no switch has "_" in its name
		snprintf(name, IF_NAMESIZE, "mz_%.4s%08x", sw, hash(sw));
}

void bridge_alias(char alias[LINK_ALIAS], const char *sw)
{
	snprintf(alias, LINK_ALIAS, "mezzanine switch %s", sw);
}

bool bridge_is_ours(const struct link *l)
{
	return strcmp(l->kind, "bridge") == 0 &&
	       (strncmp(l->name, "mz-", 3) == 0 || strncmp(l->name, "mz_", 3) == 0);
}

int bridge_make(const char *name, bool vlans)
{
	struct ifinfomsg fixed = {.ifi_family = AF_UNSPEC};
	struct netlink_message m;
	size_t info, data;

	netlink_begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &fixed, sizeof(fixed));
	netlink_put_text(&m, IFLA_IFNAME, name);
	info = netlink_open(&m, IFLA_LINKINFO);
	netlink_put_text(&m, IFLA_INFO_KIND, "bridge");
	data = netlink_open(&m, IFLA_INFO_DATA);
	netlink_put_u32(&m, IFLA_BR_FORWARD_DELAY, 0);
	netlink_put_u32(&m, IFLA_BR_STP_STATE, 0);
	netlink_put_u8(&m, IFLA_BR_MCAST_SNOOPING, 0); // groups go to all ports of the VLAN
	if (vlans) {
		netlink_put_u8(&m, IFLA_BR_VLAN_FILTERING, 1);
		netlink_put_u16(&m, IFLA_BR_VLAN_DEFAULT_PVID, 0); // new ports have no VLAN
	}
	netlink_close(&m, data);
	netlink_close(&m, info);
	return netlink_do(&m);
}

// ---- VLANs of a port

static void put_vlan(struct netlink_message *m, unsigned vlan, unsigned flags)
{
	struct bridge_vlan_info v = {.flags = (uint16_t)flags, .vid = (uint16_t)vlan};

	netlink_put(m, IFLA_BRIDGE_VLAN_INFO, &v, sizeof(v));
}

// A VLAN whose frames have no tag there, neither in nor out. 0 is the untagged network.
static void put_native(struct netlink_message *m, unsigned vlan)
{
	put_vlan(m, vlan ? vlan : BRIDGE_UNTAGGED,
		BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED);
}

static void put_all(struct netlink_message *m)
{
	put_vlan(m, 1, BRIDGE_VLAN_INFO_RANGE_BEGIN);
	put_vlan(m, BRIDGE_UNTAGGED - 1, BRIDGE_VLAN_INFO_RANGE_END);
	put_native(m, 0);
}

static void put_list(struct netlink_message *m, const u8 *vlans)
{
	if (vlans[0] & 1)
		put_native(m, 0);
	for (unsigned n = 1; n < NET_VLANS; n++)
		if (vlans[n / 8] & 1u << n % 8)
			put_vlan(m, n, 0);
}

// Begins a message about a port of a bridge.
static void begin(struct netlink_message *m, int port)
{
	struct ifinfomsg fixed = {.ifi_family = AF_BRIDGE, .ifi_index = port};

	netlink_begin(m, RTM_SETLINK, 0, &fixed, sizeof(fixed));
}

int bridge_join_self(int bridge)
{
	struct netlink_message m;
	size_t spec;

	begin(&m, bridge);
	spec = netlink_open(&m, IFLA_AF_SPEC);
	netlink_put_u16(&m, IFLA_BRIDGE_FLAGS, BRIDGE_FLAGS_SELF);
	put_native(&m, 0);
	netlink_close(&m, spec);
	return netlink_do(&m);
}

int bridge_port_uplink(int port)
{
	struct netlink_message m;
	size_t spec;

	begin(&m, port);
	spec = netlink_open(&m, IFLA_AF_SPEC);
	put_all(&m);
	netlink_close(&m, spec);
	return netlink_do(&m);
}

// The address is behind this port in each of its VLANs, for ever, and seen elsewhere it stays here.
static int lock_addr(int port, const u8 addr[NET_ADDR])
{
	struct ndmsg fixed = {.ndm_family = AF_BRIDGE,
		.ndm_ifindex = port,
		.ndm_state = NUD_NOARP,
		.ndm_flags = NTF_MASTER | NTF_STICKY};
	struct netlink_message m;

	netlink_begin(&m, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &fixed, sizeof(fixed));
	netlink_put(&m, NDA_LLADDR, addr, NET_ADDR);
	return netlink_do(&m);
}

static int set_vlans(int port, const struct net_port_config *p)
{
	struct netlink_message m;
	size_t spec;

	begin(&m, port);
	spec = netlink_open(&m, IFLA_AF_SPEC);
	if (!p->trunk)
		put_native(&m, p->vlan);
	else if (p->vlans)
		put_list(&m, p->vlans);
	else
		put_all(&m);
	netlink_close(&m, spec);
	return netlink_do(&m);
}

int bridge_port_card(int port, const struct net_card_config *c, bool vlans)
{
	struct netlink_message m;
	size_t info;
	int error;

	begin(&m, port);
	info = netlink_open(&m, IFLA_PROTINFO);
	netlink_put_u8(&m, IFLA_BRPORT_LEARNING, 0);
	netlink_put_u8(&m, IFLA_BRPORT_UNICAST_FLOOD, 0);
	netlink_close(&m, info);
	error = netlink_do(&m);
	if (!error && vlans)
		error = set_vlans(port, &c->port);
	return error ? error : lock_addr(port, c->addr);
}

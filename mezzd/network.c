// SPDX-License-Identifier: MIT
#include "mezzd/network.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/device.h"
#include "common/tap.h"
#include "common/util.h"
#include "mezzd/bridge.h"
#include "mezzd/uplink.h"
#include "net/config.h"
#include "net/tap.h"

static bool without_vlans;

void network_without_vlans(void)
{
	without_vlans = true;
}

// A step's result: true, or a message.
static bool done(int error, const char *what, const char *whose)
{
	if (!error)
		return true;
	complain("%s: %s: %s", whose, what, strerror(-error));
	return false;
}

// ---- bridges

// The card becomes the bridge's port and gives it its own address, by which the network knows the root VM.
static bool enslave(const struct link *card, const struct link *bridge)
{
	return done(link_set_addr(bridge->index, card->addr), "its MAC address cannot be set",
		       bridge->name) &&
	       done(link_set_master(card->index, bridge->index), "cannot be an uplink", card->name);
}

static bool move_addresses(const struct link *from, const struct link *to)
{
	int moved = uplink_move(from->index, to->index);

	if (moved > 0)
		complain("%s: %d addresses of the root VM are at %s now", from->name, moved,
			to->name);
	return done(moved < 0 ? moved : 0, "the root VM's addresses cannot be moved", from->name);
}

static bool uplink_ready(const struct net_card_config *c, const struct link *bridge)
{
	struct link card;

	if (!link_find(c->uplink, &card)) {
		complain("switch %s: the root VM has no network card '%s', expected as its uplink",
			c->name, c->uplink);
		return false;
	}
	if (card.master && card.master != bridge->index) {
		complain("switch %s: its uplink %s is a port of something else already", c->name,
			c->uplink);
		return false;
	}
	return (card.master || enslave(&card, bridge)) &&
	       done(without_vlans ? 0 : bridge_port_uplink(card.index), "VLANs", card.name) &&
	       done(without_vlans ? 0 : bridge_join_self(bridge->index), "VLANs", bridge->name) &&
	       done(link_up(card.index), "cannot be switched on", card.name) &&
	       move_addresses(&card, bridge);
}

// What makes a new bridge complete; its alias comes last.
static bool bridge_finish(const struct net_card_config *c, const struct link *bridge)
{
	char alias[LINK_ALIAS];

	bridge_alias(alias, c->name);
	if (!c->uplink[0])
		link_quiet(bridge->name); // the root VM is not in this network
	return done(link_up(bridge->index), "cannot be switched on", bridge->name) &&
	       done(link_set_alias(bridge->index, alias), "alias", bridge->name);
}

static bool bridge_ready(const struct net_card_config *c, struct link *bridge)
{
	char name[IF_NAMESIZE], alias[LINK_ALIAS];
	int error;

	bridge_name(name, c->name);
	bridge_alias(alias, c->name);
	if (!link_find(name, bridge)) {
		error = bridge_make(name, !without_vlans);
		if (!done(error,
			    error == -EOPNOTSUPP ? "expected a Linux with bridges that know VLANs"
						 : "the bridge cannot be made",
			    name) ||
			!done(link_find(name, bridge) ? 0 : -ENODEV, "the bridge", name))
			return false;
	}
	if (!bridge_is_ours(bridge) || (bridge->alias[0] && strcmp(bridge->alias, alias) != 0)) {
		complain("switch %s: there is a %s already, which is another's", c->name, name);
		return false;
	}
	return (bridge->alias[0] || bridge_finish(c, bridge)) &&
	       (!c->uplink[0] || uplink_ready(c, bridge));
}

// ---- taps

// Whose the tap is, and that it is complete: what it was made from.
static void tap_alias(char alias[LINK_ALIAS], const char *vm, const char *line)
{
	uint64_t h = 14695981039346656037u; // FNV-1a

	for (; *line; line++)
		h = (h ^ (uint8_t)*line) * 1099511628211u;
	snprintf(alias, LINK_ALIAS, "mezzanine card of %s %016" PRIx64, vm, h);
}

static bool tap_new(const char *name, const struct net_card_config *c, const struct link *bridge,
	const char *alias)
{
	struct link tap;

	if (!done(tap_make(name), "the tap cannot be made", name) ||
		!done(link_find(name, &tap) ? 0 : -ENODEV, "the tap", name))
		return false;
	link_quiet(name);
	return done(link_set_master(tap.index, bridge->index), "cannot be a port", name) &&
	       done(bridge_port_card(tap.index, c, !without_vlans), "the port", name) &&
	       done(link_up(tap.index), "cannot be switched on", name) &&
	       done(link_set_alias(tap.index, alias), "alias", name);
}

static bool tap_ready(uint32_t vm, const char *vm_name, unsigned card, const char *line,
	const struct net_card_config *c, const struct link *bridge)
{
	char name[NET_TAP_NAME], alias[LINK_ALIAS];
	struct link tap;

	net_tap_name(name, vm, card);
	tap_alias(alias, vm_name, line);
	if (link_find(name, &tap)) {
		if (strcmp(tap.alias, alias) == 0 && tap.master == bridge->index)
			return true;
		if (!done(link_delete(tap.index), "an old one cannot be deleted", name))
			return false;
	}
	return tap_new(name, c, bridge, alias);
}

// ---- cards

static const char *refusal(const struct net_card_config *c)
{
	const struct net_port_config *p = &c->port;
	unsigned n = BRIDGE_UNTAGGED;

	if (without_vlans && (p->trunk || p->vlan))
		return "a card without VLAN was expected, as bridges know none here";
	if (p->trunk ? p->vlans && p->vlans[n / 8] & 1u << n % 8 : p->vlan == n)
		return "a VLAN below 4094 was expected, which stands for the untagged network here";
	return NULL;
}

bool network_plug(uint32_t vm, const char *name, unsigned card, const char *line)
{
	struct net_card_config c;
	const char *wrong = net_card_parse(&c, line);
	struct link bridge;

	if (!wrong)
		wrong = refusal(&c);
	if (wrong) {
		complain("%s: network card %u: %s", name, card, wrong);
		return false;
	}
	return bridge_ready(&c, &bridge) && tap_ready(vm, name, card, line, &c, &bridge);
}

bool network_plug_vm(uint32_t vm, const char *name)
{
	char line[4096];
	unsigned card = 0;

	for (unsigned n = 0; n < BUNDLE_MAX_IO; n++) {
		int length = device_vm_line(vm, n, line, sizeof(line));

		if (length < 0)
			return done(length == -ENOENT ? 0 : length, "its definition", name);
		if (strncmp(line, "nic ", 4) == 0 && !network_plug(vm, name, card++, line + 4))
			return false;
	}
	return true;
}

// ---- what is left over

static bool is_one_of(uint32_t vm, const uint32_t *vms, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (vms[i] == vm)
			return true;
	return false;
}

// Is it a tap of a VM's card, and of which?
static bool is_card(const struct link *l, uint32_t *vm)
{
	char name[NET_TAP_NAME];
	unsigned card;

	if (strcmp(l->kind, "tun") != 0 || sscanf(l->name, "mz%" SCNu32 "-%u", vm, &card) != 2)
		return false;
	net_tap_name(name, *vm, card);
	return strcmp(name, l->name) == 0;
}

static bool has_card(const struct links *l, const struct link *bridge)
{
	uint32_t vm;

	for (size_t i = 0; i < l->count; i++)
		if (l->list[i].master == bridge->index && is_card(&l->list[i], &vm))
			return true;
	return false;
}

// Addresses are where they belong: at the bridge while it stays, else at its uplink again.
static bool settle(const struct links *l, const struct link *bridge, bool stays)
{
	uint32_t vm;
	bool ok = true;

	for (size_t i = 0; i < l->count; i++) {
		const struct link *port = &l->list[i];

		if (port->master == bridge->index && !is_card(port, &vm))
			ok &= stays ? move_addresses(port, bridge) : move_addresses(bridge, port);
	}
	return ok;
}

static void keep_bridges(const struct links *l)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct link *bridge = &l->list[i];
		bool stays;

		if (!bridge_is_ours(bridge))
			continue;
		stays = has_card(l, bridge);
		if (settle(l, bridge, stays) && !stays)
			done(link_delete(bridge->index), "cannot be deleted", bridge->name);
	}
}

void network_keep(const uint32_t *vms, size_t count)
{
	struct links l;
	uint32_t vm;

	if (!done(links_read(&l), "cannot be listed", "network devices"))
		return;
	for (size_t i = 0; i < l.count; i++)
		if (is_card(&l.list[i], &vm) && !is_one_of(vm, vms, count) &&
			done(link_delete(l.list[i].index), "cannot be deleted", l.list[i].name))
			l.list[i].master = 0;
	keep_bridges(&l);
	links_free(&l);
}

// SPDX-License-Identifier: MIT
// Virtual switches and network cards of the configuration.
#include "config/config_net.h"

#include <stdio.h>
#include <string.h>

#include "common/util.h"
#include "common/words.h"

static bool read_switch_name(
	struct document *d, const char *key, char out[BUNDLE_NAME_MAX + 1], const yaml_node_t *node)
{
	const char *text;
	size_t length;

	if (!document_text(d, key, node, &text))
		return false;
	length = strlen(text);
	if (!length || length > BUNDLE_NAME_MAX ||
		length != strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-"))
		return document_fail(d, node, "%s: '%.60s', expected 1 to %d of a-z, 0-9 and -",
			key, text, BUNDLE_NAME_MAX);
	memcpy(out, text, length + 1);
	return true;
}

// ---------------------------------------------------------------- switches

static bool read_name(struct document *d, void *out, const yaml_node_t *node)
{
	return read_switch_name(d, "name", ((struct config_switch *)out)->name, node);
}

static bool read_storm(struct document *d, void *out, const yaml_node_t *node)
{
	const char *text;
	uint64_t value;

	if (!document_text(d, "storm", node, &text))
		return false;
	if (!parse_number(text, 0, CONFIG_STORM_MAX, &value))
		return document_fail(d, node,
			"storm: '%.40s', expected frames a second from 0 (no limit) to %u", text,
			CONFIG_STORM_MAX);
	((struct config_switch *)out)->storm = value;
	return true;
}

static bool read_rate(struct document *d, void *out, const yaml_node_t *node)
{
	const char *text;
	uint64_t value;

	if (!document_text(d, "rate", node, &text))
		return false;
	if (!parse_size(text, &value) || value < CONFIG_RATE_MIN || value > CONFIG_RATE_MAX)
		return document_fail(
			d, node, "rate: '%.40s', expected bytes a second from 64KiB to 1TiB", text);
	((struct config_switch *)out)->rate = value;
	return true;
}

static bool read_uplink(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_switch *s = out;
	const char *text;
	size_t length;

	if (!document_text(d, "uplink", node, &text))
		return false;
	length = strlen(text);
	if (!length || length > BUNDLE_UPLINK_MAX ||
		length != strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789"))
		return document_fail(
			d, node, "uplink: '%.40s', expected a network card such as eth0", text);
	memcpy(s->uplink, text, length + 1);
	return true;
}

// Its name, and its uplink, are no other switch's.
static bool check_switch(struct document *d, const struct config *config,
	const struct config_switch *s, const yaml_node_t *item)
{
	for (unsigned k = 0; k < config->switch_count; k++) {
		const struct config_switch *other = &config->switches[k];

		if (strcmp(other->name, s->name) == 0)
			return document_fail(d, item,
				"switches: a second '%s', expected a name of its own", s->name);
		if (*s->uplink && strcmp(other->uplink, s->uplink) == 0)
			return document_fail(d, item,
				"uplink: '%s' is that of '%s', expected a network card of its own",
				s->uplink, other->name);
	}
	return true;
}

bool config_read_switches(struct document *d, struct config *config, const yaml_node_t *node)
{
	static const struct document_key keys[] = {{"name", read_name}, {"uplink", read_uplink},
		{"storm", read_storm}, {"rate", read_rate}, {0}};

	if (node->type != YAML_SEQUENCE_NODE)
		return document_fail(d, node, "switches: not a list, expected [{name: ...}, ...]");
	for (yaml_node_item_t *i = node->data.sequence.items.start;
		i < node->data.sequence.items.top; i++) {
		const yaml_node_t *item = document_node(d, *i);
		struct config_switch *s = &config->switches[config->switch_count];

		if (config->switch_count == BUNDLE_MAX_SWITCHES)
			return document_fail(d, item, "switches: one more, expected at most %d",
				BUNDLE_MAX_SWITCHES);
		*s = (struct config_switch){.storm = CONFIG_STORM_DEFAULT};
		if (!document_mapping(d, item, "switches: not a mapping, expected {name: ...}",
			    keys, s, NULL))
			return false;
		if (!*s->name)
			return document_fail(d, item, "switches: one has no 'name', expected it");
		if (!check_switch(d, config, s, item))
			return false;
		config->switch_count++;
	}
	return true;
}

// ---------------------------------------------------------------- network cards

static bool read_switch(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_nic *nic = out;

	nic->line = (unsigned)node->start_mark.line + 1;
	return read_switch_name(d, "switch", nic->switch_name, node);
}

static bool read_vlan(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_nic *nic = out;
	const char *text;
	uint64_t value;

	if (!document_text(d, "vlan", node, &text))
		return false;
	nic->trunk = strcmp(text, "trunk") == 0;
	if (nic->trunk)
		return true;
	if (!parse_number(text, 1, 4094, &value))
		return document_fail(
			d, node, "vlan: '%.40s', expected a number from 1 to 4094, or trunk", text);
	nic->vlan = (unsigned)value;
	return true;
}

static bool read_trunk(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_nic *nic = out;

	if (node->type != YAML_SEQUENCE_NODE ||
		node->data.sequence.items.start == node->data.sequence.items.top)
		return document_fail(d, node, "trunk: not a list, expected VLANs such as [10, 20]");
	nic->trunk = true;
	for (yaml_node_item_t *i = node->data.sequence.items.start;
		i < node->data.sequence.items.top; i++) {
		const yaml_node_t *item = document_node(d, *i);
		const char *text;
		uint64_t value;

		if (nic->trunk_count == BUNDLE_MAX_TRUNK)
			return document_fail(d, item, "trunk: one more, expected at most %d VLANs",
				BUNDLE_MAX_TRUNK);
		if (!document_text(d, "trunk", item, &text))
			return false;
		if (!parse_number(text, 0, 4094, &value))
			return document_fail(d, item,
				"trunk: '%.40s', expected a VLAN from 1 to 4094, or 0 for what has no tag",
				text);
		nic->trunk_vlans[nic->trunk_count++] = (unsigned)value;
	}
	return true;
}

static bool read_link(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_nic *nic = out;
	const char *text;

	if (!document_text(d, "link", node, &text))
		return false;
	nic->follow = strcmp(text, "uplink") == 0;
	return nic->follow || strcmp(text, "up") == 0 ||
	       document_fail(d, node, "link: '%.40s', expected up or uplink", text);
}

static bool read_mac(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_nic *nic = out;
	unsigned byte[6];
	const char *text;
	int n = 0;

	if (!document_text(d, "mac", node, &text))
		return false;
	if (strlen(text) != 17 || strspn(text, "0123456789abcdefABCDEF:") != 17 ||
		sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3],
			&byte[4], &byte[5], &n) != 6 ||
		n != 17)
		return document_fail(d, node,
			"mac: '%.40s', expected an address such as 52:54:00:12:34:56", text);
	nic->has_mac = true;
	for (unsigned i = 0; i < 6; i++)
		nic->mac[i] = (uint8_t)byte[i];
	if (nic->mac[0] & 1 || !memcmp(nic->mac, "\0\0\0\0\0\0", 6))
		return document_fail(
			d, node, "mac: '%.40s' is no single station's, expected one that is", text);
	return true;
}

bool config_read_nics(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;
	static const struct document_key keys[] = {{"switch", read_switch}, {"vlan", read_vlan},
		{"trunk", read_trunk}, {"mac", read_mac}, {"link", read_link}, {0}};

	if (node->type != YAML_SEQUENCE_NODE)
		return document_fail(d, node, "nics: not a list, expected [{switch: ...}, ...]");
	for (yaml_node_item_t *i = node->data.sequence.items.start;
		i < node->data.sequence.items.top; i++) {
		const yaml_node_t *item = document_node(d, *i);

		if (vm->nic_count == BUNDLE_MAX_NICS)
			return document_fail(
				d, item, "nics: one more, expected at most %d", BUNDLE_MAX_NICS);
		if (!document_mapping(d, item, "nics: not a mapping, expected {switch: ...}", keys,
			    &vm->nics[vm->nic_count], NULL))
			return false;
		if (!vm->nics[vm->nic_count].line)
			return document_fail(d, item, "nics: one has no 'switch', expected it");
		vm->nic_count++;
	}
	return true;
}

// The same at each start, and another for each card: FNV-1a of the VM's name and the card's number, made a locally
// administered address.
static void derive_mac(const struct config_vm *vm, unsigned index, uint8_t mac[6])
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (const char *c = vm->name; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 0x100000001b3u;
	hash = (hash ^ index) * 0x100000001b3u;
	hash ^= hash >> 29;
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)(hash >> 8 * i);
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

// Messages name the line of the card's `switch`.
static bool nic_fail(struct document *d, const struct config_nic *nic, const char *what)
{
	yaml_node_t at = {.start_mark.line = nic->line - 1};

	return document_fail(d, &at, "%s", what);
}

static const struct config_switch *switch_of(
	const struct config *config, const struct config_nic *nic)
{
	for (unsigned i = 0; i < config->switch_count; i++)
		if (strcmp(config->switches[i].name, nic->switch_name) == 0)
			return &config->switches[i];
	return NULL;
}

// What the card asks of its switch is there.
static bool check_switch_of(
	struct document *d, const struct config *config, const struct config_nic *nic)
{
	const struct config_switch *s = switch_of(config, nic);
	char what[160];

	if (!s) {
		snprintf(what, sizeof(what),
			"switch: '%s' is not there, expected one of 'switches'", nic->switch_name);
		return nic_fail(d, nic, what);
	}
	if (nic->follow && !*s->uplink) {
		snprintf(what, sizeof(what), "link: switch '%s' has no uplink, expected one",
			nic->switch_name);
		return nic_fail(d, nic, what);
	}
	return !(nic->trunk_count && nic->vlan) ||
	       nic_fail(d, nic, "trunk: beside a vlan, expected one of both");
}

static const struct config_nic *same_mac(const struct config *config, const struct config_nic *nic)
{
	for (unsigned v = 0; v < config->vm_count; v++)
		for (unsigned i = 0; i < config->vms[v].nic_count; i++) {
			const struct config_nic *other = &config->vms[v].nics[i];

			if (other == nic)
				return NULL; // those behind it are checked when it is their turn
			if (memcmp(other->mac, nic->mac, 6) == 0)
				return other;
		}
	return NULL;
}

static bool check_nic(
	struct document *d, struct config *config, struct config_vm *vm, unsigned index)
{
	struct config_nic *nic = &vm->nics[index];
	char what[160];

	if (!check_switch_of(d, config, nic))
		return false;
	if (!nic->has_mac)
		derive_mac(vm, index, nic->mac);
	if (same_mac(config, nic)) {
		snprintf(what, sizeof(what),
			"mac: %02x:%02x:%02x:%02x:%02x:%02x a second time, expected an address of its own",
			nic->mac[0], nic->mac[1], nic->mac[2], nic->mac[3], nic->mac[4],
			nic->mac[5]);
		return nic_fail(d, nic, what);
	}
	return true;
}

bool config_check_nics(struct document *d, struct config *config)
{
	for (unsigned v = 0; v < config->vm_count; v++)
		for (unsigned i = 0; i < config->vms[v].nic_count; i++)
			if (!check_nic(d, config, &config->vms[v], i))
				return false;
	return true;
}

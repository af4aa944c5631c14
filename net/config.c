// SPDX-License-Identifier: MIT
// Reads a network card's line of the boot bundle; believes nothing.
#include "net/config.h"

#include "lib/string.h"

// The next word into `out` of `size` bytes; false: there is none, or it is too long.
static bool word(const char **text, char *out, size_t size)
{
	size_t n = 0;

	while ((*text)[n] && (*text)[n] != ' ')
		n++;
	if (!n || n >= size)
		return false;
	memcpy(out, *text, n);
	out[n] = 0;
	*text += n + ((*text)[n] == ' ');
	return true;
}

static bool number(const char **text, u64 max, u64 *out)
{
	char digits[21];
	u64 n = 0;

	if (!word(text, digits, sizeof(digits)))
		return false;
	for (const char *d = digits; *d; d++) {
		u64 digit = (u64)(*d - '0');

		if (*d < '0' || *d > '9' || n > (max - MIN(max, digit)) / 10)
			return false;
		n = n * 10 + digit;
	}
	*out = n;
	return n <= max;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool address(const char **text, u8 addr[NET_ADDR])
{
	char s[18];

	if (!word(text, s, sizeof(s)) || strlen(s) != 17)
		return false;
	for (unsigned i = 0; i < NET_ADDR; i++) {
		int high = hex(s[3 * i]), low = hex(s[3 * i + 1]);

		if (high < 0 || low < 0 || (i < NET_ADDR - 1 && s[3 * i + 2] != ':'))
			return false;
		addr[i] = (u8)(high << 4 | low);
	}
	return net_addr(addr) && !net_addr_is_group(net_addr(addr));
}

// VLANs with commas between them, up to a space.
static bool vlan_list(const char **text, u8 *vlans)
{
	u32 n = 0, digits = 0;

	for (const char *c = *text;; c++) {
		if (*c >= '0' && *c <= '9') {
			n = n * 10 + (u32)(*c - '0');
			if (++digits > 4)
				return false;
			continue;
		}
		if (!digits || n >= NET_VLANS || (*c != ',' && *c != ' '))
			return false;
		vlans[n / 8] |= (u8)(1u << n % 8);
		n = digits = 0;
		if (*c == ' ') {
			*text = c + 1;
			return true;
		}
	}
}

static bool vlan(const char **text, struct net_card_config *c)
{
	struct net_port_config *p = &c->port;
	u64 n = 0;

	p->trunk = strncmp(*text, "trunk", 5) == 0;
	if (!p->trunk) {
		if (!number(text, NET_VLANS - 1, &n))
			return false;
		p->vlan = (u16)n;
		return true;
	}
	*text += 5;
	if (**text == ':') {
		++*text;
		p->vlans = c->vlans;
		return vlan_list(text, c->vlans);
	}
	return *(*text)++ == ' ';
}

// Nothing, or the uplink and whether the link is that of the uplink.
static bool uplink(const char **text, struct net_card_config *c)
{
	char follow[7];

	if (!**text)
		return true;
	if (!word(text, c->uplink, sizeof(c->uplink)))
		return false;
	if (!**text)
		return true;
	c->follow = word(text, follow, sizeof(follow)) && strcmp(follow, "follow") == 0;
	return c->follow && !**text;
}

const char *net_card_parse(struct net_card_config *c, const char *text)
{
	*c = (struct net_card_config){.port.locked = true};
	if (!word(&text, c->name, sizeof(c->name)))
		return "nic: the name of a switch was expected";
	if (!vlan(&text, c))
		return "nic: a VLAN of 0 to 4094 or trunk was expected";
	if (!address(&text, c->addr))
		return "nic: a station's MAC address was expected";
	c->port.addr = net_addr(c->addr);
	if (!number(&text, NET_BUCKET_RATE_MAX, &c->port.storm) ||
		!number(&text, NET_BUCKET_RATE_MAX, &c->port.rate))
		return "nic: a storm limit and a rate were expected";
	if (!uplink(&text, c))
		return "nic: nothing or the name of an uplink was expected";
	return NULL;
}

// SPDX-License-Identifier: MIT
// The network devices of the root VM, as Linux has them: found, made, changed.
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mezzd/netlink.h"

#define LINK_ALIAS 96u

struct link {
	int index;
	int master; // the bridge whose port it is; 0: none
	char name[IF_NAMESIZE];
	char kind[16];          // "bridge", "tun", ...; empty: a card of the machine
	char alias[LINK_ALIAS]; // a text that Linux keeps with it; one that is longer is cut
	uint8_t addr[6];
};

struct links {
	struct link *list;
	size_t count;
};

// All that are there, which the caller frees by links_free. 0 or -errno.
int links_read(struct links *l);
void links_free(struct links *l);
const struct link *links_named(const struct links *l, const char *name); // NULL: none
bool link_find(const char *name, struct link *out);

// 0 or -errno.
int link_up(int index);
int link_delete(int index);
int link_set_alias(int index, const char *alias);
int link_set_master(int index, int master); // 0: none
int link_set_addr(int index, const uint8_t addr[6]);

// Linux gives it no IPv6 address of its own accord: nothing of the root VM speaks there.
void link_quiet(const char *name);

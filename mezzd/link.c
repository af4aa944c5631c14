// SPDX-License-Identifier: MIT
#include "mezzd/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"

#define TRIES 10 // to read them without a change meanwhile

static void copy(char *to, size_t size, const struct rtattr *text)
{
	snprintf(to, size, "%s", netlink_text(text));
}

static void add(const struct nlmsghdr *h, void *user)
{
	const struct rtattr *a[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];
	const struct ifinfomsg *fixed = NLMSG_DATA(h);
	struct links *l = user;
	struct link *new;

	if (h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len < NLMSG_LENGTH(sizeof(*fixed)))
		return;
	netlink_attributes(h, sizeof(*fixed), a, IFLA_MAX);
	netlink_within(a[IFLA_LINKINFO], info, IFLA_INFO_MAX);
	l->list = reallocate(l->list, (l->count + 1) * sizeof(*l->list));
	new = &l->list[l->count++];
	*new = (struct link){.index = fixed->ifi_index};
	new->master = (int)netlink_u32(a[IFLA_MASTER], 0);
	copy(new->name, sizeof(new->name), a[IFLA_IFNAME]);
	copy(new->kind, sizeof(new->kind), info[IFLA_INFO_KIND]);
	copy(new->alias, sizeof(new->alias), a[IFLA_IFALIAS]);
	if (a[IFLA_ADDRESS] && RTA_PAYLOAD(a[IFLA_ADDRESS]) == sizeof(new->addr))
		memcpy(new->addr, RTA_DATA(a[IFLA_ADDRESS]), sizeof(new->addr));
}

int links_read(struct links *l)
{
	struct ifinfomsg all = {.ifi_family = AF_UNSPEC};
	struct netlink_message m;
	int error = -EINTR;

	*l = (struct links){NULL, 0};
	for (int i = 0; i < TRIES && error == -EINTR; i++) {
		links_free(l);
		netlink_begin(&m, RTM_GETLINK, 0, &all, sizeof(all));
		error = netlink_dump(&m, add, l);
	}
	if (error)
		links_free(l);
	return error;
}

void links_free(struct links *l)
{
	free(l->list);
	*l = (struct links){NULL, 0};
}

const struct link *links_named(const struct links *l, const char *name)
{
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->list[i].name, name) == 0)
			return &l->list[i];
	return NULL;
}

bool link_find(const char *name, struct link *out)
{
	const struct link *found;
	struct links l;

	if (links_read(&l) != 0)
		return false;
	found = links_named(&l, name);
	if (found)
		*out = *found;
	links_free(&l);
	return found;
}

// Begins a change of what is there.
static void begin(struct netlink_message *m, uint16_t type, int index, unsigned flags)
{
	struct ifinfomsg fixed = {.ifi_index = index, .ifi_flags = flags, .ifi_change = flags};

	netlink_begin(m, type, 0, &fixed, sizeof(fixed));
}

int link_up(int index)
{
	struct netlink_message m;

	begin(&m, RTM_SETLINK, index, IFF_UP);
	return netlink_do(&m);
}

int link_delete(int index)
{
	struct netlink_message m;

	begin(&m, RTM_DELLINK, index, 0);
	return netlink_do(&m);
}

int link_set_alias(int index, const char *alias)
{
	struct netlink_message m;

	begin(&m, RTM_SETLINK, index, 0);
	netlink_put_text(&m, IFLA_IFALIAS, alias);
	return netlink_do(&m);
}

int link_set_master(int index, int master)
{
	struct netlink_message m;

	begin(&m, RTM_SETLINK, index, 0);
	netlink_put_u32(&m, IFLA_MASTER, (uint32_t)master);
	return netlink_do(&m);
}

int link_set_addr(int index, const uint8_t addr[6])
{
	struct netlink_message m;

	begin(&m, RTM_SETLINK, index, 0);
	netlink_put(&m, IFLA_ADDRESS, addr, 6);
	return netlink_do(&m);
}

void link_quiet(const char *name)
{
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return; // a kernel without IPv6
	if (write(fd, "1", 1) != 1)
		complain("%s: %s", path, strerror(errno));
	close(fd);
}

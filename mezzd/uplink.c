// SPDX-License-Identifier: MIT
#include "mezzd/uplink.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/util.h"
#include "mezzd/netlink.h"

// Answers of the kernel, copied.
struct answers {
	int device; // those of this one
	struct nlmsghdr **list;
	size_t count;
};

static void keep(struct answers *a, const struct nlmsghdr *h)
{
	a->list = reallocate(a->list, (a->count + 1) * sizeof(*a->list));
	a->list[a->count] = allocate(h->nlmsg_len);
	memcpy(a->list[a->count++], h, h->nlmsg_len);
}

static void drop(struct answers *a)
{
	for (size_t i = 0; i < a->count; i++)
		free(a->list[i]);
	free(a->list);
	*a = (struct answers){.device = a->device};
}

// ---- addresses

static uint32_t address_flags(const struct nlmsghdr *h)
{
	const struct ifaddrmsg *fixed = NLMSG_DATA(h);
	const struct rtattr *a[IFA_MAX + 1];

	netlink_attributes(h, sizeof(*fixed), a, IFA_MAX);
	return netlink_u32(a[IFA_FLAGS], fixed->ifa_flags);
}

static void see_address(const struct nlmsghdr *h, void *user)
{
	const struct ifaddrmsg *fixed = NLMSG_DATA(h);
	struct answers *all = user;

	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*fixed)) ||
		(int)fixed->ifa_index != all->device)
		return;
	if (fixed->ifa_family == AF_INET6 &&
		(fixed->ifa_scope == RT_SCOPE_LINK || address_flags(h) & IFA_F_TEMPORARY))
		return;
	keep(all, h);
}

// The same address at another device; or as it is, to be deleted.
static int address_do(const struct nlmsghdr *h, uint16_t type, int device)
{
	static const uint16_t kept[] = {
		IFA_LOCAL, IFA_ADDRESS, IFA_BROADCAST, IFA_CACHEINFO, IFA_RT_PRIORITY};
	struct ifaddrmsg fixed = *(const struct ifaddrmsg *)NLMSG_DATA(h);
	const struct rtattr *a[IFA_MAX + 1];
	struct netlink_message m;
	uint32_t flags = address_flags(h) & IFA_F_NOPREFIXROUTE;

	if (fixed.ifa_family == AF_INET6)
		flags |= IFA_F_NODAD; // nobody else has got it meanwhile
	fixed.ifa_index = (uint32_t)device;
	fixed.ifa_flags = (uint8_t)flags;
	netlink_begin(&m, type, type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_REPLACE : 0, &fixed,
		sizeof(fixed));
	netlink_attributes(h, sizeof(fixed), a, IFA_MAX);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (a[kept[i]])
			netlink_put(&m, kept[i], RTA_DATA(a[kept[i]]), RTA_PAYLOAD(a[kept[i]]));
	netlink_put_u32(&m, IFA_FLAGS, flags);
	return netlink_do(&m);
}

// ---- routes

// Not those that Linux makes itself for each address.
static void see_route(const struct nlmsghdr *h, void *user)
{
	const struct rtmsg *fixed = NLMSG_DATA(h);
	const struct rtattr *a[RTA_MAX + 1];
	struct answers *all = user;

	if (h->nlmsg_type != RTM_NEWROUTE || h->nlmsg_len < NLMSG_LENGTH(sizeof(*fixed)) ||
		fixed->rtm_type != RTN_UNICAST || fixed->rtm_protocol == RTPROT_KERNEL)
		return;
	netlink_attributes(h, sizeof(*fixed), a, RTA_MAX);
	if ((int)netlink_u32(a[RTA_OIF], 0) == all->device)
		keep(all, h);
}

static bool has_gateway(const struct nlmsghdr *h)
{
	const struct rtattr *a[RTA_MAX + 1];

	netlink_attributes(h, sizeof(struct rtmsg), a, RTA_MAX);
	return a[RTA_GATEWAY] || a[RTA_VIA];
}

// The same route through another device, in place of this one; or this one is deleted.
static int route_do(const struct nlmsghdr *h, uint16_t type, int device)
{
	static const uint16_t kept[] = {RTA_DST, RTA_SRC, RTA_GATEWAY, RTA_VIA, RTA_PREFSRC,
		RTA_PRIORITY, RTA_METRICS, RTA_TABLE, RTA_PREF};
	struct rtmsg fixed = *(const struct rtmsg *)NLMSG_DATA(h);
	const struct rtattr *a[RTA_MAX + 1];
	struct netlink_message m;

	fixed.rtm_flags &= RTNH_F_ONLINK;
	netlink_begin(&m, type, type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_REPLACE : 0, &fixed,
		sizeof(fixed));
	netlink_attributes(h, sizeof(fixed), a, RTA_MAX);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (a[kept[i]])
			netlink_put(&m, kept[i], RTA_DATA(a[kept[i]]), RTA_PAYLOAD(a[kept[i]]));
	netlink_put_u32(&m, RTA_OIF, (uint32_t)device);
	return netlink_do(&m);
}

// First those to neighbours, by which gateways are reached. What a router announced is only forgotten.
static int move_routes(const struct answers *routes, int from, int to)
{
	int first = 0;

	for (int gateways = 0; gateways < 2; gateways++)
		for (size_t i = 0; i < routes->count; i++) {
			const struct nlmsghdr *h = routes->list[i];
			const struct rtmsg *fixed = NLMSG_DATA(h);
			bool heard = fixed->rtm_protocol == RTPROT_RA;
			int error;

			if (has_gateway(h) != gateways)
				continue;
			error = heard ? 0 : route_do(h, RTM_NEWROUTE, to);
			if (!error)
				route_do(h, RTM_DELROUTE, from); // where it was not replaced
			first = first ? first : error;
		}
	return first;
}

static int ask(uint16_t type, struct answers *a, void (*see)(const struct nlmsghdr *h, void *user))
{
	struct rtgenmsg all = {.rtgen_family = AF_UNSPEC};
	struct netlink_message m;
	int error = -EINTR;

	for (int i = 0; i < 10 && error == -EINTR; i++) {
		drop(a);
		netlink_begin(&m, type, 0, &all, sizeof(all));
		error = netlink_dump(&m, see, a);
	}
	return error;
}

// There, then the routes, then no longer here: with its last address a device would lose its routes.
static int move(const struct answers *addresses, int from, int to)
{
	struct answers routes = {.device = from};
	int error = 0, lost;

	for (size_t i = 0; i < addresses->count && !error; i++)
		error = address_do(addresses->list[i], RTM_NEWADDR, to);
	if (error)
		return error;
	error = ask(RTM_GETROUTE, &routes, see_route);
	if (!error)
		error = move_routes(&routes, from, to);
	drop(&routes);
	for (size_t i = 0; i < addresses->count; i++) {
		lost = address_do(addresses->list[i], RTM_DELADDR, from);
		if (lost != -EADDRNOTAVAIL && !error) // else it went with the one before
			error = lost;
	}
	return error;
}

int uplink_move(int from, int to)
{
	struct answers addresses = {.device = from};
	int result = ask(RTM_GETADDR, &addresses, see_address);

	if (!result && addresses.count)
		result = move(&addresses, from, to);
	if (!result)
		result = (int)addresses.count;
	drop(&addresses);
	return result;
}

// SPDX-License-Identifier: MIT
#include "backend/uplink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM 16384u

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000u // <linux/if.h>, which <net/if.h> does not go with
#endif

// Asks for all of them: the answers come as the changes do.
static bool ask(int fd)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg m;
	} q = {.h = {.nlmsg_len = sizeof(q),
		       .nlmsg_type = RTM_GETLINK,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};

	return write(fd, &q, sizeof(q)) == sizeof(q);
}

static void look(const struct nlmsghdr *h, uplink_tell *tell, void *arg)
{
	const struct ifinfomsg *m = NLMSG_DATA(h);
	const struct rtattr *a = (const void *)((const u8 *)m + NLMSG_ALIGN(sizeof(*m)));
	size_t left = h->nlmsg_len - MIN(h->nlmsg_len, NLMSG_SPACE(sizeof(*m)));
	bool up = h->nlmsg_type == RTM_NEWLINK && m->ifi_flags & IFF_UP &&
		  m->ifi_flags & IFF_LOWER_UP;

	while (left >= sizeof(*a) && a->rta_len >= sizeof(*a) && a->rta_len <= left) {
		size_t step = MIN(RTA_ALIGN((size_t)a->rta_len), left);

		if (a->rta_type == IFLA_IFNAME)
			tell(arg, (const char *)a + RTA_LENGTH(0), up);
		a = (const void *)((const u8 *)a + step);
		left -= step;
	}
}

// One message, of several parts. false: there was none, or it was the last of what was asked for.
static bool take(int fd, uplink_tell *tell, void *arg)
{
	_Alignas(struct nlmsghdr) u8 bytes[ROOM];
	ssize_t n = read(fd, bytes, sizeof(bytes));
	unsigned len = n > 0 ? (unsigned)n : 0;

	if (n < 0)
		return errno == EINTR || (errno == ENOBUFS && ask(fd));
	for (struct nlmsghdr *h = (void *)bytes; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return false;
		if (h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK)
			look(h, tell, arg);
	}
	return n > 0;
}

int uplinks_open(uplink_tell *tell, void *arg)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), err;

	if (fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof(a)) && ask(fd)) {
		while (take(fd, tell, arg))
			;
		if (!fcntl(fd, F_SETFL, O_NONBLOCK))
			return fd;
	}
	err = errno;
	if (fd >= 0)
		close(fd);
	errno = err;
	return -1;
}

void uplinks_read(int fd, uplink_tell *tell, void *arg)
{
	take(fd, tell, arg);
}

// SPDX-License-Identifier: MIT
#include "backend/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend/say.h"

int tap_open(unsigned card, const char *name, bool *busy)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd;

	*busy = false;
	if (!if_nametoindex(name)) { // to open it would make one that leads nowhere
		say("nic %u: there is no tap %s, which mezzd makes", card, name);
		return -1;
	}
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		say("nic %u: /dev/net/tun: %s", card, strerror(errno));
		return -1;
	}
	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	if (!ioctl(fd, TUNSETIFF, &r))
		return fd;
	*busy = errno == EBUSY;
	if (!*busy)
		say("nic %u: tap %s: %s", card, name, strerror(errno));
	close(fd);
	return -1;
}

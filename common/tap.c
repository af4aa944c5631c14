// SPDX-License-Identifier: MIT
#include "common/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

int tap_open(const char *name)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), error;

	if (fd < 0)
		return -errno;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &r) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int tap_make(const char *name)
{
	int fd = tap_open(name), error = 0;

	if (fd == -EBUSY)
		return 0;
	if (fd < 0)
		return fd;
	if (ioctl(fd, TUNSETPERSIST, 1) != 0)
		error = -errno;
	close(fd);
	return error;
}

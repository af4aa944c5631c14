// SPDX-License-Identifier: MIT
// Taps: network devices of the root VM whose other end is a program.
#pragma once

#include <net/if.h>

// Makes a tap that stays when nobody has it open, with one queue and a struct virtio_net_hdr before each frame. It is there
// already: nothing happens. 0 or -errno.
int tap_make(const char *name);

// Opens it for a back-end, not blocking; one that is not there is made, until it is closed. A descriptor, or -errno; -EBUSY: another has it.
int tap_open(const char *name);

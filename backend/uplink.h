// SPDX-License-Identifier: MIT
// Whether network cards of the root VM have a link, as Linux tells (rtnetlink(7)): for virtual cards that follow one.
#pragma once

#include "lib/types.h"

typedef void uplink_tell(void *arg, const char *name, bool link);

// Calls `tell` for each card there is. Returns a socket, not blocking, that tells of changes, or -1 with errno.
int uplinks_open(uplink_tell *tell, void *arg);

// Something is there to be read. What was lost, as there was too much, is told anew.
void uplinks_read(int fd, uplink_tell *tell, void *arg);

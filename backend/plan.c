// SPDX-License-Identifier: MIT
#include "backend/plan.h"

#include <string.h>

#include "devices/virtio_blk.h"
#include "devices/virtio_net.h"

void plan_init(struct plan *p, unsigned vcpus)
{
	*p = (struct plan){
		.disk_queues = MIN(MAX(vcpus, 2u), VIRTIO_BLK_QUEUES),
		.card_pairs = MAX(1u, MIN(vcpus, VIRTIO_NET_PAIRS)),
	};
}

static const char *add_disk(struct plan *p, unsigned n, const char *text)
{
	if (p->disks == BUNDLE_MAX_DISKS)
		return "disk: at most 8 were expected";
	p->disk[p->disks].line = n;
	return disk_line_parse(&p->disk[p->disks++].what, text);
}

// A trunk's list is in the configuration itself, which therefore stays where it is.
static const char *add_card(struct plan *p, const char *text)
{
	if (p->cards == BUNDLE_MAX_NICS)
		return "nic: at most 8 were expected";
	return net_card_parse(&p->card[p->cards++], text);
}

static const char *add_vars(struct plan *p, const char *name)
{
	if (p->vars[0] || !*name || strlen(name) >= sizeof(p->vars))
		return "vars: one device was expected";
	strcpy(p->vars, name);
	return NULL;
}

const char *plan_add(struct plan *p, unsigned n, const char *text)
{
	if (strncmp(text, "disk ", 5) == 0)
		return add_disk(p, n, text + 5);
	if (strncmp(text, "nic ", 4) == 0)
		return add_card(p, text + 4);
	if (strncmp(text, "vars ", 5) == 0)
		return add_vars(p, text + 5);
	return NULL;
}

// SPDX-License-Identifier: MIT
// devices/host.h's block stores in the mono kernel: to the one that it is.
#include "kernel/mono/disk.h"

const struct host_block_info *host_block_info(const struct host_block *b)
{
	return &b->info;
}

void host_block_submit(struct host_block *b, struct host_block_request *r)
{
	b->ops->submit(b, r);
}

void host_block_commit(struct host_block *b)
{
	b->ops->commit(b);
}

void host_block_cancel(struct host_block *b)
{
	b->ops->cancel(b);
}

void host_block_on_idle(struct host_block *b, void (*idle)(void *device), void *device)
{
	b->idle = idle;
	b->device = device;
}

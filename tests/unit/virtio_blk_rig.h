// SPDX-License-Identifier: MIT
// A virtio-blk behind its PCI function with a store in memory, and a driver for it: for unit tests.
#pragma once

#include "tests/unit/test.h"
#include "devices/host_test/host_test_block.h"
#include "devices/virtio_blk.h"
#include "tests/unit/virtio_pci_driver.h"

#define SECTORS 256u
#define RING(q) (0x1000u + 0x3000u * (q))
#define HEADER  0x7000u // of request n: + 32 * n
#define STATUS  0x7800u // of request n: + n
#define DATA    0x8000u
#define HOLE    (HOST_TEST_HOLE * PAGE_SIZE)
#define PENDING 0xeeu // a status that the device has not written

#define ALL ~0ull

struct rig {
	struct host *h;
	struct host_block *store;
	struct virtio_blk b;
	struct virtio_pci fn;
	struct pci_driver d;
	struct ring q[2];
	unsigned sent;
};

static inline struct rig *rig_create(unsigned queues)
{
	struct rig *g = calloc(1, sizeof(*g));

	if (!g)
		abort();
	g->h = host_test_create();
	g->store = host_test_block_create(g->h, SECTORS);
	for (unsigned i = 0; i < SECTORS * 512; i++)
		g->store->data[i] = (u8)(i / 512 + i);
	virtio_blk_init(&g->b, g->h, g->store, queues);
	virtio_pci_init(&g->fn, &g->b.dev, 2);
	return g;
}

static inline void rig_start(struct rig *g, u64 features)
{
	CHECK(driver_find(&g->d, &g->fn));
	driver_msix(&g->d, 3);
	CHECK(driver_negotiate(&g->d, features));
	reg_put(&g->d, C_MSIX, 2, 0);
	for (u16 i = 0; i < MIN(g->b.dev.queues, 2u); i++)
		g->q[i] = driver_queue(&g->d, i, 64, RING(i), (u16)(i + 1));
	driver_ok(&g->d);
}

static inline struct rig *rig_running(u64 features)
{
	struct rig *g = rig_create(1);

	rig_start(g, features);
	return g;
}

static inline void rig_free(struct rig *g)
{
	CHECK(virtio_blk_quiet(&g->b));
	virtio_blk_destroy(&g->b);
	host_test_block_destroy(g->store);
	host_test_destroy(g->h);
	free(g);
}

// Puts a chain of three descriptors (two without data) into queue `q`; returns the request's number.
static inline unsigned request_put(
	struct rig *g, unsigned q, u32 type, u64 sector, u64 data, u32 len, u16 flags)
{
	unsigned n = g->sent++ % 32;
	struct ring *r = &g->q[q];
	u16 head = (u16)(r->next_desc % r->size);
	u16 mid = (u16)((head + 1) % r->size), end = (u16)((head + 2) % r->size);

	put32(g->h, HEADER + 32 * n, type);
	put32(g->h, HEADER + 32 * n + 4, 0);
	put64(g->h, HEADER + 32 * n + 8, sector);
	*at(g->h, STATUS + n, 1) = PENDING;
	desc_put(g->h, r->desc, head, HEADER + 32 * n, 16, D_NEXT, len ? mid : end);
	if (len)
		desc_put(g->h, r->desc, mid, data, len, (u16)(flags | D_NEXT), end);
	desc_put(g->h, r->desc, end, STATUS + n, 1, D_WRITE, 0);
	r->next_desc = (u16)(r->next_desc + 3);
	ring_publish(r, head);
	return n;
}

static inline unsigned request(
	struct rig *g, unsigned q, u32 type, u64 sector, u64 data, u32 len, u16 flags)
{
	unsigned n = request_put(g, q, type, sector, data, len, flags);

	driver_kick(&g->d, (u16)q);
	return n;
}

static inline u8 status_of(struct rig *g, unsigned n)
{
	return *at(g->h, STATUS + n, 1);
}

// A request that is done within its notification: its status.
static inline u8 request_now(struct rig *g, u32 type, u64 sector, u64 data, u32 len, u16 flags)
{
	unsigned n = request(g, 0, type, sector, data, len, flags);
	u32 head, written;

	CHECK(ring_used(&g->q[0], &head, &written));
	return status_of(g, n);
}

static inline bool disk_is(struct rig *g, u64 sector, u64 gpa, u32 len)
{
	return !memcmp(g->store->data + sector * 512, at(g->h, gpa, len), len);
}

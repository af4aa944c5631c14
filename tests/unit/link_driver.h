// SPDX-License-Identifier: MIT
// A guest's virtio-blk driver over a kernel that is played (link_fake.h): one queue, the event index as Linux uses it. It looks at
// used entries only when it was interrupted, and notifies only when it is asked to, so that one that is lost is seen.
#pragma once

#include "devices/virtio_blk.h"
#include "tests/unit/link_fake.h"
#include "tests/unit/test.h"

#define DRIVER_SIZE  64u // entries: 21 requests of three
#define DRIVER_MAX   (DRIVER_SIZE / 3)
#define DRIVER_RINGS 0x1000u
#define DRIVER_HEAD  0x4000u   // of request n: + 32 * n; its status behind
#define DRIVER_DATA  0x100000u // of request n: + 4096 * n

struct driver {
	unsigned slot;
	u16 avail, seen;
	bool busy[DRIVER_MAX];
	unsigned in_flight;
};

struct driver_desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};

static inline struct driver_desc *driver_desc(void)
{
	return (void *)(fake_memory + DRIVER_RINGS);
}
static inline u16 *driver_avail(void)
{
	return (void *)(fake_memory + DRIVER_RINGS + 0x1000);
}
static inline u8 *driver_used(void)
{
	return fake_memory + DRIVER_RINGS + 0x2000;
}
static inline u8 *driver_data(unsigned n)
{
	return fake_memory + DRIVER_DATA + 4096 * n;
}
static inline u8 *driver_status(unsigned n)
{
	return fake_memory + DRIVER_HEAD + 32 * n + 16;
}

// The driver is ready with one queue, all of its rings empty.
static inline void driver_start(struct driver *d, unsigned slot)
{
	struct mezz_device_state *s = &fake->state[slot];

	memset(fake_memory + DRIVER_RINGS, 0, 0x3000);
	*d = (struct driver){.slot = slot};
	s->accepted = VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_BLK_F_FLUSH;
	s->status = 15;
	s->queue[0].desc = DRIVER_RINGS;
	s->queue[0].driver = DRIVER_RINGS + 0x1000;
	s->queue[0].device = DRIVER_RINGS + 0x2000;
	s->queue[0].size = DRIVER_SIZE;
	s->queue[0].enabled = 1;
	s->running = 1;
	fake_ring(slot, MEZZ_BELL_STATE);
}

// The driver resets; the kernel waits for the back-end.
static inline void driver_reset(struct driver *d)
{
	struct mezz_device_state *s = &fake->state[d->slot];
	u32 resets = s->resets + 1, queues = s->queues;

	*s = (struct mezz_device_state){.version = MEZZ_STATE_VERSION,
		.resets = resets,
		.queues = queues,
		.resetting = 1,
		.status = VIRTIO_NEEDS_RESET};
	fake_ring(d->slot, MEZZ_BELL_STATE);
}

// A free request, or DRIVER_MAX.
static inline unsigned driver_free(const struct driver *d)
{
	unsigned n = 0;

	while (n < DRIVER_MAX && d->busy[n])
		n++;
	return n;
}

// A request of `len` bytes of driver_data(n), 0 for a flush; the device is notified if it wants to be.
static inline void driver_send(struct driver *d, unsigned n, u32 type, u64 sector, u32 len)
{
	struct driver_desc *t = driver_desc() + 3 * n;
	u8 *header = fake_memory + DRIVER_HEAD + 32 * n;
	u16 old = d->avail, event;

	memcpy(header, &(u32[]){type, 0}, 8);
	memcpy(header + 8, &sector, 8);
	*driver_status(n) = 0xee;
	t[0] = (struct driver_desc){DRIVER_HEAD + 32 * n, 16, 1, (u16)(3 * n + (len ? 1 : 2))};
	t[1] = (struct driver_desc){
		DRIVER_DATA + 4096 * n, len, type == VIRTIO_BLK_T_IN ? 3 : 1, (u16)(3 * n + 2)};
	t[2] = (struct driver_desc){DRIVER_HEAD + 32 * n + 16, 1, 2, 0};
	d->busy[n] = true;
	d->in_flight++;
	driver_avail()[2 + d->avail % DRIVER_SIZE] = (u16)(3 * n);
	__atomic_store_n(&driver_avail()[1], ++d->avail, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = READ_ONCE(*(u16 *)(void *)(driver_used() + 4 + 8 * DRIVER_SIZE));
	if ((u16)(d->avail - event - 1) < (u16)(d->avail - old))
		fake_ring(d->slot, 1);
}

// The next request that is done; DRIVER_MAX: none, and an interrupt is asked for.
static inline unsigned driver_take(struct driver *d)
{
	u16 *idx = (void *)(driver_used() + 2), *event = &driver_avail()[2 + DRIVER_SIZE];
	u32 head;

	if (__atomic_load_n(idx, __ATOMIC_ACQUIRE) == d->seen) {
		WRITE_ONCE(*event, d->seen);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(idx, __ATOMIC_ACQUIRE) == d->seen)
			return DRIVER_MAX;
	}
	memcpy(&head, driver_used() + 4 + 8 * (d->seen++ % DRIVER_SIZE), 4);
	if (head % 3 || head / 3 >= DRIVER_MAX || !d->busy[head / 3]) {
		fprintf(stderr, "driver: head %u was given back and is not out\n", head);
		abort();
	}
	d->busy[head / 3] = false;
	d->in_flight--;
	return head / 3;
}

// Was the driver interrupted since the last time?
static inline bool driver_interrupted(struct driver *d)
{
	return atomic_exchange(&fake->interrupts[d->slot], 0) & 1;
}

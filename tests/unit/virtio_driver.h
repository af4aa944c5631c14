// SPDX-License-Identifier: MIT
// A well-behaved driver's side of a split virtqueue, in the memory of the test host.
#pragma once

#include "devices/host_test/host_test.h"
#include "devices/virtqueue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { D_NEXT = 1, D_WRITE = 2, D_INDIRECT = 4 };

struct ring {
	struct host *host;
	u64 desc, driver, device; // guest-physical
	u16 size;
	u16 next_desc;
	u16 avail_idx; // next to publish
	u16 used_seen;
};

static inline u8 *at(struct host *h, u64 gpa, size_t len)
{
	u8 *p = host_guest_ptr(h, gpa, len);

	if (!p) {
		fprintf(stderr, "driver model: %#llx is not RAM\n", (unsigned long long)gpa);
		abort();
	}
	return p;
}

static inline void put16(struct host *h, u64 gpa, u16 v)
{
	memcpy(at(h, gpa, 2), &v, 2);
}
static inline void put32(struct host *h, u64 gpa, u32 v)
{
	memcpy(at(h, gpa, 4), &v, 4);
}
static inline void put64(struct host *h, u64 gpa, u64 v)
{
	memcpy(at(h, gpa, 8), &v, 8);
}

static inline u16 get16(struct host *h, u64 gpa)
{
	u16 v;

	memcpy(&v, at(h, gpa, 2), 2);
	return v;
}

static inline u32 get32(struct host *h, u64 gpa)
{
	u32 v;

	memcpy(&v, at(h, gpa, 4), 4);
	return v;
}

static inline void desc_put(
	struct host *h, u64 table, u16 i, u64 addr, u32 len, u16 flags, u16 next)
{
	u64 d = table + 16ull * i;

	put64(h, d, addr);
	put32(h, d + 8, len);
	put16(h, d + 12, flags);
	put16(h, d + 14, next);
}

// Makes a chain available.
static inline void ring_publish(struct ring *r, u16 head)
{
	put16(r->host, r->driver + 4 + 2ull * (r->avail_idx % r->size), head);
	put16(r->host, r->driver + 2, ++r->avail_idx);
}

// One buffer of one descriptor, made available; returns its head.
static inline u16 ring_add(struct ring *r, u64 addr, u32 len, u16 flags)
{
	u16 head = r->next_desc++ % r->size;

	desc_put(r->host, r->desc, head, addr, len, flags, 0);
	ring_publish(r, head);
	return head;
}

// The next used entry, if there is one.
static inline bool ring_used(struct ring *r, u32 *head, u32 *len)
{
	u64 entry = r->device + 4 + 8ull * (r->used_seen % r->size);

	if (get16(r->host, r->device + 2) == r->used_seen)
		return false;
	*head = get32(r->host, entry);
	*len = get32(r->host, entry + 4);
	r->used_seen++;
	return true;
}

static inline u16 used_flags_of(struct ring *r)
{
	return get16(r->host, r->device);
}
static inline u16 avail_event_of(struct ring *r)
{
	return get16(r->host, r->device + 4 + 8ull * r->size);
}
static inline void used_event_set(struct ring *r, u16 v)
{
	put16(r->host, r->driver + 4 + 2ull * r->size, v);
}

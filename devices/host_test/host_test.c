// SPDX-License-Identifier: MIT
// devices/host.h for unit tests and fuzzers.
#include "devices/host_test/host_test.h"

#include <stdlib.h>
#include <string.h>

struct host *host_test_create(void)
{
	struct host *h = calloc(1, sizeof(*h));

	if (!h)
		abort();
	for (unsigned i = 0; i < HOST_TEST_PAGES; i++)
		if (i != HOST_TEST_HOLE && !(h->page[i] = aligned_alloc(PAGE_SIZE, PAGE_SIZE)))
			abort();
	h->touched = ~0u;
	host_test_clear(h);
	return h;
}

// What was not touched is not cleared: a fuzzer does this before each of its inputs.
void host_test_clear(struct host *h)
{
	for (unsigned i = 0; i < HOST_TEST_PAGES; i++)
		if (h->page[i] && h->touched & 1u << i)
			memset(h->page[i], 0, PAGE_SIZE);
	memset(h->console, 0, h->console_len);
	memset(&h->touched, 0, offsetof(struct host, console) - offsetof(struct host, touched));
	h->console_room = HOST_TEST_CONSOLE;
	h->net.host = h;
}

void host_test_page_clear(struct host *h, u64 gpa)
{
	u64 i = gpa / PAGE_SIZE;

	if (gpa % PAGE_SIZE || i >= HOST_TEST_PAGES || !h->page[i])
		abort();
	if (h->touched & 1u << i)
		memset(h->page[i], 0, PAGE_SIZE);
}

void host_test_destroy(struct host *h)
{
	for (unsigned i = 0; i < HOST_TEST_PAGES; i++)
		free(h->page[i]);
	free(h);
}

void *host_guest_ptr(struct host *h, u64 gpa, size_t len)
{
	u64 page = gpa / PAGE_SIZE, offset = gpa % PAGE_SIZE;

	if (page >= HOST_TEST_PAGES || !h->page[page] || !len || len > PAGE_SIZE - offset)
		return NULL;
	h->touched |= 1u << page;
	return h->page[page] + offset;
}

static bool copy(struct host *h, u64 gpa, u8 *buf, size_t len, bool write)
{
	while (len) {
		size_t n = MIN(len, (size_t)(PAGE_SIZE - gpa % PAGE_SIZE));
		u8 *p = host_guest_ptr(h, gpa, n);

		if (!p)
			return false;
		memcpy(write ? p : buf, write ? buf : p, n);
		gpa += n;
		buf += n;
		len -= n;
	}
	return true;
}

bool host_guest_read(struct host *h, u64 gpa, void *to, size_t len)
{
	return copy(h, gpa, to, len, false);
}

bool host_guest_write(struct host *h, u64 gpa, const void *from, size_t len)
{
	return copy(h, gpa, (u8 *)(uintptr_t)from, len, true);
}

void host_msi(struct host *h, u64 addr, u32 data)
{
	if (h->msis < HOST_TEST_MSIS) {
		h->msi[h->msis].addr = addr;
		h->msi[h->msis].data = data;
	}
	h->msis++;
}

void host_intx(struct host *h, unsigned slot, bool level)
{
	h->intx[slot % ARRAY_SIZE(h->intx)] = level;
	h->intx_changes++;
}

// space[0] of a timer is its deadline.
void host_timer_init(struct host *h, struct host_timer *t, void (*fn)(struct host_timer *))
{
	*t = (struct host_timer){.fn = fn, .host = h};
	for (unsigned i = 0; i < HOST_TEST_TIMERS; i++) {
		if (!h->timer[i]) {
			h->timer[i] = t;
			return;
		}
	}
	abort();
}

void host_timer_set(struct host_timer *t, u64 delay_ns)
{
	t->armed = true;
	t->space[0] = t->host->now + delay_ns;
}

void host_timer_cancel(struct host_timer *t)
{
	t->armed = false;
}

void host_timer_destroy(struct host_timer *t)
{
	for (unsigned i = 0; i < HOST_TEST_TIMERS; i++)
		if (t->host->timer[i] == t)
			t->host->timer[i] = NULL;
}

void host_test_advance(struct host *h, u64 ns)
{
	h->now += ns;
	for (unsigned i = 0; i < HOST_TEST_TIMERS; i++) {
		struct host_timer *t = h->timer[i];

		if (!t || !t->armed || t->space[0] > h->now)
			continue;
		t->armed = false;
		t->fn(t);
	}
}

void host_rest_set(struct host *h, struct host_rest *r, bool on)
{
	struct host_rest *from = on ? NULL : r;

	r->on = on;
	for (unsigned i = 0; i < HOST_TEST_RESTS; i++) {
		if (h->rest[i] != from)
			continue;
		h->rest[i] = on ? r : NULL;
		return;
	}
	abort();
}

void host_test_rest(struct host *h, unsigned vcpu)
{
	for (unsigned i = 0; i < HOST_TEST_RESTS; i++)
		if (h->rest[i])
			h->rest[i]->fn(h->rest[i], vcpu);
}

size_t host_console_write(struct host *h, const u8 *bytes, size_t len)
{
	size_t n = MIN(len, h->console_room);
	size_t kept = MIN(n, HOST_TEST_CONSOLE - h->console_len);

	memcpy(h->console + h->console_len, bytes, kept);
	h->console_len += kept;
	h->console_room -= n;
	return n;
}

void host_console_room(struct host *h)
{
	h->console_rooms++;
}

void host_log(struct host *h, const char *fmt, ...)
{
	(void)fmt;
	h->logs++;
}

void host_net_send(struct host_net *n, const struct net_frame *f)
{
	struct host *h = n->host;
	size_t len = f->head_len;

	memcpy(h->net_bytes, f->head, len);
	for (u32 i = 0; i < f->segs; i++) {
		if (len + f->seg[i].len > sizeof(h->net_bytes))
			abort();
		memcpy(h->net_bytes + len, f->seg[i].at, f->seg[i].len);
		len += f->seg[i].len;
	}
	if (len != f->length)
		abort();
	h->net_last = *f;
	h->net_frames++;
}

bool host_net_rest(struct host_net *n, bool on)
{
	n->host->net_rest = on && n->host->net_rests;
	return n->host->net_rests;
}

void host_net_room(struct host_net *n)
{
	n->host->net_rooms++;
}

void host_random(struct host *h, void *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((u8 *)to)[i] = h->random++;
	h->randoms += n;
}

void host_on_dropped(struct host *h, void (*done)(void *device), void *device)
{
	h->dropped = done;
	h->drop_device = device;
}

u64 host_drop(struct host *h, u64 gpa, u64 len)
{
	u64 at = ALIGN_UP(gpa, PAGE_SIZE), end = ALIGN_DOWN(gpa + len, PAGE_SIZE);

	if (h->drop_ended || gpa + len < gpa)
		abort();
	if (gpa >= HOST_TEST_PAGES * PAGE_SIZE)
		return len;
	end = MIN(end, HOST_TEST_PAGES * PAGE_SIZE);
	for (; at < end; at += PAGE_SIZE) {
		if (h->drop_room && h->drops == h->drop_room)
			return at - gpa;
		h->drops++;
		h->drop_pages |= 1ull << at / PAGE_SIZE;
	}
	return len;
}

void host_drop_end(struct host *h)
{
	if (h->drop_ended)
		abort();
	h->drop_ended = true;
	h->drop_ends++;
}

bool host_test_drop(struct host *h)
{
	if (!h->drop_ended)
		return false;
	h->drop_ended = false;
	h->drops = 0;
	h->dropped(h->drop_device);
	return true;
}

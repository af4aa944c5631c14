// SPDX-License-Identifier: MIT
// Walking a split virtqueue that a hostile driver fills (virtio 1.2, section 2.7).
#include "devices/virtqueue.h"

#include "lib/string.h"

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { AVAIL_NO_INTERRUPT = 1 };
enum { USED_NO_NOTIFY = 1 };

#define DESC_SIZE   16u
#define RING_HEADER 4u // flags and idx, in both rings

struct desc { // 2.7.5
	u64 addr;
	u32 len;
	u16 flags;
	u16 next;
};

_Static_assert(sizeof(struct desc) == DESC_SIZE, "layout of the standard");
_Static_assert(sizeof(struct virtqueue_state) == 40, "saved state");
_Static_assert(sizeof(struct virtqueue_log) == 64, "plain data without holes");
_Static_assert(VIRTQUEUE_MAX *DESC_SIZE <= PAGE_SIZE, "an array touches two pages at most");

static bool queue_break(struct virtqueue *q, const char *why)
{
	if (!q->broken)
		q->broken = why;
	return false;
}

static bool queue_usable(const struct virtqueue *q)
{
	return q->s.enabled && !q->broken;
}

// ---------------------------------------------------------------- the three arrays

static bool part_map(struct virtqueue *q, struct virtqueue_part *p, u64 gpa, u32 bytes)
{
	u32 first = (u32)MIN(PAGE_SIZE - gpa % PAGE_SIZE, bytes);

	if (gpa + bytes < gpa)
		return false;
	p->first = first;
	p->page[0] = host_guest_ptr(q->host, gpa, first);
	p->page[1] = first < bytes ? host_guest_ptr(q->host, gpa + first, bytes - first) : NULL;
	return p->page[0] && (first == bytes || p->page[1]);
}

// The byte at `offset`; what lies there is aligned, so that it does not straddle the pages.
static inline void *part_at(const struct virtqueue_part *p, u32 offset)
{
	return offset < p->first ? p->page[0] + offset : p->page[1] + (offset - p->first);
}

static inline u16 *avail_flags(const struct virtqueue *q)
{
	return part_at(&q->avail, 0);
}
static inline u16 *avail_idx(const struct virtqueue *q)
{
	return part_at(&q->avail, 2);
}
static inline u16 *used_flags(const struct virtqueue *q)
{
	return part_at(&q->used, 0);
}
static inline u16 *used_idx(const struct virtqueue *q)
{
	return part_at(&q->used, 2);
}

static inline u16 *avail_ring(const struct virtqueue *q, u16 index)
{
	return part_at(&q->avail, RING_HEADER + 2u * (index & (q->s.size - 1u)));
}

// Where the driver says at which used index it wants an interrupt: behind its ring.
static inline u16 *used_event(const struct virtqueue *q)
{
	return part_at(&q->avail, RING_HEADER + 2u * q->s.size);
}

// Where the device says at which available index it wants a notification: behind its ring.
static inline u16 *avail_event(const struct virtqueue *q)
{
	return part_at(&q->used, RING_HEADER + 8u * q->s.size);
}

void virtqueue_reset(struct virtqueue *q, struct host *h, u16 size)
{
	*q = (struct virtqueue){.host = h, .s.size = size};
}

// The size is good.
static void rings_map(struct virtqueue *q)
{
	const struct virtqueue_state *s = &q->s;
	u32 n = s->size;

	if (!part_map(q, &q->desc, s->desc, DESC_SIZE * n) ||
		!part_map(q, &q->avail, s->driver, RING_HEADER + 2 * n + 2) ||
		!part_map(q, &q->used, s->device, RING_HEADER + 8 * n + 2))
		queue_break(q, "ring outside memory");
}

void virtqueue_remap(struct virtqueue *q)
{
	if (q->s.enabled && !q->broken)
		rings_map(q);
}

void virtqueue_enable(struct virtqueue *q)
{
	const struct virtqueue_state *s = &q->s;
	u32 n = s->size;

	q->s.enabled = 1;
	if (!n || n > VIRTQUEUE_MAX || (n & (n - 1)))
		queue_break(q, "queue size");
	else if (s->desc % 16 || s->driver % 2 || s->device % 4)
		queue_break(q, "misaligned ring");
	else
		rings_map(q);
}

// New available entries; false: broken. The acquire orders what the driver wrote before it published the index.
static bool queue_pending(struct virtqueue *q, u16 *pending)
{
	*pending = (u16)(__atomic_load_n(avail_idx(q), __ATOMIC_ACQUIRE) - q->s.next_avail);
	return *pending <= q->s.size || queue_break(q, "available index jumped");
}

// ---------------------------------------------------------------- the log

void virtqueue_log_clear(struct virtqueue_log *log)
{
	for (unsigned i = 0; i < ARRAY_SIZE(log->taken); i++)
		WRITE_ONCE(log->taken[i], 0);
	WRITE_ONCE(log->giving, 0);
	compiler_barrier();
}

bool virtqueue_log_begin(struct virtqueue_log *log, u32 life)
{
	if (READ_ONCE(log->life) == life)
		return true;
	virtqueue_log_clear(log);
	WRITE_ONCE(log->life, life);
	compiler_barrier();
	return false;
}

static bool log_has(const struct virtqueue_log *l, u16 head)
{
	return READ_ONCE(l->taken[head / 64]) & BIT(head % 64);
}

static void log_mark(struct virtqueue_log *l, u16 head, bool taken)
{
	u64 *word = &l->taken[head / 64], bit = BIT(head % 64), before = READ_ONCE(*word);

	WRITE_ONCE(*word, taken ? before | bit : before & ~bit);
}

// *head is what the driver made available; but what was out comes first. false: it is a head that we have not given back,
// by which marks and indexes would part.
static bool log_peek(struct virtqueue *q, u16 *head)
{
	if (q->redo) {
		for (*head = q->redo_from; *head < q->s.size; ++*head)
			if (log_has(q->log, *head))
				break;
	} else if (*head < q->s.size && log_has(q->log, *head)) {
		return queue_break(q, "chain available twice");
	}
	q->shown = *head;
	return true;
}

static void log_next(struct virtqueue *q)
{
	log_mark(q->log, q->shown, true);
	compiler_barrier();
	if (!q->redo) {
		q->s.next_avail++;
		return;
	}
	q->redo--;
	q->redo_from = (u16)(q->shown + 1);
}

// The entry is in the ring.
static void log_push(struct virtqueue *q, u16 head)
{
	u16 before = q->s.next_used++;

	compiler_barrier();
	WRITE_ONCE(q->log->giving, VIRTQUEUE_GIVING | (u64)head << 16 | before);
	compiler_barrier();
	__atomic_store_n(used_idx(q), q->s.next_used, __ATOMIC_RELEASE);
	compiler_barrier();
	log_mark(q->log, head, false);
	compiler_barrier();
	WRITE_ONCE(q->log->giving, 0);
	compiler_barrier();
}

// Its writer may have served a hostile guest, and was not checked then.
static bool log_valid(const struct virtqueue *q)
{
	u64 giving = q->log->giving;

	for (u32 head = q->s.size; head < VIRTQUEUE_MAX; head++)
		if (log_has(q->log, (u16)head))
			return false;
	return !giving || (giving >> 32 == 1 && (giving >> 16 & 0xffff) < q->s.size);
}

// Makes the marks right, and returns how many there are. Done in part it can be done again.
static u16 log_settle(struct virtqueue *q)
{
	u64 giving = q->log->giving;
	u16 marks = 0;

	if (giving && q->s.next_used == (u16)(giving + 1))
		log_mark(q->log, (u16)(giving >> 16), false);
	compiler_barrier();
	WRITE_ONCE(q->log->giving, 0);
	for (u16 head = 0; head < q->s.size; head++)
		marks = (u16)(marks + log_has(q->log, head));
	return marks;
}

void virtqueue_resume(struct virtqueue *q)
{
	u16 out = 0, pending;

	if (!queue_usable(q))
		return;
	q->s.next_used = q->s.signalled = READ_ONCE(*used_idx(q));
	if (q->log) {
		if (!log_valid(q)) {
			queue_break(q, "log of another queue");
			return;
		}
		out = log_settle(q);
	}
	q->s.next_avail = (u16)(q->s.next_used + out);
	if (queue_pending(q, &pending) && pending + out > q->s.size)
		queue_break(q, "more chains than entries");
	q->owed = true;
	virtqueue_set_kicks(q, true);
	q->redo = out;
	q->redo_from = 0;
}

// ---------------------------------------------------------------- chains

// A table of descriptors: the queue's own, or an indirect one in guest memory.
struct table {
	u64 gpa; // of an indirect one
	u32 entries;
	bool indirect;
	u64 page; // of an indirect one: the page that `ptr` is the first byte of
	u8 *ptr;
};

// Two loads for the whole descriptor, each done once.
static inline struct desc desc_load(const void *from)
{
	const u64 *words = from;
	u64 word[2] = {READ_ONCE(words[0]), READ_ONCE(words[1])};
	struct desc d;

	memcpy(&d, word, sizeof(d));
	return d;
}

// An indirect table has no alignment: one that has some is read through a pointer to its page, kept between calls.
static bool desc_fetch_indirect(struct virtqueue *q, struct table *t, u32 index, struct desc *out)
{
	u64 gpa = t->gpa + (u64)index * DESC_SIZE;

	if (gpa % DESC_SIZE)
		return host_guest_read(q->host, gpa, out, sizeof(*out));
	if (!t->ptr || t->page != gpa / PAGE_SIZE) {
		t->page = gpa / PAGE_SIZE;
		t->ptr = host_guest_ptr(q->host, t->page * PAGE_SIZE, PAGE_SIZE);
		if (!t->ptr)
			return false;
	}
	*out = desc_load(t->ptr + gpa % PAGE_SIZE);
	return true;
}

static bool desc_fetch(struct virtqueue *q, struct table *t, u32 index, struct desc *out)
{
	if (index >= t->entries)
		return queue_break(q, "descriptor index");
	if (t->indirect)
		return desc_fetch_indirect(q, t, index, out) ||
		       queue_break(q, "indirect table outside memory");
	*out = desc_load(part_at(&q->desc, index * DESC_SIZE));
	return true;
}

// From a descriptor that names an indirect table to that table (2.7.5.3).
static bool table_enter(struct virtqueue *q, struct table *t, const struct desc *d)
{
	if (!q->indirect)
		return queue_break(q, "indirect table not negotiated");
	if (t->indirect || d->flags & DESC_NEXT)
		return queue_break(q, "indirect table nested or chained");
	if (!d->len || d->len % DESC_SIZE || d->addr + d->len < d->addr)
		return queue_break(q, "indirect table's size");
	*t = (struct table){.gpa = d->addr, .entries = d->len / DESC_SIZE, .indirect = true};
	return true;
}

static bool chain_add(struct virtqueue *q, struct virtqueue_chain *c, const struct desc *d)
{
	if (c->segs >= c->max || c->segs >= q->s.size)
		return queue_break(q, "chain too long");
	if (d->addr + d->len < d->addr)
		return queue_break(q, "segment wraps");
	if (d->flags & DESC_WRITE) {
		c->write_bytes += d->len;
	} else if (c->segs > c->readable) {
		return queue_break(q, "readable segment after a writable one");
	} else {
		c->readable++;
		c->read_bytes += d->len;
	}
	if (c->read_bytes + c->write_bytes > 4 * GiB)
		return queue_break(q, "chain of more than 4 GiB");
	c->seg[c->segs++] = (struct host_segment){.gpa = d->addr, .len = d->len};
	return true;
}

// Ends after q->s.size segments at the latest, whatever the links say.
static bool chain_walk(struct virtqueue *q, struct virtqueue_chain *c)
{
	struct table t = {.entries = q->s.size};
	u32 index = c->head;
	struct desc d;

	for (;;) {
		if (!desc_fetch(q, &t, index, &d))
			return false;
		if (d.flags & DESC_INDIRECT) {
			if (!table_enter(q, &t, &d))
				return false;
			index = 0;
			continue;
		}
		if (!chain_add(q, c, &d))
			return false;
		if (!(d.flags & DESC_NEXT))
			return true;
		index = d.next;
	}
}

u16 virtqueue_available(struct virtqueue *q)
{
	u16 pending;

	return queue_usable(q) && queue_pending(q, &pending) ? (u16)(pending + q->redo) : 0;
}

bool virtqueue_peek(struct virtqueue *q, struct virtqueue_chain *c)
{
	u16 pending;

	if (!queue_usable(q) || !queue_pending(q, &pending) || (!pending && !q->redo))
		return false;
	c->head = READ_ONCE(*avail_ring(q, q->s.next_avail));
	if (__builtin_expect(q->log != NULL, 0) && !log_peek(q, &c->head))
		return false;
	c->segs = c->readable = 0;
	c->read_bytes = c->write_bytes = 0;
	return chain_walk(q, c);
}

void virtqueue_next(struct virtqueue *q)
{
	if (__builtin_expect(q->log != NULL, 0))
		log_next(q);
	else
		q->s.next_avail++;
}

// Two stores: an entry has the alignment of 4 only, and may straddle two pages.
__attribute__((always_inline)) static inline void used_put(
	struct virtqueue *q, u16 index, u16 head, u32 written)
{
	u32 offset = RING_HEADER + 8u * (index & (q->s.size - 1u));

	WRITE_ONCE(*(u32 *)part_at(&q->used, offset), head);
	WRITE_ONCE(*(u32 *)part_at(&q->used, offset + 4), written);
}

void virtqueue_push(struct virtqueue *q, u16 head, u32 written)
{
	if (!queue_usable(q))
		return;
	used_put(q, q->s.next_used, head, written);
	if (__builtin_expect(q->log != NULL, 0))
		log_push(q, head);
	else
		__atomic_store_n(used_idx(q), ++q->s.next_used, __ATOMIC_RELEASE);
}

void virtqueue_push_all(struct virtqueue *q, const u16 *head, const u32 *written, u32 n)
{
	if (!queue_usable(q))
		return;
	for (u32 i = 0; i < n; i++)
		used_put(q, (u16)(q->s.next_used + i), head[i], written[i]);
	q->s.next_used = (u16)(q->s.next_used + n);
	__atomic_store_n(used_idx(q), q->s.next_used, __ATOMIC_RELEASE);
}

bool virtqueue_wants_interrupt(struct virtqueue *q)
{
	u16 old = q->s.signalled, new = q->s.next_used;

	if (!queue_usable(q) || old == new)
		return false;
	q->s.signalled = new;
	// The driver writes its wish, then looks at used->idx; we wrote used->idx, and look at its wish now.
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!q->event_idx)
		return !(READ_ONCE(*avail_flags(q)) & AVAIL_NO_INTERRUPT);
	return (u16)(new - READ_ONCE(*used_event(q)) - 1) < (u16)(new - old);
}

u16 virtqueue_untold(const struct virtqueue *q)
{
	return (u16)(q->s.next_used - q->s.signalled);
}

bool virtqueue_settle(struct virtqueue *q)
{
	u16 before = q->s.signalled;

	if (!virtqueue_wants_interrupt(q))
		return true;
	q->s.signalled = before;
	return false;
}

bool virtqueue_await(struct virtqueue *q, u16 seen)
{
	u16 pending;

	if (!queue_usable(q))
		return false;
	if (!q->event_idx)
		WRITE_ONCE(*used_flags(q), (u16)0);
	else
		WRITE_ONCE(*avail_event(q), (u16)(q->s.next_avail + seen - q->redo));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return queue_pending(q, &pending) && pending + q->redo > seen;
}

bool virtqueue_set_kicks(struct virtqueue *q, bool on)
{
	if (on)
		return virtqueue_await(q, 0);
	// With the event index an old avail_event is behind the driver: it tells of nothing.
	if (queue_usable(q) && !q->event_idx)
		WRITE_ONCE(*used_flags(q), (u16)USED_NO_NOTIFY);
	return false;
}

// ---------------------------------------------------------------- copies

// Calls `copy` for what the bytes [offset, offset + len) of segments [from, to) are.
static size_t segs_copy(struct virtqueue *q, const struct virtqueue_chain *c, u16 from, u16 to,
	u64 offset, u8 *buf, size_t len, bool write)
{
	size_t done = 0;

	for (u16 i = from; i < to && done < len; i++) {
		const struct host_segment *s = &c->seg[i];
		size_t n;

		if (offset >= s->len) {
			offset -= s->len;
			continue;
		}
		n = MIN(len - done, (size_t)(s->len - offset));
		if (!(write ? host_guest_write(q->host, s->gpa + offset, buf + done, n)
			    : host_guest_read(q->host, s->gpa + offset, buf + done, n))) {
			queue_break(q, "segment outside memory");
			break;
		}
		offset = 0;
		done += n;
	}
	return done;
}

size_t virtqueue_read(
	struct virtqueue *q, const struct virtqueue_chain *c, u64 offset, void *to, size_t len)
{
	return segs_copy(q, c, 0, c->readable, offset, to, len, false);
}

size_t virtqueue_write(struct virtqueue *q, const struct virtqueue_chain *c, u64 offset,
	const void *from, size_t len)
{
	return segs_copy(q, c, c->readable, c->segs, offset, (u8 *)(uintptr_t)from, len, true);
}

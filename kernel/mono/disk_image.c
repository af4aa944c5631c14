// SPDX-License-Identifier: MIT
// Disks whose image lies in memory, in the boot bundle: written in place, read only, or with private pages on top.
//
// A request is a copy. So that no call holds a CPU, calls copy SLICE bytes; what is left is done by a timer, in order.
#include "kernel/mono/disk.h"

#include "kernel/core/frame.h"
#include "kernel/mono/disk_pages.h"
#include "kernel/vm/vm.h"
#include "devices/host_kernel/host_kernel.h"
#include "lib/string.h"

#define SECTOR   512u
#define SLICE    ((s64)(MiB + 64 * KiB)) // bytes that one call moves
#define OVERHEAD 1024                    // what a request costs besides, in bytes moved
#define PAUSE_NS 50000ull                // between two slices; guests run meanwhile

struct image {
	struct host_block block;
	enum disk_image_mode mode;
	u8 *data;
	struct disk_pages pages; // of a private one
	struct host host;
	struct host_timer timer;
	s64 budget;                      // bytes that this call may still move
	struct host_block_request *head; // what waits for the next slice, oldest first
	struct host_block_request **tail;
};

// How far a request has come; in host_block_request.space.
struct progress {
	struct host_block_request *next;
	u64 done;    // bytes
	u32 segment; // READ, WRITE: which one is next
	u32 offset;  // in it
};

_Static_assert(sizeof(struct progress) <= sizeof(((struct host_block_request *)0)->space), "room");

static struct image *image_of(struct host_block *b)
{
	return container_of(b, struct image, block);
}

static struct progress *progress_of(struct host_block_request *r)
{
	return (struct progress *)(void *)r->space;
}

// ---------------------------------------------------------------- bytes of the image

// What is at `offset`, to be read; *n is cut to what lies there in one piece.
static const u8 *bytes_at(struct image *m, u64 offset, size_t *n)
{
	const u8 *page;

	*n = MIN(*n, (size_t)(PAGE_SIZE - offset % PAGE_SIZE));
	page = m->mode == DISK_IMAGE_PRIVATE ? disk_pages_get(&m->pages, offset / PAGE_SIZE) : NULL;
	return page ? page + offset % PAGE_SIZE : m->data + offset;
}

// The same, to be written. NULL: no memory.
static u8 *room_at(struct image *m, u64 offset, size_t *n)
{
	u64 page_offset = ALIGN_DOWN(offset, PAGE_SIZE);
	bool fresh;
	u8 *page;

	*n = MIN(*n, (size_t)(PAGE_SIZE - offset % PAGE_SIZE));
	if (m->mode != DISK_IMAGE_PRIVATE)
		return m->data + offset;
	page = disk_pages_make(&m->pages, offset / PAGE_SIZE, &fresh);
	if (page && fresh && *n < PAGE_SIZE)
		memcpy(page, m->data + page_offset,
			MIN(PAGE_SIZE, m->block.info.sectors * SECTOR - page_offset));
	return page ? page + offset % PAGE_SIZE : NULL;
}

// ---------------------------------------------------------------- pieces of requests

// Moves the next piece of a READ or WRITE: at most to the end of a page of the guest's or of the image's.
static enum host_block_status transfer_piece(
	struct image *m, struct host_block_request *r, struct progress *p, size_t *moved)
{
	const struct host_segment *s = &r->segment[p->segment];
	u64 gpa = s->gpa + p->offset, at = r->sector * SECTOR + p->done;
	size_t n = MIN((size_t)(s->len - p->offset), (size_t)(PAGE_SIZE - gpa % PAGE_SIZE));
	const u8 *from = NULL;
	u8 *to = NULL;

	*moved = 0;
	if (p->offset == s->len) {
		p->segment++;
		p->offset = 0;
		return HOST_BLOCK_OK;
	}
	if (r->op == HOST_BLOCK_READ) {
		from = bytes_at(m, at, &n);
		to = host_guest_ptr(&m->host, gpa, n);
	} else {
		from = host_guest_ptr(&m->host, gpa, n);
		to = from ? room_at(m, at, &n) : NULL;
		if (from && !to)
			return HOST_BLOCK_ERROR;
	}
	if (!from || !to)
		return HOST_BLOCK_NOT_RAM;
	(memcpy)(to, from, n); // the function: what compilers put in its place is longer
	p->offset += (u32)n;
	*moved = n;
	return HOST_BLOCK_OK;
}

// The next piece of a DISCARD or ZERO. What is discarded of a private page goes back only with the whole page.
static enum host_block_status clear_piece(
	struct image *m, struct host_block_request *r, struct progress *p, size_t *moved)
{
	u64 at = r->sector * SECTOR + p->done;
	size_t n = MIN((size_t)(r->count * SECTOR - p->done), (size_t)(PAGE_SIZE - at % PAGE_SIZE));
	u8 *to;

	*moved = n;
	if (r->op == HOST_BLOCK_DISCARD) {
		if (m->mode == DISK_IMAGE_PRIVATE && n == PAGE_SIZE)
			disk_pages_drop(&m->pages, at / PAGE_SIZE);
		return HOST_BLOCK_OK;
	}
	to = room_at(m, at, &n);
	if (!to)
		return HOST_BLOCK_ERROR;
	memset(to, 0, n);
	return HOST_BLOCK_OK;
}

// Goes on with a request until it is done (true, and its status) or the budget is used up. A request without sectors,
// such as a FLUSH, is done at once: memory keeps no cache.
static bool request_run(
	struct image *m, struct host_block_request *r, enum host_block_status *status)
{
	struct progress *p = progress_of(r);
	bool transfer = r->op == HOST_BLOCK_READ || r->op == HOST_BLOCK_WRITE;

	*status = HOST_BLOCK_OK;
	m->budget -= OVERHEAD;
	while (p->done < r->count * SECTOR) {
		size_t moved;

		if (m->budget <= 0)
			return false;
		if (transfer && p->segment >= r->segments) {
			*status = HOST_BLOCK_ERROR;
			return true;
		}
		*status = transfer ? transfer_piece(m, r, p, &moved) : clear_piece(m, r, p, &moved);
		if (*status != HOST_BLOCK_OK)
			return true;
		p->done += moved;
		m->budget -= (s64)moved;
	}
	return true;
}

// ---------------------------------------------------------------- the queue

static bool range_good(const struct image *m, const struct host_block_request *r)
{
	return r->sector <= m->block.info.sectors && r->count <= m->block.info.sectors - r->sector;
}

static bool mode_good(const struct image *m, const struct host_block_request *r)
{
	return m->mode != DISK_IMAGE_READ_ONLY || r->op == HOST_BLOCK_READ ||
	       r->op == HOST_BLOCK_FLUSH;
}

static void submit(struct host_block *b, struct host_block_request *r)
{
	struct image *m = image_of(b);
	enum host_block_status status;

	*progress_of(r) = (struct progress){0};
	if (!range_good(m, r) || !mode_good(m, r)) {
		r->done(r, HOST_BLOCK_ERROR);
		return;
	}
	if (!m->head && request_run(m, r, &status)) {
		r->done(r, status);
		return;
	}
	*m->tail = r;
	m->tail = &progress_of(r)->next;
}

static struct host_block_request *queue_take(struct image *m)
{
	struct host_block_request *r = m->head;

	m->head = progress_of(r)->next;
	if (!m->head)
		m->tail = &m->head;
	return r;
}

static void commit(struct host_block *b)
{
	struct image *m = image_of(b);

	if (!m->head)
		m->budget = SLICE;
	else if (!m->timer.armed)
		host_timer_set(&m->timer, PAUSE_NS);
}

static void next_slice(struct host_timer *t)
{
	struct image *m = container_of(t, struct image, timer);
	enum host_block_status status;

	m->budget = SLICE;
	while (m->head && request_run(m, m->head, &status)) {
		struct host_block_request *r = queue_take(m);

		r->done(r, status);
	}
	disk_idle(&m->block);
	commit(&m->block);
}

static void cancel(struct host_block *b)
{
	struct image *m = image_of(b);

	while (m->head) {
		struct host_block_request *r = queue_take(m);

		r->done(r, HOST_BLOCK_ERROR);
	}
	host_timer_cancel(&m->timer);
	m->budget = SLICE;
}

// ---------------------------------------------------------------- life

static void destroy(struct host_block *b)
{
	struct image *m = image_of(b);

	host_timer_destroy(&m->timer);
	disk_pages_destroy(&m->pages);
	kmem_free(m, sizeof(*m));
}

static const struct disk_ops image_ops = {
	.submit = submit,
	.commit = commit,
	.cancel = cancel,
	.destroy = destroy,
};

struct host_block *disk_image_create(
	struct vm *vm, struct bundle_file image, enum disk_image_mode mode, const char **why)
{
	struct image *m = kmem_alloc(sizeof(*m), vm->id);
	bool writable = mode != DISK_IMAGE_READ_ONLY;

	*why = "not enough free memory for its disks";
	if (!m)
		return NULL;
	m->mode = mode;
	m->data = (u8 *)(uintptr_t)image.data; // the bundle's memory is the kernel's, and writable
	m->tail = &m->head;
	m->budget = SLICE;
	m->host.vm = vm;
	m->block = (struct host_block){.ops = &image_ops,
		.vm = vm,
		.info = {
			.sectors = image.size / SECTOR,
			.block_size = SECTOR,
			.physical_block = (u32)PAGE_SIZE,
			.read_only = !writable,
			.discard = writable,
			.immediate = true,
			.zero = writable,
			.max_segments = 126,
			.max_sectors = 64 * MiB / SECTOR,
		}};
	if (mode == DISK_IMAGE_PRIVATE &&
		!disk_pages_init(&m->pages, vm, ALIGN_UP(image.size, PAGE_SIZE) / PAGE_SIZE)) {
		kmem_free(m, sizeof(*m));
		return NULL;
	}
	host_timer_init(&m->host, &m->timer, next_slice);
	return &m->block;
}

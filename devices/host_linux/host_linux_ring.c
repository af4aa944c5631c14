// SPDX-License-Identifier: MIT
// Batches of requests to and from the kernel's io_uring.
//
// What an entry names (iovecs) has to stay only until it is submitted (IORING_FEAT_SUBMIT_STABLE), so all batches share one array.
#include "devices/host_linux/host_linux_block.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REAP 256u // completions of one call

// Debian 12's liburing exports no function for either.
static long ring_register(struct io_uring *u, unsigned what, void *with, unsigned count)
{
	return syscall(SYS_io_uring_register, u->ring_fd, what, with, count);
}

// No filter of system calls sees what goes through a ring, so it does what is listed here and nothing else: io_uring_register(2),
// IORING_REGISTER_RESTRICTIONS.
static int ring_restrict(struct io_uring *u)
{
	static const u8 operations[] = {
		IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE};
	struct io_uring_restriction r[ARRAY_SIZE(operations) + 1] = {0};

	for (unsigned i = 0; i < ARRAY_SIZE(operations); i++) {
		r[i].opcode = IORING_RESTRICTION_SQE_OP;
		r[i].sqe_op = operations[i];
	}
	r[ARRAY_SIZE(operations)].opcode = IORING_RESTRICTION_REGISTER_OP;
	r[ARRAY_SIZE(operations)].register_op = IORING_REGISTER_FILES; // host_ring_hold
	if (ring_register(u, IORING_REGISTER_RESTRICTIONS, r, ARRAY_SIZE(r)) ||
		ring_register(u, IORING_REGISTER_ENABLE_RINGS, NULL, 0))
		return -errno;
	return 0;
}

static int ring_open(struct io_uring *u)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED,
		.cq_entries = HOST_RING_FLIGHTS};
	int err = io_uring_queue_init_params(HOST_RING_ENTRIES, u, &p);

	if (err)
		return err;
	err = p.features & IORING_FEAT_SUBMIT_STABLE ? ring_restrict(u) : -ENOSYS;
	if (err)
		io_uring_queue_exit(u);
	return err;
}

struct host_ring *host_ring_create(void)
{
	struct host_ring *r = calloc(1, sizeof(*r));
	int err = -ENOMEM;

	if (!r)
		return NULL;
	r->uring = calloc(1, sizeof(*r->uring));
	r->bounce = aligned_alloc(PAGE_SIZE, HOST_RING_BOUNCES * HOST_RING_BOUNCE);
	if (r->uring && r->bounce)
		err = ring_open(r->uring);
	if (err) {
		free(r->uring);
		free(r->bounce);
		free(r);
		errno = -err;
		return NULL;
	}
	r->bounces = (u32)(BIT(HOST_RING_BOUNCES) - 1);
	r->tail = &r->head;
	return r;
}

int host_ring_fd(const struct host_ring *r)
{
	return r->uring->ring_fd;
}

void host_ring_destroy(struct host_ring *r)
{
	io_uring_queue_exit(r->uring);
	free(r->uring);
	free(r->bounce);
	free(r);
}

// A ring's registered files are given up last, when all of its requests are gone, whoever else is.
int host_ring_hold(struct host_ring *r, int fd)
{
	return io_uring_register_files(r->uring, &fd, 1);
}

// ---------------------------------------------------------------- room

bool host_ring_submit(struct host_ring *r)
{
	int n;

	if (!io_uring_sq_ready(r->uring))
		return true;
	do
		n = io_uring_submit(r->uring);
	while (n == -EINTR);
	if (io_uring_sq_ready(r->uring))
		return false;
	r->iovecs = 0;
	return true;
}

static bool has_room(struct host_ring *r, u32 iovecs)
{
	return io_uring_sq_space_left(r->uring) && iovecs <= HOST_RING_IOVECS - r->iovecs;
}

struct io_uring_sqe *host_ring_entry(struct host_ring *r, u32 iovecs)
{
	if (r->flights == HOST_RING_FLIGHTS)
		return NULL;
	if (!has_room(r, iovecs) && !host_ring_submit(r))
		return NULL;
	r->flights++;
	return io_uring_get_sqe(r->uring);
}

u8 *host_ring_bounce(struct host_ring *r, struct host_flight *f)
{
	unsigned n;

	if (!f->bounce) {
		if (!r->bounces)
			return NULL;
		n = (unsigned)__builtin_ctz(r->bounces);
		r->bounces &= ~(1u << n);
		f->bounce = (u16)(n + 1);
	}
	return r->bounce + (f->bounce - 1u) * HOST_RING_BOUNCE;
}

void host_ring_bounce_give(struct host_ring *r, struct host_flight *f)
{
	if (f->bounce)
		r->bounces |= 1u << (f->bounce - 1);
	f->bounce = 0;
}

void host_ring_wait(struct host_ring *r, struct host_block_request *q)
{
	host_flight_of(q)->next = NULL;
	*r->tail = q;
	r->tail = &host_flight_of(q)->next;
}

// Each of those that wait tries once; who finds no room waits again.
static void waiting_try(struct host_ring *r)
{
	struct host_block_request *q = r->head, *next;

	r->head = NULL;
	r->tail = &r->head;
	for (; q; q = next) {
		next = host_flight_of(q)->next;
		host_block_go_on(q);
	}
}

// ---------------------------------------------------------------- completions

static unsigned completions_take(struct host_ring *r, struct io_uring_cqe *to)
{
	struct io_uring_cqe *cqe[REAP];
	unsigned n = io_uring_peek_batch_cqe(r->uring, cqe, REAP);

	for (unsigned i = 0; i < n; i++)
		to[i] = (struct io_uring_cqe){.user_data = cqe[i]->user_data, .res = cqe[i]->res};
	io_uring_cq_advance(r->uring, n);
	return n;
}

void host_ring_reap(struct host_ring *r)
{
	struct io_uring_cqe cqe[REAP];
	unsigned n = completions_take(r, cqe);

	r->flights -= n;
	for (unsigned i = 0; i < n; i++)
		host_block_moved((void *)(uintptr_t)cqe[i].user_data, cqe[i].res);
	waiting_try(r);
	host_blocks_idle(r);
}

// SPDX-License-Identifier: MIT
// The io_uring of a back-end: it does what disks need, and nothing that the process may not do otherwise (backend/sandbox.c), as system
// calls that go through a ring pass no filter.
// link: devices/host_linux/host_linux_ring.c -luring
#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <unistd.h>

#include "devices/host_linux/host_linux_block.h"
#include "tests/unit/test.h"

static s32 result;
static bool done;

void host_block_moved(struct host_block_request *q, s32 res)
{
	(void)q;
	result = res;
	done = true;
}

void host_block_go_on(struct host_block_request *q)
{
	(void)q;
}

void host_blocks_idle(struct host_ring *r)
{
	(void)r;
}

// What becomes of an entry that names no file.
static s32 try(struct host_ring *r, u8 operation)
{
	struct io_uring_sqe *e = host_ring_entry(r, 0);

	memset(e, 0, sizeof(*e));
	e->opcode = operation;
	e->fd = -1;
	done = false;
	CHECK(host_ring_submit(r));
	for (unsigned ms = 0; ms < 10000 && !done; ms++) {
		host_ring_reap(r);
		usleep(done ? 0 : 1000);
	}
	CHECK(done);
	return result;
}

static bool is_a_disks(u8 operation)
{
	return operation == IORING_OP_READV || operation == IORING_OP_WRITEV ||
	       operation == IORING_OP_FSYNC || operation == IORING_OP_FALLOCATE;
}

TEST(what_it_does)
{
	struct host_ring *r = host_ring_create();

	CHECK(r);
	if (!r)
		return;
	for (u8 operation = 0; operation < IORING_OP_LAST; operation++)
		CHECK_EQ(try(r, operation), is_a_disks(operation) ? -EBADF : -EACCES);
	host_ring_destroy(r);
}

TEST_MAIN()

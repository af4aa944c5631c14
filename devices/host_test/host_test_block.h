// SPDX-License-Identifier: MIT
// A block store for unit tests and fuzzers: in memory; it delays, fails and records as the test says.
#pragma once

#include "devices/host_test/host_test.h"

#define HOST_TEST_BLOCK_QUEUE  64u // requests in flight at most
#define HOST_TEST_BLOCK_RECORD 256u

struct host_block {
	struct host *host;
	struct host_block_info info;
	u8 *data; // info.sectors * 512 bytes
	u8 *safe; // what would be there after a loss of power: data as of the last FLUSH that was done
	void (*idle)(void *device);
	void *device;

	bool written; // data was changed since host_test_block_clear
	bool delay;   // requests wait for host_test_block_finish
	bool cancels; // host_block_cancel ends those
	enum host_block_status fail[8];
	unsigned fails; // so many requests to come fail so, fail[0] first

	struct host_block_request *queue[HOST_TEST_BLOCK_QUEUE];
	unsigned queued;
	struct {
		enum host_block_op op;
		u64 sector, count;
		u32 segments;
	} record[HOST_TEST_BLOCK_RECORD]; // of submits, the first ones
	unsigned records;
	unsigned done, commits;
};

// info.sectors of 512 bytes, all zero; everything is supported.
struct host_block *host_test_block_create(struct host *h, u64 sectors);
// As it was made, but for `info`; nothing may be queued.
void host_test_block_clear(struct host_block *b);
void host_test_block_destroy(struct host_block *b);

// Does the i-th oldest of the delayed requests now, then calls idle().
void host_test_block_finish(struct host_block *b, unsigned i);
// All of them, oldest first, and one call of idle().
void host_test_block_finish_all(struct host_block *b);

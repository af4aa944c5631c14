// SPDX-License-Identifier: MIT
// A virtio-blk whose process is killed between any two instructions: another one goes on, and each request is given back
// exactly once, with what it asked for.
// link: devices/virtio_blk.c devices/virtio_blk_request.c devices/virtio_pace.c devices/virtio.c devices/virtqueue.c
// link: devices/host_test/host_test.c devices/host_test/host_test_block.c
#include "tests/unit/test.h"

#include "devices/host_test/host_test_block.h"
#include "devices/virtio_blk.h"
#include "tests/unit/backend_driver.h"
#include "tests/unit/deaths.h"

#define RING    0x1000u
#define TABLE   0x2000u // of head n: + 64 * n, three descriptors
#define HEADER  0x2800u // of head n: + 32 * n
#define STATUS  0x2f00u // of head n: + n
#define DATA    0x3000u // of head n: + 512 * n
#define ENTRIES 8u
#define SECTORS 8u
#define PENDING 0xeeu

// What a driver knows. It gives out the head first that came back last, as drivers do.
struct driver {
	struct ring r;
	u8 spare[ENTRIES], spares;
	u8 out; // set of heads
	u8 type[ENTRIES], sector[ENTRIES], fill[ENTRIES];
	u8 disk[SECTORS]; // what each sector was filled with by the last write that came back
	u8 fills;
	u32 wrong;
};

// Guest memory, disk, log and the account outlive the process; `blk` does not.
static struct host *h;
static struct host_block *store;
static struct virtio_blk blk;
static struct backend backend;
static struct backend_account account;
static struct driver drv;

// ---------------------------------------------------------------- the driver

static void submit(u8 type, u8 sector)
{
	u8 head = drv.spare[--drv.spares];
	u32 len = type == VIRTIO_BLK_T_FLUSH ? 0 : 512, n = 0;
	u64 table = TABLE + 64u * head;

	drv.out |= (u8)(1u << head);
	drv.type[head] = type;
	drv.sector[head] = sector;
	drv.fill[head] = type == VIRTIO_BLK_T_OUT ? ++drv.fills : PENDING;
	put32(h, HEADER + 32u * head, type);
	put64(h, HEADER + 32u * head + 8, sector);
	memset(at(h, DATA + 512u * head, 512), drv.fill[head], 512);
	*at(h, STATUS + head, 1) = PENDING;
	desc_put(h, table, (u16)n++, HEADER + 32u * head, 16, D_NEXT, 1);
	if (len)
		desc_put(h, table, (u16)n++, DATA + 512u * head, len,
			type == VIRTIO_BLK_T_IN ? D_NEXT | D_WRITE : D_NEXT, 2);
	desc_put(h, table, (u16)n++, STATUS + head, 1, D_WRITE, 0);
	desc_put(h, RING, head, table, 16 * n, D_INDIRECT, 0);
	ring_publish(&drv.r, head);
}

static bool filled(u8 head, u8 with)
{
	const u8 *data = at(h, DATA + 512u * head, 512);

	return data[0] == with && !memcmp(data, data + 1, 511);
}

// Takes back what came; counts what may not come, or is not what was asked for.
static void collect(void)
{
	u32 head, len;

	while (ring_used(&drv.r, &head, &len)) {
		if (head >= ENTRIES || !(drv.out & 1u << head)) {
			drv.wrong++;
			continue;
		}
		drv.out &= (u8) ~(1u << head);
		drv.spare[drv.spares++] = (u8)head;
		drv.wrong += *at(h, STATUS + head, 1) != VIRTIO_BLK_S_OK;
		if (drv.type[head] == VIRTIO_BLK_T_OUT)
			drv.disk[drv.sector[head]] = drv.fill[head];
		else if (drv.type[head] == VIRTIO_BLK_T_IN)
			drv.wrong += len != 513 || !filled((u8)head, drv.disk[drv.sector[head]]);
	}
}

static bool disk_right(void)
{
	for (unsigned i = 0; i < SECTORS; i++)
		if (store->data[512 * i] != drv.disk[i] ||
			memcmp(store->data + 512 * i, store->data + 512 * i + 1, 511))
			return false;
	return true;
}

// ---------------------------------------------------------------- processes

static bool event_idx(void)
{
	return account.virtio.accepted & VIRTIO_F_EVENT_IDX;
}

static void world_begin(u64 features)
{
	h = host_test_create();
	store = host_test_block_create(h, SECTORS);
	virtio_blk_init(&blk, h, store, 1);
	account_init(&account, &blk.dev, features);
	virtio_blk_destroy(&blk);
	drv = (struct driver){.r = account_queue(&account, h, 0, ENTRIES, RING), .spares = ENTRIES};
	for (u8 i = 0; i < ENTRIES; i++)
		drv.spare[i] = i;
	drv.disk[2] = 0x77;
	memset(store->data + 512 * 2, 0x77, 512);
}

static void world_end(void)
{
	host_test_block_destroy(store);
	host_test_destroy(h);
}

static void world_remember(struct deaths *d)
{
	for (unsigned i = 1; i < 4; i++)
		deaths_memory(d, h->page[i], PAGE_SIZE);
	deaths_memory(d, store->data, SECTORS * 512);
	deaths_memory(d, &account, sizeof(account));
	deaths_memory(d, &drv, sizeof(drv));
}

// A new process; nobody has heard of requests that the last one had in flight.
static void process_begin(void)
{
	store->queued = 0;
	virtio_blk_init(&blk, h, store, 1);
	backend_init(&backend, &blk.dev);
}

static void process_run(void)
{
	CHECK(backend_resume(&blk.dev, &account));
	virtio_set_dma(&blk.dev, true);
}

// The disk does all that is in flight, beginning at the end of its queue or at its head; a write may ask for a flush then.
static void process_finish(bool backwards)
{
	while (backwards && store->queued)
		host_test_block_finish(store, store->queued - 1);
	while (store->queued)
		host_test_block_finish_all(store);
}

static void kick(void)
{
	virtio_notify(&blk.dev, 0);
}

// Another process after the death. `goes_on`: the driver saw what was given back, and used the same heads again.
static void survivor_check(bool goes_on, bool delay)
{
	bool began = account.log[0].life == account.life; // the one who died did
	int failures = test_failures;

	if (goes_on) {
		collect();
		submit(VIRTIO_BLK_T_OUT, 6);
		submit(VIRTIO_BLK_T_OUT, 7);
	}
	store->delay = delay;
	process_begin();
	process_run();
	CHECK(!began || backend.interrupts[0]);
	process_finish(delay && !goes_on);
	collect();
	CHECK_EQ(drv.out, 0);
	CHECK_EQ(drv.wrong, 0);
	CHECK(disk_right());
	submit(VIRTIO_BLK_T_IN, 0);
	CHECK(ring_kicks(&drv.r, event_idx()));
	kick();
	process_finish(false);
	collect();
	CHECK_EQ(drv.out, 0);
	CHECK_EQ(drv.wrong, 0);
	CHECK_EQ(account.log[0].giving, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(account.log[0].taken); i++)
		CHECK_EQ(account.log[0].taken[i], 0);
	CHECK(virtio_running(&blk.dev) && !backend.config_interrupts);
	virtio_blk_destroy(&blk);
	if (test_failures != failures)
		fprintf(stderr, "  by the survivor: driver %s, disk %s\n",
			goes_on ? "goes on" : "waits", delay ? "slow" : "at once");
}

static void survivors_check(const struct deaths *d)
{
	int before = test_failures;

	for (unsigned i = 0; i < d->count && test_failures < before + 20; i++) {
		for (unsigned how = 0; how < 4; how++) {
			deaths_return(d, i);
			survivor_check(how & 1, how & 2);
		}
		if (test_failures != before)
			fprintf(stderr, "  death %u of %u\n", i, d->count);
	}
}

// Requests of all kinds, begun together and done in another order, while new ones use the heads of those that came back.
static void life_watched(struct deaths *d)
{
	store->delay = true;
	submit(VIRTIO_BLK_T_OUT, 0);
	submit(VIRTIO_BLK_T_OUT, 1);
	submit(VIRTIO_BLK_T_IN, 2);
	submit(VIRTIO_BLK_T_FLUSH, 0);
	process_begin();
	DEATHS_WATCH(d, process_run());
	DEATHS_WATCH(d, host_test_block_finish(store, 2));
	collect();
	submit(VIRTIO_BLK_T_OUT, 3);
	DEATHS_WATCH(d, kick());
	DEATHS_WATCH(d, host_test_block_finish(store, 3));
	DEATHS_WATCH(d, host_test_block_finish(store, 0));
	collect();
	submit(VIRTIO_BLK_T_OUT, 0); // what was written there before may not come after it
	submit(VIRTIO_BLK_T_IN, 2);
	DEATHS_WATCH(d, kick());
	DEATHS_WATCH(d, process_finish(false));
	collect();
	virtio_blk_destroy(&blk);
}

static void killed_anywhere(u64 features)
{
	struct deaths d = {0};

	world_begin(features);
	world_remember(&d);
	life_watched(&d);
	CHECK(!drv.out && !drv.wrong && disk_right());
	CHECK(d.count > 50 && d.steps > 1000);
	survivors_check(&d);
	deaths_free(&d);
	world_end();
}

TEST(killed_anywhere_with_event_index)
{
	killed_anywhere(~0ull);
}

TEST(killed_anywhere_with_flags)
{
	killed_anywhere(~(VIRTIO_F_EVENT_IDX | VIRTIO_BLK_F_FLUSH));
}

// The survivor is killed, too, while it begins.
TEST(killed_twice)
{
	struct deaths first = {0};

	world_begin(~0ull);
	world_remember(&first);
	life_watched(&first);
	for (unsigned i = first.count / 12; i < first.count; i += first.count / 6) {
		struct deaths second = {0};

		deaths_return(&first, i);
		world_remember(&second);
		store->delay = false;
		process_begin();
		DEATHS_WATCH(&second, process_run());
		virtio_blk_destroy(&blk);
		survivors_check(&second);
		deaths_free(&second);
	}
	deaths_free(&first);
	world_end();
}

// A log may name more chains than a device has ever had in flight.
TEST(more_was_out_than_there_are_slots)
{
	struct ring r[5];
	unsigned came = 0;
	u32 head, len;

	world_begin(~0ull);
	virtio_blk_init(&blk, h, store, ARRAY_SIZE(r));
	backend_init(&backend, &blk.dev);
	account_init(&account, &blk.dev, ~0ull);
	put32(h, HEADER, VIRTIO_BLK_T_FLUSH);
	desc_put(h, TABLE, 0, HEADER, 16, D_NEXT, 1);
	desc_put(h, TABLE, 1, STATUS, 1, D_WRITE, 0);
	for (unsigned q = 0; q < ARRAY_SIZE(r); q++) {
		r[q] = account_queue(&account, h, q, 16, 0x4000 + 0x400 * q);
		for (unsigned i = 0; i < 16; i++)
			ring_add(&r[q], TABLE, 32, D_INDIRECT);
		account.log[q] = (struct virtqueue_log){.taken = {0xffff}, .life = account.life};
	}
	store->delay = true;
	process_run();
	CHECK_EQ(store->queued, VIRTIO_BLK_SLOTS);
	process_finish(false);
	for (unsigned q = 0; q < ARRAY_SIZE(r); q++) {
		while (ring_used(&r[q], &head, &len))
			came++;
		CHECK(!account.log[q].taken[0] && backend.interrupts[q]);
	}
	CHECK_EQ(came, 80);
	CHECK(virtio_running(&blk.dev));
	virtio_blk_destroy(&blk);
	world_end();
}

// ---------------------------------------------------------------- lives

TEST(another_life_forgets_the_log)
{
	world_begin(~0ull);
	store->delay = true;
	for (u8 i = 0; i < 4; i++)
		submit(VIRTIO_BLK_T_OUT, i);
	process_begin();
	process_run();
	CHECK_EQ(backend.interrupts[0], 0); // nothing is owed at first
	CHECK_EQ(account.log[0].taken[0], 0xf0);
	virtio_blk_destroy(&blk);
	// Nobody served the device when its driver reset it.
	account.life++;
	for (unsigned i = 1; i < 4; i++)
		memset(h->page[i], 0, PAGE_SIZE);
	drv = (struct driver){.r = account_queue(&account, h, 0, ENTRIES, RING), .spares = 1};
	drv.disk[2] = 0x77;
	submit(VIRTIO_BLK_T_OUT, 7);
	process_begin();
	process_run();
	CHECK_EQ(store->queued, 1);
	CHECK_EQ(account.log[0].taken[0], 1);
	process_finish(false);
	collect();
	CHECK(!drv.out && !drv.wrong && disk_right());
	virtio_blk_destroy(&blk);
	world_end();
}

TEST(a_reset_empties_the_log)
{
	world_begin(~0ull);
	store->delay = true;
	submit(VIRTIO_BLK_T_OUT, 0);
	process_begin();
	process_run();
	CHECK_EQ(account.log[0].taken[0], 0x80);
	virtio_reset(&blk.dev);
	CHECK_EQ(account.log[0].taken[0], 0);
	CHECK(!backend_resume(&blk.dev, &account)); // it is not over
	process_finish(false);
	CHECK_EQ(get16(h, drv.r.device + 2), 0);
	// It begins anew in the same process.
	account.life++;
	put16(h, drv.r.driver + 2, 0);
	drv.r.avail_idx = drv.out = 0;
	drv.spares = ENTRIES;
	submit(VIRTIO_BLK_T_OUT, 1);
	process_run();
	CHECK_EQ(account.log[0].taken[0], 0x80);
	process_finish(false);
	collect();
	CHECK(!drv.out && !drv.wrong);
	virtio_blk_destroy(&blk);
	world_end();
}

TEST(no_save_before_all_is_begun_again)
{
	struct virtio_blk_state s;

	world_begin(~0ull);
	store->delay = true;
	submit(VIRTIO_BLK_T_OUT, 0);
	process_begin();
	process_run();
	virtio_blk_destroy(&blk);
	process_begin();
	virtio_blk_pause(&blk, true);
	process_run();
	CHECK(virtio_blk_quiet(&blk) && !virtio_blk_save(&blk, &s));
	virtio_blk_pause(&blk, false);
	process_finish(false);
	CHECK(virtio_blk_save(&blk, &s));
	collect();
	CHECK(!drv.out && !drv.wrong);
	virtio_blk_destroy(&blk);
	world_end();
}

TEST(a_state_that_is_none_is_refused)
{
	struct backend_account good;

	world_begin(~0ull);
	good = account;
	process_begin();
	account.virtio.accepted |= BIT(63);
	CHECK(!backend_resume(&blk.dev, &account));
	account = good, account.queue[0].size = 7;
	CHECK(!backend_resume(&blk.dev, &account));
	account = good, account.virtio.queues = 2;
	CHECK(!backend_resume(&blk.dev, &account));
	account = good;
	process_run();
	CHECK(virtio_running(&blk.dev));
	virtio_blk_destroy(&blk);
	world_end();
}

TEST_MAIN()

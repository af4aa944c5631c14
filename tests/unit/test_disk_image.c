// SPDX-License-Identifier: MIT
// Disks whose image lies in memory: in place, read only, private; and that a big request is done in slices.
// link: kernel/mono/disk.c kernel/mono/disk_image.c kernel/mono/disk_pages.c kernel/core/frame.c tests/unit/fake/arch.c
#include "tests/unit/test.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"
#include "kernel/mono/disk.h"
#include "kernel/vm/vm.h"
#include "kernel/vm/vm_list.h"

#define RAM         (16 * MiB)
#define GUEST_PAGES 32u
#define SECTOR      512u

static void *pool;
static u8 guest[GUEST_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static u8 image[4 * MiB];
static struct bundle_vm config;
static struct vm vm;
static struct host_timer *timer;
static u64 others_promised;
static unsigned idles, dones;
static enum host_block_status last;
static struct host_block_request *last_request;
static u64 free_before;

// ---------------------------------------------------------------- the host

u64 vm_list_promised(void)
{
	return others_promised;
}

void *host_guest_ptr(struct host *h, u64 gpa, size_t len)
{
	(void)h;
	if (!len || gpa >= sizeof(guest) || len > PAGE_SIZE - gpa % PAGE_SIZE)
		return NULL;
	return guest + gpa;
}

void host_timer_init(struct host *h, struct host_timer *t, void (*fn)(struct host_timer *))
{
	*t = (struct host_timer){.fn = fn, .host = h};
	timer = t;
}

void host_timer_set(struct host_timer *t, u64 delay_ns)
{
	(void)delay_ns;
	t->armed = true;
}

void host_timer_cancel(struct host_timer *t)
{
	t->armed = false;
}

void host_timer_destroy(struct host_timer *t)
{
	(void)t;
}

static bool timer_fires(void)
{
	bool armed = timer->armed;

	timer->armed = false;
	if (armed)
		timer->fn(timer);
	return armed;
}

// ---------------------------------------------------------------- the device

static void done(struct host_block_request *r, enum host_block_status status)
{
	dones++;
	last = status;
	last_request = r;
}

static void idle(void *device)
{
	(void)device;
	idles++;
}

static struct host_block *disk(enum disk_image_mode mode, size_t size)
{
	struct bundle_file file = {image, size};
	const char *why = NULL;
	struct host_block *b;

	fake_reset(1);
	fake_ram(RAM);
	free(pool);
	pool = malloc(frame_bookkeeping_size(hpa(RAM)));
	frame_init(hpa(RAM), pool);
	frame_add_range(hpa(0), hpa(RAM));
	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = (u8)(i / SECTOR + i);
	memset(guest, 0, sizeof(guest));
	config.memory = MiB;
	vm = (struct vm){.id = 1, .config = &config};
	dones = idles = 0;
	free_before = frame_free_count();
	b = disk_image_create(&vm, file, mode, &why);
	if (b)
		host_block_on_idle(b, idle, NULL);
	else
		CHECK(why && strstr(why, "memory"));
	return b;
}

static void destroy(struct host_block *b)
{
	b->ops->destroy(b);
	CHECK_EQ(frame_free_count(), free_before);
}

static enum host_block_status now(
	struct host_block *b, enum host_block_op op, u64 sector, u64 count, u64 gpa)
{
	struct host_segment s = {gpa, (u32)(count * SECTOR)};
	struct host_block_request r = {.op = op,
		.sector = sector,
		.count = count,
		.segment = &s,
		.segments = 1,
		.done = done};
	unsigned before = dones;

	host_block_submit(b, &r);
	host_block_commit(b);
	CHECK_EQ(dones, before + 1);
	return last;
}

TEST(in_place)
{
	struct host_block *b = disk(DISK_IMAGE_IN_PLACE, 64 * KiB);

	CHECK_EQ(host_block_info(b)->sectors, 128);
	CHECK(!host_block_info(b)->read_only);
	CHECK_EQ(now(b, HOST_BLOCK_READ, 3, 17, 100), HOST_BLOCK_OK);
	CHECK(!memcmp(guest + 100, image + 3 * SECTOR, 17 * SECTOR));
	memset(guest, 0x42, sizeof(guest));
	CHECK_EQ(now(b, HOST_BLOCK_WRITE, 5, 1, 0xfff), HOST_BLOCK_OK);
	CHECK(image[5 * SECTOR] == 0x42 && image[6 * SECTOR - 1] == 0x42);
	CHECK(image[5 * SECTOR - 1] != 0x42 && image[6 * SECTOR] != 0x42);
	CHECK_EQ(now(b, HOST_BLOCK_ZERO, 5, 1, 0), HOST_BLOCK_OK);
	CHECK(!image[5 * SECTOR] && !image[6 * SECTOR - 1] && image[6 * SECTOR]);
	CHECK_EQ(now(b, HOST_BLOCK_FLUSH, 0, 0, 0), HOST_BLOCK_OK);
	CHECK_EQ(now(b, HOST_BLOCK_READ, 128, 1, 0), HOST_BLOCK_ERROR);
	CHECK_EQ(now(b, HOST_BLOCK_READ, ~0ull, 2, 0), HOST_BLOCK_ERROR);
	CHECK_EQ(now(b, HOST_BLOCK_READ, 0, 2, sizeof(guest) - SECTOR), HOST_BLOCK_NOT_RAM);
	CHECK_EQ(now(b, HOST_BLOCK_WRITE, 0, 1, 1ull << 60), HOST_BLOCK_NOT_RAM);
	destroy(b);
}

TEST(read_only)
{
	struct host_block *b = disk(DISK_IMAGE_READ_ONLY, 64 * KiB);

	CHECK(host_block_info(b)->read_only && !host_block_info(b)->discard);
	CHECK_EQ(now(b, HOST_BLOCK_READ, 0, 1, 0), HOST_BLOCK_OK);
	CHECK_EQ(now(b, HOST_BLOCK_WRITE, 0, 1, 0), HOST_BLOCK_ERROR);
	CHECK_EQ(now(b, HOST_BLOCK_ZERO, 0, 1, 0), HOST_BLOCK_ERROR);
	CHECK_EQ(now(b, HOST_BLOCK_FLUSH, 0, 0, 0), HOST_BLOCK_OK);
	destroy(b);
}

TEST(private_pages)
{
	static u8 before[sizeof(image)];
	struct host_block *b =
		disk(DISK_IMAGE_PRIVATE, 17 * SECTOR); // the third page is one sector
	u64 promised = vm.promised;

	memcpy(before, image, sizeof(image));
	CHECK_EQ(promised, 3 + 1);
	memset(guest, 0x42, sizeof(guest));
	CHECK_EQ(now(b, HOST_BLOCK_WRITE, 16, 1, 0), HOST_BLOCK_OK);
	CHECK_EQ(now(b, HOST_BLOCK_WRITE, 7, 2, 0), HOST_BLOCK_OK); // over the border of two pages
	CHECK_EQ(vm.promised, 0);
	CHECK_EQ(now(b, HOST_BLOCK_READ, 0, 17, 0), HOST_BLOCK_OK);
	CHECK(!memcmp(guest, before, 7 * SECTOR));
	CHECK(guest[7 * SECTOR] == 0x42 && guest[9 * SECTOR - 1] == 0x42);
	CHECK(!memcmp(guest + 9 * SECTOR, before + 9 * SECTOR, 7 * SECTOR));
	CHECK(guest[16 * SECTOR] == 0x42 && guest[17 * SECTOR - 1] == 0x42);
	CHECK(!memcmp(image, before, sizeof(image)));
	// A part of a page stays, a whole one goes back.
	CHECK_EQ(now(b, HOST_BLOCK_DISCARD, 1, 7, 0), HOST_BLOCK_OK);
	CHECK_EQ(vm.promised, 0);
	CHECK_EQ(now(b, HOST_BLOCK_DISCARD, 0, 16, 0), HOST_BLOCK_OK);
	CHECK_EQ(vm.promised, 2);
	CHECK_EQ(now(b, HOST_BLOCK_ZERO, 8, 8, 0), HOST_BLOCK_OK);
	CHECK_EQ(now(b, HOST_BLOCK_READ, 8, 8, 0), HOST_BLOCK_OK);
	CHECK(!guest[0] && !memcmp(guest, guest + 1, 8 * SECTOR - 1));
	CHECK(!memcmp(image, before, sizeof(image)));
	destroy(b);
}

TEST(private_pages_are_promised)
{
	others_promised = RAM / PAGE_SIZE - MiB / PAGE_SIZE - 50;
	CHECK(!disk(DISK_IMAGE_PRIVATE, 64 * PAGE_SIZE));
	CHECK_EQ(frame_free_count(), free_before);
	CHECK_EQ(vm.promised, 0);
	others_promised = 0;
}

// 3 MiB by segments that lie over each other in the guest's memory.
static struct host_segment many[24];
static struct host_block_request big(enum host_block_op op)
{
	for (unsigned i = 0; i < 24; i++)
		many[i] = (struct host_segment){0, 128 * 1024};
	return (struct host_block_request){.op = op,
		.sector = 2,
		.count = 3 * MiB / SECTOR,
		.segment = many,
		.segments = 24,
		.done = done};
}

TEST(a_big_request_is_done_in_slices)
{
	struct host_block *b = disk(DISK_IMAGE_IN_PLACE, 4 * MiB);
	struct host_block_request r = big(HOST_BLOCK_READ),
				  flush = {.op = HOST_BLOCK_FLUSH, .done = done};
	unsigned slices = 0;

	host_block_submit(b, &r);
	CHECK(!memcmp(
		guest + 128 * 1024 - 64, image + 2 * SECTOR + MiB - 64, 64)); // one MiB, so far
	host_block_submit(b, &flush);
	host_block_commit(b);
	CHECK_EQ(dones, 0);
	while (timer_fires())
		slices++;
	CHECK_EQ(slices, 2);
	CHECK_EQ(idles, 2);
	CHECK_EQ(dones, 2);
	CHECK(last_request == &flush && last == HOST_BLOCK_OK);
	CHECK(!memcmp(guest, image + 2 * SECTOR + 3 * MiB - 128 * KiB, 128 * KiB));
	CHECK_EQ(now(b, HOST_BLOCK_READ, 0, 1, 0), HOST_BLOCK_OK);
	destroy(b);
}

TEST(what_waits_can_be_called_back)
{
	struct host_block *b = disk(DISK_IMAGE_PRIVATE, 4 * MiB);
	struct host_block_request r = big(HOST_BLOCK_WRITE), after = big(HOST_BLOCK_READ);

	host_block_submit(b, &r);
	host_block_submit(b, &after);
	host_block_commit(b);
	CHECK_EQ(dones, 0);
	host_block_cancel(b);
	CHECK_EQ(dones, 2);
	CHECK(last_request == &after && last == HOST_BLOCK_ERROR);
	CHECK(!timer_fires());
	CHECK_EQ(now(b, HOST_BLOCK_READ, 0, 1, 0), HOST_BLOCK_OK);
	destroy(b);
}

TEST_MAIN()

// SPDX-License-Identifier: MIT
// Devices that give chains back in order, whose process is killed with chains in hand: random generator, balloon, console.
// link: devices/virtio_rng.c devices/virtio_balloon.c devices/console.c devices/virtio.c devices/virtqueue.c
// link: devices/host_test/host_test.c
#include "tests/unit/test.h"

#include "devices/console.h"
#include "devices/virtio_balloon.h"
#include "devices/virtio_rng.h"
#include "tests/unit/backend_driver.h"
#include "tests/unit/deaths.h"

#define RING    0x1000u
#define ENTRIES 16u
#define DATA    0x2000u

static struct host *h;
static struct backend backend;
static struct backend_account account;
static struct {
	struct ring r;
	u32 came, wrong;
} drv;

static void world_begin(struct virtio_device *d, unsigned queue)
{
	memset(&drv, 0, sizeof(drv));
	account_init(&account, d, ~0ull);
	drv.r = account_queue(&account, h, queue, ENTRIES, RING);
}

static void world_remember(struct deaths *d)
{
	deaths_memory(d, h->page[1], PAGE_SIZE);
	deaths_memory(d, h->page[2], PAGE_SIZE);
	deaths_memory(d, &account, sizeof(account));
	deaths_memory(d, &drv, sizeof(drv));
	deaths_memory(d, h->console, 256);
	deaths_memory(d, &h->console_len, sizeof(h->console_len));
}

static void collect(u32 written)
{
	u32 head, len;

	while (ring_used(&drv.r, &head, &len))
		drv.wrong += head != drv.came++ % ENTRIES || len != written;
}

// ---------------------------------------------------------------- random numbers

static struct virtio_rng rng;

static void rng_begin(void)
{
	virtio_rng_init(&rng, h);
	backend_init(&backend, &rng.dev);
}

static void rng_run(void)
{
	CHECK(backend_resume(&rng.dev, &account));
	virtio_set_dma(&rng.dev, true);
}

TEST(rng_killed_anywhere)
{
	struct deaths d = {0};

	h = host_test_create();
	rng_begin();
	world_begin(&rng.dev, 0);
	world_remember(&d);
	for (unsigned i = 0; i < 3; i++)
		ring_add(&drv.r, DATA + 32 * i, 32, D_WRITE);
	DEATHS_WATCH(&d, rng_run());
	for (unsigned i = 0; i < d.count; i++) {
		bool began;

		deaths_return(&d, i);
		virtio_rng_destroy(&rng);
		began = account.log[0].life == account.life;
		rng_begin();
		rng_run();
		CHECK(!began || backend.interrupts[0]);
		collect(32);
		CHECK_EQ(drv.came, 3);
		CHECK_EQ(drv.wrong, 0);
		ring_add(&drv.r, DATA, 32, D_WRITE);
		CHECK(ring_kicks(&drv.r, true));
		virtio_notify(&rng.dev, 0);
		collect(32);
		CHECK(drv.came == 4 && !drv.wrong && virtio_running(&rng.dev));
	}
	CHECK(d.count > 10);
	deaths_free(&d);
	virtio_rng_destroy(&rng);
	host_test_destroy(h);
}

// ---------------------------------------------------------------- balloon

static struct virtio_balloon balloon;

static void balloon_begin(void)
{
	virtio_balloon_init(&balloon, h, 0);
	backend_init(&backend, &balloon.dev);
}

TEST(balloon_takes_its_chain_up_again)
{
	static const struct virtio_balloon_config poisoned = {.poison_val = 0xaa};
	static const struct virtio_balloon_config clear = {.actual = 5};

	h = host_test_create();
	balloon_begin();
	world_begin(&balloon.dev, 2); // reports
	CHECK(virtio_balloon_resume(
		&balloon, &account.virtio, account.queue, account.log, account.life, &clear));
	virtio_set_dma(&balloon.dev, true);
	ring_add(&drv.r, 0x5000, PAGE_SIZE, D_WRITE);
	virtio_notify(&balloon.dev, 2);
	CHECK_EQ(h->drop_pages, 1 << 5);
	collect(0);
	CHECK_EQ(drv.came, 0);
	for (unsigned i = 0; i < 2; i++) {
		h->drop_ended = false; // the answer was for the dead
		h->drops = 0;
		h->drop_pages = 0;
		balloon_begin();
		CHECK(virtio_balloon_resume(&balloon, &account.virtio, account.queue, account.log,
			account.life, i ? &poisoned : &clear));
		CHECK_EQ(balloon.config.actual, i ? 0 : 5);
		virtio_set_dma(&balloon.dev, true);
		CHECK(backend.interrupts[2]);
		CHECK_EQ(h->drop_pages, i ? 0 : 1 << 5); // what the driver filled stays
	}
	CHECK(host_test_drop(h));
	collect(0);
	CHECK(drv.came == 1 && !drv.wrong);
	host_test_destroy(h);
}

// ---------------------------------------------------------------- console

static struct virtio_console console;

static void console_begin(void)
{
	virtio_console_init(&console, h);
	backend_init(&backend, &console.dev);
}

static void console_run(void)
{
	CHECK(backend_resume(&console.dev, &account));
	virtio_set_dma(&console.dev, true);
}

// Nothing of the output is lost; the chain in hand may be written twice.
TEST(console_killed_anywhere)
{
	struct deaths d = {0};

	h = host_test_create();
	console_begin();
	world_begin(&console.dev, VIRTIO_CONSOLE_TX);
	world_remember(&d);
	memcpy(at(h, DATA, 9), "onetwosix", 9);
	for (unsigned i = 0; i < 3; i++)
		ring_add(&drv.r, DATA + 3 * i, 3, 0);
	DEATHS_WATCH(&d, console_run());
	for (unsigned i = 0; i < d.count; i++) {
		const char *want = "onetwosix";
		size_t len;

		deaths_return(&d, i);
		virtio_console_destroy(&console);
		collect(0);
		len = h->console_len;
		CHECK(len >= 3 * drv.came);
		want += 3 * drv.came;
		console_begin();
		console_run();
		CHECK_EQ(h->console_len - len, strlen(want));
		CHECK(!memcmp(h->console + len, want, strlen(want)));
		collect(0);
		CHECK(drv.came == 3 && !drv.wrong && virtio_running(&console.dev));
	}
	CHECK(d.count > 10);
	deaths_free(&d);
	virtio_console_destroy(&console);
	host_test_destroy(h);
}

TEST_MAIN()

// SPDX-License-Identifier: MIT
// virtio-console behind its PCI function, as a guest's driver sees it.
// link: devices/console.c devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c
#include "tests/unit/test.h"
#include "devices/console.h"
#include "tests/unit/virtio_pci_driver.h"

#define RX_RING 0x1000u
#define TX_RING 0x4000u
#define DATA    0x8000u

struct rig {
	struct host *h;
	struct virtio_console c;
	struct virtio_pci fn;
	struct pci_driver d;
	struct ring rx, tx;
};

static struct rig *rig_create(void)
{
	struct rig *g = calloc(1, sizeof(*g));

	if (!g)
		abort();
	g->h = host_test_create();
	virtio_console_init(&g->c, g->h);
	virtio_pci_init(&g->fn, &g->c.dev, 1);
	return g;
}

static void rig_start(struct rig *g, u64 features)
{
	CHECK(driver_find(&g->d, &g->fn));
	driver_msix(&g->d, 3);
	CHECK(driver_negotiate(&g->d, features));
	reg_put(&g->d, C_MSIX, 2, 0);
	g->rx = driver_queue(&g->d, 0, 64, RX_RING, 1);
	g->tx = driver_queue(&g->d, 1, 64, TX_RING, 2);
	driver_ok(&g->d);
}

static void rig_free(struct rig *g)
{
	virtio_console_destroy(&g->c);
	host_test_destroy(g->h);
	free(g);
}

// As hvc does it: one buffer, a notification, and the buffer is back.
static bool put_chars(struct rig *g, const char *text)
{
	u32 head, len, n = (u32)strlen(text);
	u16 sent;

	memcpy(at(g->h, DATA, n), text, n);
	sent = ring_add(&g->tx, DATA, n, 0);
	driver_kick(&g->d, VIRTIO_CONSOLE_TX);
	return ring_used(&g->tx, &head, &len) && head == sent && !len;
}

static bool console_is(struct rig *g, const char *text)
{
	return g->h->console_len == strlen(text) && !memcmp(g->h->console, text, g->h->console_len);
}

TEST(output_completes_within_the_kick)
{
	u64 features[] = {0, ~0ull, VIRTIO_F_INDIRECT_DESC};

	for (unsigned f = 0; f < ARRAY_SIZE(features); f++) {
		struct rig *g = rig_create();

		rig_start(g, features[f]);
		CHECK(put_chars(g, "Linux version "));
		CHECK(put_chars(g, "6.1.0"));
		CHECK(console_is(g, "Linux version 6.1.0"));
		for (unsigned i = 0; i < 200; i++)
			CHECK(put_chars(g, "."));
		CHECK_EQ(g->h->console_len, 219);
		CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15);
		rig_free(g);
	}
}

TEST(output_waits_for_room)
{
	struct rig *g = rig_create();
	u32 head, len;

	rig_start(g, ~0ull);
	g->h->console_room = 3;
	CHECK(!put_chars(g, "abcdefgh"));
	CHECK(console_is(g, "abc"));
	driver_kick(&g->d, VIRTIO_CONSOLE_TX); // nothing is written twice
	CHECK(console_is(g, "abc"));
	g->h->console_room = 2;
	virtio_console_room(&g->c);
	CHECK(console_is(g, "abcde"));
	CHECK(!ring_used(&g->tx, &head, &len));
	g->h->console_room = 100;
	host_test_advance(g->h, 999999);
	CHECK(console_is(g, "abcde"));
	host_test_advance(g->h, 1);
	CHECK(console_is(g, "abcdefgh"));
	CHECK(ring_used(&g->tx, &head, &len));
	CHECK(put_chars(g, "!"));
	CHECK(console_is(g, "abcdefgh!"));
	rig_free(g);
}

TEST(output_is_bounded_per_call)
{
	struct rig *g = rig_create();
	u32 head, len;
	unsigned rounds = 0;

	rig_start(g, ~0ull);
	for (unsigned i = 0; i < 3 * PAGE_SIZE; i++)
		*at(g->h, DATA + i, 1) = (u8)(i * 7);
	ring_add(&g->tx, DATA, 3 * PAGE_SIZE, 0);
	driver_kick(&g->d, VIRTIO_CONSOLE_TX);
	CHECK_EQ(g->h->console_len, VIRTIO_CONSOLE_SHARE);
	while (!ring_used(&g->tx, &head, &len) && rounds++ < 10)
		host_test_advance(g->h, 100000);
	CHECK(rounds <= 3);
	CHECK_EQ(g->h->console_len, 3 * PAGE_SIZE);
	for (unsigned i = 0; i < g->h->console_len; i++)
		if (g->h->console[i] != (u8)(i * 7)) {
			CHECK_EQ(i, g->h->console_len);
			break;
		}
	rig_free(g);
}

TEST(empty_chains_do_not_hold_the_host)
{
	struct rig *g = rig_create();

	rig_start(g, ~0ull);
	for (unsigned i = 0; i < 64; i++)
		ring_add(&g->tx, DATA, i & 1 ? 0 : 8, i & 2 ? D_WRITE : 0);
	driver_kick(&g->d, VIRTIO_CONSOLE_TX);
	CHECK_EQ(get16(g->h, TX_RING + 0x2000 + 2), 64);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15);
	rig_free(g);
}

TEST(output_before_the_driver_is_ready)
{
	struct rig *g = rig_create();

	CHECK(driver_find(&g->d, &g->fn));
	CHECK(driver_negotiate(&g->d, ~0ull));
	reg_put(&g->d, C_MSIX, 2, 0);
	g->rx = driver_queue(&g->d, 0, 64, RX_RING, 1);
	g->tx = driver_queue(&g->d, 1, 64, TX_RING, 2);
	CHECK(!put_chars(g, "early"));
	CHECK_EQ(g->h->console_len, 0);
	driver_ok(&g->d);
	CHECK(console_is(g, "early"));
	rig_free(g);
}

TEST(emergency_write)
{
	struct rig *g = rig_create();

	CHECK(driver_find(&g->d, &g->fn));
	bar_put(&g->d, g->d.device + 8, 4, 'p');
	bar_put(&g->d, g->d.device + 8, 1, 'a');
	bar_put(&g->d, g->d.device + 9, 1, 'x');
	bar_put(&g->d, g->d.device + 4, 4, 'y');
	CHECK(console_is(g, "pa"));
	CHECK_EQ(bar_get(&g->d, g->d.device + 4, 4), 1);
	g->h->console_room = 0;
	bar_put(&g->d, g->d.device + 8, 4, 'z');
	CHECK(console_is(g, "pa"));
	rig_free(g);
}

TEST(input)
{
	struct rig *g = rig_create();
	u32 head, len;

	CHECK(!virtio_console_live(&g->c));
	CHECK_EQ(virtio_console_input(&g->c, (const u8 *)"lost", 4), 0);
	rig_start(g, ~0ull);
	CHECK(virtio_console_live(&g->c));
	// Without a buffer of the driver's it is kept.
	CHECK_EQ(virtio_console_input(&g->c, (const u8 *)"ls\n", 3), 3);
	CHECK(!ring_used(&g->rx, &head, &len));
	ring_add(&g->rx, DATA, 16, D_WRITE);
	driver_kick(&g->d, VIRTIO_CONSOLE_RX);
	CHECK(ring_used(&g->rx, &head, &len));
	CHECK_EQ(len, 3);
	CHECK(!memcmp(at(g->h, DATA, 3), "ls\n", 3));
	CHECK_EQ(g->h->msi[0].data, 0x41);
	// With buffers it goes there at once, over as many as it needs.
	ring_add(&g->rx, DATA, 2, D_WRITE);
	ring_add(&g->rx, DATA + 16, 16, D_WRITE);
	CHECK_EQ(virtio_console_input(&g->c, (const u8 *)"exit", 4), 4);
	CHECK(ring_used(&g->rx, &head, &len) && len == 2);
	CHECK(ring_used(&g->rx, &head, &len) && len == 2);
	CHECK(!memcmp(at(g->h, DATA, 2), "ex", 2) && !memcmp(at(g->h, DATA + 16, 2), "it", 2));
	rig_free(g);
}

TEST(input_kicks_only_when_it_waits)
{
	struct rig *g = rig_create();

	rig_start(g, 0);
	CHECK_EQ(used_flags_of(&g->rx), 1);
	virtio_console_input(&g->c, (const u8 *)"x", 1);
	CHECK_EQ(used_flags_of(&g->rx), 0);
	ring_add(&g->rx, DATA, 16, D_WRITE);
	driver_kick(&g->d, VIRTIO_CONSOLE_RX);
	CHECK_EQ(used_flags_of(&g->rx), 1);
	CHECK_EQ(used_flags_of(&g->tx), 0);
	rig_free(g);
}

TEST(input_is_bounded)
{
	static u8 much[3 * VIRTIO_CONSOLE_INPUT];
	struct rig *g = rig_create();
	u32 head, len, total = 0;

	for (unsigned i = 0; i < sizeof(much); i++)
		much[i] = (u8)(i * 5);
	rig_start(g, ~0ull);
	CHECK_EQ(virtio_console_input(&g->c, much, sizeof(much)), VIRTIO_CONSOLE_INPUT);
	CHECK_EQ(virtio_console_input(&g->c, much, 1), 0);
	CHECK_EQ(g->h->console_rooms, 0);
	ring_add(&g->rx, DATA, 1000, D_WRITE);
	driver_kick(&g->d, VIRTIO_CONSOLE_RX);
	CHECK_EQ(g->h->console_rooms, 1);
	CHECK(!memcmp(at(g->h, DATA, 1000), much, 1000));
	// With all buffers of the driver's it takes more than it can keep.
	for (unsigned i = 0; i < 8; i++)
		ring_add(&g->rx, DATA + i * PAGE_SIZE, 1024, D_WRITE);
	CHECK_EQ(virtio_console_input(
			 &g->c, much + VIRTIO_CONSOLE_INPUT, sizeof(much) - VIRTIO_CONSOLE_INPUT),
		8192);
	while (ring_used(&g->rx, &head, &len))
		total += len;
	CHECK_EQ(total, 1000 + 8 * 1024);
	CHECK(!memcmp(at(g->h, DATA + 7 * PAGE_SIZE, 1024), much + 1000 + 7 * 1024, 1024));
	reg_put(&g->d, C_STATUS, 1, 0);
	CHECK(!virtio_console_live(&g->c));
	rig_free(g);
}

TEST(hostile_transmit)
{
	struct rig *g = rig_create();

	rig_start(g, ~0ull);
	ring_add(&g->tx, HOST_TEST_HOLE * PAGE_SIZE - 4, 64, 0);
	driver_kick(&g->d, VIRTIO_CONSOLE_TX);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15 | 0x40);
	CHECK(!virtio_console_live(&g->c));
	CHECK_EQ(virtio_console_input(&g->c, (const u8 *)"x", 1), 0);
	host_test_advance(g->h, 10000000);
	virtio_console_room(&g->c);
	virtio_pci_ops.reset(&g->fn);
	g->h->console_len = 0;
	rig_start(g, ~0ull);
	CHECK(put_chars(g, "again"));
	CHECK(console_is(g, "again"));
	rig_free(g);
}

TEST(hostile_receive)
{
	struct rig *g = rig_create();

	rig_start(g, ~0ull);
	ring_add(&g->rx, HOST_TEST_HOLE * PAGE_SIZE, 64, D_WRITE);
	CHECK_EQ(virtio_console_input(&g->c, (const u8 *)"x", 1), 1);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15 | 0x40);
	CHECK_EQ(g->h->msi[0].data, 0x40 + 0);
	rig_free(g);
}

TEST(save_in_the_middle_of_output_and_input)
{
	struct rig *g = rig_create(), *n = calloc(1, sizeof(*n));
	struct virtio_console_state s;
	struct virtio_pci_state ps;
	u32 head, len;

	rig_start(g, ~0ull);
	g->h->console_room = 3;
	CHECK(!put_chars(g, "abcdefgh"));
	virtio_console_input(&g->c, (const u8 *)"keys", 4);
	virtio_console_save(&g->c, &s);
	virtio_pci_save(&g->fn, &ps);
	virtio_console_destroy(&g->c);

	// Another process, or another machine, with the same memory.
	n->h = g->h;
	virtio_console_init(&n->c, n->h);
	virtio_pci_init(&n->fn, &n->c.dev, 1);
	n->h->console_room = 100;
	CHECK(virtio_console_load(&n->c, &s));
	CHECK(virtio_pci_load(&n->fn, &ps));
	n->d = g->d;
	n->d.fn = &n->fn;
	n->rx = g->rx;
	n->tx = g->tx;
	CHECK(console_is(n, "abcdefgh"));
	CHECK(ring_used(&n->tx, &head, &len));
	ring_add(&n->rx, DATA, 16, D_WRITE);
	driver_kick(&n->d, VIRTIO_CONSOLE_RX);
	CHECK(ring_used(&n->rx, &head, &len) && len == 4);
	CHECK(!memcmp(at(n->h, DATA, 4), "keys", 4));

	s.in_count = VIRTIO_CONSOLE_INPUT + 1;
	CHECK(!virtio_console_load(&n->c, &s));
	free(g);
	rig_free(n);
}

TEST_MAIN()

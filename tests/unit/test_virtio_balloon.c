// SPDX-License-Identifier: MIT
// virtio-balloon behind its PCI function.
// link: devices/virtio_balloon.c devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c
#include "tests/unit/test.h"
#include "devices/virtio_balloon.h"
#include "tests/unit/virtio_pci_driver.h"

#define RING(n) (0x1000u + 0x3000u * (n)) // of inflate, deflate and reports
#define DATA    0xa000u                   // page 10; pages 11 to 19 are free
#define PAGES   77u

struct rig {
	struct host *h;
	struct virtio_balloon b;
	struct virtio_pci fn;
	struct pci_driver d;
	struct ring inflate, deflate, report;
};

// report_queue: as the driver numbers it.
static struct rig *rig_create(u64 features, u16 report_queue)
{
	struct rig *g = calloc(1, sizeof(*g));

	if (!g)
		abort();
	g->h = host_test_create();
	virtio_balloon_init(&g->b, g->h, PAGES);
	virtio_pci_init(&g->fn, &g->b.dev, 1);
	CHECK(driver_find(&g->d, &g->fn));
	driver_msix(&g->d, 6);
	CHECK(driver_negotiate(&g->d, features));
	g->inflate = driver_queue(&g->d, 0, 64, RING(0), 1);
	g->deflate = driver_queue(&g->d, 1, 64, RING(1), 2);
	g->report = driver_queue(&g->d, report_queue, 64, RING(2), 3);
	driver_ok(&g->d);
	return g;
}

static void rig_free(struct rig *g)
{
	host_test_destroy(g->h);
	free(g);
}

static void put_pfns(struct rig *g, const u32 *pfn, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		put32(g->h, DATA + 4 * i, pfn[i]);
}

TEST(what_it_says_of_itself)
{
	struct rig *g = rig_create(~0ull, 4);

	CHECK_EQ(cfg_get(&g->d, PCI_DEVICE_ID, 2), 0x1045);
	CHECK_EQ(g->b.dev.accepted & 0xff, 1 << 2 | 1 << 4 | 1 << 5);
	CHECK_EQ(bar_get(&g->d, g->d.device, 4), PAGES);
	bar_put(&g->d, g->d.device, 4, 5); // not the driver's
	bar_put(&g->d, g->d.device + 4, 4, 33);
	bar_put(&g->d, g->d.device + 8, 4, 6); // neither
	bar_put(&g->d, g->d.device + 12, 4, 0xaaaaaaaa);
	CHECK_EQ(bar_get(&g->d, g->d.device, 4), PAGES);
	CHECK_EQ(bar_get(&g->d, g->d.device + 4, 4), 33);
	CHECK_EQ(bar_get(&g->d, g->d.device + 8, 4), 0);
	CHECK_EQ(bar_get(&g->d, g->d.device + 12, 4), 0xaaaaaaaa);
	reg_put(&g->d, C_STATUS, 1, 0);
	CHECK_EQ(bar_get(&g->d, g->d.device, 4), PAGES);
	CHECK_EQ(bar_get(&g->d, g->d.device + 4, 4), 0);
	rig_free(g);
}

TEST(inflated_pages_are_dropped_before_the_driver_hears_of_it)
{
	static const u32 pfn[] = {12, 11, 15, 999999, 20, ~0u};
	struct rig *g = rig_create(~0ull, 4);
	u32 head, len;

	put_pfns(g, pfn, 6);
	ring_add(&g->inflate, DATA, sizeof(pfn), 0);
	driver_kick(&g->d, 0);
	CHECK_EQ(g->h->drop_pages, 1 << 11 | 1 << 12 | 1 << 15 | 1 << 20);
	CHECK(!ring_used(&g->inflate, &head, &len) && !g->h->msis);
	driver_kick(&g->d, 0); // one at a time
	CHECK_EQ(g->h->drop_ends, 1);
	CHECK(host_test_drop(g->h));
	CHECK(ring_used(&g->inflate, &head, &len) && !len);
	CHECK_EQ(g->h->msi[0].data, 0x41);
	CHECK(!host_test_drop(g->h));
	rig_free(g);
}

TEST(deflating_needs_nothing)
{
	struct rig *g = rig_create(~0ull, 4);
	u32 head, len;

	ring_add(&g->deflate, DATA, 400, 0);
	ring_add(&g->deflate, DATA, 4, 0);
	driver_kick(&g->d, 1);
	CHECK(ring_used(&g->deflate, &head, &len) && ring_used(&g->deflate, &head, &len));
	CHECK(!g->h->drop_ends && !g->h->drop_pages);
	rig_free(g);
}

// By the number of the standard and by that of Linux before 6.11.
TEST(reports_are_dropped)
{
	for (u16 queue = 2; queue <= 4; queue++) {
		struct rig *g = rig_create(~0ull, queue);
		u32 head, len;

		desc_put(g->h, g->report.desc, 0, 0xb000, 0x2000, D_WRITE | D_NEXT, 1);
		desc_put(g->h, g->report.desc, 1, 0xe800, 0x1000, D_WRITE | D_NEXT,
			2);                                                     // no whole page
		desc_put(g->h, g->report.desc, 2, 0x10800, 0x1800, D_WRITE, 0); // one whole page
		ring_publish(&g->report, 0);
		driver_kick(&g->d, queue);
		CHECK_EQ(g->h->drop_pages, 1 << 11 | 1 << 12 | 1 << 17);
		CHECK(host_test_drop(g->h));
		CHECK(ring_used(&g->report, &head, &len) && !head && !len);
		CHECK_EQ(g->h->msi[0].data, 0x43);
		rig_free(g);
	}
}

TEST(a_host_that_takes_little_at_a_time)
{
	static const u32 pfn[] = {11, 12, 13, 14, 15};
	struct rig *g = rig_create(~0ull, 4);
	unsigned rounds = 0;
	u32 head, len;

	g->h->drop_room = 2;
	put_pfns(g, pfn, 5);
	ring_add(&g->inflate, DATA, sizeof(pfn), 0);
	ring_add(&g->report, 0x10000, 0x4000, D_WRITE);
	driver_kick(&g->d, 4); // both are found
	while (host_test_drop(g->h))
		rounds++;
	CHECK_EQ(rounds, 3 + 2);
	CHECK_EQ(g->h->drop_pages, 0x1f << 11 | 0xf << 16);
	CHECK(ring_used(&g->inflate, &head, &len) && ring_used(&g->report, &head, &len));
	rig_free(g);
}

TEST(filled_pages_are_left_alone)
{
	struct rig *g = rig_create(~0ull, 4);
	u32 head, len;

	bar_put(&g->d, g->d.device + 12, 4, 0xaaaaaaaa);
	ring_add(&g->report, 0x10000, 0x4000, D_WRITE);
	driver_kick(&g->d, 4);
	host_test_drop(g->h);
	CHECK(ring_used(&g->report, &head, &len) && !g->h->drop_pages);
	bar_put(&g->d, g->d.device + 12, 4, 0); // with zeros
	ring_add(&g->report, 0x10000, 0x4000, D_WRITE);
	driver_kick(&g->d, 4);
	CHECK_EQ(g->h->drop_pages, 0xf << 16);
	rig_free(g);
}

TEST(a_reset_while_the_host_owes_an_answer)
{
	static const u32 pfn[] = {11, 12};
	struct rig *g = rig_create(~0ull, 4);
	u32 head, len;

	put_pfns(g, pfn, 2);
	ring_add(&g->inflate, DATA, sizeof(pfn), 0);
	driver_kick(&g->d, 0);
	CHECK(driver_negotiate(&g->d, ~0ull));
	g->inflate = driver_queue(&g->d, 0, 64, RING(0), 1);
	driver_ok(&g->d);
	ring_add(&g->inflate, DATA, 4, 0);
	driver_kick(&g->d, 0);
	CHECK_EQ(g->h->drop_ends, 1); // the old answer first
	CHECK(host_test_drop(g->h));
	CHECK(!ring_used(&g->inflate, &head, &len));
	CHECK_EQ(g->h->drop_ends, 2);
	CHECK(host_test_drop(g->h));
	CHECK(ring_used(&g->inflate, &head, &len) && !ring_used(&g->inflate, &head, &len));
	rig_free(g);
}

// It is no bus master meanwhile: its memory is left alone, and it goes on later.
TEST(an_answer_while_it_may_not_touch_memory)
{
	static const u32 pfn[] = {11};
	struct rig *g = rig_create(~0ull, 4);
	u32 head, len;

	put_pfns(g, pfn, 1);
	ring_add(&g->inflate, DATA, 4, 0);
	driver_kick(&g->d, 0);
	cfg_put(&g->d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK(host_test_drop(g->h));
	CHECK(!ring_used(&g->inflate, &head, &len));
	cfg_put(&g->d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	CHECK(ring_used(&g->inflate, &head, &len));
	rig_free(g);
}

TEST(hostile)
{
	struct rig *g = rig_create(~0ull, 4);
	u32 head, len;

	ring_add(&g->inflate, DATA, 0, 0);
	ring_add(&g->inflate, DATA, 3, 0);
	ring_add(&g->inflate, DATA, 16, D_WRITE);
	ring_add(&g->report, 0xb000, 0x1000, 0); // readable
	ring_add(&g->report, ~0ull - 0x1fff, 0x1fff, D_WRITE);
	driver_kick(&g->d, 0);
	while (host_test_drop(g->h))
		;
	for (unsigned i = 0; i < 3; i++)
		CHECK(ring_used(&g->inflate, &head, &len));
	CHECK(ring_used(&g->report, &head, &len) && ring_used(&g->report, &head, &len));
	CHECK_EQ(g->h->drop_pages, 1 << 11); // it said so
	ring_add(&g->inflate, HOST_TEST_HOLE * PAGE_SIZE, 16, 0);
	driver_kick(&g->d, 0);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15 | 0x40);
	CHECK(host_test_drop(g->h));
	CHECK(!ring_used(&g->inflate, &head, &len));
	driver_kick(&g->d, 0);
	CHECK(!host_test_drop(g->h));
	rig_free(g);
}

TEST(save_and_restore_with_a_chain_in_hand)
{
	static const u32 pfn[] = {11, 12};
	struct rig *g = rig_create(~0ull, 4);
	struct virtio_balloon_state s;
	struct virtio_balloon other;
	struct virtio_pci_state ps;
	struct virtio_pci fn;
	u32 head, len;

	put_pfns(g, pfn, 2);
	bar_put(&g->d, g->d.device + 4, 4, 33);
	ring_add(&g->inflate, DATA, sizeof(pfn), 0);
	driver_kick(&g->d, 0);
	virtio_balloon_save(&g->b, &s);
	virtio_pci_save(&g->fn, &ps);
	g->h->drop_ended = false; // another host
	g->h->drop_pages = 0;
	virtio_balloon_init(&other, g->h, 0);
	virtio_pci_init(&fn, &other.dev, 1);
	CHECK(virtio_balloon_load(&other, &s) && virtio_pci_load(&fn, &ps));
	CHECK(other.config.num_pages == PAGES && other.config.actual == 33);
	CHECK_EQ(g->h->drop_pages, 1 << 11 | 1 << 12);
	CHECK(host_test_drop(g->h) && ring_used(&g->inflate, &head, &len));
	s.virtio.type = 3;
	CHECK(!virtio_balloon_load(&other, &s));
	rig_free(g);
}

TEST_MAIN()

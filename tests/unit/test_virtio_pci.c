// SPDX-License-Identifier: MIT
// The PCI transport, with a device that gives back what it reads.
// link: devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c devices/virtio.c
// link: devices/virtqueue.c devices/pci_config.c devices/msix.c devices/host_test/host_test.c
#include "tests/unit/test.h"
#include "tests/unit/virtio_pci_driver.h"

#define ECHO_FEATURE BIT(5)
#define RING0        0x1000u
#define RING1        0x4000u
#define DATA         0x8000u

struct echo { // copies the readable part of each chain into its writable part
	struct virtio_device dev;
	struct virtqueue queue[2];
	struct host_segment seg[16];
	unsigned starts, resets, notifies;
	u8 config[6];
};

static struct echo *echo_of(struct virtio_device *d)
{
	return container_of(d, struct echo, dev);
}

static void echo_notify(struct virtio_device *d, unsigned queue)
{
	struct echo *e = echo_of(d);
	struct virtqueue *q = &e->queue[queue];
	struct virtqueue_chain c = {.seg = e->seg, .max = ARRAY_SIZE(e->seg)};
	u8 buf[64];

	e->notifies++;
	while (virtqueue_peek(q, &c)) {
		size_t n = virtqueue_read(q, &c, 0, buf, sizeof(buf));

		n = virtqueue_write(q, &c, 0, buf, n);
		virtqueue_next(q);
		virtqueue_push(q, c.head, (u32)n);
	}
	virtio_interrupt(d, queue);
}

static void echo_start(struct virtio_device *d)
{
	echo_of(d)->starts++;
}

static void echo_reset(struct virtio_device *d)
{
	echo_of(d)->resets++;
}

static void echo_config_read(struct virtio_device *d, u32 offset, void *to, u32 size)
{
	memcpy(to, echo_of(d)->config + offset, size);
}

static void echo_config_write(struct virtio_device *d, u32 offset, const void *from, u32 size)
{
	memcpy(echo_of(d)->config + offset, from, size);
}

static const struct virtio_device_ops echo_ops = {
	.type = VIRTIO_TYPE_CONSOLE,
	.pci_class = 0x123456,
	.config_size = sizeof(((struct echo *)0)->config),
	.start = echo_start,
	.reset = echo_reset,
	.notify = echo_notify,
	.config_read = echo_config_read,
	.config_write = echo_config_write,
};

struct rig {
	struct host *h;
	struct echo echo;
	struct virtio_pci fn;
	struct pci_driver d;
	struct ring r[2];
};

static void rig_init(struct rig *g, struct host *h)
{
	memset(g, 0, sizeof(*g));
	g->h = h;
	g->echo.dev = (struct virtio_device){
		.ops = &echo_ops,
		.host = h,
		.queue = g->echo.queue,
		.queues = 2,
		.queue_size = 16,
		.offered = ECHO_FEATURE,
	};
	virtio_init(&g->echo.dev);
	virtio_pci_init(&g->fn, &g->echo.dev, 7);
}

// A device that runs, with its vectors 1 and 2 for its queues and 0 for the configuration.
static struct rig *rig_running(bool msix)
{
	struct rig *g = malloc(sizeof(*g));

	if (!g)
		abort();
	rig_init(g, host_test_create());
	CHECK(driver_find(&g->d, &g->fn));
	if (msix)
		driver_msix(&g->d, 3);
	CHECK(driver_negotiate(&g->d, ~0ull));
	reg_put(&g->d, C_MSIX, 2, 0);
	g->r[0] = driver_queue(&g->d, 0, 16, RING0, 1);
	g->r[1] = driver_queue(&g->d, 1, 8, RING1, 2);
	driver_ok(&g->d);
	return g;
}

static void rig_free(struct rig *g)
{
	host_test_destroy(g->h);
	free(g);
}

// Sends 8 bytes through the queue and looks at what comes back.
static bool echo_works(struct rig *g, u16 queue)
{
	u32 head, len;
	u16 sent = g->r[queue].next_desc % 8;

	memcpy(at(g->h, DATA, 8), "mezzanin", 8);
	memset(at(g->h, DATA + 64, 8), 0, 8);
	g->r[queue].next_desc = (u16)(g->r[queue].next_desc + 2);
	desc_put(g->h, g->r[queue].desc, sent, DATA, 8, D_NEXT, sent + 1);
	desc_put(g->h, g->r[queue].desc, sent + 1, DATA + 64, 16, D_WRITE, 0);
	ring_publish(&g->r[queue], sent);
	driver_kick(&g->d, queue);
	return ring_used(&g->r[queue], &head, &len) && head == sent && len == 8 &&
	       !memcmp(at(g->h, DATA + 64, 8), "mezzanin", 8);
}

TEST(identity_and_bar)
{
	struct rig *g = rig_running(true);
	struct pci_bar bar;

	CHECK_EQ(cfg_get(&g->d, PCI_VENDOR_ID, 4), 0x10431af4);
	CHECK_EQ(cfg_get(&g->d, PCI_REVISION_ID, 4), 0x12345601);
	CHECK_EQ(cfg_get(&g->d, PCI_INTERRUPT_PIN, 1), 1);
	CHECK(cfg_get(&g->d, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	cfg_put(&g->d, PCI_BAR_0, 4, ~0u);
	CHECK_EQ(cfg_get(&g->d, PCI_BAR_0, 4), ~(VIRTIO_PCI_BAR_SIZE - 1));
	cfg_put(&g->d, PCI_BAR_0, 4, 0xc0008123);
	bar = virtio_pci_ops.bar(&g->fn, 0);
	CHECK_EQ(bar.addr, 0xc0008000);
	CHECK_EQ(bar.size, VIRTIO_PCI_BAR_SIZE);
	CHECK(!bar.wide);
	cfg_put(&g->d, PCI_BAR_0 + 4, 4, ~0u);
	CHECK_EQ(cfg_get(&g->d, PCI_BAR_0 + 4, 4), ~(VIRTIO_PCI_PORT_SIZE - 1) | PCI_BAR_IO);
	cfg_put(&g->d, PCI_BAR_0 + 4, 4, 0xc040);
	bar = virtio_pci_ops.bar(&g->fn, 1);
	CHECK(bar.io && bar.addr == 0xc040 && bar.size == VIRTIO_PCI_PORT_SIZE);
	CHECK(virtio_pci_ops.bar(&g->fn, 2).size == 0);
	cfg_put(&g->d, PCI_VENDOR_ID, 4, 0);
	CHECK_EQ(cfg_get(&g->d, PCI_VENDOR_ID, 4), 0x10431af4);
	rig_free(g);
}

TEST(negotiation)
{
	struct rig *g = rig_running(true);

	CHECK_EQ(g->echo.dev.accepted,
		ECHO_FEATURE | VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15);
	CHECK_EQ(reg_get(&g->d, C_QUEUES, 2), 2);
	CHECK_EQ(g->echo.starts, 1);
	// After FEATURES_OK features stay as they are.
	reg_put(&g->d, C_GFSEL, 4, 0);
	reg_put(&g->d, C_GF, 4, 0);
	CHECK(g->echo.dev.accepted & ECHO_FEATURE);
	// A reset by the driver.
	reg_put(&g->d, C_STATUS, 1, 0);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 0);
	CHECK_EQ(reg_get(&g->d, C_QENABLE, 2), 0);
	CHECK_EQ(reg_get(&g->d, C_QMSIX, 2), MSIX_NONE);
	CHECK_EQ(reg_get(&g->d, C_MSIX, 2), MSIX_NONE);
	CHECK_EQ(g->echo.dev.accepted, 0);
	// What was not offered, or without VERSION_1, is refused.
	reg_put(&g->d, C_STATUS, 1, 3);
	reg_put(&g->d, C_GFSEL, 4, 1);
	reg_put(&g->d, C_GF, 4, 1 | 1u << 31);
	reg_put(&g->d, C_STATUS, 1, 11);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 3);
	reg_put(&g->d, C_GF, 4, 0);
	reg_put(&g->d, C_STATUS, 1, 11);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 3);
	// Nor does the device start without agreement, or on queues enabled before it.
	reg_put(&g->d, C_QSEL, 2, 0);
	reg_put(&g->d, C_QENABLE, 2, 1);
	CHECK_EQ(reg_get(&g->d, C_QENABLE, 2), 0);
	reg_put(&g->d, C_STATUS, 1, 7);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 3);
	CHECK_EQ(g->echo.starts, 1);
	// NEEDS_RESET is not the driver's to set.
	reg_put(&g->d, C_STATUS, 1, 0x40 | 3);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 3);
	rig_free(g);
}

TEST(queues_echo_and_interrupt)
{
	struct rig *g = rig_running(true);

	CHECK(echo_works(g, 0));
	CHECK_EQ(g->h->msis, 1);
	CHECK_EQ(g->h->msi[0].addr, MSI_ADDR + 16);
	CHECK_EQ(g->h->msi[0].data, 0x41);
	CHECK(echo_works(g, 1));
	CHECK_EQ(g->h->msis, 2);
	CHECK_EQ(g->h->msi[1].data, 0x42);
	CHECK_EQ(g->h->intx_changes, 0);
	// The preferred way is a port; the other one is memory, a place for each queue.
	CHECK_EQ(g->d.notify[0].bar, 1);
	CHECK_EQ(g->d.notify[1].bar, 0);
	driver_kick_by(&g->d, 1, 1);
	CHECK_EQ(g->echo.notifies, 3);
	driver_kick_by(&g->d, 0, 2); // there are two
	bar_put(&g->d, g->d.notify[1].offset + 2 * g->d.notify[1].multiplier, 2, 2);
	CHECK_EQ(g->echo.notifies, 3);
	used_event_set(&g->r[0], 5);
	for (unsigned i = 0; i < 4; i++)
		CHECK(echo_works(g, 0));
	CHECK_EQ(g->h->msis, 2);
	CHECK(echo_works(g, 0));
	CHECK_EQ(g->h->msis, 3);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15);
	rig_free(g);
}

TEST(queue_registers)
{
	struct rig *g = rig_running(true);
	struct pci_driver *d = &g->d;

	reg_put(d, C_QSEL, 2, 1);
	CHECK_EQ(reg_get(d, C_QSIZE, 2), 8);
	CHECK_EQ(reg_get(d, C_QDESC, 8), RING1);
	CHECK_EQ(reg_get(d, C_QDRIVER, 4), RING1 + 0x1000);
	CHECK_EQ(reg_get(d, C_QDEVICE + 4, 4), 0);
	reg_put(d, C_QDESC, 8, 0x12345678); // enabled: it stays
	reg_put(d, C_QSIZE, 2, 4);
	CHECK_EQ(reg_get(d, C_QDESC, 8), RING1);
	CHECK_EQ(reg_get(d, C_QSIZE, 2), 8);
	reg_put(d, C_QSEL, 2, 2); // there are two
	CHECK_EQ(reg_get(d, C_QSIZE, 2), 0);
	reg_put(d, C_QMSIX, 2, 0);
	CHECK_EQ(reg_get(d, C_QMSIX, 2), MSIX_NONE);
	reg_put(d, C_QENABLE, 2, 1);
	CHECK_EQ(reg_get(d, C_QENABLE, 2), 0);
	reg_put(d, C_STATUS, 1, 0);
	reg_put(d, C_QSEL, 2, 0);
	CHECK_EQ(reg_get(d, C_QSIZE, 2), 16);
	for (u16 bad = 0; bad < 40; bad += 3) {
		reg_put(d, C_QSIZE, 2, bad);
		CHECK(reg_get(d, C_QSIZE, 2) == 16 || (bad == 12 && 0));
	}
	reg_put(d, C_QMSIX, 2, 3); // vectors are 0 to 2
	CHECK_EQ(reg_get(d, C_QMSIX, 2), MSIX_NONE);
	reg_put(d, C_QDEVICE, 4, 0xabcdef00);
	reg_put(d, C_QDEVICE + 4, 4, 0x12);
	CHECK_EQ(reg_get(d, C_QDEVICE, 8), 0x12abcdef00);
	reg_put(d, C_QDEVICE + 2, 4, ~0u); // not aligned
	reg_put(d, C_QDEVICE, 2, ~0u);     // not a width of it
	CHECK_EQ(reg_get(d, C_QDEVICE, 8), 0x12abcdef00);
	rig_free(g);
}

TEST(masked_vectors_stay_pending)
{
	struct rig *g = rig_running(true);
	u32 table = cfg_get(&g->d, g->d.msix + 4, 4) & ~7u,
	    pba = cfg_get(&g->d, g->d.msix + 8, 4) & ~7u;

	bar_put(&g->d, table + 16 + 12, 4, 1);
	CHECK(echo_works(g, 0));
	CHECK_EQ(g->h->msis, 0);
	CHECK_EQ(bar_get(&g->d, pba, 8), 2);
	bar_put(&g->d, table + 16 + 12, 4, 0);
	CHECK_EQ(g->h->msis, 1);
	CHECK_EQ(bar_get(&g->d, pba, 8), 0);
	cfg_put(&g->d, g->d.msix + 2, 2, 0xc000); // all masked
	CHECK(echo_works(g, 1));
	CHECK_EQ(g->h->msis, 1);
	cfg_put(&g->d, g->d.msix + 2, 2, 0x8000);
	CHECK_EQ(g->h->msis, 2);
	CHECK_EQ(g->h->msi[1].data, 0x42);
	CHECK_EQ(cfg_get(&g->d, g->d.msix + 2, 2), 0x8002); // table size: 3
	rig_free(g);
}

TEST(interrupt_pin)
{
	struct rig *g = rig_running(false);

	CHECK(echo_works(g, 0));
	CHECK(g->h->intx[7]);
	CHECK_EQ(g->h->msis, 0);
	CHECK(cfg_get(&g->d, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	CHECK_EQ(bar_get(&g->d, g->d.isr, 1), 1);
	CHECK(!g->h->intx[7]);
	CHECK_EQ(bar_get(&g->d, g->d.isr, 1), 0);
	CHECK(echo_works(g, 1));
	CHECK(g->h->intx[7]);
	cfg_put(&g->d, PCI_COMMAND, 2, 0x407);
	CHECK(!g->h->intx[7]);
	cfg_put(&g->d, PCI_COMMAND, 2, 0x7);
	CHECK(g->h->intx[7]);
	virtio_pci_ops.reset(&g->fn);
	CHECK(!g->h->intx[7]);
	rig_free(g);
}

TEST(without_bus_mastering_nothing_moves)
{
	struct rig *g = rig_running(true);

	cfg_put(&g->d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK(!echo_works(g, 0));
	CHECK_EQ(g->echo.notifies, 0);
	virtio_config_changed(&g->echo.dev);
	CHECK_EQ(g->h->msis, 0);
	cfg_put(&g->d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	CHECK_EQ(g->h->msis, 1); // the one of the configuration, late
	CHECK_EQ(g->h->msi[0].data, 0x40);
	CHECK_EQ(g->echo.starts, 2);
	rig_free(g);
}

TEST(device_configuration)
{
	struct rig *g = rig_running(true);

	bar_put(&g->d, g->d.device + 1, 4, 0x44332211);
	CHECK_EQ(bar_get(&g->d, g->d.device, 2), 0x1100);
	CHECK_EQ(bar_get(&g->d, g->d.device + 4, 1), 0x44);
	bar_put(&g->d, g->d.device + 4, 4, ~0u); // over its end
	CHECK_EQ(bar_get(&g->d, g->d.device + 4, 2), 0x0044);
	CHECK_EQ(bar_get(&g->d, g->d.device + 4, 4), 0);
	CHECK_EQ(reg_get(&g->d, C_GENERATION, 1), 0);
	virtio_config_changed(&g->echo.dev);
	CHECK_EQ(reg_get(&g->d, C_GENERATION, 1), 1);
	CHECK_EQ(g->h->msi[0].data, 0x40);
	rig_free(g);
}

TEST(window_in_configuration_space)
{
	struct rig *g = rig_running(true);
	unsigned w = g->d.window;

	cfg_put(&g->d, w + 4, 1, 0);
	cfg_put(&g->d, w + 8, 4, g->d.common + C_QUEUES);
	cfg_put(&g->d, w + 12, 4, 2);
	CHECK_EQ(cfg_get(&g->d, w + 16, 2), 2);
	cfg_put(&g->d, w + 8, 4, g->d.device);
	cfg_put(&g->d, w + 12, 4, 4);
	cfg_put(&g->d, w + 16, 4, 0xcafe);
	CHECK_EQ(g->echo.config[0], 0xfe);
	// Another BAR, no alignment, outside: nothing happens.
	cfg_put(&g->d, w + 8, 4, g->d.device + 1);
	cfg_put(&g->d, w + 16, 4, 0);
	cfg_put(&g->d, w + 8, 4, ~3u);
	cfg_put(&g->d, w + 16, 4, 0);
	cfg_put(&g->d, w + 8, 4, g->d.device);
	cfg_put(&g->d, w + 4, 1, 1);
	cfg_put(&g->d, w + 16, 4, 0);
	CHECK_EQ(g->echo.config[0], 0xfe);
	CHECK_EQ(g->echo.config[1], 0xca);
	rig_free(g);
}

TEST(broken_queue_asks_for_reset)
{
	struct rig *g = rig_running(true);

	put16(g->h, RING0 + 0x1000 + 2, 1000);
	driver_kick(&g->d, 0);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15 | 0x40);
	CHECK_EQ(g->h->msis, 1);
	CHECK_EQ(g->h->msi[0].data, 0x40); // the configuration's vector
	CHECK_EQ(g->h->logs, 1);
	for (unsigned i = 0; i < 100; i++)
		driver_kick(&g->d, 0);
	CHECK(!echo_works(g, 1)); // nothing of the device runs
	CHECK_EQ(g->h->logs, 1);
	CHECK_EQ(g->echo.notifies, 1);
	CHECK(driver_negotiate(&g->d, ~0ull));
	g->r[0] = driver_queue(&g->d, 0, 16, RING0, 1);
	driver_ok(&g->d);
	CHECK(echo_works(g, 0));
	rig_free(g);
}

TEST(ring_outside_memory)
{
	struct rig *g = rig_running(true);

	CHECK(driver_negotiate(&g->d, ~0ull));
	reg_put(&g->d, C_QSEL, 2, 0);
	reg_put(&g->d, C_QDESC, 8, 1ull << 40);
	reg_put(&g->d, C_QENABLE, 2, 1);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 11 | 0x40);
	driver_ok(&g->d);
	driver_kick(&g->d, 0);
	CHECK_EQ(g->echo.notifies, 0);
	CHECK_EQ(g->echo.starts, 1);
	rig_free(g);
}

TEST(save_and_restore)
{
	struct rig *g = rig_running(true), *n = malloc(sizeof(*n));
	struct virtio_state vs;
	struct virtqueue_state qs[2];
	struct virtio_pci_state ps;
	struct pci_driver d;

	CHECK(echo_works(g, 0));
	bar_put(&g->d, VIRTIO_PCI_MSIX + 32 + 12, 4, 1); // queue 1's vector is masked,
	CHECK(echo_works(g, 1));                         // and pending
	virtio_save(&g->echo.dev, &vs, qs);
	virtio_pci_save(&g->fn, &ps);
	rig_init(n, g->h);
	CHECK(virtio_load(&n->echo.dev, &vs, qs));
	CHECK_EQ(n->echo.starts, 0);
	CHECK(virtio_pci_load(&n->fn, &ps));
	CHECK_EQ(n->echo.starts, 1);
	d = g->d;
	n->d = d;
	n->d.fn = &n->fn;
	n->r[0] = g->r[0];
	n->r[1] = g->r[1];
	g->h->msis = 0;
	bar_put(&n->d, VIRTIO_PCI_MSIX + 32 + 12, 4, 0);
	CHECK_EQ(g->h->msis, 1);
	CHECK_EQ(g->h->msi[0].data, 0x42);
	CHECK(echo_works(n, 0) && echo_works(n, 1));
	CHECK_EQ(cfg_get(&n->d, PCI_COMMAND, 2), 7);

	// What is not a state is refused.
	vs.version++;
	CHECK(!virtio_load(&n->echo.dev, &vs, qs));
	vs.version--;
	qs[1].size = 3;
	CHECK(!virtio_load(&n->echo.dev, &vs, qs));
	qs[1].size = 8;
	vs.accepted |= BIT(40);
	CHECK(!virtio_load(&n->echo.dev, &vs, qs));
	ps.queue_vector[0] = 3;
	CHECK(!virtio_pci_load(&n->fn, &ps));
	ps.queue_vector[0] = 1;
	ps.pending = 8;
	CHECK(!virtio_pci_load(&n->fn, &ps));
	CHECK_EQ(n->echo.dev.status, 0);
	free(n);
	rig_free(g);
}

TEST_MAIN()

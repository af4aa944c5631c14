// SPDX-License-Identifier: MIT
// virtio-blk behind its PCI function, as a guest's driver sees it.
// link: devices/virtio_blk.c devices/virtio_blk_request.c devices/virtio_pace.c
// link: devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c devices/host_test/host_test_block.c
#include "tests/unit/virtio_blk_rig.h"

TEST(read_and_write)
{
	u64 features[] = {0, ALL, VIRTIO_F_EVENT_IDX, VIRTIO_BLK_F_FLUSH};

	for (unsigned f = 0; f < ARRAY_SIZE(features); f++) {
		struct rig *g = rig_running(features[f]);
		u32 head, written;

		request(g, 0, VIRTIO_BLK_T_IN, 7, DATA, 4096, D_WRITE);
		CHECK(ring_used(&g->q[0], &head, &written));
		CHECK_EQ(head, 0);
		CHECK_EQ(written, 4097);
		CHECK_EQ(status_of(g, 0), VIRTIO_BLK_S_OK);
		CHECK(disk_is(g, 7, DATA, 4096));
		memset(at(g->h, DATA, 4096), 0x5a, 4096);
		request(g, 0, VIRTIO_BLK_T_OUT, SECTORS - 8, DATA, 4096, 0);
		CHECK(ring_used(&g->q[0], &head, &written));
		CHECK_EQ(head, 3);
		CHECK_EQ(written, 1);
		CHECK_EQ(status_of(g, 1), VIRTIO_BLK_S_OK);
		CHECK(disk_is(g, SECTORS - 8, DATA, 4096));
		CHECK(g->h->msis >= 1 && g->h->msi[0].data == 0x41);
		CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15);
		rig_free(g);
	}
}

TEST(configuration)
{
	struct rig *g = rig_create(2);

	CHECK(driver_find(&g->d, &g->fn));
	CHECK_EQ(cfg_get(&g->d, PCI_DEVICE_ID, 2), 0x1042);
	CHECK_EQ(bar_get(&g->d, g->d.device, 8), SECTORS);
	CHECK_EQ(bar_get(&g->d, g->d.device + 12, 4), 126); // seg_max
	CHECK_EQ(bar_get(&g->d, g->d.device + 20, 4), 512); // blk_size
	CHECK_EQ(bar_get(&g->d, g->d.device + 24, 1), 3);   // physical_block_exp
	CHECK_EQ(bar_get(&g->d, g->d.device + 34, 2), 2);   // num_queues
	CHECK_EQ(bar_get(&g->d, g->d.device + 36, 4), 64);  // max_discard_sectors
	CHECK_EQ(bar_get(&g->d, g->d.device + 48, 4), 64);  // max_write_zeroes_sectors
	bar_put(&g->d, g->d.device, 8, 1);
	CHECK_EQ(bar_get(&g->d, g->d.device, 8), SECTORS);
	CHECK(driver_negotiate(&g->d, ALL));
	CHECK(g->b.dev.accepted & VIRTIO_BLK_F_MQ);
	CHECK(!(g->b.dev.accepted & VIRTIO_BLK_F_RO));
	rig_free(g);
}

// Header, data and status in pieces of one to a few bytes, with empty ones between.
TEST(any_framing)
{
	static const u32 cuts[][10] = {{1, 2, 13, 511, 1, 512, 0}, {16, 0, 1023, 1},
		{15, 2, 1023, 0}, {3, 3, 3, 3, 3, 1025, 0}, {1040}, {17, 1023}};

	for (unsigned write = 0; write <= 1; write++)
		for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
			struct rig *g = rig_running(ALL);
			u64 from = DATA, to = DATA + 0x4000;
			u32 left = write ? 1040 : 16, head, written;
			u16 d = 0;

			// All that the device reads lies from DATA on, all that it writes 16 KiB behind that.
			put32(g->h, DATA, write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN);
			put64(g->h, DATA + 8, 9);
			memset(at(g->h, DATA + 16, 1024), 0xa7, 1024);
			*at(g->h, to + (write ? 0 : 1024), 1) = PENDING;
			for (unsigned c = 0; left; c++, d++) {
				u32 n = c < 10 && (cuts[i][c] || c == 1) ? MIN(cuts[i][c], left)
									 : left;

				desc_put(g->h, RING(0), d, from, n, D_NEXT, (u16)(d + 1));
				from += n;
				left -= n;
			}
			left = write ? 1 : 1025;
			for (unsigned c = 0; left; c++, d++) {
				u32 n = c < 10 && cuts[i][c] ? MIN(cuts[i][c], left) : left;

				left -= n;
				desc_put(g->h, RING(0), d, to, n, D_NEXT | D_WRITE, (u16)(d + 1));
				to += n;
			}
			desc_put(g->h, RING(0), d, to, 0, D_WRITE, 0); // an empty one at the end
			ring_publish(&g->q[0], 0);
			driver_kick(&g->d, 0);
			CHECK(ring_used(&g->q[0], &head, &written));
			CHECK_EQ(written, write ? 1 : 1025);
			to = DATA + 0x4000;
			CHECK_EQ(*at(g->h, to + (write ? 0 : 1024), 1), VIRTIO_BLK_S_OK);
			CHECK(disk_is(g, 9, write ? DATA + 16 : to, 1024));
			rig_free(g);
		}
}

TEST(wrong_requests)
{
	struct rig *g = rig_running(ALL);

	CHECK_EQ(request_now(g, VIRTIO_BLK_T_IN, SECTORS, DATA, 512, D_WRITE), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request_now(g, VIRTIO_BLK_T_IN, SECTORS - 1, DATA, 1024, D_WRITE),
		VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request_now(g, VIRTIO_BLK_T_IN, ~0ull, DATA, 512, D_WRITE), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request_now(g, VIRTIO_BLK_T_IN, 1ull << 55, DATA, 512, D_WRITE),
		VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request_now(g, VIRTIO_BLK_T_IN, 0, DATA, 511, D_WRITE), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request_now(g, VIRTIO_BLK_T_OUT, 0, DATA, 513, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request_now(g, VIRTIO_BLK_T_OUT, SECTORS, DATA, 512, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request_now(g, 2, 0, DATA, 512, 0), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(request_now(g, 14, 0, DATA, 16, 0), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(request_now(g, ~0u, 0, DATA, 512, D_WRITE), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(g->store->records, 0);
	CHECK_EQ(request_now(g, VIRTIO_BLK_T_IN, 0, 0, 0, 0), VIRTIO_BLK_S_OK); // of no sectors
	CHECK_EQ(request_now(g, VIRTIO_BLK_T_IN, SECTORS - 1, DATA, 512, D_WRITE), VIRTIO_BLK_S_OK);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15);
	rig_free(g);
}

TEST(broken_chains_need_a_reset)
{
	for (unsigned kind = 0; kind < 6; kind++) {
		struct rig *g = rig_running(ALL);
		bool read = kind & 1;

		switch (kind) {
		case 0: // no status
			ring_add(&g->q[0], DATA, 16, 0);
			break;
		case 1: // a short header
			desc_put(g->h, RING(0), 0, DATA, 15, D_NEXT, 1);
			desc_put(g->h, RING(0), 1, STATUS, 1, D_WRITE, 0);
			ring_publish(&g->q[0], 0);
			break;
		case 2: // header outside of memory
			desc_put(g->h, RING(0), 0, HOLE, 16, D_NEXT, 1);
			desc_put(g->h, RING(0), 1, STATUS, 1, D_WRITE, 0);
			ring_publish(&g->q[0], 0);
			break;
		case 3: // status outside of memory
			put32(g->h, DATA, 99);
			desc_put(g->h, RING(0), 0, DATA, 16, D_NEXT, 1);
			desc_put(g->h, RING(0), 1, HOLE, 1, D_WRITE, 0);
			ring_publish(&g->q[0], 0);
			break;
		default: // data outside of memory
			request(g, 0, read, 0, HOLE - 512, 1024, read ? 0 : D_WRITE);
		}
		driver_kick(&g->d, 0);
		CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15 | 0x40);
		CHECK(virtio_blk_quiet(&g->b));
		rig_start(g, ALL);
		g->q[0].next_desc = 0;
		CHECK_EQ(request_now(g, VIRTIO_BLK_T_IN, 0, DATA, 512, D_WRITE), VIRTIO_BLK_S_OK);
		rig_free(g);
	}
}

TEST(get_id)
{
	struct rig *g = rig_running(ALL);
	u32 head, written;

	memset(at(g->h, DATA, 64), 0xcc, 64);
	request(g, 0, VIRTIO_BLK_T_GET_ID, 0, DATA, 20, D_WRITE);
	CHECK(ring_used(&g->q[0], &head, &written) && written == 21);
	CHECK(!memcmp(at(g->h, DATA, 21), "test disk\0\0\0\0\0\0\0\0\0\0\0\xcc", 21));
	request(g, 0, VIRTIO_BLK_T_GET_ID, 0, DATA + 32, 4, D_WRITE);
	CHECK(ring_used(&g->q[0], &head, &written) && written == 5);
	CHECK(!memcmp(at(g->h, DATA + 32, 5), "test\xcc", 5));
	rig_free(g);
}

// One range of 16 bytes at DATA.
static u8 clear(struct rig *g, u32 type, u64 sector, u32 count, u32 flags, u32 len)
{
	put64(g->h, DATA, sector);
	put32(g->h, DATA + 8, count);
	put32(g->h, DATA + 12, flags);
	return request_now(g, type, 0, DATA, len, 0);
}

TEST(discard_and_write_zeroes)
{
	struct rig *g = rig_running(ALL);
	u8 zeros[512 * 3] = {0};
	u32 z = VIRTIO_BLK_T_WRITE_ZEROES, d = VIRTIO_BLK_T_DISCARD;

	CHECK_EQ(clear(g, z, 5, 3, 0, 16), VIRTIO_BLK_S_OK);
	CHECK(!memcmp(g->store->data + 5 * 512, zeros, sizeof(zeros)));
	CHECK(g->store->data[4 * 512 + 1] && g->store->data[8 * 512 + 1]);
	CHECK_EQ(clear(g, z, 9, 1, 1, 16), VIRTIO_BLK_S_OK); // with unmap
	CHECK(!memcmp(g->store->data + 9 * 512, zeros, 512));
	CHECK_EQ(clear(g, d, 64, 64, 0, 16), VIRTIO_BLK_S_OK);
	CHECK_EQ(g->store->data[127 * 512], 0xdd);
	CHECK_EQ(g->store->records, 3);
	CHECK_EQ(clear(g, d, 64, 64, 1, 16), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(clear(g, z, 64, 64, 2, 16), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(clear(g, d, 64, 65, 0, 16), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(clear(g, z, SECTORS - 1, 2, 0, 16), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(clear(g, z, ~0ull, 2, 0, 16), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(clear(g, d, 0, 1, 0, 32), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(clear(g, d, 0, 1, 0, 15), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(clear(g, d, 0, 0, 0, 16), VIRTIO_BLK_S_OK);
	CHECK_EQ(g->store->records, 3);
	rig_free(g);
}

TEST(read_only)
{
	struct rig *g = rig_create(1);

	g->store->info.read_only = true;
	virtio_blk_destroy(&g->b);
	virtio_blk_init(&g->b, g->h, g->store, 1);
	virtio_pci_init(&g->fn, &g->b.dev, 2);
	rig_start(g, ALL);
	CHECK(g->b.dev.accepted & VIRTIO_BLK_F_RO);
	CHECK_EQ(request_now(g, VIRTIO_BLK_T_OUT, 0, DATA, 512, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(clear(g, VIRTIO_BLK_T_DISCARD, 0, 1, 0, 16), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(clear(g, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0, 16), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(g->store->records, 0);
	CHECK_EQ(request_now(g, VIRTIO_BLK_T_IN, 0, DATA, 512, D_WRITE), VIRTIO_BLK_S_OK);
	CHECK_EQ(request_now(g, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0), VIRTIO_BLK_S_OK);
	rig_free(g);
}

TEST(errors_of_the_store)
{
	struct rig *g = rig_running(ALL);
	u32 head, written;

	g->store->fail[0] = HOST_BLOCK_ERROR;
	g->store->fail[1] = HOST_BLOCK_UNSUPPORTED;
	g->store->fails = 2;
	request(g, 0, VIRTIO_BLK_T_IN, 0, DATA, 512, D_WRITE);
	CHECK(ring_used(&g->q[0], &head, &written) && !written);
	CHECK_EQ(status_of(g, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request_now(g, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(request_now(g, VIRTIO_BLK_T_IN, 0, DATA, 512, D_WRITE), VIRTIO_BLK_S_OK);
	rig_free(g);
}

TEST(writes_are_flushed_for_who_knows_no_flush)
{
	struct rig *g = rig_running(ALL & ~VIRTIO_BLK_F_FLUSH);

	g->store->delay = true;
	memset(at(g->h, DATA, 512), 0x77, 512);
	request(g, 0, VIRTIO_BLK_T_OUT, 3, DATA, 512, 0);
	host_test_block_finish(g->store, 0);
	CHECK_EQ(status_of(g, 0), PENDING);
	CHECK_EQ(g->store->record[1].op, HOST_BLOCK_FLUSH);
	host_test_block_finish(g->store, 0);
	CHECK_EQ(status_of(g, 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(g->store->safe[3 * 512], 0x77);
	// Who negotiated it flushes for himself.
	rig_start(g, ALL);
	g->q[0].next_desc = 0;
	request(g, 0, VIRTIO_BLK_T_OUT, 4, DATA, 512, 0);
	host_test_block_finish(g->store, 0);
	CHECK(!g->store->queued && g->store->safe[4 * 512] != 0x77);
	request(g, 0, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0);
	host_test_block_finish(g->store, 0);
	CHECK_EQ(g->store->safe[4 * 512], 0x77);
	rig_free(g);
}

TEST(completion_in_any_order_with_one_interrupt)
{
	struct rig *g = rig_running(ALL & ~VIRTIO_F_EVENT_IDX);
	u32 head, written;

	g->store->delay = true;
	for (unsigned i = 0; i < 4; i++)
		request(g, 0, VIRTIO_BLK_T_IN, i, DATA + 512 * i, 512, D_WRITE);
	CHECK(!ring_used(&g->q[0], &head, &written));
	CHECK_EQ(g->h->msis, 0);
	host_test_block_finish(g->store, 2);
	CHECK(ring_used(&g->q[0], &head, &written) && head == 6);
	CHECK_EQ(g->h->msis, 1);
	host_test_block_finish_all(g->store);
	CHECK_EQ(g->h->msis, 2);
	for (u32 want = 0; want <= 9; want += want == 3 ? 6 : 3)
		CHECK(ring_used(&g->q[0], &head, &written) && head == want);
	for (unsigned i = 0; i < 4; i++)
		CHECK(disk_is(g, i, DATA + 512 * i, 512) && status_of(g, i) == VIRTIO_BLK_S_OK);
	rig_free(g);
}

TEST(many_queues_share_the_slots)
{
	struct rig *g = rig_create(2);
	unsigned done = 0;
	u32 head, written;

	g->store->delay = true;
	CHECK(driver_find(&g->d, &g->fn));
	driver_msix(&g->d, 3);
	CHECK(driver_negotiate(&g->d, ALL));
	for (u16 i = 0; i < 2; i++)
		g->q[i] = driver_queue(&g->d, i, 128, RING(i), (u16)(i + 1));
	driver_ok(&g->d);
	for (unsigned i = 0; i < 80; i++) // 40 in each: 16 more than there are slots
		request(g, i & 1, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0);
	CHECK_EQ(g->store->queued, VIRTIO_BLK_SLOTS);
	for (unsigned i = 0; i < 16; i++) {
		host_test_block_finish(g->store, 0);
		CHECK_EQ(g->store->queued, VIRTIO_BLK_SLOTS);
	}
	host_test_block_finish_all(g->store);
	for (unsigned q = 0; q < 2; q++)
		while (ring_used(&g->q[q], &head, &written))
			done++;
	CHECK_EQ(done, 80);
	CHECK(!g->b.waiting);
	rig_free(g);
}

TEST(a_reset_waits_for_what_is_in_flight)
{
	struct rig *g = rig_running(ALL);
	u16 used;

	g->store->delay = true;
	memset(at(g->h, DATA, 512), 0x33, 512);
	request(g, 0, VIRTIO_BLK_T_OUT, 1, DATA, 512, 0);
	request(g, 0, VIRTIO_BLK_T_IN, 1, DATA + 512, 512, D_WRITE);
	used = get16(g->h, RING(0) + 0x2002);
	reg_put(&g->d, C_STATUS, 1, 0);
	CHECK(reg_get(&g->d, C_STATUS, 1) != 0);
	reg_put(&g->d, C_STATUS, 1, 1 | 2); // a driver that does not wait
	CHECK(!(reg_get(&g->d, C_STATUS, 1) & 3));
	driver_kick(&g->d, 0);
	reg_put(&g->d, C_STATUS, 1, 0);
	CHECK(reg_get(&g->d, C_STATUS, 1) != 0);
	host_test_block_finish(g->store, 0);
	CHECK(reg_get(&g->d, C_STATUS, 1) != 0);
	CHECK(!virtio_blk_quiet(&g->b));
	host_test_block_finish(g->store, 0);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 0);
	CHECK_EQ(status_of(g, 0), PENDING); // the driver has forgotten them
	CHECK_EQ(get16(g->h, RING(0) + 0x2002), used);
	CHECK_EQ(g->h->msis, 0);
	rig_start(g, ALL);
	g->q[0].next_desc = 0;
	g->store->delay = false;
	CHECK_EQ(request_now(g, VIRTIO_BLK_T_IN, 1, DATA, 512, D_WRITE), VIRTIO_BLK_S_OK);
	rig_free(g);
}

TEST(a_reset_is_over_at_once_where_the_store_can_cancel)
{
	struct rig *g = rig_running(ALL);

	g->store->delay = g->store->cancels = true;
	request(g, 0, VIRTIO_BLK_T_OUT, 1, DATA, 512, 0);
	reg_put(&g->d, C_STATUS, 1, 0);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 0);
	CHECK_EQ(status_of(g, 0), PENDING);
	CHECK(!g->store->queued);
	rig_start(g, ALL);
	rig_free(g);
}

TEST(a_reset_of_the_function_waits_too)
{
	struct rig *g = rig_running(ALL);

	g->store->delay = true;
	request(g, 0, VIRTIO_BLK_T_IN, 1, DATA, 512, D_WRITE);
	virtio_pci_ops.reset(&g->fn);
	CHECK(reg_get(&g->d, C_STATUS, 1) != 0);
	host_test_block_finish(g->store, 0);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 0);
	CHECK_EQ(status_of(g, 0), PENDING);
	rig_free(g);
}

TEST(save_and_restore)
{
	struct rig *g = rig_create(2), *n = calloc(1, sizeof(*n));
	struct virtio_blk_state s;
	struct virtio_pci_state ps;
	unsigned a, late;

	rig_start(g, ALL);
	g->store->delay = true;
	a = request(g, 0, VIRTIO_BLK_T_IN, 1, DATA, 512, D_WRITE);
	CHECK(!virtio_blk_save(&g->b, &s));
	virtio_blk_pause(&g->b, true);
	late = request(g, 1, VIRTIO_BLK_T_IN, 2, DATA + 512, 512, D_WRITE);
	CHECK_EQ(g->store->queued, 1);
	host_test_block_finish(g->store, 0);
	CHECK_EQ(status_of(g, a), VIRTIO_BLK_S_OK);
	CHECK_EQ(status_of(g, late), PENDING);
	CHECK(virtio_blk_save(&g->b, &s));
	virtio_pci_save(&g->fn, &ps);
	virtio_blk_destroy(&g->b);

	// Another process, or another machine, with the same memory and disk.
	*n = (struct rig){.h = g->h, .store = g->store, .d = g->d};
	n->store->delay = false;
	virtio_blk_init(&n->b, n->h, n->store, 2);
	virtio_pci_init(&n->fn, &n->b.dev, 2);
	n->d.fn = &n->fn;
	CHECK(virtio_blk_load(&n->b, &s));
	CHECK(virtio_pci_load(&n->fn, &ps));
	CHECK_EQ(status_of(n, late), VIRTIO_BLK_S_OK);
	CHECK(disk_is(n, 2, DATA + 512, 512));
	s.capacity++;
	CHECK(!virtio_blk_load(&n->b, &s));
	s.capacity--;
	s.queue[2].next_used = 1;
	CHECK(!virtio_blk_load(&n->b, &s));
	free(g);
	rig_free(n);
}

TEST(unpaused_it_goes_on)
{
	struct rig *g = rig_running(ALL);
	unsigned n;

	virtio_blk_pause(&g->b, true);
	n = request(g, 0, VIRTIO_BLK_T_IN, 1, DATA, 512, D_WRITE);
	host_test_advance(g->h, 1000000000);
	CHECK_EQ(status_of(g, n), PENDING);
	virtio_blk_pause(&g->b, false);
	CHECK_EQ(status_of(g, n), VIRTIO_BLK_S_OK);
	CHECK_EQ(g->h->msis, 1);
	rig_free(g);
}

TEST(no_bus_master_no_memory)
{
	struct rig *g = rig_running(ALL);
	u16 used = get16(g->h, RING(0) + 0x2002);

	g->store->delay = true;
	request(g, 0, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0);
	cfg_put(&g->d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	host_test_block_finish(g->store, 0);
	CHECK_EQ(status_of(g, 0), PENDING);
	CHECK_EQ(get16(g->h, RING(0) + 0x2002), used);
	rig_free(g);
}

TEST_MAIN()

// SPDX-License-Identifier: MIT
// virtio-rng behind its PCI function, and the generator.
// link: devices/virtio_rng.c devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c lib/chacha20.c
#include "tests/unit/test.h"
#include "devices/virtio_rng.h"
#include "lib/chacha20.h"
#include "tests/unit/virtio_pci_driver.h"

#define RING 0x1000u
#define DATA 0x8000u

struct rig {
	struct host *h;
	struct virtio_rng r;
	struct virtio_pci fn;
	struct pci_driver d;
	struct ring q;
};

static struct rig *rig_create(void)
{
	struct rig *g = calloc(1, sizeof(*g));

	if (!g)
		abort();
	g->h = host_test_create();
	virtio_rng_init(&g->r, g->h);
	virtio_pci_init(&g->fn, &g->r.dev, 1);
	CHECK(driver_find(&g->d, &g->fn));
	driver_msix(&g->d, 2);
	CHECK(driver_negotiate(&g->d, ~0ull));
	g->q = driver_queue(&g->d, 0, 64, RING, 1);
	driver_ok(&g->d);
	return g;
}

static void rig_free(struct rig *g)
{
	virtio_rng_destroy(&g->r);
	host_test_destroy(g->h);
	free(g);
}

TEST(buffers_are_filled)
{
	struct rig *g = rig_create();
	u32 head, len;

	CHECK_EQ(cfg_get(&g->d, PCI_DEVICE_ID, 2), 0x1044);
	ring_add(&g->q, DATA, 300, D_WRITE);
	ring_add(&g->q, DATA + 0x1000, 7, D_WRITE);
	driver_kick(&g->d, 0);
	CHECK(ring_used(&g->q, &head, &len) && len == 300);
	for (unsigned i = 0; i < 300; i++)
		CHECK_EQ(*at(g->h, DATA + i, 1), (u8)i);
	CHECK_EQ(*at(g->h, DATA + 300, 1), 0);
	CHECK(ring_used(&g->q, &head, &len) && len == 7);
	CHECK_EQ(*at(g->h, DATA + 0x1000, 1), (u8)300);
	CHECK_EQ(g->h->msi[0].data, 0x41);
	CHECK_EQ(g->h->randoms, 307);
	rig_free(g);
}

TEST(a_call_is_bounded)
{
	struct rig *g = rig_create();
	u32 head, len;
	unsigned rounds = 0, done = 0;

	for (unsigned i = 0; i < 12; i++)
		ring_add(&g->q, DATA, 3 * PAGE_SIZE, D_WRITE);
	driver_kick(&g->d, 0);
	CHECK_EQ(g->h->randoms, VIRTIO_RNG_SHARE);
	while (rounds++ < 4)
		host_test_advance(g->h, 100000);
	while (ring_used(&g->q, &head, &len) && len == PAGE_SIZE)
		done++;
	CHECK_EQ(done, 12);
	rig_free(g);
}

TEST(hostile)
{
	struct rig *g = rig_create();
	u32 head, len;

	for (unsigned i = 0; i < 64; i++)
		ring_add(&g->q, DATA, i & 1 ? 0 : 16, i & 1 ? D_WRITE : 0);
	driver_kick(&g->d, 0);
	for (unsigned i = 0; i < 64; i++)
		CHECK(ring_used(&g->q, &head, &len) && !len);
	CHECK_EQ(g->h->randoms, 0);
	ring_add(&g->q, HOST_TEST_HOLE * PAGE_SIZE, 16, D_WRITE);
	driver_kick(&g->d, 0);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15 | 0x40);
	host_test_advance(g->h, 1000000);
	rig_free(g);
}

TEST(save_and_restore)
{
	struct rig *g = rig_create();
	struct virtio_rng_state s;
	struct virtio_rng other;

	virtio_rng_save(&g->r, &s);
	virtio_rng_init(&other, g->h);
	CHECK(virtio_rng_load(&other, &s));
	CHECK_EQ(other.queue.s.desc, RING);
	s.virtio.type = 3;
	CHECK(!virtio_rng_load(&other, &s));
	virtio_rng_destroy(&other);
	rig_free(g);
}

// RFC 8439, section 2.3.2.
TEST(chacha20_block_of_the_rfc)
{
	static const u8 expected[] = {0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f,
		0xdd, 0x1f, 0xa3, 0x20, 0x71, 0xc4, 0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03,
		0x04, 0x22, 0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e, 0xd2, 0x82, 0x64, 0x46, 0x07, 0x9f,
		0xaa, 0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2, 0xb5, 0x12, 0x9c, 0xd1,
		0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e};
	static const u32 nonce[3] = {0x09000000, 0x4a000000, 0};
	u8 key_bytes[32], out[64];
	u32 key[8];

	for (unsigned i = 0; i < 32; i++)
		key_bytes[i] = (u8)i;
	memcpy(key, key_bytes, sizeof(key));
	chacha20_block(key, 1, nonce, out);
	CHECK(!memcmp(out, expected, 64));
}

TEST(a_generator_forgets_and_mixes)
{
	static const u32 one[8] = {1}, two[8] = {0, 2};
	struct chacha20_random a = {{0}}, b = {{0}};
	u8 x[100], y[100], z[100];

	chacha20_random_seed(&a, one);
	chacha20_random_seed(&b, one);
	chacha20_random_fill(&a, x, sizeof(x));
	chacha20_random_fill(&b, y, sizeof(y));
	CHECK(!memcmp(x, y, sizeof(x)));
	chacha20_random_fill(&a, z, sizeof(z));
	CHECK(memcmp(x, z, sizeof(x)) != 0);
	chacha20_random_seed(&b, two);
	chacha20_random_fill(&b, y, sizeof(y));
	CHECK(memcmp(y, z, sizeof(y)) != 0);
}

TEST_MAIN()

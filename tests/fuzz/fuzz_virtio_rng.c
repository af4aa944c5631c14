// SPDX-License-Identifier: MIT
// A virtio-rng behind its PCI function: registers, chains and time in any order; and its saved state, as it is and damaged.
// link: devices/virtio_rng.c devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=512
#include "devices/virtio_rng.h"
#include "tests/fuzz/virtio_steps.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define RING 0x1000u

static struct virtio_rng rng;

static void init(void)
{
	virtio_rng_init(&rng, host);
	virtio_pci_init(&fn, &rng.dev, 1);
}

static void destroy(void)
{
	virtio_rng_destroy(&rng);
}

static bool save(void *state)
{
	virtio_rng_save(&rng, state);
	return true;
}

static bool load(const void *state)
{
	return virtio_rng_load(&rng, state);
}

static void start(struct input *in)
{
	struct pci_driver d;
	u8 how = input_u8(in);

	MUST(driver_find(&d, &fn));
	if (how & 0x80)
		driver_msix(&d, 2);
	MUST(driver_negotiate(&d, how & 0x40 ? ~0ull : 0));
	driver_queue(&d, 0, (u16)(1u << how % 7), RING, 1);
	driver_ok(&d);
}

// Up to four descriptors of any place and length, in the table or in an indirect one, made available and mostly notified.
static void chain_add(struct input *in, bool indirect, bool kick)
{
	u64 table = indirect ? 0x8000 + input_u8(in) : RING;
	u8 head = input_u8(in) & 63, count = (u8)(1 + input_u8(in) % 4);
	u16 first = indirect ? 0 : head;

	for (u8 i = 0; i < count; i++) {
		struct fuzz_desc d = {
			input_u16(in) * 2u, input_u16(in), input_u8(in) & 7, (u16)(first + i + 1)};

		if (i + 1 < count)
			d.flags |= D_NEXT;
		desc_write(table, first + i, &d);
	}
	if (indirect)
		desc_write(RING, head, &(struct fuzz_desc){table, 16u * count, D_INDIRECT, 0});
	head_publish(RING + 0x1000, MAX(rng.queue.s.size, (u16)1), head, 1);
	if (kick)
		queue_notify(0);
}

static void registers(struct input *in, u8 arg)
{
	unsigned size = 1u << (arg & 3);
	u16 at = input_u16(in);

	if (arg & 4) // the common structure
		virtio_pci_ops.bar_write(&fn, 0, ALIGN_DOWN(at % 64u, size), size, input_u16(in));
	else
		virtio_pci_ops.bar_write(
			&fn, 0, at % (VIRTIO_PCI_BAR_SIZE - 7), size, input_u64(in));
	virtio_pci_ops.bar_read(&fn, 0, at % (VIRTIO_PCI_BAR_SIZE - 7), size);
}

static void step(u8 op, struct input *in)
{
	u8 arg = op >> 4;
	u64 v;

	switch (op & 7) {
	case 0:
	case 1:
	case 2:
		chain_add(in, arg & 1, arg & 6);
		break;
	case 3:
		registers(in, arg);
		break;
	case 4: // the rings, or what lies behind them
		v = input_u64(in);
		host_guest_write(host, RING + input_u16(in) % 0x8000u, &v, 1 + arg % 8);
		break;
	case 5:
		host_test_advance(host, (u64)arg * 20000);
		break;
	case 6:
		if (arg & 1)
			start(in);
		else
			step_config_write(in, 4);
		break;
	case 7:
		step_reset_or_move(in, arg);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct fuzz_device device = {FUZZ_DEVICE(struct virtio_rng_state)};

	return fuzz_virtio(&device, data, size);
}

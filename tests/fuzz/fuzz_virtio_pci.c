// SPDX-License-Identifier: MIT
// A virtio-console behind its PCI function: registers, memory, time and the host's console in any order; and its saved
// state, as it is and damaged.
// link: devices/console.c devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=512
#include "devices/console.h"
#include "tests/fuzz/virtio_steps.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct virtio_console console;

static void init(void)
{
	virtio_console_init(&console, host);
	virtio_pci_init(&fn, &console.dev, 1);
}

static void destroy(void)
{
	virtio_console_destroy(&console);
}

static bool save(void *state)
{
	virtio_console_save(&console, state);
	return true;
}

static bool load(const void *state)
{
	return virtio_console_load(&console, state);
}

static void start(struct input *in)
{
	struct pci_driver d;
	u8 how = input_u8(in);
	u16 size = (u16)(1u << how % 7);

	MUST(driver_find(&d, &fn));
	if (how & 0x80)
		driver_msix(&d, 3);
	MUST(driver_negotiate(&d, how & 0x40 ? ~0ull : 0));
	driver_queue(&d, 0, size, 0x1000, 1);
	driver_queue(&d, 1, size, 0x4000, 2);
	driver_ok(&d);
}

static void check(void)
{
	MUST(console.in_count <= VIRTIO_CONSOLE_INPUT && console.in_head < VIRTIO_CONSOLE_INPUT);
}

// A chain made available as a good driver would, of what the input says.
static void chain_add(struct input *in)
{
	u64 rings = input_u8(in) & 1 ? 0x4000 : 0x1000;
	struct fuzz_desc d = {input_u16(in) * 2, input_u16(in), input_u8(in) & 7, input_u8(in)};
	u16 head = input_u8(in);

	desc_write(rings, head, &d);
	head_publish(rings + 0x1000, 64, head, 1);
}

static void text_type(struct input *in, size_t size)
{
	u8 text[600];
	size_t n = MIN(in->left, size);

	memset(text, 'x', sizeof(text));
	memcpy(text, in->at, n);
	MUST(virtio_console_input(&console, text, size) <= size);
}

static void step(u8 op, struct input *in)
{
	static const u64 where[] = {
		0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 0x8000, 0x13000};
	u8 arg = op >> 4;
	unsigned size = 1u << (arg & 3);

	switch (op & 15) {
	case 3:
		virtio_pci_ops.bar_write(&fn, 1, input_u8(in) % 13u, MIN(size, 4u), arg >> 2);
		virtio_pci_ops.bar_write(&fn, 0, VIRTIO_PCI_NOTIFY + (arg & 1) * 4, 2, 0);
		break;
	case 4:
	case 5:
		size = MIN(size, 4u);
		virtio_pci_ops.config_read(&fn, ALIGN_DOWN((unsigned)input_u8(in), size), size);
		break;
	case 6:
		step_config_write(in, size);
		break;
	case 7:
	case 8:
		step_memory_write(in, where, arg);
		break;
	case 9:
	case 10:
		chain_add(in);
		break;
	case 11:
		text_type(in, 40u * arg);
		break;
	case 12:
		host->console_room = input_u16(in);
		if (arg & 1)
			virtio_console_room(&console);
		break;
	case 13:
		host_test_advance(host, (u64)arg * 200000);
		break;
	default:
		step_common(op, in);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct fuzz_device device = {FUZZ_DEVICE(struct virtio_console_state),
		.damage_size = offsetof(struct virtio_console_state, input) + 16, // the text is any
		.check = check};

	return fuzz_virtio(&device, data, size);
}

// SPDX-License-Identifier: MIT
// What the fuzzers of virtio devices have in common: the frame of a run, a driver's accesses to the PCI function and to
// memory as the input says, and the move of a device's state to a new machine.
//
// An input is how a good driver starts (or 0xff: it does not), then steps: a byte that says which, and what that step
// reads. After each step the rules that hold for all devices are checked, then those of the device.
#pragma once

#include "devices/virtio_pci.h"
#include "tests/fuzz/input.h"
#include "tests/unit/virtio_pci_driver.h"

static struct host *host;
static struct virtio_pci fn;

// What a fuzzer says of its device.
struct fuzz_device {
	size_t state_size;         // of its saved state
	size_t damage_size;        // of it, from its beginning, what may be damaged; 0: all
	void (*begin)(void);       // before each input; may be NULL
	void (*init)(void);        // a fresh device behind `fn`
	void (*destroy)(void);     // the opposite
	bool (*save)(void *state); // false: it cannot now
	bool (*load)(const void *state);
	void (*start)(struct input *in); // what a good driver does first
	void (*step)(u8 op, struct input *in);
	void (*check)(void); // after each step; may be NULL
	void (*end)(void);   // after each input; may be NULL
};

// What all of them say, as all name their functions alike; `state` is the type of what `save` fills.
#define FUZZ_DEVICE(state)                                                                         \
	.state_size = sizeof(state), .init = init, .destroy = destroy, .save = save, .load = load, \
	.start = start, .step = step

static const struct fuzz_device *fuzzed;
static void *fuzz_state; // of just its size

// ---------------------------------------------------------------- registers

static inline void step_bar_read(struct input *in, unsigned size)
{
	virtio_pci_ops.bar_read(&fn, 0, input_u16(in) % (VIRTIO_PCI_BAR_SIZE - 7), size);
}

static inline void step_bar_write(struct input *in, unsigned size)
{
	u32 at = input_u16(in) % (VIRTIO_PCI_BAR_SIZE - 7);

	virtio_pci_ops.bar_write(&fn, 0, at, size, input_u64(in));
}

static inline void step_common_write(struct input *in, unsigned size)
{
	u32 at = ALIGN_DOWN(input_u8(in) % 64u, size);

	virtio_pci_ops.bar_write(&fn, 0, at, size, input_u16(in));
}

static inline void step_config_write(struct input *in, unsigned size)
{
	unsigned bytes = MIN(size, 4u), at = ALIGN_DOWN((unsigned)input_u8(in), bytes);

	virtio_pci_ops.config_write(&fn, at, bytes, input_u32(in));
}

// By the BAR of ports.
static inline void queue_notify(unsigned queue)
{
	virtio_pci_ops.bar_write(&fn, 1, 0, 2, queue);
}

// ---------------------------------------------------------------- memory

// A descriptor, as it lies in guest memory.
struct fuzz_desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};

static inline void desc_write(u64 table, unsigned i, const struct fuzz_desc *d)
{
	host_guest_write(host, table + 16ull * i, d, sizeof(*d));
}

// The head into an available ring of so many entries, `times` over, as a good driver does.
static inline void head_publish(u64 ring, u16 size, u16 head, unsigned times)
{
	u16 idx = 0;

	host_guest_read(host, ring + 2, &idx, 2);
	for (; times; times--, idx++)
		host_guest_write(host, ring + 4 + 2ull * (idx % size), &head, 2);
	host_guest_write(host, ring + 2, &idx, 2);
}

// Eight bytes or two, behind one of eight places that the fuzzer finds interesting.
static inline void step_memory_write(struct input *in, const u64 where[static 8], u8 arg)
{
	u64 v = input_u64(in);

	host_guest_write(host, where[arg & 7] + input_u8(in), &v, arg & 8 ? 8 : 2);
}

// ---------------------------------------------------------------- reset and move

static inline void step_damage(struct input *in, void *state, size_t size)
{
	((u8 *)state)[input_u16(in) % size] ^= input_u8(in);
}

// Saves, damages what was saved if asked to, and restores it into a fresh device, with which it goes on if that was taken.
static inline void step_move(struct input *in, bool damage)
{
	struct virtio_pci_state s;
	bool ok;

	if (!fuzzed->save(fuzz_state))
		return;
	virtio_pci_save(&fn, &s);
	if (damage) {
		step_damage(in, fuzz_state,
			fuzzed->damage_size ? fuzzed->damage_size : fuzzed->state_size);
		step_damage(in, &s, sizeof(s));
	}
	fuzzed->destroy();
	host->intx[fn.slot] = false; // a new machine's line
	fuzzed->init();
	ok = fuzzed->load(fuzz_state) && virtio_pci_load(&fn, &s);
	MUST(ok || damage);
	if (!ok)
		virtio_pci_ops.reset(&fn);
}

static inline void step_reset_or_move(struct input *in, u8 arg)
{
	if (arg == 15)
		virtio_pci_ops.reset(&fn);
	else
		step_move(in, arg & 1);
}

// Those of the 16 kinds of step that mean the same to most fuzzers.
static inline void step_common(u8 op, struct input *in)
{
	unsigned size = 1u << (op >> 4 & 3);

	switch (op & 15) {
	case 0:
		step_bar_read(in, size);
		break;
	case 1:
		step_bar_write(in, size);
		break;
	case 2:
		step_common_write(in, size);
		break;
	case 4:
		step_config_write(in, size);
		break;
	case 14:
		fuzzed->start(in);
		break;
	case 15:
		step_reset_or_move(in, op >> 4);
		break;
	}
}

// ---------------------------------------------------------------- the frame

static inline void fuzz_check(void)
{
	const struct virtio_device *d = fn.dev;

	MUST(!(d->status & VIRTIO_FEATURES_OK) || !(d->accepted & ~d->offered));
	MUST(!(d->status & VIRTIO_DRIVER_OK) || d->status & VIRTIO_FEATURES_OK);
	MUST(!host->intx[fn.slot] || (fn.isr && !msix_enabled(&fn.msix)));
	for (unsigned i = 0; i < d->queues; i++)
		MUST(!d->queue[i].broken || d->status & VIRTIO_NEEDS_RESET);
	if (fuzzed->check)
		fuzzed->check();
}

static inline int fuzz_virtio(const struct fuzz_device *device, const u8 *data, size_t size)
{
	struct input in = {data, size};

	if (!host) {
		host = host_test_create();
		fuzz_state = malloc(device->state_size);
		MUST(fuzz_state);
	}
	fuzzed = device;
	host_test_clear(host);
	if (device->begin)
		device->begin();
	device->init();
	if (size && *data == 0xff)
		input_u8(&in);
	else
		device->start(&in);
	while (in.left) {
		device->step(input_u8(&in), &in);
		fuzz_check();
	}
	if (device->end)
		device->end();
	device->destroy();
	return 0;
}

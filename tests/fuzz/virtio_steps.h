// SPDX-License-Identifier: MIT
// What the fuzzers of virtio devices have in common: a driver's accesses to the function, as the input says.
#pragma once

#include "devices/virtio_pci.h"
#include "tests/fuzz/input.h"

static inline void step_bar_read(struct virtio_pci *fn, struct input *in, unsigned size)
{
	virtio_pci_ops.bar_read(fn, 0, input_u16(in) % (VIRTIO_PCI_BAR_SIZE - 7), size);
}

static inline void step_bar_write(struct virtio_pci *fn, struct input *in, unsigned size)
{
	u32 at = input_u16(in) % (VIRTIO_PCI_BAR_SIZE - 7);

	virtio_pci_ops.bar_write(fn, 0, at, size, input_u64(in));
}

static inline void step_common_write(struct virtio_pci *fn, struct input *in, unsigned size)
{
	u32 at = ALIGN_DOWN(input_u8(in) % 64u, size);

	virtio_pci_ops.bar_write(fn, 0, at, size, input_u16(in));
}

static inline void step_config_write(struct virtio_pci *fn, struct input *in, unsigned size)
{
	unsigned bytes = MIN(size, 4u), at = ALIGN_DOWN((unsigned)input_u8(in), bytes);

	virtio_pci_ops.config_write(fn, at, bytes, input_u32(in));
}

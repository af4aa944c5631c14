// SPDX-License-Identifier: MIT
// A virtio function's registers (virtio 1.2, 4.1.4) and its initialization (3.1.1).
#include "drivers/virtio/vfunc.h"
#include "drivers/dma.h"
#include "kernel/core/log.h"
#include "kernel/x86/port.h"

enum { // of the common configuration, 4.1.4.3
	DEVICE_FEATURE_SELECT = 0x00,
	DEVICE_FEATURE = 0x04,
	DRIVER_FEATURE_SELECT = 0x08,
	DRIVER_FEATURE = 0x0C,
	CONFIG_VECTOR = 0x10,
	NUM_QUEUES = 0x12,
	STATUS = 0x14,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_VECTOR = 0x1A,
	QUEUE_ENABLE = 0x1C,
	QUEUE_NOTIFY_OFF = 0x1E,
	QUEUE_DESCRIPTORS = 0x20,
	QUEUE_AVAILABLE = 0x28,
	QUEUE_USED = 0x30,
	COMMON_SIZE = 0x38,
};

#define CAP_COMMON    1
#define CAP_NOTIFY    2
#define CAP_DEVICE    4
#define CAPS_MAX      32
#define NO_VECTOR     0xFFFF
#define STATUS_SEEN   1u
#define STATUS_DRIVER 2u
#define STATUS_READY  4u
#define STATUS_AGREED 8u
#define REGION_MAX    (1 * MiB)

static void write8(volatile u8 *at, u8 v)
{
	*at = v;
}
static void write16(volatile u8 *at, u16 v)
{
	*(volatile u16 *)at = v;
}
static u16 read16(const volatile u8 *at)
{
	return *(const volatile u16 *)at;
}
static void write64(volatile u8 *at, u64 v)
{
	mmio_write32(at, (u32)v);
	mmio_write32(at + 4, (u32)(v >> 32));
}

// Where the capability at `cap` says that registers are; NULL: they are not within a BAR.
static volatile u8 *region(struct pci_function *f, u32 cap, u32 *size)
{
	u32 bar = pci_read8(f->address, cap + 4), offset = pci_read32(f->address, cap + 8);
	u32 length = pci_read32(f->address, cap + 12);
	volatile u8 *map;

	if (!length || length > REGION_MAX || offset % 4)
		return NULL;
	map = pci_map(f, bar, (u64)offset + length);
	*size = length;
	return map ? map + offset : NULL;
}

// The first of each kind that is good counts (4.1.4.1).
bool vfunc_find(struct vfunc *v, struct pci_function *f)
{
	u32 cap = 0, common_size = 0, size;

	*v = (struct vfunc){.pci = f};
	for (u32 i = 0; i < CAPS_MAX && (cap = pci_capability(f, PCI_CAP_VENDOR, cap)); i++) {
		u8 kind = pci_read8(f->address, cap + 3);
		volatile u8 *at = region(f, cap, &size);

		if (!at)
			continue;
		if (kind == CAP_COMMON && !v->common) {
			v->common = at;
			common_size = size;
		} else if (kind == CAP_NOTIFY && !v->notify) {
			v->notify = at;
			v->notify_size = size;
			v->notify_multiplier = pci_read32(f->address, cap + 16);
		} else if (kind == CAP_DEVICE && !v->device) {
			v->device = at;
			v->device_size = size;
		}
	}
	return v->common && v->notify && v->device && common_size >= COMMON_SIZE;
}

void vfunc_reset(struct vfunc *v)
{
	write8(v->common + STATUS, 0);
}

bool vfunc_is_reset(const struct vfunc *v)
{
	return v->common[STATUS] == 0;
}

static u64 offered(struct vfunc *v)
{
	u64 features;

	mmio_write32(v->common + DEVICE_FEATURE_SELECT, 0);
	features = mmio_read32(v->common + DEVICE_FEATURE);
	mmio_write32(v->common + DEVICE_FEATURE_SELECT, 1);
	return features | (u64)mmio_read32(v->common + DEVICE_FEATURE) << 32;
}

bool vfunc_negotiate(struct vfunc *v, u64 wanted)
{
	const u64 needed = VIRTIO_F_VERSION | VIRTIO_F_INDIRECT;

	write8(v->common + STATUS, STATUS_SEEN);
	write8(v->common + STATUS, STATUS_SEEN | STATUS_DRIVER);
	v->features = offered(v) & (wanted | needed | VIRTIO_F_PLATFORM);
	if ((v->features & needed) != needed)
		return false;
	if (v->pci->domain && !(v->features & VIRTIO_F_PLATFORM))
		log_line("pci: %02x:%02x.%u: its DMA goes past the IOMMU", v->pci->address >> 8,
			v->pci->address >> 3 & 31, v->pci->address & 7);
	mmio_write32(v->common + DRIVER_FEATURE_SELECT, 0);
	mmio_write32(v->common + DRIVER_FEATURE, (u32)v->features);
	mmio_write32(v->common + DRIVER_FEATURE_SELECT, 1);
	mmio_write32(v->common + DRIVER_FEATURE, (u32)(v->features >> 32));
	write8(v->common + STATUS, STATUS_SEEN | STATUS_DRIVER | STATUS_AGREED);
	write16(v->common + CONFIG_VECTOR, NO_VECTOR);
	return v->common[STATUS] & STATUS_AGREED;
}

u32 vfunc_queue_count(const struct vfunc *v)
{
	return read16(v->common + NUM_QUEUES);
}

u32 vfunc_queue_size(const struct vfunc *v, u32 n)
{
	u32 size;

	write16(v->common + QUEUE_SELECT, (u16)n);
	size = MIN(read16(v->common + QUEUE_SIZE), VIRTIO_QUEUE_MAX);
	while (size & (size - 1))
		size &= size - 1; // the greatest power of two in it
	return size;
}

bool vring_enable(struct vfunc *v, struct vring *r)
{
	u64 offset;

	if (vfunc_queue_size(v, r->number) < r->entries)
		return false;
	offset = (u64)read16(v->common + QUEUE_NOTIFY_OFF) * v->notify_multiplier;
	if (offset + 2 > v->notify_size || offset % 2)
		return false;
	r->doorbell = v->notify + offset;
	write16(v->common + QUEUE_SIZE, (u16)r->entries);
	write16(v->common + QUEUE_VECTOR, r->number);
	if (read16(v->common + QUEUE_VECTOR) != r->number)
		return false;
	write64(v->common + QUEUE_DESCRIPTORS, dma_address(r->descriptors));
	write64(v->common + QUEUE_AVAILABLE, dma_address(r->available));
	write64(v->common + QUEUE_USED, dma_address(r->used));
	write16(v->common + QUEUE_ENABLE, 1);
	return true;
}

bool vfunc_config_message(struct vfunc *v, u32 n)
{
	write16(v->common + CONFIG_VECTOR, (u16)n);
	return read16(v->common + CONFIG_VECTOR) == n;
}

void vfunc_start(struct vfunc *v)
{
	write8(v->common + STATUS, STATUS_SEEN | STATUS_DRIVER | STATUS_AGREED | STATUS_READY);
}

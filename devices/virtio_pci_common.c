// SPDX-License-Identifier: MIT
// The common configuration structure: negotiation and the setting up of queues (virtio 1.2, section 4.1.4.3).
#include "devices/virtio_pci_common.h"

#include "lib/string.h"

struct common { // the standard's layout
	u32 device_feature_select;
	u32 device_feature;
	u32 driver_feature_select;
	u32 driver_feature;
	u16 config_vector;
	u16 num_queues;
	u8 device_status;
	u8 config_generation;
	u16 queue_select;
	u16 queue_size;
	u16 queue_vector;
	u16 queue_enable;
	u16 queue_notify_off;
	u64 queue_desc;
	u64 queue_driver;
	u64 queue_device;
};

_Static_assert(sizeof(struct common) == VIRTIO_PCI_COMMON_SIZE, "layout of the standard");

static u32 half(u64 features, u32 select)
{
	return select == 0 ? (u32)features : select == 1 ? (u32)(features >> 32) : 0;
}

static struct virtqueue *selected(const struct virtio_pci *p)
{
	return p->queue_select < p->dev->queues ? &p->dev->queue[p->queue_select] : NULL;
}

// All registers as they read now.
static struct common common_image(const struct virtio_pci *p)
{
	const struct virtio_device *d = p->dev;
	const struct virtqueue *q = selected(p);
	struct common c = {
		.device_feature_select = p->device_feature_select,
		.device_feature = half(d->offered, p->device_feature_select),
		.driver_feature_select = p->driver_feature_select,
		.driver_feature = half(d->accepted, p->driver_feature_select),
		.config_vector = p->config_vector,
		.num_queues = d->queues,
		.device_status = d->status,
		.config_generation = d->generation,
		.queue_select = p->queue_select,
		.queue_vector = MSIX_NONE,
	};

	if (q) {
		c.queue_size = q->s.size;
		c.queue_vector = p->queue_vector[p->queue_select];
		c.queue_enable = q->s.enabled;
		c.queue_notify_off = p->queue_select;
		c.queue_desc = q->s.desc;
		c.queue_driver = q->s.driver;
		c.queue_device = q->s.device;
	}
	return c;
}

u64 virtio_pci_common_read(const struct virtio_pci *p, u64 offset, unsigned size)
{
	struct common c;
	u64 value = 0;

	if (offset + size > sizeof(c))
		return 0;
	c = common_image(p);
	memcpy(&value, (const u8 *)&c + offset, size);
	return value;
}

static void accept_half(struct virtio_device *d, u32 select, u32 value)
{
	if (select == 0)
		virtio_accept(d, (d->accepted & ~0xffffffffull) | value);
	else if (select == 1)
		virtio_accept(d, (d->accepted & 0xffffffffull) | (u64)value << 32);
}

// A vector that does not exist reads back as "none": so the driver learns that it was refused.
static u16 vector_checked(const struct virtio_pci *p, u64 value)
{
	return value < p->msix.vectors ? (u16)value : (u16)MSIX_NONE;
}

static void status_write(struct virtio_pci *p, u8 value)
{
	if (!value)
		virtio_pci_device_reset(p);
	else
		virtio_set_status(p->dev, value);
}

// An address register of the selected queue: whole, or one half of it.
static void address_write(u64 *reg, u64 in_reg, unsigned size, u64 value)
{
	if (size == 8)
		*reg = value;
	else if (in_reg)
		*reg = (*reg & 0xffffffffull) | value << 32;
	else
		*reg = (*reg & ~0xffffffffull) | (u32)value;
}

// Registers of the selected queue, which can be changed until it is enabled.
static void queue_write(struct virtio_pci *p, u64 offset, unsigned size, u64 value)
{
	struct virtqueue *q = selected(p);

	if (!q || q->s.enabled)
		return;
	switch (offset) {
	case offsetof(struct common, queue_size):
		if (size == 2 && value && value <= p->dev->queue_size && !(value & (value - 1)))
			q->s.size = (u16)value;
		break;
	case offsetof(struct common, queue_enable):
		if (size == 2 && value == 1)
			virtio_queue_enable(p->dev, p->queue_select);
		break;
	case offsetof(struct common, queue_desc)... sizeof(struct common) - 1:
		if ((size == 4 || size == 8) && offset % size == 0) {
			u64 *regs[] = {&q->s.desc, &q->s.driver, &q->s.device};
			u64 at = offset - offsetof(struct common, queue_desc);

			address_write(regs[at / 8], at % 8, size, value);
		}
		break;
	}
}

static void vector_write(struct virtio_pci *p, u64 value)
{
	if (p->queue_select < p->dev->queues)
		p->queue_vector[p->queue_select] = vector_checked(p, value);
}

#define REGISTER(name) (offsetof(struct common, name) << 4 | sizeof(((struct common *)0)->name))

void virtio_pci_common_write(struct virtio_pci *p, u64 offset, unsigned size, u64 value)
{
	switch (offset << 4 | size) {
	case REGISTER(device_feature_select):
		p->device_feature_select = (u32)value;
		break;
	case REGISTER(driver_feature_select):
		p->driver_feature_select = (u32)value;
		break;
	case REGISTER(driver_feature):
		accept_half(p->dev, p->driver_feature_select, (u32)value);
		break;
	case REGISTER(config_vector):
		p->config_vector = vector_checked(p, value);
		break;
	case REGISTER(device_status):
		status_write(p, (u8)value);
		break;
	case REGISTER(queue_select):
		p->queue_select = (u16)value;
		break;
	case REGISTER(queue_vector):
		vector_write(p, value);
		break;
	default:
		queue_write(p, offset, size, value);
	}
}

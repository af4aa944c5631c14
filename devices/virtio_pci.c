// SPDX-License-Identifier: MIT
// The function: its configuration space, its BAR, its interrupts (virtio 1.2, section 4.1.4).
#include "devices/virtio_pci.h"

#include "devices/virtio_pci_common.h"
#include "lib/string.h"

#define VENDOR_VIRTIO 0x1af4u
#define DEVICE_MODERN 0x1040u // + the device's type
#define SUBSYSTEM     0x1100u
#define CAP_ID_VENDOR 0x09u
#define NOTIFY_STRIDE 4u // the multiplier of queue_notify_off

enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_PCI }; // cfg_type, 4.1.4
enum { CAP_LENGTH = 16, CAP_NOTIFY_LENGTH = 20, CAP_PCI_LENGTH = 20 };
enum { AT_LENGTH = 2, AT_TYPE = 3, AT_BAR = 4, AT_OFFSET = 8, AT_SIZE = 12, AT_EXTRA = 16 };

// ---------------------------------------------------------------- interrupts

static void pin_update(struct virtio_pci *p)
{
	bool level = p->isr && !msix_enabled(&p->msix) &&
		     !(pci_config_command(&p->config) & PCI_COMMAND_INTX_DISABLE);
	u8 status = p->config.byte[PCI_STATUS];

	p->config.byte[PCI_STATUS] =
		(u8)(p->isr ? status | PCI_STATUS_INTERRUPT : status & ~PCI_STATUS_INTERRUPT);
	if (level == p->pin)
		return;
	p->pin = level;
	host_intx(p->dev->host, p->slot, level);
}

static void interrupt(struct virtio_pci *p, u8 isr, u16 vector)
{
	if (msix_enabled(&p->msix)) {
		msix_raise(&p->msix, vector);
		return;
	}
	p->isr |= isr;
	pin_update(p);
}

static void queue_interrupt(struct virtio_transport *t, unsigned queue)
{
	struct virtio_pci *p = container_of(t, struct virtio_pci, transport);

	interrupt(p, VIRTIO_ISR_QUEUE, p->queue_vector[queue]);
}

static void config_interrupt(struct virtio_transport *t)
{
	struct virtio_pci *p = container_of(t, struct virtio_pci, transport);

	interrupt(p, VIRTIO_ISR_CONFIG, p->config_vector);
}

static u8 isr_read(struct virtio_pci *p)
{
	u8 isr = p->isr;

	p->isr = 0;
	pin_update(p);
	return isr;
}

// ---------------------------------------------------------------- the BAR

static u64 device_read(struct virtio_device *d, u64 offset, unsigned size)
{
	u64 value = 0;

	if (offset + size <= d->ops->config_size)
		d->ops->config_read(d, (u32)offset, &value, size);
	return value;
}

static void device_write(struct virtio_device *d, u64 offset, unsigned size, u64 value)
{
	if (offset + size <= d->ops->config_size)
		d->ops->config_write(d, (u32)offset, &value, size);
}

static u64 bar_read(void *dev, unsigned bar, u64 offset, unsigned size)
{
	struct virtio_pci *p = dev;

	if (bar != VIRTIO_PCI_BAR)
		return 0;
	if (offset < VIRTIO_PCI_ISR)
		return virtio_pci_common_read(p, offset, size);
	if (offset < VIRTIO_PCI_DEVICE)
		return offset == VIRTIO_PCI_ISR ? isr_read(p) : 0;
	if (offset < VIRTIO_PCI_MSIX)
		return device_read(p->dev, offset - VIRTIO_PCI_DEVICE, size);
	if (offset < VIRTIO_PCI_PBA)
		return msix_table_read(&p->msix, offset - VIRTIO_PCI_MSIX, size);
	if (offset < VIRTIO_PCI_NOTIFY)
		return msix_pba_read(&p->msix, offset - VIRTIO_PCI_PBA, size);
	return 0;
}

static void bar_write(void *dev, unsigned bar, u64 offset, unsigned size, u64 value)
{
	struct virtio_pci *p = dev;

	if (bar == VIRTIO_PCI_PORT_BAR && offset == 0)
		virtio_notify(p->dev, (u16)value);
	if (bar != VIRTIO_PCI_BAR)
		return;
	if (offset >= VIRTIO_PCI_NOTIFY)
		virtio_notify(p->dev, (unsigned)(offset - VIRTIO_PCI_NOTIFY) / NOTIFY_STRIDE);
	else if (offset < VIRTIO_PCI_ISR)
		virtio_pci_common_write(p, offset, size, value);
	else if (offset >= VIRTIO_PCI_MSIX && offset < VIRTIO_PCI_PBA)
		msix_table_write(&p->msix, offset - VIRTIO_PCI_MSIX, size, value);
	else if (offset >= VIRTIO_PCI_DEVICE && offset < VIRTIO_PCI_MSIX)
		device_write(p->dev, offset - VIRTIO_PCI_DEVICE, size, value);
}

// ---------------------------------------------------------------- configuration space

// The window of 4.1.4.9: pci_cfg_data, for an access of that size, is the BAR where the capability's fields point.
static bool window_hit(const struct virtio_pci *p, unsigned offset, unsigned size, u32 *bar_offset)
{
	const struct pci_config *c = &p->config;
	u32 at = pci_config_get(c, p->window + AT_OFFSET, 4);

	*bar_offset = at;
	return offset == (unsigned)p->window + AT_EXTRA &&
	       size == pci_config_get(c, p->window + AT_SIZE, 4) &&
	       c->byte[p->window + AT_BAR] == VIRTIO_PCI_BAR && at % size == 0 &&
	       at <= VIRTIO_PCI_BAR_SIZE - size;
}

void virtio_pci_refresh(struct virtio_pci *p)
{
	msix_update(&p->msix);
	pin_update(p);
	virtio_set_dma(p->dev, pci_config_command(&p->config) & PCI_COMMAND_MASTER);
}

static u32 config_read(void *dev, unsigned offset, unsigned size)
{
	struct virtio_pci *p = dev;
	u32 at;

	if (window_hit(p, offset, size, &at))
		return (u32)bar_read(p, VIRTIO_PCI_BAR, at, size);
	return pci_config_get(&p->config, offset, size);
}

static void config_write(void *dev, unsigned offset, unsigned size, u32 value)
{
	struct virtio_pci *p = dev;
	u32 at;

	if (window_hit(p, offset, size, &at))
		bar_write(p, VIRTIO_PCI_BAR, at, size, value);
	else
		pci_config_write(&p->config, offset, size, value);
	virtio_pci_refresh(p);
}

static struct pci_bar config_bar(void *dev, unsigned bar)
{
	struct virtio_pci *p = dev;

	return pci_config_bar_get(&p->config, bar);
}

void virtio_pci_device_reset(struct virtio_pci *p)
{
	virtio_reset(p->dev);
	p->isr = 0;
	p->config_vector = MSIX_NONE;
	for (unsigned i = 0; i < VIRTIO_PCI_QUEUES; i++)
		p->queue_vector[i] = MSIX_NONE;
	p->device_feature_select = p->driver_feature_select = p->queue_select = 0;
	pin_update(p);
}

static void function_reset(void *dev)
{
	struct virtio_pci *p = dev;

	virtio_pci_device_reset(p);
	virtio_set_dma(p->dev, false);
	pci_config_reset(&p->config);
	msix_reset(&p->msix);
	pin_update(p);
}

const struct pci_function_ops virtio_pci_ops = {
	.config_read = config_read,
	.config_write = config_write,
	.bar = config_bar,
	.bar_read = bar_read,
	.bar_write = bar_write,
	.reset = function_reset,
};

static u8 cap_add(struct virtio_pci *p, u8 type, u8 length, u8 bar, u32 offset, u32 size)
{
	u8 cap = pci_config_cap(&p->config, CAP_ID_VENDOR, length);

	pci_config_set(&p->config, cap + AT_LENGTH, 1, length);
	pci_config_set(&p->config, cap + AT_TYPE, 1, type);
	pci_config_set(&p->config, cap + AT_BAR, 1, bar);
	pci_config_set(&p->config, cap + AT_OFFSET, 4, offset);
	pci_config_set(&p->config, cap + AT_SIZE, 4, size);
	return cap;
}

static void cap_common(struct virtio_pci *p, u8 type, u32 offset, u32 size)
{
	cap_add(p, type, CAP_LENGTH, VIRTIO_PCI_BAR, offset, size);
}

// The first of a kind is the one that the device prefers (4.1.4).
static void caps_add(struct virtio_pci *p)
{
	const struct virtio_device *d = p->dev;
	struct pci_config *c = &p->config;
	u8 cap;

	cap_add(p, CAP_NOTIFY, CAP_NOTIFY_LENGTH, VIRTIO_PCI_PORT_BAR, 0, 2); // its multiplier is 0
	cap = cap_add(p, CAP_NOTIFY, CAP_NOTIFY_LENGTH, VIRTIO_PCI_BAR, VIRTIO_PCI_NOTIFY,
		d->queues * NOTIFY_STRIDE);
	pci_config_set(c, cap + AT_EXTRA, 4, NOTIFY_STRIDE);
	cap_common(p, CAP_COMMON, VIRTIO_PCI_COMMON, VIRTIO_PCI_COMMON_SIZE);
	cap_common(p, CAP_ISR, VIRTIO_PCI_ISR, 1);
	if (d->ops->config_size)
		cap_common(p, CAP_DEVICE, VIRTIO_PCI_DEVICE, d->ops->config_size);
	p->window = cap_add(p, CAP_PCI, CAP_PCI_LENGTH, 0, 0, 0);
	pci_config_allow(c, p->window + AT_BAR, 1, 0xff);
	pci_config_allow(c, p->window + AT_OFFSET, 4, ~0u);
	pci_config_allow(c, p->window + AT_SIZE, 4, ~0u);
}

void virtio_pci_init(struct virtio_pci *p, struct virtio_device *d, unsigned slot)
{
	struct pci_identity id = {
		.vendor = VENDOR_VIRTIO,
		.device = (u16)(DEVICE_MODERN + d->ops->type),
		.subsystem_vendor = VENDOR_VIRTIO,
		.subsystem = SUBSYSTEM,
		.revision = 1,
		.class_code = d->ops->pci_class,
	};

	memset(p, 0, sizeof(*p));
	p->transport.queue_interrupt = queue_interrupt;
	p->transport.config_interrupt = config_interrupt;
	p->dev = d;
	p->slot = slot;
	d->transport = &p->transport;
	pci_config_init(&p->config, &id, true);
	pci_config_bar(&p->config, VIRTIO_PCI_BAR, VIRTIO_PCI_BAR_SIZE, 0);
	pci_config_bar(&p->config, VIRTIO_PCI_PORT_BAR, VIRTIO_PCI_PORT_SIZE, PCI_BAR_IO);
	msix_init(&p->msix, d->host, &p->config, (u16)(d->queues + 1), VIRTIO_PCI_BAR,
		VIRTIO_PCI_MSIX, VIRTIO_PCI_PBA);
	caps_add(p);
	function_reset(p);
}

// SPDX-License-Identifier: MIT
// Save and restore of the PCI transport; a saved state may come from another host and is checked like a guest's data.
#include "devices/virtio_pci_common.h"

#include "lib/string.h"

_Static_assert(sizeof(struct virtio_pci_state) == 1432, "saved state");

void virtio_pci_save(const struct virtio_pci *p, struct virtio_pci_state *s)
{
	memset(s, 0, sizeof(*s));
	s->version = VIRTIO_PCI_STATE_VERSION;
	s->queue_select = p->queue_select;
	s->config_vector = p->config_vector;
	s->isr = p->isr;
	s->device_feature_select = p->device_feature_select;
	s->driver_feature_select = p->driver_feature_select;
	s->pending = p->msix.pending;
	memcpy(s->queue_vector, p->queue_vector, sizeof(p->queue_vector));
	memcpy(s->entry, p->msix.entry, sizeof(s->entry));
	memcpy(s->config, p->config.byte, sizeof(s->config));
}

static bool vector_valid(const struct virtio_pci *p, u16 vector)
{
	return vector < p->msix.vectors || vector == MSIX_NONE;
}

static bool state_valid(const struct virtio_pci *p, const struct virtio_pci_state *s)
{
	u64 vectors = BIT(p->msix.vectors) - 1;

	if (s->version != VIRTIO_PCI_STATE_VERSION || s->reserved ||
		s->queue_vector[VIRTIO_PCI_QUEUES])
		return false;
	if (s->isr & ~(VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIG) || s->pending & ~vectors ||
		!vector_valid(p, s->config_vector))
		return false;
	for (unsigned i = 0; i < VIRTIO_PCI_QUEUES; i++)
		if (!vector_valid(p, s->queue_vector[i]))
			return false;
	for (unsigned i = 0; i < MSIX_MAX; i++)
		if (s->entry[i].control > 1 || s->entry[i].addr & 3)
			return false;
	return true;
}

bool virtio_pci_load(struct virtio_pci *p, const struct virtio_pci_state *s)
{
	if (!state_valid(p, s)) {
		virtio_pci_ops.reset(p);
		return false;
	}
	pci_config_load(&p->config, s->config);
	p->queue_select = s->queue_select;
	p->config_vector = s->config_vector;
	p->device_feature_select = s->device_feature_select;
	p->driver_feature_select = s->driver_feature_select;
	memcpy(p->queue_vector, s->queue_vector, sizeof(p->queue_vector));
	memcpy(p->msix.entry, s->entry, sizeof(s->entry));
	p->msix.pending = s->pending;
	p->isr = s->isr;
	virtio_pci_refresh(p);
	return true;
}

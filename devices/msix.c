// SPDX-License-Identifier: MIT
// MSI-X vectors: kept while they may not be sent, sent when they may.
#include "devices/msix.h"

#include "lib/string.h"

#define MSIX_CONTROL     2u // offset in the capability
#define CONTROL_ENABLE   0x8000u
#define CONTROL_MASK_ALL 0x4000u
#define ENTRY_MASKED     1u

_Static_assert(sizeof(struct msix_entry) == MSIX_ENTRY, "layout of the standard");

void msix_init(struct msix *m, struct host *h, struct pci_config *config, u16 vectors, u8 bar,
	u32 table_offset, u32 pba_offset)
{
	u8 cap = pci_config_cap(config, MSIX_CAP_ID, MSIX_CAP_BYTES);

	m->host = h;
	m->config = config;
	m->cap = cap;
	m->vectors = vectors;
	pci_config_set(config, cap + MSIX_CONTROL, 2, vectors - 1u);
	pci_config_allow(config, cap + MSIX_CONTROL, 2, CONTROL_ENABLE | CONTROL_MASK_ALL);
	pci_config_set(config, cap + 4u, 4, table_offset | bar);
	pci_config_set(config, cap + 8u, 4, pba_offset | bar);
	msix_reset(m);
}

void msix_reset(struct msix *m)
{
	m->pending = 0;
	for (unsigned i = 0; i < MSIX_MAX; i++)
		m->entry[i] = (struct msix_entry){.control = ENTRY_MASKED};
}

static u32 msix_control(const struct msix *m)
{
	return pci_config_get(m->config, m->cap + MSIX_CONTROL, 2);
}

bool msix_enabled(const struct msix *m)
{
	return msix_control(m) & CONTROL_ENABLE;
}

static bool may_send(const struct msix *m)
{
	return (msix_control(m) & (CONTROL_ENABLE | CONTROL_MASK_ALL)) == CONTROL_ENABLE &&
	       pci_config_command(m->config) & PCI_COMMAND_MASTER;
}

void msix_raise(struct msix *m, u16 vector)
{
	const struct msix_entry *e = &m->entry[vector % MSIX_MAX];

	if (vector >= m->vectors || !msix_enabled(m))
		return;
	if (may_send(m) && !(e->control & ENTRY_MASKED))
		host_msi(m->host, e->addr, e->data);
	else
		m->pending |= BIT(vector);
}

void msix_update(struct msix *m)
{
	if (!m->pending || !may_send(m))
		return;
	for (u16 i = 0; i < m->vectors; i++) {
		if (!(m->pending & BIT(i)) || m->entry[i].control & ENTRY_MASKED)
			continue;
		m->pending &= ~BIT(i);
		host_msi(m->host, m->entry[i].addr, m->entry[i].data);
	}
}

// `size` bytes of an array of `total` bytes; 0 for those beyond its end.
static u64 bytes_read(const void *array, u64 total, u64 offset, unsigned size)
{
	u64 value = 0;

	if (offset < total)
		memcpy(&value, (const u8 *)array + offset, MIN(size, total - offset));
	return value;
}

u64 msix_table_read(const struct msix *m, u64 offset, unsigned size)
{
	return bytes_read(m->entry, (u64)m->vectors * MSIX_ENTRY, offset, size);
}

u64 msix_pba_read(const struct msix *m, u64 offset, unsigned size)
{
	return bytes_read(&m->pending, sizeof(m->pending), offset, size);
}

static void table_write32(struct msix *m, u64 offset, u32 value)
{
	struct msix_entry *e = &m->entry[offset / MSIX_ENTRY];

	switch (offset % MSIX_ENTRY) {
	case 0:
		e->addr = (e->addr & ~0xffffffffull) | (value & ~3u);
		break;
	case 4:
		e->addr = (e->addr & 0xffffffffull) | (u64)value << 32;
		break;
	case 8:
		e->data = value;
		break;
	case 12:
		e->control = value & ENTRY_MASKED;
		msix_update(m);
		break;
	}
}

void msix_table_write(struct msix *m, u64 offset, unsigned size, u64 value)
{
	if ((size != 4 && size != 8) || offset % size ||
		offset + size > (u64)m->vectors * MSIX_ENTRY)
		return;
	table_write32(m, offset, (u32)value);
	if (size == 8)
		table_write32(m, offset + 4, (u32)(value >> 32));
}

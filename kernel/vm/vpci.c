// SPDX-License-Identifier: MIT
// The PCI host bridge: configuration cycles on bus 0, and which BAR decodes an address.

#include "kernel/vm/vpci.h"
#include "kernel/vm/irq.h"
#include "kernel/vm/vm.h"
#include "lib/errno.h"
#include "lib/string.h"

#define ADDRESS_ENABLE 0x80000000u

// The bridge: an identity that no driver claims (Intel's virtual PCIe host bridge), class 06/00.
#define BRIDGE_VENDOR 0x8086u
#define BRIDGE_DEVICE 0x0d57u
#define BRIDGE_CLASS  0x0600u

static u32 all_ones(unsigned size)
{
	return size >= 4 ? ~0u : (1u << size * 8) - 1;
}

static u32 bridge_read(const struct vpci *p, unsigned offset, unsigned size)
{
	u32 value = 0;

	if (offset + size <= sizeof(p->bridge))
		memcpy(&value, &p->bridge[offset], size);
	return value;
}

// Outside of the windows other parts of the machine answer first.
static bool bar_decodes(const struct pci_bar *bar, u32 command)
{
	u64 start = bar->io ? VPCI_IO_BASE : GPA_PCI_WINDOW,
	    end = bar->io ? VPCI_IO_END : GPA_PCI_LIMIT;

	if (!bar->size || !(command & (bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return false;
	return bar->fixed ||
	       (bar->addr >= start && bar->addr < end && bar->size <= end - bar->addr);
}

// Notes which addresses lead where, after a change of a BAR or a command register.
static void decodes_collect(struct vpci *p)
{
	p->decodes = 0;
	for (unsigned s = 1; s < VPCI_SLOTS; s++) {
		const struct pci_function_ops *ops = p->slot[s].ops;
		u32 command = ops ? ops->config_read(p->slot[s].dev, PCI_COMMAND, 2) : 0;

		for (unsigned b = 0; ops && b < PCI_BARS && p->decodes < VPCI_DECODES; b++) {
			struct pci_bar bar = ops->bar(p->slot[s].dev, b);

			if (bar_decodes(&bar, command))
				p->decode[p->decodes++] = (struct vpci_decode){
					bar.addr, bar.addr + bar.size, (u8)s, (u8)b, bar.io};
		}
	}
}

static u32 config_read(struct vpci *p, unsigned devfn, unsigned offset, unsigned size)
{
	unsigned s = devfn >> 3;

	if ((devfn & 7) || offset + size > PCI_CONFIG_SIZE)
		return all_ones(size);
	if (s == 0)
		return bridge_read(p, offset, size);
	if (!p->slot[s].ops)
		return all_ones(size);
	return p->slot[s].ops->config_read(p->slot[s].dev, offset, size) & all_ones(size);
}

static void config_write(struct vpci *p, unsigned devfn, unsigned offset, unsigned size, u32 value)
{
	unsigned s = devfn >> 3;

	if ((devfn & 7) || offset + size > PCI_CONFIG_SIZE || !p->slot[s].ops)
		return;
	p->slot[s].ops->config_write(p->slot[s].dev, offset, size, value & all_ones(size));
	if (offset < PCI_BAR_0 + PCI_BARS * 4)
		decodes_collect(p);
}

u32 vpci_data_read(struct vpci *p, u16 port, unsigned size)
{
	unsigned lane = port & 3;

	if (!(p->address & ADDRESS_ENABLE) || (p->address >> 16 & 0xff) || lane % size)
		return all_ones(size);
	return config_read(p, p->address >> 8 & 0xff, (p->address & 0xfc) + lane, size);
}

void vpci_data_write(struct vpci *p, u16 port, unsigned size, u32 value)
{
	unsigned lane = port & 3;

	if (!(p->address & ADDRESS_ENABLE) || (p->address >> 16 & 0xff) || lane % size)
		return;
	config_write(p, p->address >> 8 & 0xff, (p->address & 0xfc) + lane, size, value);
}

static bool ecam_fits(u32 offset, unsigned size)
{
	return size <= 4 && IS_ALIGNED(offset, size) && offset < GPA_ECAM_SIZE;
}

u32 vpci_ecam_read(struct vpci *p, u32 offset, unsigned size)
{
	if (!ecam_fits(offset, size))
		return all_ones(size);
	return config_read(p, offset >> 12, offset & 0xfff, size);
}

void vpci_ecam_write(struct vpci *p, u32 offset, unsigned size, u32 value)
{
	if (ecam_fits(offset, size))
		config_write(p, offset >> 12, offset & 0xfff, size, value);
}

static const struct vpci_decode *decode_find(const struct vpci *p, bool io, u64 addr, unsigned size)
{
	for (unsigned i = 0; i < p->decodes; i++)
		if (addr >= p->decode[i].start && addr < p->decode[i].end &&
			size <= p->decode[i].end - addr && p->decode[i].io == io)
			return &p->decode[i];
	return NULL;
}

static u64 decode_read(struct vpci *p, const struct vpci_decode *d, u64 addr, unsigned size)
{
	return p->slot[d->slot].ops->bar_read(p->slot[d->slot].dev, d->bar, addr - d->start, size);
}

static void decode_write(
	struct vpci *p, const struct vpci_decode *d, u64 addr, unsigned size, u64 value)
{
	p->slot[d->slot].ops->bar_write(p->slot[d->slot].dev, d->bar, addr - d->start, size, value);
}

bool vpci_mmio_read(struct vpci *p, u64 gpa, unsigned size, u64 *value)
{
	const struct vpci_decode *d = decode_find(p, false, gpa, size);

	if (d)
		*value = decode_read(p, d, gpa, size);
	return d;
}

bool vpci_mmio_write(struct vpci *p, u64 gpa, unsigned size, u64 value)
{
	const struct vpci_decode *d = decode_find(p, false, gpa, size);

	if (d)
		decode_write(p, d, gpa, size, value);
	return d;
}

bool vpci_io_read(struct vpci *p, u32 port, unsigned size, u32 *value)
{
	const struct vpci_decode *d = decode_find(p, true, port, size);

	if (d)
		*value = (u32)decode_read(p, d, port, size) & all_ones(size);
	return d;
}

bool vpci_io_write(struct vpci *p, u32 port, unsigned size, u32 value)
{
	const struct vpci_decode *d = decode_find(p, true, port, size);

	if (d)
		decode_write(p, d, port, size, value & all_ones(size));
	return d;
}

void vpci_intx_set(struct vpci *p, unsigned slot, bool level)
{
	const u32 shared = 0x11111111u << slot % 4;
	u32 before = p->intx;

	p->intx = level ? before | 1u << slot : before & ~(1u << slot);
	if (!(p->intx & shared) != !(before & shared))
		vm_irq_set(p->vm, VPCI_IRQ_BASE + slot % 4, level);
}

struct window {
	u64 next, end;
	u64 align; // of a BAR at least
};

// Gives the function's BARs addresses in their windows; what does not fit any more stays 0.
static void bars_assign(struct vpci *p, unsigned s, struct window *memory, struct window *io)
{
	const struct pci_function_ops *ops = p->slot[s].ops;
	void *dev = p->slot[s].dev;

	for (unsigned b = 0; b < PCI_BARS; b++) {
		struct pci_bar bar = ops->bar(dev, b);
		struct window *w = bar.io ? io : memory;
		unsigned reg = PCI_BAR_0 + b * 4;
		u64 at;

		if (!bar.size || bar.fixed || bar.size > w->end)
			continue;
		at = ALIGN_UP(w->next, MAX(bar.size, w->align));
		if (at > w->end - bar.size)
			continue;
		ops->config_write(dev, reg, 4, (u32)at);
		if (bar.wide && b + 1 < PCI_BARS)
			ops->config_write(dev, reg + 4, 4, (u32)(at >> 32));
		w->next = at + bar.size;
	}
}

void vpci_reset(struct vpci *p)
{
	struct window memory = {GPA_PCI_WINDOW, GPA_PCI_END, PAGE_SIZE};
	struct window io = {VPCI_IO_BASE, VPCI_IO_END, 1};

	p->address = 0;
	for (unsigned s = 1; s < VPCI_SLOTS; s++) {
		if (p->intx >> s & 1)
			vpci_intx_set(p, s, false);
		if (!p->slot[s].ops)
			continue;
		p->slot[s].ops->reset(p->slot[s].dev);
		bars_assign(p, s, &memory, &io);
	}
	decodes_collect(p);
}

int vpci_add(struct vpci *p, unsigned slot, const struct pci_function_ops *ops, void *dev)
{
	if (slot == 0 || slot >= VPCI_SLOTS)
		return -EINVAL;
	if (p->slot[slot].ops)
		return -EBUSY;
	p->slot[slot].ops = ops;
	p->slot[slot].dev = dev;
	return 0;
}

void vpci_init(struct vpci *p, struct vm *vm)
{
	const u16 vendor = BRIDGE_VENDOR, device = BRIDGE_DEVICE, class = BRIDGE_CLASS;

	memset(p, 0, sizeof(*p));
	p->vm = vm;
	memcpy(&p->bridge[PCI_VENDOR_ID], &vendor, 2);
	memcpy(&p->bridge[PCI_DEVICE_ID], &device, 2);
	memcpy(&p->bridge[PCI_CLASS_DEVICE], &class, 2);
}

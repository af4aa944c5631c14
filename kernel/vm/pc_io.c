// SPDX-License-Identifier: MIT
// The PC's ports: one table of ranges, and the small latches that have no file of their own.
//
// An access that is wider than the register, or reaches past its range, is split into narrower ones as an ISA bus
// does; what nobody answers reads as ones.

#include "kernel/vm/irq.h"
#include "kernel/vm/pc.h"
#include "kernel/vm/vm.h"

#define KBD_ABSENT   0xffu // status of a controller that is not there
#define KBD_POLLS    64u
#define PORT92_RESET 0x01u
#define RESET_CPU    0x04u // CF9h: its rising edge resets

struct port_range {
	u16 first, last;
	u8 width; // the widest access that the handlers take; a split one is not narrower than a byte
	u32 (*read)(struct vm *vm, u16 port, unsigned size);
	void (*write)(struct vm *vm, u16 port, unsigned size, u32 value);
};

static u32 all_ones(unsigned size)
{
	return size >= 4 ? ~0u : (1u << size * 8) - 1;
}

static u32 pic_read(struct vm *vm, u16 port, unsigned size)
{
	u32 value;

	(void)size;
	vpit_look(&vm->pc.pit);
	value = vpic_read(&vm->pc.pic, port);
	vm_irq_pic_update(vm); // a read may be a poll
	return value;
}

static void pic_write(struct vm *vm, u16 port, unsigned size, u32 value)
{
	bool visible = pc_irq0_visible(vm);

	(void)size;
	if (!visible)
		vpit_look(&vm->pc.pit);
	vpic_write(&vm->pc.pic, port, (u8)value);
	vm_irq_pic_update(vm);
	if (visible != pc_irq0_visible(vm))
		vpit_update(&vm->pc.pit);
}

static u32 pit_read(struct vm *vm, u16 port, unsigned size)
{
	(void)size;
	return vpit_read(&vm->pc.pit, port);
}

static void pit_write(struct vm *vm, u16 port, unsigned size, u32 value)
{
	(void)size;
	vpit_write(&vm->pc.pit, port, (u8)value);
}

// There is no keyboard controller: its status reads as ones, which drivers take for that. A loop that waits for its
// input buffer before it sends the reset command would wait for long, so after some reads the buffer is empty.
static u32 kbd_read(struct vm *vm, u16 port, unsigned size)
{
	(void)size;
	if (port != PC_PORT_KBD_STATUS)
		return KBD_ABSENT;
	if (vm->pc.kbd_polls == KBD_POLLS)
		return 0;
	vm->pc.kbd_polls++;
	return KBD_ABSENT;
}

static void kbd_write(struct vm *vm, u16 port, unsigned size, u32 value)
{
	(void)size;
	vm->pc.kbd_polls = 0;
	// Commands F0h-FFh pulse the output lines whose bits are 0; line 0 is the reset.
	if (port == PC_PORT_KBD_STATUS && (value & 0xf1) == 0xf0)
		vm_end(vm, VM_END_RESET, 0);
}

static u32 system_read(struct vm *vm, u16 port, unsigned size)
{
	(void)port, (void)size;
	return vpit_port61_read(&vm->pc.pit);
}

static void system_write(struct vm *vm, u16 port, unsigned size, u32 value)
{
	(void)port, (void)size;
	vpit_port61_write(&vm->pc.pit, (u8)value);
}

static u32 rtc_read(struct vm *vm, u16 port, unsigned size)
{
	(void)size;
	return vrtc_read(&vm->pc.rtc, port);
}

static void rtc_write(struct vm *vm, u16 port, unsigned size, u32 value)
{
	(void)size;
	vrtc_write(&vm->pc.rtc, port, (u8)value);
}

static u32 post_read(struct vm *vm, u16 port, unsigned size)
{
	(void)port, (void)size;
	return vm->pc.post;
}

static void post_write(struct vm *vm, u16 port, unsigned size, u32 value)
{
	(void)port, (void)size;
	vm->pc.post = (u8)value;
}

static u32 fast_a20_read(struct vm *vm, u16 port, unsigned size)
{
	(void)port, (void)size;
	return vm->pc.port92;
}

static void fast_a20_write(struct vm *vm, u16 port, unsigned size, u32 value)
{
	(void)port, (void)size;
	vm->pc.port92 = value & PC_A20_OPEN;
	if (value & PORT92_RESET)
		vm_end(vm, VM_END_RESET, 0);
}

static u32 nothing_read(struct vm *vm, u16 port, unsigned size)
{
	(void)vm, (void)port;
	return all_ones(size);
}

static void debug_exit_write(struct vm *vm, u16 port, unsigned size, u32 value)
{
	if (port == PC_PORT_DEBUG_EXIT && size == 4 && vm->config->debug_exit)
		vm_end(vm, VM_END_EXIT, value);
}

static struct vuart *uart_at(struct vm *vm, u16 port)
{
	return &vm->pc.uart[(port & ~7u) == VUART_COM1 ? 0 : 1];
}

static u32 uart_read(struct vm *vm, u16 port, unsigned size)
{
	(void)size;
	return vuart_read(uart_at(vm, port), port & 7);
}

static void uart_write(struct vm *vm, u16 port, unsigned size, u32 value)
{
	(void)size;
	vuart_write(uart_at(vm, port), port & 7, (u8)value);
}

static u32 pm_read(struct vm *vm, u16 port, unsigned size)
{
	return vpm_read(&vm->pc.pm, port, size);
}

static void pm_write(struct vm *vm, u16 port, unsigned size, u32 value)
{
	vpm_write(&vm->pc.pm, port, size, value);
}

// CF8h answers only to 32 bits; a byte at CF9h is the reset control register.
static u32 pci_address_read(struct vm *vm, u16 port, unsigned size)
{
	if (size == 4 && port == PC_PORT_PCI_ADDR)
		return vm->pc.pci.address;
	if (size == 1 && port == PC_PORT_RESET)
		return vm->pc.reset_control;
	return all_ones(size);
}

static void pci_address_write(struct vm *vm, u16 port, unsigned size, u32 value)
{
	if (size == 4 && port == PC_PORT_PCI_ADDR) {
		vm->pc.pci.address = value & 0x80fffffcu;
	} else if (size == 1 && port == PC_PORT_RESET) {
		if ((value & RESET_CPU) && !(vm->pc.reset_control & RESET_CPU))
			vm_end(vm, VM_END_RESET, 0);
		vm->pc.reset_control = (u8)value;
	}
}

static u32 pci_data_read(struct vm *vm, u16 port, unsigned size)
{
	return vpci_data_read(&vm->pc.pci, port, size);
}

static void pci_data_write(struct vm *vm, u16 port, unsigned size, u32 value)
{
	vpci_data_write(&vm->pc.pci, port, size, value);
}

// Sorted.
static const struct port_range ranges[] = {
	{0x20, 0x21, 1, pic_read, pic_write},
	{0x40, 0x43, 1, pit_read, pit_write},
	{PC_PORT_KBD, PC_PORT_KBD, 1, kbd_read, kbd_write},
	{PC_PORT_SYSTEM, PC_PORT_SYSTEM, 1, system_read, system_write},
	{PC_PORT_KBD_STATUS, PC_PORT_KBD_STATUS, 1, kbd_read, kbd_write},
	{0x70, 0x71, 1, rtc_read, rtc_write},
	{PC_PORT_POST, PC_PORT_POST, 1, post_read, post_write},
	{PC_PORT_FAST_A20, PC_PORT_FAST_A20, 1, fast_a20_read, fast_a20_write},
	{0xa0, 0xa1, 1, pic_read, pic_write},
	{PC_PORT_DEBUG_EXIT, PC_PORT_DEBUG_EXIT + 3, 4, nothing_read, debug_exit_write},
	{VUART_COM2, VUART_COM2 + 7, 1, uart_read, uart_write},
	{VUART_COM1, VUART_COM1 + 7, 1, uart_read, uart_write},
	{VPIC_ELCR, VPIC_ELCR + 1, 1, pic_read, pic_write},
	{VPM_PORT, VPM_PORT_END - 1, 4, pm_read, pm_write},
	{PC_PORT_PCI_ADDR, PC_PORT_PCI_ADDR + 3, 4, pci_address_read, pci_address_write},
	{PC_PORT_PCI_ADDR + 4, PC_PORT_PCI_ADDR + 7, 4, pci_data_read, pci_data_write},
};

static const struct port_range *range_find(u32 port)
{
	unsigned low = 0, high = ARRAY_SIZE(ranges);

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (port > ranges[middle].last)
			low = middle + 1;
		else
			high = middle;
	}
	return low < ARRAY_SIZE(ranges) && port >= ranges[low].first ? &ranges[low] : NULL;
}

static bool range_takes(const struct port_range *r, u32 port, unsigned size)
{
	return r && size <= r->width && port + size - 1 <= r->last;
}

// Ports beyond FFFFh, where a wide access may reach, are nobody's.
static u32 io_read(struct vm *vm, u32 port, unsigned size)
{
	const struct port_range *r = range_find(port);
	u32 low;

	if (vm->machine && !vm->machine->port_is_virtual((u16)port))
		return vm->machine->port_read(vm, (u16)port, size);
	if (range_takes(r, port, size))
		return r->read(vm, (u16)port, size) & all_ones(size);
	if (vpci_io_read(&vm->pc.pci, port, size, &low))
		return low;
	if (size == 1)
		return all_ones(1);
	low = io_read(vm, port, size / 2);
	return low | io_read(vm, port + size / 2, size / 2) << size * 4;
}

static void io_write(struct vm *vm, u32 port, unsigned size, u32 value)
{
	const struct port_range *r = range_find(port);

	if (vm->machine && !vm->machine->port_is_virtual((u16)port)) {
		vm->machine->port_write(vm, (u16)port, size, value & all_ones(size));
	} else if (range_takes(r, port, size)) {
		r->write(vm, (u16)port, size, value & all_ones(size));
	} else if (!vpci_io_write(&vm->pc.pci, port, size, value) && size > 1) {
		io_write(vm, port, size / 2, value);
		io_write(vm, port + size / 2, size / 2, value >> size * 4);
	}
}

u32 pc_io_read(struct vcpu *v, u16 port, unsigned size)
{
	u32 value;

	spin_lock(&v->vm->lock);
	value = io_read(v->vm, port, size);
	spin_unlock(&v->vm->lock);
	return value;
}

void pc_io_write(struct vcpu *v, u16 port, unsigned size, u32 value)
{
	spin_lock(&v->vm->lock);
	io_write(v->vm, port, size, value);
	spin_unlock(&v->vm->lock);
}

// SPDX-License-Identifier: MIT
// Ports of the root VM: the machine's, but for COM1 and the PICs, of which it has virtual ones, and for what switches the
// machine off, which ends the VMs first.
#include "kernel/core/log.h"
#include "kernel/core/machine.h"
#include "kernel/micro/root.h"
#include "kernel/x86/acpi.h"
#include "kernel/x86/port.h"

#define SLEEP_ENABLE  BIT(13)
#define SLEEP_TYPE(v) ((v) >> 10 & 7)

bool root_port_is_virtual(u16 port)
{
	return (port & ~7u) == VUART_COM1 || (port & ~1u) == 0x20 || (port & ~1u) == 0xa0 ||
	       (port & ~1u) == VPIC_ELCR;
}

static bool is_port(const struct acpi_register *r, u16 port)
{
	return r->space == 1 && r->address && port - r->address < 2; // a register of 16 bits
}

bool root_port_exits(u16 port)
{
	return root_port_is_virtual(port) || port == PC_PORT_RESET || port == PC_PORT_KBD_STATUS ||
	       is_port(&acpi_info.pm1a_control, port) || is_port(&acpi_info.reset, port);
}

u32 root_port_read(struct vm *vm, u16 port, unsigned size)
{
	(void)vm;
	return size == 1 ? port_in8(port) : size == 2 ? port_in16(port) : port_in32(port);
}

static bool powers_off(u16 port, u32 value)
{
	const struct acpi_register *a = &acpi_info.pm1a_control;

	return a->space == 1 && port == a->address && value & SLEEP_ENABLE &&
	       SLEEP_TYPE(value) == acpi_info.s5_a;
}

static bool resets(u16 port, u32 value)
{
	const struct acpi_register *r = &acpi_info.reset;

	return (port == PC_PORT_RESET && value & 4) ||
	       (port == PC_PORT_KBD_STATUS && value == 0xfe) ||
	       (r->space == 1 && r->address && port == r->address &&
		       value == acpi_info.reset_value);
}

void root_port_write(struct vm *vm, u16 port, unsigned size, u32 value)
{
	if (powers_off(port, value))
		vm_end(vm, VM_END_POWEROFF, 0);
	else if (size == 1 && resets(port, value))
		vm_end(vm, VM_END_RESET, 0);
	else if (size == 1)
		port_out8(port, (u8)value);
	else if (size == 2)
		port_out16(port, (u16)value);
	else
		port_out32(port, value);
}

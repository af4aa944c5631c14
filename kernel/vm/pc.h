// SPDX-License-Identifier: MIT
// The PC around the vcpus: its chips, and the decoding of ports and device memory to them.
//
// Order of use: pc_init, vpci_add for each function, pc_reset; then the VM runs; pc_reset before each new start;
// pc_destroy at the end. All state is under vm->lock, which the calls take themselves unless they say otherwise.
#pragma once

#include "kernel/vm/vioapic.h"
#include "kernel/vm/vpci.h"
#include "kernel/vm/vpic.h"
#include "kernel/vm/vpit.h"
#include "kernel/vm/vpm.h"
#include "kernel/vm/vrtc.h"
#include "kernel/vm/vuart.h"

struct vcpu;
struct vm;

#define PC_PORT_KBD        0x60u
#define PC_PORT_SYSTEM     0x61u
#define PC_PORT_KBD_STATUS 0x64u
#define PC_PORT_POST       0x80u
#define PC_PORT_FAST_A20   0x92u
#define PC_A20_OPEN        0x02u // bit of PC_PORT_FAST_A20
#define PC_PORT_DEBUG_EXIT 0xf4u
#define PC_PORT_PCI_ADDR   0xcf8u
#define PC_PORT_RESET      0xcf9u
#define PC_RESET_VALUE     0x06u // written to PC_PORT_RESET: a full reset

struct pc {
	struct vpic pic;
	struct vioapic ioapic;
	struct vpit pit;
	struct vrtc rtc;
	struct vuart uart[2];
	struct vpm pm;
	struct vpci pci;
	u8 post;          // port 80h
	u8 port92;        // A20 gate; the gate itself is always open
	u8 reset_control; // CF9h
	u8 kbd_polls;     // reads of the missing keyboard controller's status in a row
};

void pc_init(struct vm *vm);
void pc_reset(struct vm *vm);   // CMOS memory and the time offset stay
void pc_destroy(struct vm *vm); // no timer of the PC fires after this

// Ports. size 1, 2 or 4; what is not there reads as all ones (in `size` bytes). On the CPU that runs v.
u32 pc_io_read(struct vcpu *v, u16 port, unsigned size);
void pc_io_write(struct vcpu *v, u16 port, unsigned size, u32 value);

// Device memory (not the LAPIC page). size 1, 2, 4 or 8. false: nothing is there; *value is all ones then.
bool pc_mmio_read(struct vcpu *v, u64 gpa, unsigned size, u64 *value);
bool pc_mmio_write(struct vcpu *v, u64 gpa, unsigned size, u64 value);

// The 8259 pair as the source of vcpu 0's ExtINT. pending: no lock needed, a hint; ack: the vector, -1: not any more.
bool pc_extint_pending(struct vm *vm);
int pc_extint_ack(struct vm *vm);

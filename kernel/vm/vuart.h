// SPDX-License-Identifier: MIT
// A 16550A UART whose line is the VM's console, or leads nowhere.
//
// Bytes take no time on the line: what is written goes to the console at once; when the console is full the
// transmitter stays busy until vuart_drain(). Source: National Semiconductor PC16550D data sheet.
#pragma once

#include "lib/types.h"

#define VUART_FIFO 16u
#define VUART_COM1 0x3f8u
#define VUART_COM2 0x2f8u

struct vm;

struct vuart {
	struct vm *vm;
	u8 irq;
	bool console; // its line is the console; else nobody is at the other end
	u8 ier, fcr, lcr, mcr, scr, dll, dlm;
	u8 lsr_errors; // overrun, cleared by a read of LSR
	u8 msr_delta;
	bool thre_pending; // the transmitter became empty and nobody has looked
	bool level;        // of the interrupt line
	bool refused;      // input was refused for want of room
	u8 rx[VUART_FIFO], rx_head, rx_count;
	u8 tx[VUART_FIFO], tx_head, tx_count; // not taken by the console yet
};

// With vm->lock held.
void vuart_init(struct vuart *u, struct vm *vm, u8 irq, bool console);
void vuart_reset(struct vuart *u);
u8 vuart_read(struct vuart *u, unsigned reg); // reg 0..7
void vuart_write(struct vuart *u, unsigned reg, u8 value);
size_t vuart_receive(struct vuart *u, const u8 *bytes, size_t n); // bytes taken
void vuart_transmit(struct vuart *u);                             // the console has room again

// Takes vm->lock. Input for the console's UART: returns the bytes taken; when fewer than n, vm_console_input_room() is
// called once there is room again.
size_t vuart_input(struct vm *vm, const u8 *bytes, size_t n);

// Takes vm->lock. The console took fewer bytes than it was given, and has room again.
void vuart_drain(struct vm *vm);

// What the VM's console supplies; both are called with vm->lock held and must not call back.
size_t vm_console_output(struct vm *vm, const u8 *bytes, size_t n); // bytes taken
void vm_console_input_room(struct vm *vm); // vuart_input() would take bytes again

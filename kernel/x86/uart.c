// SPDX-License-Identifier: MIT
// Drives COM1, a 16550 with its FIFO (National PC16550D datasheet): 115200 bit/s, 8N1.
#include "kernel/core/hw_console.h"
#include "kernel/x86/port.h"
#include "kernel/x86/uart.h"

#define COM1 0x3F8u

enum { DATA, INTERRUPTS, FIFO, LINE_CONTROL, MODEM_CONTROL, LINE_STATUS, MODEM_STATUS, SCRATCH };

#define LSR_RECEIVED 0x01
#define LSR_EMPTY    0x20
#define LSR_SENT     0x40
#define FIFO_SIZE    16
#define SYNC_LOOPS   1000000 // for one byte; at 115200 bit/s it takes 87 us

static bool present;

bool serial_present(void)
{
	return present;
}

static u8 reg_read(u16 reg)
{
	return port_in8((u16)(COM1 + reg));
}
static void reg_write(u16 reg, u8 v)
{
	port_out8((u16)(COM1 + reg), v);
}

void uart_init(void)
{
	reg_write(SCRATCH, 0x5A);
	if (reg_read(SCRATCH) != 0x5A || reg_read(LINE_STATUS) == 0xFF)
		return;
	reg_write(INTERRUPTS, 0);
	reg_write(LINE_CONTROL, 0x80); // the divisor
	reg_write(DATA, 1);
	reg_write(INTERRUPTS, 0);
	reg_write(LINE_CONTROL, 3); // 8N1
	reg_write(FIFO, 0x07);
	reg_write(MODEM_CONTROL, 0x0B); // DTR, RTS, and OUT2, which lets interrupts out
	present = true;
}

void uart_enable_interrupt(void)
{
	if (!present)
		return;
	while (reg_read(LINE_STATUS) & LSR_RECEIVED && serial_read() >= 0)
		;
	reg_write(INTERRUPTS, 1); // received data
}

// The FIFO takes 16 bytes once it has run empty.
size_t serial_try_write(const u8 *bytes, size_t n)
{
	size_t done = 0;

	if (!present)
		return n;
	while (done < n && reg_read(LINE_STATUS) & LSR_EMPTY)
		for (int i = 0; i < FIFO_SIZE && done < n; i++)
			reg_write(DATA, bytes[done++]);
	return done;
}

void serial_write_sync(const void *bytes, size_t n)
{
	const u8 *b = bytes;
	size_t done = 0;

	if (!present)
		return;
	for (u32 loops = 0; done < n && loops < SYNC_LOOPS; loops++) {
		size_t wrote = serial_try_write(b + done, n - done);

		done += wrote;
		if (wrote)
			loops = 0;
	}
	// The last bytes are still on their way, and the machine may go off next.
	for (u32 loops = 0; loops < SYNC_LOOPS && !(reg_read(LINE_STATUS) & LSR_SENT); loops++)
		;
}

int serial_read(void)
{
	return present && reg_read(LINE_STATUS) & LSR_RECEIVED ? reg_read(DATA) : -1;
}

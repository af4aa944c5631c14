// SPDX-License-Identifier: MIT
// The pair of 8259s, the PIT's channel 0 and the CMOS clock as interrupt sources.
#pragma once

#include "cpu.h"

#define PIC_BASE   0x30 // vectors after pic_init: 0x30-0x3F
#define PIT_HZ     1193182
#define PIT_PERIOD 11932 // ten milliseconds

// Initializes both, all inputs masked.
static inline void pic_init(void)
{
	outb(0x20, 0x11);
	outb(0xA0, 0x11);
	outb(0x21, PIC_BASE);
	outb(0xA1, PIC_BASE + 8);
	outb(0x21, 4);
	outb(0xA1, 2);
	outb(0x21, 1);
	outb(0xA1, 1);
	outb(0x21, 0xFF);
	outb(0xA1, 0xFF);
}

// Loads a channel of the PIT, low byte first.
static inline void pit_load(u8 channel, u8 mode, u16 count)
{
	outb(0x43, (u8)(channel << 6 | 0x30 | mode << 1));
	outb((u16)(0x40 + channel), (u8)count);
	outb((u16)(0x40 + channel), (u8)(count >> 8));
}

static inline void pit_stop(void)
{
	outb(0x43, 0x30);
} // mode 0 without a count: nothing comes

static inline u8 cmos_read(u8 reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static inline void cmos_write(u8 reg, u8 v)
{
	outb(0x70, reg);
	outb(0x71, v);
}

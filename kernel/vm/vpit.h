// SPDX-License-Identifier: MIT
// The 8254 interval timer and the port 61h that gates its channel 2.
//
// Counters are not counted: what a channel shows is computed from the time since it was loaded. Channel 0 has a
// timer of the kernel, set only while an edge of its output can be seen (the interrupt is not masked at PIC and
// IOAPIC). Source: Intel 8254 data sheet (231164).
#pragma once

#include "kernel/core/timer.h"

#define VPIT_HZ            1193182u
#define VPIT_IRQ           0u
#define VPIT_MIN_PERIOD_NS 100000u // periodic interrupts come no faster than this

struct vm;

struct vpit_channel {
	u32 reload;   // 1..65536 (10000 in BCD): the count loaded last
	u64 start;    // clock at which counting from `reload` began
	u64 paused;   // clocks counted so far, while the gate is low
	u16 latch;    // what a counter latch command caught
	u8 status;    // what a read-back command caught
	u8 mode;      // 0..5
	u8 access;    // 1: low byte, 2: high byte, 3: low then high
	u8 write_low; // first byte of a two-byte write
	bool bcd;
	bool gate;
	bool loaded;  // a count was written since the mode was
	bool running; // counting: loaded, and triggered where the mode needs it
	bool write_high_next;
	bool read_high_next;
	u8 latched; // bytes of `latch` still to be read
	bool status_latched;
};

struct vpit {
	struct vm *vm;
	struct vpit_channel ch[3];
	bool speaker; // bit 1 of port 61h
	bool stopped; // being destroyed: the timer is set no more
	u64 edges;    // clock up to which edges of channel 0 have been delivered
	struct timer timer;
};

// All with vm->lock held.
void vpit_init(struct vpit *p, struct vm *vm);
void vpit_reset(struct vpit *p);
u8 vpit_read(struct vpit *p, u16 port); // ports 40h-43h
void vpit_write(struct vpit *p, u16 port, u8 value);
u8 vpit_port61_read(struct vpit *p);
void vpit_port61_write(struct vpit *p, u8 value);

// Masks at PIC or IOAPIC have changed: sets the timer or leaves it.
void vpit_update(struct vpit *p);

// The PIC is about to be looked at or changed, or a mask: an edge that came while nobody saw it is brought to the PIC,
// which keeps edges of masked inputs (the IOAPIC does not).
void vpit_look(struct vpit *p);

// Without the lock: no timer after this.
void vpit_destroy(struct vpit *p);

// What pc.c supplies, vm->lock held: somebody would see an edge of IRQ 0 now; such an edge for the PIC alone.
bool pc_irq0_visible(const struct vm *vm);
void pc_irq0_latch(struct vm *vm);

// SPDX-License-Identifier: MIT
// The pair of 8259A interrupt controllers of a PC, with the edge/level registers of the PIIX.
//
// Pure state: no time, no lock; the owner (pc.c, vm->lock) looks at vpic_pending() after each call that may change it.
// Source: Intel 8259A data sheet (231468), 82371AB (PIIX4) data sheet, section 7.5.
#pragma once

#include "lib/atomic.h"

#define VPIC_ELCR 0x4d0u

struct vpic_chip {
	u8 irr;      // requests: latched edges, and levels that are up
	u8 isr;      // in service
	u8 imr;      // masked
	u8 elcr;     // 1: level triggered
	u8 lines;    // the input lines as they are
	u8 base;     // vector of input 0
	u8 icw_next; // the initialization word that the data port expects: 2..4, 0: none (operation)
	u8 icw1;
	u8 lowest; // input with the lowest priority; 7 after initialization
	bool auto_eoi;
	bool rotate_auto; // rotate in automatic EOI
	bool special_mask;
	bool special_nested;
	bool read_isr; // the command port reads ISR, else IRR
	bool poll;     // the next read is a poll
};

struct vpic {
	struct vpic_chip chip[2]; // master, slave on the master's input 2
	u8 intr; // INT output of the master; read without the lock by the vcpu that takes it
};

void vpic_reset(struct vpic *p);

// Input lines 0..15 (2 is the cascade and not an input).
void vpic_line_set(struct vpic *p, unsigned irq, bool level);

// INT is up: vpic_ack() has a vector to give.
static inline bool vpic_pending(const struct vpic *p)
{
	return READ_ONCE(p->intr) != 0;
}

// The processor's interrupt acknowledge: the vector. When the request has gone it is the spurious one (input 7).
u8 vpic_ack(struct vpic *p);

// The input can raise no interrupt, as the masks stand.
bool vpic_masked(const struct vpic *p, unsigned irq);

// Ports 20h, 21h, A0h, A1h; ELCR at 4D0h, 4D1h. One byte each.
u8 vpic_read(struct vpic *p, u16 port);
void vpic_write(struct vpic *p, u16 port, u8 value);

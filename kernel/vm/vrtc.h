// SPDX-License-Identifier: MIT
// The MC146818 real-time clock with 128 bytes of CMOS memory.
//
// The time is the machine's wall clock (UTC) plus an offset that the guest sets by writing the time. Flags of register C are
// computed from the time when they are looked at; the timer is set only for an interrupt that is enabled and not
// pending yet. Memory and offset outlive a reset. Source: Motorola MC146818A data sheet.
#pragma once

#include "kernel/core/timer.h"

#define VRTC_IRQ   8u
#define VRTC_BYTES 128u

struct vm;

struct vrtc {
	struct vm *vm;
	u8 index;            // port 70h, bits 0..6
	u8 cmos[VRTC_BYTES]; // time registers are current only while SET is on
	s64 offset_ns;       // guest's time - wall clock
	u64 seen_ns;         // guest's time up to which the flags are right
	bool stopped;
	struct timer timer;
};

// All with vm->lock held.
void vrtc_init(struct vrtc *r, struct vm *vm);
void vrtc_reset(struct vrtc *r);
u8 vrtc_read(struct vrtc *r, u16 port); // 70h, 71h
void vrtc_write(struct vrtc *r, u16 port, u8 value);

// Without the lock: no timer after this.
void vrtc_destroy(struct vrtc *r);

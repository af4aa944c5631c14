// SPDX-License-Identifier: MIT
// The virtual I/O APIC: 24 pins, version 0x20 with an EOI register (Intel 82093AA, ICH9 datasheet 13.5). A part of struct pc.
//
// A pin's polarity is kept for the guest and has no effect: callers say "asserted", not "high".
#pragma once

#include "lib/addr.h"

struct vm;

#define VIOAPIC_PINS      24
#define VIOAPIC_EVENT_PIN 24u // the root VM has one pin more, for events of the kernel

// All under LOCK_VM.
struct vioapic {
	u64 redirect[VIOAPIC_PINS + 1];
	u32 lines; // pins asserted now
	u8 select; // IOREGSEL
	u8 id;
};

// State after power-on. vm->lock held.
void vioapic_reset(struct vm *vm);

// A pin is asserted or released; a pin out of range is ignored. vm->lock held.
void vioapic_set_irq(struct vm *vm, unsigned pin, bool level);

// An edge at a pin whose entry is for edges; at a masked one it is lost. Any locks below LOCK_SCHED.
void vioapic_pulse(struct vm *vm, unsigned pin);

// The register page; offset is below 4096; what is not there reads as 0. vm->lock held.
u32 vioapic_mmio_read(struct vm *vm, u32 offset);
void vioapic_mmio_write(struct vm *vm, u32 offset, u32 value);

// A local APIC ended a level-triggered interrupt. Takes vm->lock.
void vioapic_eoi(struct vm *vm, u8 vector);

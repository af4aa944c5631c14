// SPDX-License-Identifier: MIT
// ACPI power management: PM1a events and control, the PM timer, the power button.
//
// There is no system management mode: the machine is in ACPI mode from the start (SCI_EN is always 1).
// Source: ACPI specification 6.4, section 4.8.
#pragma once

#include "kernel/core/timer.h"

#define VPM_PORT       0x600u // event block: status, enable
#define VPM_PORT_CNT   0x604u // control
#define VPM_PORT_TMR   0x608u // timer
#define VPM_PORT_END   0x60cu
#define VPM_SCI_IRQ    9u
#define VPM_TIMER_HZ   3579545u
#define VPM_SLP_TYP_S5 5u // as in the DSDT's _S5

struct vm;

struct vpm {
	struct vm *vm;
	u16 status; // PM1a
	u16 enable;
	u16 control;    // without SCI_EN
	u64 timer_seen; // PM timer up to which TMR_STS is right
	bool level;     // of the SCI
	bool stopped;
	struct timer timer;
};

// All with vm->lock held; port and size lie within the blocks.
void vpm_init(struct vpm *p, struct vm *vm);
void vpm_reset(struct vpm *p);
u32 vpm_read(struct vpm *p, u16 port, unsigned size);
void vpm_write(struct vpm *p, u16 port, unsigned size, u32 value);

// Without the lock: no timer after this.
void vpm_destroy(struct vpm *p);

// Takes vm->lock. The guest is asked to power off.
void vpm_power_button(struct vm *vm);

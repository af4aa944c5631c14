// SPDX-License-Identifier: MIT
// The part of a vcpu's registers that stays in the processor while the kernel runs: FPU and
// extended state, XCR0, DR0-DR3, TSC_AUX. The kernel itself uses none of them, so they move only
// when another vcpu comes.
#pragma once

#include "kernel/vm/vcpu.h"

size_t vcpu_state_size(void);          // bytes of vcpu->xstate
void vcpu_state_reset(struct vcpu *v); // as after power-on; the vcpu is not loaded
void vcpu_state_init(
	struct vcpu *v); // as after INIT: the FPU keeps its contents; the vcpu is loaded here
void vcpu_state_save(struct vcpu *v); // from this CPU
void vcpu_state_load(struct vcpu *v); // into this CPU

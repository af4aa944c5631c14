// SPDX-License-Identifier: MIT
// The part of a vcpu's registers that stays in the processor while the kernel runs.
#include "kernel/x86/vcpu_state.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/xstate.h"
#include "lib/string.h"

#define MSR_TSC_AUX 0xc0000103u

size_t vcpu_state_size(void)
{
	return xstate_size();
}

void vcpu_state_reset(struct vcpu *v)
{
	xstate_reset(v->xstate);
	v->xcr0 = 1;
	memset(v->dr, 0, sizeof(v->dr));
	v->tsc_aux = 0;
}

void vcpu_state_init(struct vcpu *v)
{
	vcpu_state_save(v);
	v->xcr0 = 1;
	memset(v->dr, 0, sizeof(v->dr));
	vcpu_state_load(v);
}

void vcpu_state_save(struct vcpu *v)
{
	xstate_save(v->xstate, &v->xcr0);
	__asm__ volatile("mov %%dr0, %0" : "=r"(v->dr[0]));
	__asm__ volatile("mov %%dr1, %0" : "=r"(v->dr[1]));
	__asm__ volatile("mov %%dr2, %0" : "=r"(v->dr[2]));
	__asm__ volatile("mov %%dr3, %0" : "=r"(v->dr[3]));
}

void vcpu_state_load(struct vcpu *v)
{
	xstate_load(v->xstate, v->xcr0);
	__asm__ volatile("mov %0, %%dr0" : : "r"(v->dr[0]));
	__asm__ volatile("mov %0, %%dr1" : : "r"(v->dr[1]));
	__asm__ volatile("mov %0, %%dr2" : : "r"(v->dr[2]));
	__asm__ volatile("mov %0, %%dr3" : : "r"(v->dr[3]));
	if (cpu_info.rdtscp)
		msr_write(MSR_TSC_AUX, v->tsc_aux);
}

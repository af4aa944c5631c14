// SPDX-License-Identifier: MIT
// The whole virtual PC of one vcpu, up to the interrupt messages that would reach its local APIC.
#pragma once

#include "tests/unit/pc_fake.h"

static struct vcpu vcpu0;
static unsigned extints, messages;
static u8 last_vector;

bool vlapic_accepts_extint(const struct vcpu *v)
{
	(void)v;
	return true;
}

void vcpu_post(struct vcpu *v, u64 events)
{
	(void)v;
	extints += events == VCPU_LAPIC;
}

bool vlapic_deliver(struct vm *v, const struct apic_message *m)
{
	(void)v;
	messages++;
	last_vector = m->vector;
	return true;
}

__attribute__((unused)) static void pc_whole_reset(void)
{
	pc_fake_reset();
	memset(&vcpu0, 0, sizeof(vcpu0));
	vm.vcpu_count = 1;
	vm.vcpus[0] = &vcpu0;
	vcpu0.vm = &vm;
	extints = messages = 0;
	pc_init(&vm);
	pc_reset(&vm);
}

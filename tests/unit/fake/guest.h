// SPDX-License-Identifier: MIT
// A VM without a machine under it, for tests of its chips: vcpus that record what is posted, a little RAM from address
// 0, and the parts of the kernel that the chips call.
#pragma once

#include "kernel/vm/vm.h"

#define FAKE_GUEST_RAM 0x10000ull

extern u8 fake_guest_ram[FAKE_GUEST_RAM];
extern unsigned fake_posts[64];   // vcpu_post calls per vcpu
extern unsigned fake_flushes[64]; // hvm->flush calls per vcpu
extern u16 fake_ss_attr;          // of every vcpu
extern u64 fake_wall_ns;          // what wall_clock_ns() gives

// A new VM with `count` vcpus, after power-on, all asleep; and two CPUs (fake_reset), the clock at 1000.
struct vm *fake_vm(u32 count);

// What the run loop does before it enters the guest: takes VCPU_LAPIC and delivers the highest interrupt; -1: none.
int fake_deliver(struct vcpu *v);

// The vcpu is the one that the current CPU runs.
void fake_run(struct vcpu *v);

// Moves the clock and lets the current CPU's timers go off.
void fake_time(u64 ticks);

// SPDX-License-Identifier: MIT
// A guest's accesses to ports and device memory, carried out instruction by instruction.
#pragma once

#include "kernel/vm/vcpu.h"

struct page_fault;

// The exit was a port access; string forms move at most a slice of elements and are then resumed by
// the guest.
void access_io(struct vcpu *v, struct hvm_exit *exit);

// The exit was an access to an address that is not RAM.
void access_mmio(struct vcpu *v, struct hvm_exit *exit);

// Reads or writes guest memory by linear address, with the guest's rights; what is not RAM goes to
// the devices. 0, or -EFAULT with *fault filled. A read of several pages may have touched the first
// when the second faults.
int access_linear_read(struct vcpu *v, u64 linear, void *to, size_t size, struct page_fault *fault);
int access_linear_write(
	struct vcpu *v, u64 linear, const void *from, size_t size, struct page_fault *fault);

// exits.c
void vcpu_page_fault(struct vcpu *v, const struct page_fault *fault);
void vcpu_advance(struct vcpu *v, unsigned length);

// SPDX-License-Identifier: MIT
// The virtio-balloon that each VM of the mono kernel has, unless its configuration says no.
#pragma once

struct vm;

// NULL, or why not. No lock held.
const char *balloon_create(struct vm *vm);
void balloon_destroy(struct vm *vm); // nothing of the VM runs or is in flight

// For model_work.
void balloon_work(void);

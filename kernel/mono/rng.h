// SPDX-License-Identifier: MIT
// The random generator of the mono kernel, and the virtio-rng that each VM has of it.
#pragma once

struct vm;

// For model_init. Without a processor that has RDRAND no VM gets the device.
void rng_init(void);

// NULL, or why not. No lock held.
const char *rng_create(struct vm *vm);
void rng_destroy(struct vm *vm);

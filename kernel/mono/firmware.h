// SPDX-License-Identifier: MIT
// A VM that starts from UEFI firmware; loading it is model_load's (kernel/core/model.h).
#pragma once

struct vm;

// Gives back what the VM's firmware was told with, if it had any. Its vcpus are gone; no lock held.
void firmware_destroy(struct vm *vm);

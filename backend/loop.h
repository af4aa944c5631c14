// SPDX-License-Identifier: MIT
// The loop's own part of a back-end: files that are waited for.
#pragma once

#include "backend/backend.h"

bool loop_prepare(struct backend *b); // all devices are there; false after a message
void loop_destroy(struct backend *b);

// Looks at the bells that are the VM's own.
void loop_vm_bells(struct backend *b);

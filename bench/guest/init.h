// SPDX-License-Identifier: MIT
// The guest's PID 1.
#pragma once

// Never returns while the machine runs.
int guest_init(void);

// SPDX-License-Identifier: MIT
// The mono model's side of the seam.
#include "kernel/core/model.h"

const char *const model_name = "mono";

// SPDX-License-Identifier: MIT
// What a model of Mezzanine supplies; kernel/micro and kernel/mono implement it and the linker
// chooses.
#pragma once

extern const char *const model_name;

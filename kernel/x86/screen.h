// SPDX-License-Identifier: MIT
// Setting up the screen; its use is kernel/core/hw_console.h.
#pragma once

#include "kernel/core/boot_info.h"

void screen_init(const struct boot_framebuffer *screen);

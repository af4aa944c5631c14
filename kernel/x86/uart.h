// SPDX-License-Identifier: MIT
// Setting up the serial line; its use is kernel/core/hw_console.h.
#pragma once

void uart_init(void);

// Once the interrupt is routed: lets the UART tell of what it receives.
void uart_enable_interrupt(void);

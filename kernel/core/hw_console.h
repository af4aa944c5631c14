// SPDX-License-Identifier: MIT
// The machine's serial line (COM1) and screen, as the console code drives them. No locks: the
// caller sees to order.
#pragma once

#include "lib/types.h"

// False when there is no UART; then writes vanish (serial_try_write says that it took all) and
// reads give -1.
bool serial_present(void);

// Writes as many of the bytes as the UART takes now, without waiting; how many that was.
size_t serial_try_write(const u8 *bytes, size_t n);

// Waits until all is written and sent; bounded, so that a dead UART cannot hold up a panic.
void serial_write_sync(const void *bytes, size_t n);

// The next byte received, -1 when there is none. WORK_CONSOLE is posted to CPU 0 when bytes come.
int serial_read(void);

// Puts text on the screen at the cursor; '\n' begins a new line, what is no printable ASCII shows
// as '?'.
void screen_write(const char *text, size_t n);

// Supplied by the console: text of a panic, onto the serial line in the form that the line is in.
// Takes no lock.
void console_panic_write(const char *text, size_t n);

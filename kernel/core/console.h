// SPDX-License-Identifier: MIT
// The console: the one serial line that the kernel's log, its events and all VMs' consoles share (abi/console.h).
//
// Two modes. Frames, for `mezz run`: every piece of output is in a frame of its channel. Human: text; one VM is
// attached and has the line as it is, the others' lines show with `NAME| ` in front and without control characters.
// Ctrl-] n attaches the next VM, Ctrl-] and a key does what that key of the kernel does, Ctrl-] ? lists them.
//
// Output goes into a ring and from there to the UART as that takes it; nobody waits. What is left is carried on by a
// timer of 1 ms. Before console_init there is no ring: the log is written at once, as plain text.
#pragma once

#include "lib/types.h"

// Once, on the boot CPU, when kmem_alloc and timers work.
void console_init(bool frames);

// Output of VM `index` (its number in the configuration): takes as many bytes as there is room for and returns how
// many. When that is fewer than n, vm_console_room(index) is called once there is room again. Locks below LOCK_CONSOLE may
// be held.
size_t console_vm_write(unsigned index, const char *name, const u8 *bytes, size_t n);

// One event (abi/console.h), without the newline. Waits for the UART when there is no room, so it
// is lost only when that is dead. Any context where
// log_line is allowed.
__attribute__((format(printf, 1, 2))) void console_event(const char *fmt, ...);

// On WORK_CONSOLE, no lock held: carries on the output; on CPU 0 also takes what came on the serial line and gives it to
// whom it belongs.
void console_input(void);

// Writes out what is in the ring and waits for it; bounded, so that a dead UART does not hold up a power-off.
void console_flush(void);

// For log.c: a piece of the log, whole lines.
void console_log(const char *text, size_t n);

// How much of it finds room now; half of that is safe whatever the mode.
size_t console_log_room(void);

// A key of the kernel: runs fn on the CPU that takes console input, with no lock held. At boot; a key has one owner.
void console_key_register(char key, const char *help, void (*fn)(void));

// What the key does; an unknown one shows the list.
void console_key(char key);

// Panics: synchronous, take no lock. The first call writes out what was under way. console_panic_write is in hw_console.h.
void console_panic_event(const char *text);

/* What the VMs supply:
 *   void vm_console_input(unsigned index, const u8 *bytes, size_t n);   typed for the VM; no lock held
 *   void vm_console_room(unsigned index);                               see console_vm_write; no lock held
 *   void vm_request(u8 request);                                        abi/console.h; no lock held
 */
void vm_console_input(unsigned index, const u8 *bytes, size_t n);
void vm_console_room(unsigned index);
void vm_request(u8 request);

// SPDX-License-Identifier: MIT
// Small things that every program needs: messages, memory, growing text, the clock.
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

// Exit statuses that scripts rely on; the man page lists them.
#define STATUS_OK      0
#define STATUS_FAILED  1   // the emulator, a tool or the file system failed
#define STATUS_USAGE   2   // wrong command line or configuration
#define STATUS_STOPPED 3   // the kernel stopped a VM
#define STATUS_PANIC   4   // the kernel died
#define STATUS_TIMEOUT 124 // --timeout ran out
#define STATUS_LEFT    130 // left by the key or by SIGINT

// What messages begin with; "mezz" unless main says otherwise.
extern const char *program_name;

// Prints "PROGRAM: TEXT" and a new line to standard error.
__attribute__((format(printf, 1, 2))) void complain(const char *fmt, ...);

// The text of the last one, cut to a line of 1000 bytes.
const char *complaint(void);

// Never return NULL: without memory the program ends with a message.
void *allocate(size_t size);
void *reallocate(void *old, size_t size);
char *copy_text(const char *text, size_t length);
__attribute__((format(printf, 1, 2))) char *print_text(const char *fmt, ...);

// Bytes that grow; starts as all zero, the owner frees data. text_add keeps a NUL behind the bytes.
struct text {
	char *data;
	size_t length, room;
};

void text_add(struct text *t, const void *bytes, size_t n);
__attribute__((format(printf, 2, 3))) void text_print(struct text *t, const char *fmt, ...);
void text_free(struct text *t);

// Writes all n bytes to fd, retrying when interrupted. Returns 0 or -1 with errno.
int write_all(int fd, const void *bytes, size_t n);

// Milliseconds of the monotonic clock.
int64_t clock_ms(void);

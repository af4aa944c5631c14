// SPDX-License-Identifier: MIT
// A guest's output (polled 16550 at 0x3F8), its checks and its end.
#include <stdarg.h>
#include "lib/format.h"
#include "guest.h"
#include "console.h"

#define UART_DATA 0x3F8
#define UART_LCR  0x3FB
#define UART_LSR  0x3FD
#define LSR_THRE  0x20
#define EXIT_PORT 0xF4

static u32 passed, failed;
static volatile u32 lock;

void console_init(void)
{
	outb(0x3F9, 0);
	outb(UART_LCR, 0x83);
	outb(0x3F8, 1);
	outb(0x3F9, 0);
	outb(UART_LCR, 0x03);
	outb(0x3FA, 0x07);
	outb(0x3FC, 0x03);
}

static void console_char(char c)
{
	u32 patience = 100000;

	while (!(inb(UART_LSR) & LSR_THRE) && --patience)
		cpu_relax();
	outb(UART_DATA, (u8)c);
}

static u64 console_lock(void)
{
	u64 flags;

	__asm__ volatile("pushfq; pop %0; cli" : "=r"(flags) : : "memory");
	while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
		cpu_relax();
	return flags;
}

static void console_unlock(u64 flags)
{
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	if (flags & FLAG_IF)
		irq_enable();
}

static void write_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			console_char('\r');
		console_char(*text);
	}
}

static void print_v(const char *before, const char *fmt, va_list args, const char *after)
{
	char line[512];
	u64 flags;

	format_v(line, sizeof(line), fmt, args);
	flags = console_lock();
	write_text(before);
	write_text(line);
	write_text(after);
	console_unlock(flags);
}

void print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_v("", fmt, args, "");
	va_end(args);
}

static bool count(bool ok)
{
	__atomic_fetch_add(ok ? &passed : &failed, 1, __ATOMIC_RELAXED);
	return ok;
}

bool check(bool ok, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_v(ok ? "PASS: " : "FAIL: ", fmt, args, "\n");
	va_end(args);
	return count(ok);
}

bool check_quiet(bool ok, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (!ok)
		print_v("FAIL: ", fmt, args, "\n");
	va_end(args);
	return count(ok);
}

u32 check_failures(void)
{
	return failed;
}

void guest_exit(u32 code)
{
	for (;;) {
		outl(EXIT_PORT, code);
		irq_disable();
		__asm__ volatile("hlt");
	}
}

void guest_finish(void)
{
	print("%u passed, %u failed\n", passed, failed);
	guest_exit(passed && !failed ? 0 : 1);
}

// SPDX-License-Identifier: MIT
// What the console is linked with in its tests: a UART that takes as many bytes as the test allows, a screen that
// nobody sees, and VMs that record what they are told.
#pragma once

#include "tests/unit/test.h"
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/core/hw_console.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"
#include "kernel/core/timer.h"
#include "abi/console.h"

static char out[1 << 20]; // what the UART has sent
static size_t out_len;
static size_t uart_room; // bytes it takes until the test gives it more
static bool uart_drips;  // it takes some more when it is asked often
static const char *in_bytes = "";
static size_t in_left;

static char typed[64][512]; // for each VM
static size_t typed_len[64];
static unsigned room_calls[64];
static unsigned requests;
static u8 last_request;

bool serial_present(void)
{
	return true;
}

size_t serial_try_write(const u8 *bytes, size_t n)
{
	static unsigned calls;

	if (uart_drips && ++calls % 50 == 0)
		uart_room += 16;
	n = MIN(n, uart_room);
	n = MIN(n, sizeof(out) - 1 - out_len);
	memcpy(out + out_len, bytes, n);
	out_len += n;
	out[out_len] = 0;
	uart_room -= n;
	return n;
}

// Waiting makes room.
void serial_write_sync(const void *bytes, size_t n)
{
	size_t before = uart_room;

	uart_room = ~0ull;
	serial_try_write(bytes, n);
	uart_room = before;
}

int serial_read(void)
{
	if (!in_left)
		return -1;
	in_left--;
	return (u8)*in_bytes++;
}

void screen_write(const char *text, size_t n)
{
	(void)text;
	(void)n;
}

void vm_console_input(unsigned index, const u8 *bytes, size_t n)
{
	memcpy(typed[index] + typed_len[index], bytes, n);
	typed_len[index] += n;
}

void vm_request(u8 request)
{
	last_request = request;
	requests++;
}

void vm_console_room(unsigned index)
{
	room_calls[index]++;
}

static void console_start(bool frames)
{
	static void *pool;

	fake_reset(2);
	fake_ram(16 * MiB);
	pool = malloc(frame_bookkeeping_size(hpa(16 * MiB)));
	frame_init(hpa(16 * MiB), pool);
	frame_add_range(hpa(0), hpa(16 * MiB));
	for (u32 i = 0; i < pcpu_count; i++)
		timer_init_pcpu(pcpus[i]);
	uart_room = ~0ull;
	log_init();
	console_init(frames);
}

// Empties the UART's record, with room for so many bytes from now on.
static void uart_reset(size_t room)
{
	uart_room = ~0ull;
	console_flush();
	out_len = 0;
	out[0] = 0;
	uart_room = room;
}

// The CPU's loop: posted work and timers, for so long.
static void pass_time(u64 ns)
{
	for (u64 end = fake_now + ns; fake_now < end; fake_now += 500000) {
		if (atomic_exchange(&fake_cpu->work, 0) & WORK_CONSOLE)
			console_input();
		timer_run(TIMER_NEVER);
	}
}

static void type(const char *bytes, size_t n)
{
	fake_cpu = pcpus[0];
	in_bytes = bytes;
	in_left = n;
	memset(typed_len, 0, sizeof(typed_len));
	while (in_left)
		console_input();
}

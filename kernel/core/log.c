// SPDX-License-Identifier: MIT
// The kernel log: lines with a time stamp, kept in a ring and shown on the console.
#include "kernel/core/log.h"
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/core/pager.h"
#include "kernel/core/spinlock.h"
#include "lib/string.h"

#define RING_SIZE  (32 * KiB)
#define EARLY_SIZE 1024u // for what is logged before there is memory
#define LINE_MAX   256

static struct spinlock lock = SPINLOCK(LOCK_CONSOLE);

// Free memory with the rest of what only the start needs (kernel.lds).
static char early[EARLY_SIZE] __attribute__((section(".boot.bss.log")));

static char *ring = early;    // under lock
static u64 size = EARLY_SIZE; // under lock
static u64 head;              // under lock: all text ever logged

static void append(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ring[head++ % size] = text[i];
}

void log_init(void)
{
	char *memory = kmem_alloc(RING_SIZE, FRAME_OWNER_KERNEL);
	u64 from;

	if (!memory)
		panic("no memory for the log");
	spin_lock(&lock);
	ASSERT(ring == early);
	from = head > EARLY_SIZE ? head - EARLY_SIZE : 0;
	for (u64 i = from; i < head; i++)
		memory[i % RING_SIZE] = early[i % EARLY_SIZE];
	ring = memory;
	size = RING_SIZE;
	spin_unlock(&lock);
}

void log_line(const char *fmt, ...)
{
	u64 us = time_to_ns(time_now()) / 1000;
	char line[LINE_MAX];
	size_t n;
	va_list args;

	n = format(line, sizeof(line), "[%5llu.%06llu] ", (unsigned long long)(us / 1000000),
		(unsigned long long)(us % 1000000));
	va_start(args, fmt);
	n += format_v(line + n, sizeof(line) - n, fmt, args);
	va_end(args);
	n = MIN(n, sizeof(line) - 1); // a line that is too long is cut
	line[n++] = '\n';             // in the place of the terminator
	spin_lock(&lock);
	append(line, n);
	spin_unlock(&lock);
	console_log(line, n);
}

size_t log_read(u64 *at, char *out, size_t room)
{
	size_t n = 0;

	spin_lock(&lock);
	if (head - *at > size)
		*at = head - size;
	while (n < room && *at < head)
		out[n++] = ring[(*at)++ % size];
	spin_unlock(&lock);
	return n;
}

// What log_show has to show: a head line, the kept text up to where it ended then, an end line.
static u64 show_at, show_end;
static enum { SHOW_HEAD, SHOW_TEXT, SHOW_NOTHING } show_part;

static size_t show_more(char *out, size_t room)
{
	size_t n = 0;

	if (show_part == SHOW_HEAD) {
		show_part = SHOW_TEXT;
		return format(out, room, "--- log\n");
	}
	if (show_part == SHOW_TEXT) {
		if (show_at < show_end)
			n = log_read(&show_at, out, MIN(room, show_end - show_at));
		if (n)
			return n;
		show_part = SHOW_NOTHING;
		return format(out, room, "--- end\n");
	}
	return 0;
}

void log_show(void)
{
	if (!pager_show(show_more))
		return;
	show_part = SHOW_HEAD;
	show_at = 0;
	show_end = READ_ONCE(head);
}

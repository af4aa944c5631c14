// SPDX-License-Identifier: MIT
// The console's output in its two modes: frames for a program, text for people.
#include "kernel/core/console.h"
#include "kernel/core/console_in.h"
#include "kernel/core/console_out.h"
#include "kernel/core/frame.h"
#include "kernel/core/hw_console.h"
#include "kernel/core/log.h"
#include "kernel/core/spinlock.h"
#include "abi/bundle.h"
#include "abi/console.h"
#include "lib/string.h"

#define FRAME_HEAD 3
#define FRAME_MAX  255
#define LINE_MAX   160 // of a VM that is not attached; longer ones are cut into several
#define HUMAN_ROOM 256 // what one byte of a VM may need in the ring
#define EVENT_MAX  256

// Human mode: what a VM says, control sequences taken out, up to its end of line.
enum strip_state { STRIP_TEXT, STRIP_ESCAPE, STRIP_CSI, STRIP_STRING };

struct speaker {
	char name[BUNDLE_NAME_MAX + 1]; // empty: has not spoken yet
	u8 line[LINE_MAX];
	u8 len;
	u8 strip;
};

// All under out_lock.
static bool frames;
static struct speaker *speakers; // human mode: BUNDLE_MAX_VMS of them
static unsigned attached;
static bool mid_line;      // human mode: the cursor does not stand at the beginning of a line
static u32 lost_log_lines; // that found no room
static bool panicking;

static void put_frames(u8 channel, const u8 *bytes, size_t n)
{
	while (n) {
		size_t piece = MIN(n, (size_t)FRAME_MAX);
		u8 frame_head[FRAME_HEAD] = {CONSOLE_SOH, channel, (u8)piece};

		out_put(frame_head, FRAME_HEAD);
		out_put(bytes, piece);
		bytes += piece;
		n -= piece;
	}
}

static size_t framed_size(size_t n)
{
	return n + FRAME_HEAD * ((n + FRAME_MAX - 1) / FRAME_MAX);
}

// Human mode: a piece of text that begins on a line of its own and ends one.
static void put_text(const char *text, size_t n)
{
	if (mid_line)
		out_put("\r\n", 2);
	mid_line = false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n')
			out_put("\r\n", 2);
		else
			out_put(&text[i], 1);
	}
}

// What put_text needs at most for text with one line end in every two characters.
static size_t text_size(size_t n)
{
	return n + n / 2 + 4;
}

static bool put_log(enum out_class class, u8 channel, const char *text, size_t n)
{
	if (out_room(class) < (frames ? framed_size(n) : text_size(n)))
		return false;
	if (frames)
		put_frames(channel, (const u8 *)text, n);
	else
		put_text(text, n);
	return true;
}

static void report_lost(void)
{
	char text[64];
	size_t n;

	if (!lost_log_lines)
		return;
	n = format(text, sizeof(text), "(%u lines of the log are missing here)\n", lost_log_lines);
	if (put_log(OUT_LOG, CONSOLE_LOG, text, n))
		lost_log_lines = 0;
}

void console_log(const char *text, size_t n)
{
	out_lock();
	if (!out_ready()) {
		serial_write_sync(text, n);
		screen_write(text, n);
		out_unlock();
		return;
	}
	report_lost();
	if (!put_log(OUT_LOG, CONSOLE_LOG, text, n))
		lost_log_lines++;
	screen_write(text, n);
	out_unlock();
	out_kick();
}

size_t console_log_room(void)
{
	size_t room;

	out_lock();
	room = out_ready() ? out_room(OUT_LOG) : 0;
	out_unlock();
	return room;
}

void console_event(const char *fmt, ...)
{
	char text[EVENT_MAX];
	size_t head = 0, n;
	va_list args;
	bool done = false;

	if (!frames)
		head = format(text, sizeof(text), "* ");
	va_start(args, fmt);
	n = head + format_v(text + head, sizeof(text) - 1 - head, fmt, args);
	va_end(args);
	n = MIN(n, sizeof(text) - 2);
	text[n++] = '\n';
	for (unsigned tries = 0; tries < 2 && !done; tries++) {
		out_lock();
		done = put_log(OUT_EVENT, CONSOLE_EVENTS, text, n);
		out_unlock();
		if (done)
			out_kick();
		else if (!tries)
			out_flush();
	}
}

static size_t vm_write_frames(unsigned index, const u8 *bytes, size_t n)
{
	size_t done = 0;

	while (done < n) {
		size_t piece = MIN(n - done, (size_t)FRAME_MAX), room = out_room(OUT_VM);

		if (room < FRAME_HEAD + piece)
			break;
		put_frames((u8)(CONSOLE_VM + index), bytes + done, piece);
		done += piece;
	}
	return done;
}

static void flush_line(struct speaker *s)
{
	char text[BUNDLE_NAME_MAX + LINE_MAX + 8];
	size_t n;

	if (!s->len)
		return;
	n = format(text, sizeof(text), "%s| %.*s\n", s->name, (int)s->len, (const char *)s->line);
	s->len = 0;
	put_text(text, MIN(n, sizeof(text) - 1));
}

// Takes terminal control out: ESC x, ESC [ ... final, and strings (OSC and the like) up to BEL or ESC.
static bool strip(struct speaker *s, u8 c)
{
	switch ((enum strip_state)s->strip) {
	case STRIP_ESCAPE:
		s->strip = c == '['                                       ? STRIP_CSI
			   : c == ']' || c == 'P' || c == '_' || c == '^' ? STRIP_STRING
									  : STRIP_TEXT;
		return true;
	case STRIP_CSI:
		if ((c >= 0x40 && c <= 0x7e) || c == '\n')
			s->strip = STRIP_TEXT;
		return c != '\n';
	case STRIP_STRING:
		if (c == 7 || c == '\n')
			s->strip = STRIP_TEXT;
		else if (c == 0x1b)
			s->strip = STRIP_ESCAPE;
		return c != '\n';
	case STRIP_TEXT:
		break;
	}
	if (c == 0x1b)
		s->strip = STRIP_ESCAPE;
	return c == 0x1b;
}

static void put_unattached(struct speaker *s, u8 c)
{
	if (strip(s, c))
		return;
	if (c == '\n') {
		flush_line(s);
		return;
	}
	if (c == '\t')
		c = ' ';
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return;
	if (s->len == LINE_MAX)
		flush_line(s);
	s->line[s->len++] = c;
}

static size_t vm_write_human(unsigned index, const char *name, const u8 *bytes, size_t n)
{
	struct speaker *s = &speakers[index];
	size_t done = 0;

	if (strcmp(s->name, name) != 0) { // another VM than before may have this number
		*s = (struct speaker){0};
		format(s->name, sizeof(s->name), "%s", name);
	}
	while (done < n && out_room(OUT_VM) >= HUMAN_ROOM) {
		if (index == attached) {
			out_put(&bytes[done], 1);
			mid_line = bytes[done] != '\n';
		} else {
			put_unattached(s, bytes[done]);
		}
		done++;
	}
	return done;
}

size_t console_vm_write(unsigned index, const char *name, const u8 *bytes, size_t n)
{
	size_t done;

	ASSERT(index < BUNDLE_MAX_VMS);
	out_lock();
	if (!out_ready()) {
		out_unlock();
		return n;
	}
	done = frames ? vm_write_frames(index, bytes, n) : vm_write_human(index, name, bytes, n);
	if (done < n)
		out_want_room(index);
	out_unlock();
	out_kick();
	return done;
}

void console_attach_next(void)
{
	char text[BUNDLE_NAME_MAX + 24];
	size_t n;

	if (frames || !speakers)
		return;
	out_lock();
	for (unsigned i = 1; i <= BUNDLE_MAX_VMS; i++) {
		unsigned next = (attached + i) % BUNDLE_MAX_VMS;

		if (speakers[next].name[0]) {
			attached = next;
			break;
		}
	}
	flush_line(&speakers[attached]);
	n = format(text, sizeof(text), "[attached: %s]\n", speakers[attached].name);
	if (out_room(OUT_LOG) >= text_size(n))
		put_text(text, n);
	out_unlock();
	out_kick();
}

unsigned console_attached(void)
{
	return READ_ONCE(attached);
}
bool console_frames(void)
{
	return frames;
}

void console_flush(void)
{
	if (out_ready())
		out_flush();
}

void console_init(bool with_frames)
{
	frames = with_frames;
	if (!frames) {
		speakers = kmem_alloc(BUNDLE_MAX_VMS * sizeof(*speakers), FRAME_OWNER_KERNEL);
		if (!speakers)
			panic("no memory for the console");
	}
	console_in_init();
	out_init();
}

// The line may stand in the middle of a frame when the panic is in the drainer; what was in the ring goes out first so that
// frames stay whole.
static void panic_begin(void)
{
	if (panicking || !out_ready())
		return;
	panicking = true;
	out_flush_panic();
}

static void panic_put(u8 channel, const char *text, size_t n)
{
	panic_begin();
	while (n) {
		size_t piece = MIN(n, (size_t)FRAME_MAX);
		u8 frame_head[FRAME_HEAD] = {CONSOLE_SOH, channel, (u8)piece};

		if (out_ready() && frames)
			serial_write_sync(frame_head, FRAME_HEAD);
		serial_write_sync(text, piece);
		text += piece;
		n -= piece;
	}
}

void console_panic_write(const char *text, size_t n)
{
	panic_put(CONSOLE_LOG, text, n);
}

void console_panic_event(const char *text)
{
	if (!out_ready() || !frames)
		return;
	panic_put(CONSOLE_EVENTS, "panic ", 6);
	panic_put(CONSOLE_EVENTS, text, strlen(text));
	panic_put(CONSOLE_EVENTS, "\n", 1);
}

// SPDX-License-Identifier: MIT
// What the person at the terminal sees and types: one VM attached, the others line by line.
#include "mezz/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define QUIET_MS    300         // an unfinished line is shown after this
#define WAITING_MAX (64u << 10) // bytes of lines that wait for the attached VM's line to end

static const char help[] =
	"[mezz: Ctrl-] and then: n next VM, p previous VM, d none, k the kernel's debug keys, "
	"b the VM's power button, s all power buttons, q leave, ? this help, Ctrl-] itself]\n";

static const char *name_of(const struct terminal *t, unsigned from)
{
	return from == TERMINAL_KERNEL   ? "mezzanine"
	       : from == TERMINAL_NOBODY ? "nobody"
					 : t->config->vms[from].name;
}

static void tell_attached(const struct terminal *t)
{
	fprintf(stderr, "[mezz: attached to %s; %sCtrl-] ? for help]\n", name_of(t, t->attached),
		t->attached == TERMINAL_NOBODY ? "Ctrl-C powers all off, " : "");
}

static void show(const void *bytes, size_t n)
{
	if (write_all(STDOUT_FILENO, bytes, n) != 0)
		exit(STATUS_FAILED); // nobody reads any more; the emulator dies with us
}

static void show_waiting(struct terminal *t)
{
	if (!t->waiting.length)
		return;
	if (t->midline)
		show(t->tty ? "\r\n" : "\n", t->tty ? 2 : 1);
	show(t->waiting.data, t->waiting.length);
	if (t->midline && t->tty)
		show(t->current, t->current_length);
	else
		t->midline = false;
	t->waiting.length = 0;
}

static void queue_line(struct terminal *t, unsigned from)
{
	struct line *line = &t->from[from].line;

	text_print(&t->waiting, "%s| ", name_of(t, from));
	text_add(&t->waiting, line->text, line->length);
	text_add(&t->waiting, "\n", 1);
	line_reset(line);
	if (!t->midline || t->waiting.length > WAITING_MAX)
		show_waiting(t);
}

static void show_attached(struct terminal *t, const uint8_t *bytes, size_t n)
{
	const uint8_t *last = memrchr(bytes, '\n', n);
	size_t after = last ? (size_t)(bytes + n - last - 1) : n;

	if (last && t->waiting.length) { // the moment they wait for
		show(bytes, n - after);
		t->midline = false;
		show_waiting(t);
		show(bytes + n - after, after);
	} else {
		show(bytes, n);
	}
	if (last)
		t->current_length = 0;
	if (after > sizeof(t->current) - t->current_length)
		t->current_length = after = 0; // too long to be shown twice
	memcpy(t->current + t->current_length, bytes + n - after, after);
	t->current_length += after;
	t->midline = last ? last != bytes + n - 1 : true;
	t->attached_at = clock_ms();
}

void terminal_output(struct terminal *t, unsigned from, const uint8_t *bytes, size_t n)
{
	if (!n || (from == TERMINAL_KERNEL && !t->verbose && t->attached != TERMINAL_KERNEL) ||
		(t->attached == TERMINAL_NOBODY && !t->verbose))
		return;
	if (from == t->attached && from != TERMINAL_KERNEL) {
		show_attached(t, bytes, n);
		return;
	}
	t->from[from].at = clock_ms();
	for (size_t i = 0; i < n; i++)
		if (line_add(&t->from[from].line, bytes[i]))
			queue_line(t, from);
}

void terminal_say(struct terminal *t, const char *lines)
{
	text_add(&t->waiting, lines, strlen(lines));
	show_waiting(t);
}

static void attach(struct terminal *t, unsigned to)
{
	if (to != TERMINAL_NOBODY && t->from[to].line.length)
		queue_line(t, to);
	show_waiting(t);
	if (t->midline)
		show("\n", 1);
	t->midline = false;
	t->current_length = 0;
	t->attached = to;
	tell_attached(t);
}

// The next VM in direction step that may still say something; the attached one when there is no other.
static unsigned neighbour(const struct terminal *t, unsigned step)
{
	unsigned count = t->config->vm_count;
	unsigned at = t->attached >= TERMINAL_KERNEL ? (step == 1 ? count - 1 : 0) : t->attached;

	for (unsigned i = 0; i < count; i++) {
		at = (at + step) % count;
		if (!outcome_gone(t->outcome, at))
			return at;
	}
	return t->attached;
}

bool terminal_key(struct terminal *t, uint8_t key)
{
	if (!t->escaped) {
		t->escaped = key == TERMINAL_ESCAPE;
		t->stop |= t->attached == TERMINAL_NOBODY && key == TERMINAL_STOP;
		return !t->escaped && t->attached != TERMINAL_NOBODY;
	}
	t->escaped = false;
	switch (key) {
	case TERMINAL_ESCAPE:
		return t->attached != TERMINAL_NOBODY;
	case 'n':
		attach(t, neighbour(t, 1));
		break;
	case 'p':
		attach(t, neighbour(t, t->config->vm_count - 1));
		break;
	case 'd':
		attach(t, TERMINAL_NOBODY);
		break;
	case 'k':
		attach(t, TERMINAL_KERNEL);
		break;
	case 'b':
		t->button = t->attached < t->config->vm_count;
		break;
	case 's':
		t->stop = true;
		break;
	case 'q':
		t->left = true;
		break;
	default:
		terminal_say(t, help);
		break;
	}
	return false;
}

void terminal_tick(struct terminal *t)
{
	int64_t now = clock_ms();

	for (unsigned i = 0; i <= TERMINAL_KERNEL; i++)
		if (t->from[i].line.length && now - t->from[i].at >= QUIET_MS)
			queue_line(t, i);
	if (t->waiting.length && now - t->attached_at >= QUIET_MS)
		show_waiting(t);
	if (t->attached < TERMINAL_KERNEL && outcome_gone(t->outcome, t->attached) &&
		neighbour(t, 1) != t->attached)
		attach(t, neighbour(t, 1));
}

int terminal_wait(const struct terminal *t)
{
	if (t->waiting.length)
		return QUIET_MS;
	for (unsigned i = 0; i <= TERMINAL_KERNEL; i++)
		if (t->from[i].line.length)
			return QUIET_MS;
	return -1;
}

// The terminal as it was, for every way out of this program.
static struct termios saved;
static bool is_raw;

static void restore(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
	is_raw = false;
}

static void make_raw(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &saved) != 0)
		return;
	raw = saved; // the output flags stay: our own lines end with a bare new line
	raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INLCR | IGNCR | INPCK | ISTRIP | IXON);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	atexit(restore);
	is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

void terminal_begin(struct terminal *t, const struct config *config, const struct outcome *outcome,
	unsigned attached, bool verbose)
{
	bool in_tty = isatty(STDIN_FILENO);
	pid_t group = in_tty ? tcgetpgrp(STDIN_FILENO) : -1;

	*t = (struct terminal){
		.config = config, .outcome = outcome, .attached = attached, .verbose = verbose};
	t->tty = isatty(STDOUT_FILENO);
	t->listens = group < 0 || group == getpgrp(); // a job in the background must leave it alone
	if (!in_tty || !t->listens)
		return;
	make_raw();
	tell_attached(t);
}

void terminal_end(struct terminal *t)
{
	for (unsigned i = 0; i <= TERMINAL_KERNEL; i++)
		if (t->from[i].line.length)
			queue_line(t, i);
	if (t->midline)
		show("\n", 1);
	t->midline = false;
	show_waiting(t);
	text_free(&t->waiting);
	restore();
}

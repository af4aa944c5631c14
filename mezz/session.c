// SPDX-License-Identifier: MIT
// One run of the machine: passes bytes between the emulator, the terminal and the logs until it ends.
#include "mezz/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "mezz/child.h"
#include "mezz/frames.h"
#include "mezz/logs.h"
#include "mezz/outcome.h"
#include "mezz/terminal.h"
#include "common/util.h"

#define OUTPUT_MAX     (64u << 10) // bytes typed but not yet taken by the machine
#define POWER_OFF_MS   10000       // from the kernel's last word to the machine's end
#define PANIC_QUIET_MS 2000        // a dead kernel's log is complete after this silence
#define TERMINATE_MS   2000        // from SIGTERM to SIGKILL
#define DRAIN_MS       1000        // from the emulator's end to the end of its line
#define INPUT_TICK_MS  200         // how often typed bytes look for a VM that has started
#define ASK_AGAIN_MS   5000        // to power off: a guest that does not listen yet forgets it
#define STOP_AGAIN_MS  1000        // to stop VMs
#define STOP_MS        10000       // until all are stopped and their disks flushed

enum { POLL_SIGNALS, POLL_LINE, POLL_QMP, POLL_ERRORS, POLL_STDIN, POLL_COUNT };

struct session {
	const struct session_options *options;
	struct outcome outcome;
	struct terminal terminal;
	struct logs logs;
	struct frames frames;
	struct line event, log_line;    // lines under way
	int line, qmp, errors, signals; // descriptors; -1 when closed
	bool stdin_open;
	pid_t pid; // the emulator; 0 once it was waited for
	int wait_status;
	bool was_reset; // the monitor said why the machine ended: reset
	struct text qmp_text, errors_text;
	struct text output; // frames on their way to the machine
	int status;         // decided exit status, -1: none yet
	int asked_status;   // what a stop by force would return
	int64_t now, deadline, last_byte, ended_at, killed_at, reaped_at; // clock_ms; 0: not yet
	int64_t asked_at, asked_last,
		forced_at; // the VMs to power off, last request, to be stopped
};

static void decide(struct session *s, int status)
{
	if (s->status < 0)
		s->status = status;
}

static void terminate(struct session *s)
{
	if (s->killed_at || !s->pid)
		return;
	kill(s->pid, SIGTERM);
	s->killed_at = s->now;
}

// ---------------------------------------------------------------- from the machine

static void take_event(struct session *s, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct text say = {0};

		if (!line_add(&s->event, bytes[i]))
			continue;
		s->event.text[s->event.length] = '\0';
		logs_event(&s->logs, s->event.text);
		outcome_event(&s->outcome, s->event.text, &say);
		if (say.length)
			terminal_say(&s->terminal, say.data);
		text_free(&say);
		line_reset(&s->event);
		if (!s->ended_at && (s->outcome.ended || s->outcome.panicked))
			s->ended_at = s->now;
	}
}

// An early panic has no events yet, only its text.
static void take_log(struct session *s, const uint8_t *bytes, size_t n)
{
	static const char mark[] = "PANIC ";

	for (size_t i = 0; i < n; i++) {
		if (!line_add(&s->log_line, bytes[i]))
			continue;
		s->log_line.text[s->log_line.length] = '\0';
		if (strncmp(s->log_line.text, mark, sizeof(mark) - 1) == 0 &&
			!s->outcome.panicked) {
			memcpy(s->log_line.text, "panic ", sizeof(mark) - 1);
			take_event(s, (const uint8_t *)s->log_line.text, s->log_line.length);
			take_event(s, (const uint8_t *)"\n", 1);
		}
		line_reset(&s->log_line);
	}
}

static void take_frame(void *arg, int channel, const uint8_t *bytes, size_t n)
{
	struct session *s = arg;

	if (channel == CONSOLE_EVENTS) {
		take_event(s, bytes, n);
	} else if (channel == CONSOLE_LOG || channel == FRAMES_RAW) {
		logs_kernel(&s->logs, bytes, n);
		terminal_output(&s->terminal, TERMINAL_KERNEL, bytes, n);
		take_log(s, bytes, n);
	} else if ((unsigned)channel - CONSOLE_VM < s->options->config->vm_count) {
		logs_vm(&s->logs, (unsigned)channel - CONSOLE_VM, bytes, n);
		terminal_output(&s->terminal, (unsigned)channel - CONSOLE_VM, bytes, n);
	}
}

static void close_fd(int *fd)
{
	close(*fd);
	*fd = -1;
}

static void read_line(struct session *s)
{
	uint8_t bytes[16384];
	ssize_t n = recv(s->line, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		frames_finish(&s->frames, take_frame, s);
		close_fd(&s->line);
		return;
	}
	s->last_byte = s->now;
	frames_decode(&s->frames, bytes, (size_t)n, take_frame, s);
}

// Reads what there is and keeps the last part of it.
static void read_text(int *fd, struct text *text, size_t keep)
{
	char bytes[4096];
	ssize_t n = read(*fd, bytes, sizeof(bytes));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_fd(fd);
		return;
	}
	text_add(text, bytes, (size_t)n);
	if (text->length > 2 * keep) {
		memmove(text->data, text->data + text->length - keep, keep + 1);
		text->length = keep;
	}
}

// The monitor speaks first and tells every change of state; only the reason of the end matters here.
static void read_qmp(struct session *s)
{
	const char *event;

	read_text(&s->qmp, &s->qmp_text, 8192);
	event = s->qmp_text.data ? strstr(s->qmp_text.data, "\"SHUTDOWN\"") : NULL;
	if (event && strstr(event, "\"guest-reset\""))
		s->was_reset = true;
}

// ---------------------------------------------------------------- to the machine

static void send_key(struct session *s, uint8_t key)
{
	unsigned to = s->terminal.attached;
	uint8_t frame[FRAMES_HEADER + FRAMES_PAYLOAD];
	uint8_t channel = to == TERMINAL_KERNEL ? CONSOLE_LOG : (uint8_t)(CONSOLE_VM + to);

	text_add(&s->output, frame, frames_encode(channel, &key, 1, frame));
}

static void ask(struct session *s, uint8_t request)
{
	uint8_t frame[FRAMES_HEADER + FRAMES_PAYLOAD];

	text_add(&s->output, frame, frames_encode(CONSOLE_EVENTS, &request, 1, frame));
}

static void ask_all(struct session *s)
{
	ask(s, s->forced_at ? CONSOLE_ASK_STOP : CONSOLE_ASK_OFF);
	s->asked_last = s->now;
}

// The machine goes at once.
static void end(struct session *s, int status)
{
	decide(s, status);
	terminate(s);
}

static void force(struct session *s)
{
	decide(s, s->asked_status);
	s->forced_at = s->now;
	terminal_say(&s->terminal, "mezz: the VMs that still run are stopped\n");
	ask_all(s);
}

static bool any_started(const struct session *s)
{
	for (unsigned i = 0; i < s->options->config->vm_count; i++)
		if (s->outcome.vm[i].starts)
			return true;
	return false;
}

// First the VMs are asked to power off, the second time they are stopped, the third time the machine is.
static void stop(struct session *s, int status)
{
	if (!s->options->stop_ms || s->forced_at || !any_started(s)) {
		end(s, status);
	} else if (s->asked_at) {
		force(s);
	} else {
		struct text say = {0};

		text_print(&say,
			"mezz: the VMs are asked to power off; once more, or %lld s, and they are stopped\n",
			(long long)s->options->stop_ms / 1000);
		terminal_say(&s->terminal, say.data);
		text_free(&say);
		s->asked_at = s->now;
		s->asked_status = status;
		ask_all(s);
	}
}

static void read_stdin(struct session *s)
{
	uint8_t keys[256];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n <= 0)
		s->stdin_open = n < 0 && (errno == EINTR || errno == EAGAIN);
	for (ssize_t i = 0; i < n && !s->terminal.left; i++) {
		if (terminal_key(&s->terminal, keys[i]))
			send_key(s, keys[i]);
		if (s->terminal.button)
			ask(s, (uint8_t)s->terminal.attached);
		s->terminal.button = false;
		if (s->terminal.stop)
			stop(s, STATUS_LEFT);
		s->terminal.stop = false;
	}
}

static void write_line(struct session *s)
{
	ssize_t n = send(s->line, s->output.data, s->output.length, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n <= 0)
		return; // a closed line is told by reading
	memmove(s->output.data, s->output.data + n, s->output.length - (size_t)n);
	s->output.length -= (size_t)n;
}

// What is typed before the attached VM runs stays where it is, so that a script need not wait for it.
static bool wants_stdin(const struct session *s)
{
	unsigned to = s->terminal.attached;

	return s->stdin_open && s->output.length < OUTPUT_MAX &&
	       (s->terminal.escaped || isatty(STDIN_FILENO) || to >= TERMINAL_KERNEL ||
		       s->outcome.vm[to].phase == VM_RUNNING);
}

// ---------------------------------------------------------------- the end

static void take_signals(struct session *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			continue;
		if (info.ssi_signo == SIGHUP)
			end(s, 128 + SIGHUP);
		else
			stop(s, 128 + (int)info.ssi_signo);
	}
	if (s->pid && waitpid(s->pid, &s->wait_status, WNOHANG) == s->pid) {
		s->pid = 0;
		s->reaped_at = s->now;
	}
}

static bool after(const struct session *s, int64_t since, int64_t ms)
{
	return since && s->now - since >= ms;
}

// Whoever was asked to power off: asks again, loses patience, gives up.
static void check_stop(struct session *s)
{
	if (!s->asked_at || s->killed_at || s->outcome.ended || s->outcome.panicked)
		return;
	if (after(s, s->forced_at, STOP_MS))
		terminate(s);
	else if (!s->forced_at && after(s, s->asked_at, s->options->stop_ms))
		force(s);
	else if (after(s, s->asked_last, s->forced_at ? STOP_AGAIN_MS : ASK_AGAIN_MS))
		ask_all(s);
}

static void check_clock(struct session *s)
{
	if (s->terminal.left)
		end(s, STATUS_LEFT);
	check_stop(s);
	if (s->deadline && s->now >= s->deadline && s->pid && !s->killed_at) {
		decide(s, s->outcome.panicked ? STATUS_PANIC : STATUS_TIMEOUT);
		terminal_say(&s->terminal, "mezz: the time is up\n");
		terminate(s);
	}
	if (s->outcome.panicked && after(s, s->ended_at, PANIC_QUIET_MS) &&
		after(s, s->last_byte, PANIC_QUIET_MS))
		terminate(s);
	if (s->outcome.ended && s->pid && !s->killed_at && after(s, s->ended_at, POWER_OFF_MS)) {
		terminal_say(&s->terminal, "mezz: the machine did not power itself off\n");
		decide(s, STATUS_FAILED);
		terminate(s);
	}
	if (s->pid && after(s, s->killed_at, TERMINATE_MS))
		kill(s->pid, SIGKILL);
}

static bool is_over(const struct session *s)
{
	return !s->pid && ((s->line < 0 && s->errors < 0) || after(s, s->reaped_at, DRAIN_MS));
}

static int poll_time(const struct session *s)
{
	int ms = terminal_wait(&s->terminal);

	if (s->deadline && !s->killed_at && s->deadline - s->now < (ms < 0 ? INT32_MAX : ms))
		ms = s->deadline > s->now ? (int)(s->deadline - s->now) : 0;
	if (s->ended_at || s->killed_at || s->reaped_at || s->asked_at ||
		(s->stdin_open && !wants_stdin(s)))
		ms = ms < 0 || ms > INPUT_TICK_MS ? INPUT_TICK_MS : ms;
	return ms;
}

static void step(struct session *s)
{
	struct pollfd p[POLL_COUNT] = {
		[POLL_SIGNALS] = {.fd = s->signals, .events = POLLIN},
		[POLL_LINE] = {.fd = s->line,
			.events = (short)(POLLIN | (s->output.length ? POLLOUT : 0))},
		[POLL_QMP] = {.fd = s->qmp, .events = POLLIN},
		[POLL_ERRORS] = {.fd = s->errors, .events = POLLIN},
		[POLL_STDIN] = {.fd = wants_stdin(s) ? STDIN_FILENO : -1, .events = POLLIN},
	};

	if (poll(p, POLL_COUNT, poll_time(s)) < 0)
		memset(p, 0, sizeof(p)); // interrupted: the clock is looked at all the same
	s->now = clock_ms();
	if (p[POLL_LINE].revents & (POLLIN | POLLHUP | POLLERR))
		read_line(s);
	if (p[POLL_LINE].revents & POLLOUT && s->line >= 0)
		write_line(s);
	if (p[POLL_QMP].revents)
		read_qmp(s);
	if (p[POLL_ERRORS].revents)
		read_text(&s->errors, &s->errors_text, 4096);
	if (p[POLL_STDIN].revents)
		read_stdin(s);
	take_signals(s);
	terminal_tick(&s->terminal);
	check_clock(s);
}

// What the emulator said, without its remarks about what it does not emulate.
static void show_errors(char *text)
{
	for (char *line = strtok(text ? text : "", "\n"); line; line = strtok(NULL, "\n"))
		if (!strstr(line, "warning: TCG doesn't support requested feature"))
			fprintf(stderr, "%s\n", line);
}

// The emulator ended although the kernel had not said that it was done.
static void report_death(struct session *s)
{
	if (WIFSIGNALED(s->wait_status))
		complain("the emulator died: killed by signal %d", WTERMSIG(s->wait_status));
	else if (WEXITSTATUS(s->wait_status))
		complain("the emulator died: exit status %d", WEXITSTATUS(s->wait_status));
	else if (s->was_reset)
		complain("the emulated machine reset without a word");
	else
		complain("the emulated machine powered off without a word");
	show_errors(s->errors_text.data);
}

static void show_log_tail(struct session *s)
{
	struct line *line = &s->terminal.from[TERMINAL_KERNEL].line;

	line_reset(line);
	fprintf(stderr, "mezz: the end of the kernel's log:\n");
	for (size_t i = 0; i < s->logs.tail_length; i++) {
		if (!line_add(line, (uint8_t)s->logs.tail[i]))
			continue;
		fprintf(stderr, "mezzanine| %.*s\n", (int)line->length, line->text);
		line_reset(line);
	}
}

static int finish(struct session *s)
{
	struct text say = {0};

	if (s->outcome.panicked && s->status != STATUS_LEFT)
		s->status = STATUS_PANIC;
	if (s->status < 0 && s->outcome.ended)
		s->status = outcome_status(&s->outcome, &say);
	if (say.length)
		terminal_say(&s->terminal, say.data);
	text_free(&say);
	terminal_end(&s->terminal);
	if (s->status < 0) {
		report_death(s);
		s->status = STATUS_FAILED;
	}
	if (!s->options->verbose && (s->status == STATUS_PANIC || s->status == STATUS_FAILED))
		show_log_tail(s);
	return s->status;
}

// ---------------------------------------------------------------- the beginning

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

// Starts the emulator; its ends of the pairs are closed here, so that its death ends the line.
static bool start(struct session *s, const struct words *argv, int image_fd)
{
	static const char hello[] = "{\"execute\": \"qmp_capabilities\"}\n";
	int line[2] = {-1, -1}, qmp[2] = {-1, -1}, errors[2] = {-1, -1};
	bool ok = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line) == 0 &&
		  socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, qmp) == 0 &&
		  pipe2(errors, O_CLOEXEC) == 0;

	s->line = line[0], s->qmp = qmp[0], s->errors = errors[0];
	s->signals = open_signals();
	if (!ok || s->signals < 0) {
		complain("no descriptors: %s", strerror(errno));
		ok = false;
	}
	if (ok) {
		struct child_fds fds = {{-1, errors[1], errors[1], line[1], qmp[1], image_fd}};

		s->pid = child_start(argv, &fds);
		ok = s->pid > 0;
		if (ok && send(s->qmp, hello, sizeof(hello) - 1, MSG_NOSIGNAL) < 0)
			close_fd(&s->qmp); // already gone; its exit status tells
	}
	close(line[1]);
	close(qmp[1]);
	close(errors[1]);
	return ok;
}

int session_run(const struct session_options *options, const struct words *argv, int image_fd)
{
	struct session *s = allocate(sizeof(*s));
	int status = STATUS_FAILED;

	s->options = options;
	s->outcome.config = options->config;
	s->status = -1;
	s->now = clock_ms();
	if (logs_open(&s->logs, options->config, options->log_folder) && start(s, argv, image_fd)) {
		s->deadline = options->timeout_ms ? s->now + options->timeout_ms : 0;
		terminal_begin(&s->terminal, options->config, &s->outcome, options->attached,
			options->verbose);
		s->stdin_open = s->terminal.listens;
		while (!is_over(s))
			step(s);
		status = finish(s);
	}
	logs_close(&s->logs);
	text_free(&s->qmp_text);
	text_free(&s->errors_text);
	text_free(&s->output);
	free(s);
	return status;
}

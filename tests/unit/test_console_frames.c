// SPDX-License-Identifier: MIT
// Tests of the log and of the console in frames.
// link: kernel/core/console.c kernel/core/console_in.c kernel/core/console_out.c kernel/core/log.c
// link: kernel/core/pager.c kernel/core/frame.c kernel/core/timer.c lib/format.c tests/unit/fake/arch.c
#include "tests/unit/console_fake.h"

// What the frames of one channel hold; false when the line is not whole frames.
static char text[1 << 20];

static bool channel_text(u8 channel)
{
	size_t n = 0;

	for (size_t i = 0; i < out_len;) {
		u8 length;

		if (out[i] != CONSOLE_SOH || i + 3 > out_len)
			return false;
		length = (u8)out[i + 2];
		if (!length || i + 3 + length > out_len)
			return false;
		if ((u8)out[i + 1] == channel) {
			memcpy(text + n, out + i + 3, length);
			n += length;
		}
		i += 3u + length;
	}
	text[n] = 0;
	return true;
}

static size_t write_vm(unsigned index, const char *s)
{
	return console_vm_write(index, "vm", (const u8 *)s, strlen(s));
}

TEST(before_init_the_log_is_plain)
{
	fake_reset(1);
	fake_now = 12345678901;
	uart_room = ~0ull;
	log_line("early %d", 1);
	CHECK(!strcmp(out, "[   12.345678] early 1\n"));
	CHECK_EQ(write_vm(0, "lost"), 4);
	console_panic_write("dying\n", 6);
	CHECK(!strcmp(out, "[   12.345678] early 1\ndying\n"));
	console_start(true);
}

TEST(early_lines_are_kept)
{
	char kept[100];
	u64 at = 0;
	size_t n = log_read(&at, kept, sizeof(kept) - 1);

	kept[n] = 0;
	CHECK(!strcmp(kept, "[   12.345678] early 1\n"));
	CHECK_EQ(at, n);
	CHECK_EQ(log_read(&at, kept, sizeof(kept)), 0);
}

TEST(channels)
{
	uart_reset(~0ull);
	log_line("hello");
	console_event("start %s", "web");
	CHECK_EQ(write_vm(0, "one"), 3);
	CHECK_EQ(write_vm(63, "last"), 4);
	CHECK_EQ(write_vm(0, " more"), 5);
	CHECK(channel_text(CONSOLE_EVENTS) && !strcmp(text, "start web\n"));
	CHECK(channel_text(CONSOLE_VM) && !strcmp(text, "one more"));
	CHECK(channel_text(CONSOLE_VM + 63) && !strcmp(text, "last"));
	CHECK(channel_text(CONSOLE_LOG) && strstr(text, "] hello\n"));
}

TEST(long_output_is_cut_into_frames)
{
	static char big[3000];

	memset(big, 'x', sizeof(big) - 1);
	uart_reset(~0ull);
	CHECK_EQ(write_vm(5, big), 2999);
	pass_time(2000000);
	CHECK(channel_text(CONSOLE_VM + 5) && !strcmp(text, big));
}

TEST(long_lines_are_cut)
{
	static char big[1000];

	memset(big, 'y', sizeof(big) - 1);
	uart_reset(~0ull);
	log_line("%s", big);
	console_event("stopped web %s", big);
	CHECK(channel_text(CONSOLE_LOG));
	CHECK(strlen(text) == 256 && text[255] == '\n');
	CHECK(channel_text(CONSOLE_EVENTS));
	CHECK(strlen(text) == 255 && text[254] == '\n');
}

// A VM that writes without end while the UART takes nothing: held back, not lost, and woken when there is room.
TEST(vm_is_held_back)
{
	static char piece[100];
	size_t sent = 0, n;

	for (unsigned i = 0; i < sizeof(piece); i++)
		piece[i] = (char)('a' + i % 26);
	uart_reset(0);
	fake_cpu = pcpus[1];
	do {
		n = console_vm_write(3, "vm", (const u8 *)piece, sizeof(piece));
		sent += n;
	} while (n == sizeof(piece));
	CHECK(sent > 8000 && sent < 16384);
	CHECK_EQ(console_vm_write(3, "vm", (const u8 *)piece, sizeof(piece)), 0);
	CHECK_EQ(out_len, 0);
	CHECK_EQ(room_calls[3], 0);
	pass_time(5000000);
	CHECK_EQ(room_calls[3], 0); // still full
	uart_room = 16;             // its FIFO, a time each ms
	for (unsigned ms = 0; ms < 1000; ms++) {
		uart_room = 16;
		pass_time(1000000);
	}
	CHECK_EQ(room_calls[3], 1);
	uart_room = ~0ull;
	pass_time(3000000);
	CHECK(channel_text(CONSOLE_VM + 3));
	CHECK_EQ(strlen(text), sent);
	for (size_t i = 0; i < sent; i++)
		if (text[i] != piece[i % 100])
			CHECK(!"all bytes in order");
	pass_time(5000000);
	CHECK(list_empty(&pcpus[1]->timers)); // no timer when nothing is left
}

TEST(log_has_room_when_vms_have_none)
{
	static char piece[200];
	unsigned lines = 0;

	memset(piece, 'v', sizeof(piece));
	uart_reset(0);
	while (console_vm_write(3, "vm", (const u8 *)piece, sizeof(piece)) == sizeof(piece))
		;
	log_line("important");
	while (lines < 300) {
		log_line("line %u", lines);
		lines++;
	}
	console_event("stopped web for a reason");
	pass_time(2000000);
	uart_room = ~0ull;
	pass_time(50000000);
	log_line("after");
	pass_time(2000000);
	CHECK(channel_text(CONSOLE_LOG));
	CHECK(strstr(text, "] important\n"));
	CHECK(strstr(text, "lines of the log are missing here)\n"));
	CHECK(strstr(text, "] after\n"));
	CHECK(strstr(text, "missing") < strstr(text, "after"));
	CHECK(channel_text(CONSOLE_EVENTS) && !strcmp(text, "stopped web for a reason\n"));
}

TEST(events_are_never_lost)
{
	char *p;
	unsigned count = 0;

	uart_reset(0);
	uart_drips = true; // slower than the events come
	for (unsigned i = 0; i < 2000; i++)
		console_event("frames web %u", i);
	uart_drips = false;
	uart_room = ~0ull;
	pass_time(50000000);
	CHECK(channel_text(CONSOLE_EVENTS));
	for (p = text; (p = strstr(p, "frames web ")); p++)
		CHECK_EQ(strtoul(p + 11, NULL, 10), count++);
	CHECK_EQ(count, 2000);
}

TEST(dead_uart_holds_nobody_up)
{
	uart_reset(0);
	for (unsigned i = 0; i < 920; i++)
		console_event("frames web %u", i);
	console_flush();
	uart_room = ~0ull;
	pass_time(50000000);
	CHECK(channel_text(CONSOLE_EVENTS));
	CHECK(strstr(text, "frames web 900\n"));
}

static unsigned key_presses;
static void on_key(void)
{
	key_presses++;
}

TEST(input)
{
	static const char bytes[] = "noise\x01\x22\x03"
				    "abc\x01\x24\x02hi\x01\x20\x02XX\x01\x22\x01"
				    "d\x01\x62\x01q\x01\x22\x00\x01\x23\x01z";

	console_key_register('X', "for the test", on_key);
	CHECK(FAKE_PANICS(console_key_register('X', "again", on_key)));
	type(bytes, sizeof(bytes) - 1);
	CHECK(typed_len[0] == 4 && !memcmp(typed[0], "abcd", 4));
	CHECK(typed_len[2] == 2 && !memcmp(typed[2], "hi", 2));
	CHECK(typed_len[1] == 1 && typed[1][0] == 'z');
	CHECK_EQ(key_presses, 2);
	uart_reset(~0ull);
	type("\x01\x20\x01#", 4); // an unknown key shows the list
	pass_time(2000000);
	CHECK(channel_text(CONSOLE_LOG) && strstr(text, "key X: for the test\n"));
}

TEST(requests_for_vms)
{
	static const char bytes[] = "\x01\x21\x01\x03\x01\x21\x02\x07\xfe";

	requests = 0;
	type(bytes, 4);
	CHECK(requests == 1 && last_request == 3);
	type(bytes + 4, 5);
	CHECK(requests == 3 && last_request == CONSOLE_ASK_OFF);
}

TEST(much_input_is_taken_in_turns)
{
	static char bytes[600];
	size_t n = 0;

	while (n + 4 <= sizeof(bytes)) {
		memcpy(bytes + n, "\x01\x22\x01k", 4);
		n += 4;
	}
	in_bytes = bytes;
	in_left = n;
	typed_len[0] = 0;
	fake_cpu = pcpus[1];
	console_input();
	CHECK_EQ(in_left, n); // CPU 0 takes input
	fake_cpu = pcpus[0];
	console_input();
	CHECK_EQ(in_left, n - 256);
	CHECK(pcpus[0]->work & WORK_CONSOLE);
	pass_time(1000000);
	CHECK_EQ(in_left, 0);
	CHECK_EQ(typed_len[0], 150);
}

TEST(log_keeps_the_last_32_kib)
{
	static char kept[40000];
	u64 at = 0;
	size_t n;

	uart_reset(~0ull);
	for (unsigned i = 0; i < 3000; i++)
		log_line("number %u", i);
	n = log_read(&at, kept, sizeof(kept) - 1);
	kept[n] = 0;
	CHECK_EQ(n, 32 * KiB);
	CHECK(!strstr(kept, "number 1000\n"));
	CHECK(strstr(kept, "number 2000\n"));
	CHECK(!strcmp(kept + n - 12, "number 2999\n"));
	log_line("next");
	n = log_read(&at, kept, sizeof(kept) - 1);
	kept[n] = 0;
	CHECK(n < 40 && strstr(kept, "] next\n"));
}

TEST(log_is_shown_again_as_the_line_takes_it)
{
	static char kept[40000];
	u64 at = 0;
	size_t n;

	uart_reset(0);
	n = log_read(&at, kept, sizeof(kept) - 1);
	kept[n] = 0;
	type("\x01\x20\x01l\x01\x20\x01l", 8); // the second is refused
	for (unsigned ms = 0; ms < 4000; ms++) {
		uart_room = 16;
		pass_time(1000000);
	}
	CHECK(channel_text(CONSOLE_LOG));
	CHECK(!strncmp(text, "--- log\n", 8));
	CHECK(strlen(text) == n + 16 && !memcmp(text + 8, kept, n));
	CHECK(!strcmp(text + 8 + n, "--- end\n"));
	CHECK(!strstr(text, "missing"));
	uart_room = ~0ull;
	pass_time(5000000);
	CHECK(list_empty(&pcpus[0]->timers));
}

// What is under way goes out first, in whole frames; no lock is needed.
TEST(panic_in_the_middle)
{
	uart_reset(5);
	log_line("cut after five bytes");
	CHECK_EQ(out_len, 5);
	uart_drips = true;
	console_panic_event("out of luck");
	console_panic_write("PANIC\n", 6);
	CHECK(channel_text(CONSOLE_EVENTS) && !strcmp(text, "panic out of luck\n"));
	CHECK(channel_text(CONSOLE_LOG));
	CHECK(strstr(text, "cut after five bytes\n"));
	CHECK(!strcmp(text + strlen(text) - 6, "PANIC\n"));
}

TEST_MAIN()

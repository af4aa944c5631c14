// SPDX-License-Identifier: MIT
// Tests of the console as people see it.
// link: kernel/core/console.c kernel/core/console_in.c kernel/core/console_out.c kernel/core/log.c
// link: kernel/core/pager.c kernel/core/frame.c kernel/core/timer.c lib/format.c tests/unit/fake/arch.c
#include "tests/unit/console_fake.h"

static void vm_says(unsigned index, const char *name, const char *s)
{
	CHECK_EQ(console_vm_write(index, name, (const u8 *)s, strlen(s)), strlen(s));
}

static void check_out(const char *expected)
{
	pass_time(2000000);
	if (strcmp(out, expected)) {
		fprintf(stderr, "shown: \"%s\", expected \"%s\"\n", out, expected);
		test_failures++;
	}
	uart_reset(~0ull);
}

TEST(start)
{
	console_start(false);
	uart_reset(~0ull);
}

TEST(attached_is_raw)
{
	vm_says(0, "web", "a\x1b[1mb\r\n");
	check_out("a\x1b[1mb\r\n");
}

TEST(others_have_their_names)
{
	vm_says(1, "db", "hello\r\nhalf");
	check_out("db| hello\r\n");
	vm_says(1, "db", " line\n\n\n");
	check_out("db| half line\r\n");
}

TEST(others_cannot_control_the_terminal)
{
	vm_says(1, "db", "\x1b[2Jx\x1b]0;title\x07y\x1bMz\x9b[31m\tq\x01\x7f\n");
	check_out("db| xyz[31m q\r\n");
	vm_says(1, "db", "\x1b]never ends\nfree again\n");
	check_out("db| free again\r\n");
}

TEST(long_lines_are_folded)
{
	char line[401], expected[500];

	memset(line, 'w', 400);
	line[400] = 0;
	vm_says(1, "db", line);
	vm_says(1, "db", "\n");
	snprintf(expected, sizeof(expected), "db| %.160s\r\ndb| %.160s\r\ndb| %.80s\r\n", line,
		line, line);
	check_out(expected);
}

TEST(log_begins_a_line)
{
	fake_now = 1500000000;
	vm_says(0, "web", "login: ");
	log_line("said");
	check_out("login: \r\n[    1.500000] said\r\n");
	console_event("poweroff web");
	check_out("* poweroff web\r\n");
}

TEST(escape_key)
{
	type("ab\x1d\x1d", 4);
	CHECK(typed_len[0] == 3 && !memcmp(typed[0], "ab\x1d", 3));
	vm_says(1, "db", "> ");
	type("\x1dnls\r", 5);
	CHECK_EQ(typed_len[0], 0);
	CHECK(typed_len[1] == 3 && !memcmp(typed[1], "ls\r", 3));
	check_out("db| > \r\n[attached: db]\r\n");
	vm_says(1, "db", "raw\x1b[m\n");
	check_out("raw\x1b[m\n");
	vm_says(0, "web", "now in front\n");
	check_out("web| now in front\r\n");
	type("\x1dnx", 3); // round again
	CHECK(typed_len[0] == 1);
	uart_reset(~0ull);
	type("\x1d?", 2);
	pass_time(2000000);
	CHECK(strstr(out, "key n: attach the next VM\r\n"));
}

TEST(held_back_when_the_line_is_slow)
{
	static char piece[200];
	size_t n, sent = 0;

	memset(piece, '\n', sizeof(piece)); // worst: each a line of its own
	memset(piece, 'x', 20);
	uart_reset(0);
	do {
		n = console_vm_write(1, "db", (const u8 *)piece, sizeof(piece));
		sent += n;
	} while (n == sizeof(piece) && sent < 1 << 20);
	CHECK(sent < 1 << 20);
	uart_room = ~0ull;
	pass_time(20000000);
	CHECK_EQ(room_calls[1], 1);
	log_line("alive");
	pass_time(2000000);
	CHECK(strstr(out, "] alive\r\n"));
	CHECK(!strstr(out, "missing"));
}

TEST(a_number_gets_another_vm)
{
	uart_reset(~0ull);
	vm_says(2, "gone", "half\x1b[");
	vm_says(2, "new", "hello\n");
	check_out("new| hello\r\n");
}

TEST_MAIN()

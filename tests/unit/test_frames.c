// SPDX-License-Identifier: MIT
// The serial line's framing, in any pieces and with any garbage; lines of hostile bytes; events.
// link: mezz/frames.c mezz/lines.c mezz/outcome.c common/util.c
#include "tests/unit/test.h"

#include "mezz/frames.h"
#include "mezz/lines.h"
#include "mezz/outcome.h"

// What came out, as "CHANNEL:bytes;", neighbours on one channel joined.
static struct text seen;
static int seen_channel;

static void record(void *arg, int channel, const uint8_t *bytes, size_t n)
{
	(void)arg;
	CHECK(n > 0);
	if (!seen.length || channel != seen_channel)
		text_print(&seen, "%s%d:", seen.length ? ";" : "", channel);
	seen_channel = channel;
	text_add(&seen, bytes, n);
}

// Decodes bytes in pieces of every size and compares the outcome.
static void decodes(
	int at, const char *bytes, size_t n, const char *expected, size_t expected_length)
{
	for (size_t piece = 1; piece <= n; piece++) {
		struct frames f = {0};

		text_free(&seen);
		for (size_t i = 0; i < n; i += piece)
			frames_decode(&f, (const uint8_t *)bytes + i, n - i < piece ? n - i : piece,
				record, NULL);
		frames_finish(&f, record, NULL);
		if (seen.length == expected_length &&
			memcmp(seen.data, expected, expected_length) == 0)
			continue;
		fprintf(stderr, "test_frames.c:%d: pieces of %zu: '%s'\n", at, piece, seen.data);
		test_failures++;
	}
	text_free(&seen);
}

#define DECODES(bytes, expected)                                                                   \
	decodes(__LINE__, bytes, sizeof(bytes) - 1, expected, sizeof(expected) - 1)

TEST(frames)
{
	DECODES("\x01\x20\x03"
		"log",
		"32:log");
	DECODES("firmware\x01\x21\x04"
		"end\n\x01\x22\x01"
		"a\x01\x22\x02"
		"bc tail",
		"-1:firmware;33:end\n;34:abc;-1: tail");
	DECODES("\x01\x22\x03\x01\x20\x01", "34:\x01\x20\x01"); // frame bytes inside of a frame
	DECODES("\x01\x61\x02\0\n", "97:\0\n");
}

TEST(garbage)
{
	DECODES("\x01", "-1:\x01");
	DECODES("\x01\x20", "-1:\x01\x20");
	DECODES("\x01\x20\x05"
		"abc",
		"-1:\x01\x20\x05"
		"abc");
	DECODES("\x01\x20\x00text", "-1:\x01\x20\x00text"); // no length
	DECODES("\x01\x62\x01x", "-1:\x01\x62\x01x");       // no such channel
	DECODES("\x01\x1fzz", "-1:\x01\x1fzz");
	DECODES("\x01\x01\x01\x20\x01y", "-1:\x01\x01;32:y"); // start bytes before a frame
	DECODES("\x01\x01\x20\x00\x01\x20\x01y", "-1:\x01\x01\x20\x00;32:y");
}

TEST(longest_frame)
{
	uint8_t payload[FRAMES_PAYLOAD], frame[FRAMES_PAYLOAD + FRAMES_HEADER];
	struct frames f = {0};

	for (int i = 0; i < FRAMES_PAYLOAD; i++)
		payload[i] = (uint8_t)i;
	CHECK_EQ(frames_encode(CONSOLE_VM + 63, payload, FRAMES_PAYLOAD, frame), sizeof(frame));
	frames_decode(&f, frame, sizeof(frame), record, NULL);
	CHECK_EQ(seen.length, 3 + FRAMES_PAYLOAD);
	CHECK(memcmp(seen.data, "97:", 3) == 0 &&
		memcmp(seen.data + 3, payload, FRAMES_PAYLOAD) == 0);
	text_free(&seen);
}

static size_t counted;

static void count(void *arg, int channel, const uint8_t *bytes, size_t n)
{
	volatile uint8_t last = bytes[n - 1]; // the sanitizers look at the bounds

	(void)arg, (void)last;
	CHECK(channel == FRAMES_RAW ||
		(channel >= CONSOLE_LOG && channel < CONSOLE_VM + BUNDLE_MAX_VMS));
	counted += n;
}

TEST(random_bytes)
{
	uint8_t bytes[64];
	struct frames f = {0};
	unsigned x = 1;

	for (int round = 0; round < 20000; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			x = x * 1103515245 + 12345;
			bytes[i] = (x >> 16) % 3 ? (uint8_t)(x >> 16) : (x >> 20) % 2 ? 1 : 0x22;
		}
		frames_decode(&f, bytes, 1 + round % 64, count, NULL);
	}
	frames_finish(&f, count, NULL);
	CHECK(counted > 0);
}

// All complete lines of the bytes, each ended by |, then what is left.
static void lines(int at, const char *bytes, const char *expected)
{
	struct line l = {0};
	struct text out = {0};

	for (; *bytes; bytes++) {
		if (!line_add(&l, (uint8_t)*bytes))
			continue;
		text_add(&out, l.text, l.length);
		text_add(&out, "|", 1);
		line_reset(&l);
	}
	text_add(&out, l.text, l.length);
	if (strcmp(out.data, expected) != 0) {
		fprintf(stderr, "test_frames.c:%d: '%s', expected '%s'\n", at, out.data, expected);
		test_failures++;
	}
	text_free(&out);
}

#define LINES(bytes, expected) lines(__LINE__, bytes, expected)

TEST(harmless_lines)
{
	LINES("one\r\ntwo\tx\n", "one|two\tx|");
	LINES("\x1b[2J\x1b[1;31mred\x1b[0m\n", "red|");
	LINES("\x1b]0;title\aafter\x1b]0;x\x1b\\!\n", "after!|");
	LINES("\x1b]0;never ended\nnext\n", "|next|");
	LINES("\x1b(Bset\x1b"
	      "cgone\n",
		"setgone|");
	LINES("a\bb\x7f\x0e"
	      "c\v\f\n",
		"abc|");
	LINES("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xa7\n",
		"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xa7|");
	LINES("\xc2\x9b"
	      "2J\n",
		"2J|"); // CSI as a C1 control character
	LINES("\x9b"
	      "2J\xff\xfe\n",
		"2J|"); // and as a bare byte
	LINES("\xc0\xaf\xe0\x80\xaf\xed\xa0\x80\xf4\x90\x80\x80|\n",
		"||"); // overlong, surrogate, too large
	LINES("a\xe2\x82"
	      "b\xe2\n",
		"ab|"); // cut short
}

TEST(long_lines)
{
	struct line l = {0};
	unsigned cut = 0;

	for (int i = 0; i < 10 * LINE_MAX_BYTES; i++) {
		if (line_add(&l, i % 3 == 0 ? 0xe2 : i % 3 == 1 ? 0x82 : 0xac)) {
			CHECK(l.length <= sizeof(l.text));
			CHECK_EQ(l.length % 3, 0);
			line_reset(&l);
			cut++;
		}
	}
	CHECK_EQ(cut, 9);
}

static void event(struct outcome *o, const char *text, const char *said)
{
	struct text say = {0};

	text_add(&say, "", 0);
	outcome_event(o, text, &say);
	if (strcmp(say.data, said) != 0) {
		fprintf(stderr, "test_frames.c: event '%s' said '%s'\n", text, say.data);
		test_failures++;
	}
	text_free(&say);
}

static int status(const struct outcome *o, const char *said)
{
	struct text say = {0};
	int s;

	text_add(&say, "", 0);
	s = outcome_status(o, &say);
	CHECK(strcmp(say.data, said) == 0);
	text_free(&say);
	return s;
}

static struct config two = {.vm_count = 2, .vms = {{.name = "web", .repeat = 1}, {.name = "db"}}};

TEST(events)
{
	struct outcome o = {.config = &two};

	event(&o, "start web", "");
	event(&o, "start db", "");
	event(&o, "reboot web", "web: rebooted\n");
	event(&o, "poweroff web", "web: powered off\n");
	CHECK(!outcome_gone(&o, 0));
	event(&o, "frames web 100 100", "");
	event(&o, "start web", "web: started again\n");
	event(&o, "exit web 7", "web: exit 7\n");
	CHECK(outcome_gone(&o, 0) && !outcome_gone(&o, 1));
	CHECK_EQ(status(&o, "mezz: the kernel ended without a word about db\n"), STATUS_FAILED);
	event(&o, "poweroff db", "db: powered off\n");
	event(&o, "end", "");
	CHECK(o.ended);
	CHECK_EQ(status(&o, ""), STATUS_OK);
}

TEST(stopped_and_panicked)
{
	struct outcome o = {.config = &two};

	event(&o, "poweroff web", "web: powered off\n");
	event(&o, "stopped db triple fault at rip 0x1234",
		"db: stopped: triple fault at rip 0x1234\n");
	CHECK(outcome_gone(&o, 1));
	event(&o, "end", "");
	CHECK_EQ(status(&o, ""), STATUS_STOPPED);
	event(&o, "panic page fault", "mezzanine: panic: page fault\n");
	CHECK_EQ(status(&o, ""), STATUS_PANIC);
}

// They are in the list of events, and nothing here waits for their end.
TEST(vms_that_the_root_vm_makes)
{
	struct outcome o = {.config = &two};

	event(&o, "start we", "mezz: start we\n");
	event(&o, "stopped we by request", "mezz: stopped we by request\n");
	event(&o, "frames we 5 5", "");
	CHECK(!o.stopped && o.vm[0].phase == VM_WAITING && o.vm[1].phase == VM_WAITING);
}

TEST(no_events)
{
	struct outcome o = {.config = &two};

	event(&o, "", "mezz: unknown event from the kernel: \n");
	event(&o, "start", "mezz: unknown event from the kernel: start\n");
	event(&o, "start ", "mezz: unknown event from the kernel: start \n");
	event(&o, "started web", "mezz: unknown event from the kernel: started web\n");
	event(&o, "ended", "mezz: unknown event from the kernel: ended\n");
	CHECK(!o.ended && !o.panicked && o.vm[0].phase == VM_WAITING);
}

TEST_MAIN()

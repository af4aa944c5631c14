// SPDX-License-Identifier: MIT
// The trace decoder: lines of the log, their order, and names that agree with the kernel's numbers.
// link: mezz/trace.c common/util.c
#include "tests/unit/test.h"

#include "kernel/x86/hvm.h"
#include "mezz/command.h"
#include "mezz/trace.h"

int command_misused(const char *name, const char *fmt, ...)
{
	(void)name, (void)fmt;
	return STATUS_USAGE;
}

TEST(lines)
{
	struct trace_record r;

	CHECK(trace_parse("[    1.25] trace: 1 1f00 1 2 3 ffffffff81000000 6\n", &r));
	CHECK(r.cpu == 1 && r.tsc == 0x1f00 && r.event == TRACE_EXIT && r.vm == 2 && r.vcpu == 3);
	CHECK(r.a == 0xffffffff81000000 && r.b == 6);
	CHECK(trace_parse("trace: 0 0 0 0 0 0 ffffffffffffffff\r\n", &r));
	CHECK(!trace_parse("trace: 0 0 0 0 0 0\n", &r));
	CHECK(!trace_parse("trace: 0 0 0 0 0 0 0 0\n", &r));
	CHECK(!trace_parse("trace: 0 0 10000 0 0 0 0\n", &r));
	CHECK(!trace_parse("trace: 0 0 0 0 0 0 10000000000000000\n", &r));
	CHECK(!trace_parse("trace: 0 -1 0 0 0 0 0\n", &r));
	CHECK(!trace_parse("a trace of something\n", &r));
	CHECK(!trace_parse("", &r));
}

TEST(order)
{
	struct trace_record r[4] = {{.tsc = 9}, {.tsc = 3, .cpu = 1}, {.tsc = 9}, {.tsc = 3}};

	CHECK_EQ(trace_sort(r, 4), 3);
	CHECK(r[0].tsc == 3 && r[1].tsc == 3 && r[0].cpu != r[1].cpu && r[2].tsc == 9);
	CHECK_EQ(trace_sort(NULL, 0), 0);
}

static void prints(struct trace_record r, const char *expected)
{
	struct text out = {0};

	trace_print(&out, &r, 100);
	if (strcmp(out.data, expected) != 0) {
		fprintf(stderr, "'%s', expected '%s'\n", out.data, expected);
		test_failures++;
	}
	text_free(&out);
}

TEST(details)
{
	prints((struct trace_record){.tsc = 350,
		       .event = TRACE_IO,
		       .vm = 1,
		       .a = 0x3f8 | 1 << 16 | 1 << 24,
		       .b = 65},
		"         250 cpu0   1.0  io        out port 03f8 size 1 value 41\n");
	prints((struct trace_record){.tsc = 100, .event = TRACE_EXIT, .a = 0x1000, .b = EXIT_CPUID},
		"           0 cpu0   0.0  exit      rip 1000 cpuid\n");
	prints((struct trace_record){.tsc = 100, .event = TRACE_EXIT, .b = 999},
		"           0 cpu0   0.0  exit      rip 0 reason 999\n");
	prints(
		(struct trace_record){
			.tsc = 100, .event = TRACE_MSR, .a = 1ull << 32 | 0x1b, .b = 2},
		"           0 cpu0   0.0  msr       write msr 0000001b value 2\n");
	prints((struct trace_record){.tsc = 100, .event = 77, .a = 1, .b = 2},
		"           0 cpu0   0.0  event-77  1 2\n");
}

TEST(names_agree_with_the_kernel)
{
	static const struct {
		enum exit_reason reason;
		const char *name;
	} known[] = {{EXIT_INTERRUPT, "interrupt"}, {EXIT_NMI, "nmi"},
		{EXIT_IRQ_WINDOW, "irq-window"}, {EXIT_NMI_WINDOW, "nmi-window"},
		{EXIT_GMAP_FAULT, "gmap-fault"}, {EXIT_IO, "io"}, {EXIT_CPUID, "cpuid"},
		{EXIT_RDMSR, "rdmsr"}, {EXIT_WRMSR, "wrmsr"}, {EXIT_HYPERCALL, "hypercall"},
		{EXIT_HLT, "hlt"}, {EXIT_PAUSE, "pause"}, {EXIT_CR8_WRITE, "cr8-write"},
		{EXIT_XSETBV, "xsetbv"}, {EXIT_WBINVD, "wbinvd"}, {EXIT_UNDEFINED, "undefined"},
		{EXIT_PROTECTION, "protection"}, {EXIT_EXCEPTION, "exception"},
		{EXIT_TRIPLE_FAULT, "triple-fault"}, {EXIT_INIT, "init"}, {EXIT_INVALID, "invalid"},
		{EXIT_UNKNOWN, "unknown"}};

	CHECK_EQ(sizeof(known) / sizeof(known[0]), EXIT_REASONS);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const char *name = trace_exit_name(known[i].reason);

		CHECK(name && strcmp(name, known[i].name) == 0);
	}
	CHECK(trace_exit_name(EXIT_REASONS) == NULL);
}

TEST_MAIN()

// SPDX-License-Identifier: MIT
// Decodes the kernel's trace (abi/trace.h) from its log; the subcommand trace.
#include "mezz/trace.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mezz/command.h"

static const char *const event_names[TRACE_EVENTS] = {
	[TRACE_ENTER] = "enter",
	[TRACE_EXIT] = "exit",
	[TRACE_IO] = "io",
	[TRACE_MMIO] = "mmio",
	[TRACE_MSR] = "msr",
	[TRACE_INJECT] = "inject",
	[TRACE_IRQ] = "irq",
	[TRACE_SCHED] = "sched",
	[TRACE_FAULT] = "fault",
	[TRACE_HYPERCALL] = "hypercall",
};

static const char *const exit_names[] = {"interrupt", "nmi", "irq-window", "nmi-window",
	"gmap-fault", "io", "cpuid", "rdmsr", "wrmsr", "hypercall", "hlt", "pause", "cr8-write",
	"xsetbv", "wbinvd", "undefined", "protection", "exception", "triple-fault", "init",
	"invalid", "unknown"};

const char *trace_exit_name(u64 reason)
{
	return reason < sizeof(exit_names) / sizeof(exit_names[0]) ? exit_names[reason] : NULL;
}

// The seven numbers of a line, each after one space and ended by a space or the line's end.
static bool read_numbers(const char *p, u64 *out, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		size_t digits = strspn(p, "0123456789abcdef");

		if (!digits || digits > 16)
			return false;
		out[i] = strtoull(p, NULL, 16);
		p += digits;
		if (i + 1 < count && *p++ != ' ')
			return false;
	}
	return *p == '\0' || *p == '\n' || *p == '\r';
}

bool trace_parse(const char *line, struct trace_record *out)
{
	static const char mark[] = "trace: ";
	const char *p = strstr(line, mark);
	u64 n[7];

	if (!p || !read_numbers(p + sizeof(mark) - 1, n, 7))
		return false;
	if (n[0] > UINT16_MAX || n[2] > UINT16_MAX || n[3] > UINT16_MAX || n[4] > UINT16_MAX)
		return false;
	*out = (struct trace_record){.cpu = (u16)n[0],
		.tsc = n[1],
		.event = (u16)n[2],
		.vm = (u16)n[3],
		.vcpu = (u16)n[4],
		.a = n[5],
		.b = n[6]};
	return true;
}

// By time, then by everything else, so that equal records stand beside each other.
static int compare(const void *a, const void *b)
{
	const struct trace_record *x = a, *y = b;

	if (x->tsc != y->tsc)
		return x->tsc < y->tsc ? -1 : 1;
	return memcmp(x, y, sizeof(*x));
}

size_t trace_sort(struct trace_record *records, size_t count)
{
	size_t left = 0;

	if (count)
		qsort(records, count, sizeof(*records), compare);
	for (size_t i = 0; i < count; i++)
		if (!left || memcmp(&records[left - 1], &records[i], sizeof(records[i])) != 0)
			records[left++] = records[i];
	return left;
}

#define N(x) ((unsigned long long)(x))

static void print_details(struct text *out, const struct trace_record *r)
{
	const char *name;

	switch (r->event) {
	case TRACE_ENTER:
		text_print(out, "rip %llx event %llx", N(r->a), N(r->b));
		break;
	case TRACE_EXIT:
		name = trace_exit_name(r->b);
		text_print(out, "rip %llx ", N(r->a));
		if (name)
			text_print(out, "%s", name);
		else
			text_print(out, "reason %llu", N(r->b));
		break;
	case TRACE_IO:
		text_print(out, "%s port %04llx size %llu value %llx",
			r->a >> 24 & 1 ? "out" : "in", N(r->a & 0xffff), N(r->a >> 16 & 0xff),
			N(r->b));
		break;
	case TRACE_MSR:
		text_print(out, "%s msr %08llx value %llx", r->a >> 32 & 1 ? "write" : "read",
			N(r->a & 0xffffffff), N(r->b));
		break;
	case TRACE_MMIO:
		text_print(out, "address %llx value %llx", N(r->a), N(r->b));
		break;
	case TRACE_INJECT:
		text_print(out, "vector %02llx", N(r->a));
		break;
	case TRACE_IRQ:
		text_print(out, "destination %llx vector %02llx mode %llx", N(r->a), N(r->b & 0xff),
			N(r->b >> 8));
		break;
	case TRACE_SCHED:
		text_print(out, "state %llu to %llu", N(r->a), N(r->b));
		break;
	case TRACE_FAULT:
		text_print(out, "address %llx access %llx", N(r->a), N(r->b));
		break;
	case TRACE_HYPERCALL:
		text_print(out, "number %llx result %llx", N(r->a), N(r->b));
		break;
	default:
		text_print(out, "%llx %llx", N(r->a), N(r->b));
		break;
	}
}

void trace_print(struct text *out, const struct trace_record *r, u64 origin)
{
	text_print(out, "%12llu cpu%-2u %2u.%-2u ", N(r->tsc - origin), r->cpu, r->vm, r->vcpu);
	if (r->event < TRACE_EVENTS)
		text_print(out, "%-9s ", event_names[r->event]);
	else
		text_print(out, "event-%-3u ", r->event);
	print_details(out, r);
	text_add(out, "\n", 1);
}

// All records of the file; the caller frees them. False after a complaint.
static bool read_records(const char *path, struct trace_record **records, size_t *count)
{
	FILE *file = fopen(path, "re");
	size_t room = 0, line_room = 0;
	char *line = NULL;
	bool ok;

	*records = NULL;
	*count = 0;
	if (!file) {
		complain("%s: %s", path, strerror(errno));
		return false;
	}
	while (getline(&line, &line_room, file) >= 0) {
		struct trace_record r;

		if (!trace_parse(line, &r))
			continue;
		if (*count == room) {
			room = room ? room * 2 : 1024;
			*records = reallocate(*records, room * sizeof(r));
		}
		(*records)[(*count)++] = r;
	}
	ok = !ferror(file);
	if (!ok)
		complain("%s: %s", path, strerror(errno));
	free(line);
	fclose(file);
	return ok;
}

int command_trace(int argc, char **argv)
{
	struct trace_record *records;
	struct text out = {0};
	size_t count;
	bool ok;

	if (argc != 2 || argv[1][0] == '-')
		return command_misused(argv[0], "expected the kernel's log file");
	ok = read_records(argv[1], &records, &count);
	if (ok && !count) {
		complain("%s: no trace in it", argv[1]);
		ok = false;
	}
	count = trace_sort(records, count);
	for (size_t i = 0; i < count; i++)
		trace_print(&out, &records[i], records[0].tsc);
	if (ok && write_all(STDOUT_FILENO, out.data, out.length) != 0)
		ok = false;
	text_free(&out);
	free(records);
	return ok ? STATUS_OK : STATUS_FAILED;
}

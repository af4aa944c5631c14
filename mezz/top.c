// SPDX-License-Identifier: MIT
// mezz top: who uses the processors, and why VMs leave the guest; live, in the root VM.
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mezz/command.h"
#include "common/device.h"
#include "mezz/show.h"
#include "common/util.h"
#include "common/vm_json.h"

#define CAUSES_SHOWN 4

// All that was told at a moment.
struct look {
	struct mezz_host host;
	struct mezz_vm *vms;
	size_t count;
};

static bool take_look(struct look *l)
{
	if (!device_host(&l->host))
		return false;
	l->vms = device_vms(&l->count);
	return l->vms;
}

static const struct mezz_vm *same(const struct look *l, const struct mezz_vm *vm)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->vms[i].id == vm->id && strcmp(l->vms[i].name, vm->name) == 0)
			return &l->vms[i];
	return NULL;
}

// A number that began again with a new VM of that name counts from 0.
static u64 since(u64 now, u64 before)
{
	return now >= before ? now - before : now;
}

// The causes of most exits since then, by their number in a second.
static void print_causes(const struct mezz_vm *vm, const struct mezz_vm *before, double seconds)
{
	u64 counts[MEZZ_CAUSES];

	for (u32 i = 0; i < vm->causes; i++)
		counts[i] = since(vm->cause[i].count, before->cause[i].count);
	for (int n = 0; n < CAUSES_SHOWN; n++) {
		u32 most = 0;

		for (u32 i = 1; i < vm->causes; i++)
			if (counts[i] > counts[most])
				most = i;
		if (!vm->causes || !counts[most])
			return;
		printf(" %s %.0f", vm->cause[most].name, (double)counts[most] / seconds);
		counts[most] = 0;
	}
}

static void print_vm(const struct mezz_vm *vm, const struct mezz_vm *before, double ns)
{
	printf("%-4u %-20.20s %-8s %6.1f %6.1f %10s %9.0f ", vm->id, vm->name, vm_state_name(vm),
		100 * (double)since(vm->processor_time, before->processor_time) / ns,
		100 * (double)since(vm->steal_time, before->steal_time) / ns,
		show_bytes(vm->populated), (double)since(vm->exits, before->exits) / (ns / 1e9));
	print_causes(vm, before, ns / 1e9);
	putchar('\n');
}

static void print_look(const struct look *l, const struct look *before)
{
	static const struct mezz_vm nothing;
	double ns = (double)(l->host.uptime - before->host.uptime);

	ns = ns > 0 ? ns : 1;
	printf("up %s, %u VMs, CPUs %u, idle %.1f %%, memory %s free of %s\n",
		show_time(l->host.uptime), l->host.vms, l->host.vm_cpus,
		100 * (double)since(l->host.idle, before->host.idle) / ns /
			(l->host.vm_cpus ? l->host.vm_cpus : 1),
		show_bytes(l->host.free_memory), show_bytes(l->host.memory));
	printf("%-4s %-20s %-8s %6s %6s %10s %9s  %s\n", "ID", "NAME", "STATE", "CPU %", "WAIT %",
		"TOUCHED", "EXITS/S", "MOST OF THEM");
	for (size_t i = 0; i < l->count; i++) {
		const struct mezz_vm *was = same(before, &l->vms[i]);

		print_vm(&l->vms[i], was ? was : &nothing, ns);
	}
	fflush(stdout);
}

static bool take_number(const char *word, long least, long most, long *out)
{
	char *rest;

	*out = strtol(word, &rest, 10);
	return rest != word && !*rest && *out >= least && *out <= most;
}

static int show(long seconds, long rounds)
{
	bool terminal = isatty(STDOUT_FILENO);
	struct look before, now;

	if (!take_look(&before))
		return STATUS_FAILED;
	for (long n = 0; !rounds || n < rounds; n++) {
		poll(NULL, 0, (int)seconds * 1000);
		if (!take_look(&now)) {
			free(before.vms);
			return STATUS_FAILED;
		}
		if (terminal && !rounds)
			printf("\033[H\033[2J");
		print_look(&now, &before);
		free(before.vms);
		before = now;
	}
	free(before.vms);
	return STATUS_OK;
}

int command_top(int argc, char **argv)
{
	long seconds = 2, rounds = 0;
	int c;

	while ((c = getopt(argc, argv, "d:n:")) != -1) {
		if (c == 'd' && take_number(optarg, 1, 3600, &seconds))
			continue;
		if (c == 'n' && take_number(optarg, 1, 1000000, &rounds))
			continue;
		return command_misused(
			"top", c == '?' ? "unknown option" : "-%c: expected a number", c);
	}
	if (optind != argc)
		return command_misused("top", "expected no more words");
	return device_open() ? show(seconds, rounds) : STATUS_FAILED;
}

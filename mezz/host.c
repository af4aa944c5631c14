// SPDX-License-Identifier: MIT
// mezz host, mezz log: the machine and the kernel's log, in the root VM.
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mezz/command.h"
#include "common/device.h"
#include "mezz/show.h"
#include "common/util.h"
#include "common/vm_json.h"

#define FOLLOW_MS 500

static void print_json(const struct mezz_host *h)
{
	show_json(host_json(h));
}

static void print_words(const struct mezz_host *h)
{
	printf("model      %s\n", h->model);
	printf("CPUs       %u, of which %u run VMs\n", h->cpus, h->vm_cpus);
	printf("VMs        %u\n", h->vms);
	printf("memory     %s, of which %s free; the kernel's own %s\n", show_bytes(h->memory),
		show_bytes(h->free_memory), show_bytes(h->kernel_memory));
	printf("up         %s; CPUs idle %s\n", show_time(h->uptime), show_time(h->idle));
}

int command_host(int argc, char **argv)
{
	struct mezz_host h;
	bool json = false;
	int c;

	while ((c = getopt(argc, argv, "o:")) != -1)
		if (c != 'o' || !show_option(optarg, &json))
			return command_misused(
				"host", c == 'o' ? "-o: expected json or text" : "unknown option");
	if (optind != argc - 1 || strcmp(argv[optind], "info") != 0)
		return command_misused("host", "expected info");
	if (!device_open() || !device_host(&h))
		return STATUS_FAILED;
	h.model[sizeof(h.model) - 1] = 0;
	(json ? print_json : print_words)(&h);
	return STATUS_OK;
}

int command_log(int argc, char **argv)
{
	struct mezz_log log = {.position = 0};
	bool follow = false;
	int c;

	while ((c = getopt(argc, argv, "f")) != -1) {
		if (c != 'f')
			return command_misused("log", "unknown option");
		follow = true;
	}
	if (optind != argc)
		return command_misused("log", "expected no more words");
	if (!device_open())
		return STATUS_FAILED;
	for (;;) {
		if (!device_log(log.position, &log))
			return STATUS_FAILED;
		if (log.size > sizeof(log.text) || write_all(STDOUT_FILENO, log.text, log.size))
			return STATUS_FAILED;
		if (!log.size && !follow)
			return STATUS_OK;
		if (!log.size)
			poll(NULL, 0, FOLLOW_MS);
	}
}

// SPDX-License-Identifier: MIT
// mezz, the command line: the table of its subcommands.
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "mezz/command.h"
#include "common/util.h"

static int command_help(int argc, char **argv);

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage; // its words; further lines begin with a tab
	const char *purpose;
} commands[] = {
	{"bundle", command_bundle, "-o FILE CONFIG", "write the boot bundle of a configuration"},
	{"iso", command_iso, "[--model micro|mono] [--kernel-args TEXT] -o FILE CONFIG",
		"write a bootable image (BIOS and UEFI, CD and disk)"},
	{"run", command_run,
		"[--model micro|mono] [--boot pvh|bios|uefi] [--cpus N] [--memory SIZE] [--cpu MODEL]\n"
		"\t[--disk [KIND:]FILE] [--snapshot] [--nic KIND] [--forward PORT:ADDRESS:PORT]\n"
		"\t[--kernel-args TEXT] [--log DIR] [--timeout SECONDS] [--stop-timeout SECONDS]\n"
		"\t[--attach NAME | --no-attach] [--verbose] [--gdb] [--qemu-args WORDS] [--dry-run] CONFIG",
		"run the VMs of a configuration on an emulated machine"},
	{"trace", command_trace, "LOG", "decode the trace in a kernel log"},
	{"vm", command_vm,
		"list [-o json] | info [-o json] NAME...\n"
		"\tcreate FILE... | delete NAME... | start NAME... | pause NAME... | resume NAME...\n"
		"\tstop [--force] [--timeout SECONDS] NAME... | restart [--force] [--timeout SECONDS] NAME...\n"
		"\tconsole [--once] NAME",
		"define, start, show and stop the VMs of this machine (in the root VM)"},
	{"host", command_host, "info [-o json]", "tell what the machine has (in the root VM)"},
	{"log", command_log, "[-f]", "show the kernel's log; -f: go on (in the root VM)"},
	{"top", command_top, "[-d SECONDS] [-n ROUNDS]",
		"show who uses the processors (in the root VM)"},
	{"help", command_help, "[COMMAND]", "tell how a command is used"},
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void print_usage(FILE *out, const struct command *c)
{
	fprintf(out, "usage: mezz %s %s\n", c->name, c->usage);
}

static void print_commands(FILE *out)
{
	fputs("usage: mezz COMMAND ...\n", out);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].purpose);
	fputs("`mezz help COMMAND` tells more, mezz(1) tells all.\n", out);
}

int command_misused(const char *name, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "mezz %s: ", name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	print_usage(stderr, find(name));
	return STATUS_USAGE;
}

bool command_config(int argc, char **argv, struct config *config)
{
	char error[CONFIG_ERROR_MAX];

	if (optind != argc - 1) {
		command_misused(argv[0], "expected one configuration file");
		return false;
	}
	if (config_load(argv[optind], config, error))
		return true;
	fprintf(stderr, "%s\n", error);
	return false;
}

bool command_is_model(const char *text)
{
	return strcmp(text, "micro") == 0 || strcmp(text, "mono") == 0;
}

static int command_help(int argc, char **argv)
{
	const struct command *c = argc == 2 ? find(argv[1]) : NULL;

	if (argc > 2 || (argc == 2 && !c))
		return command_misused("help", "expected a command");
	if (c)
		print_usage(stdout, c);
	else
		print_commands(stdout);
	return STATUS_OK;
}

int main(int argc, char **argv)
{
	const struct command *c;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); // neither this nor what it starts gains rights
	if (argc < 2) {
		print_commands(stderr);
		return STATUS_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("mezz " MEZZ_VERSION);
		return STATUS_OK;
	}
	c = find(strcmp(argv[1], "--help") == 0 ? "help" : argv[1]);
	if (!c) {
		complain("unknown command '%s'", argv[1]);
		print_commands(stderr);
		return STATUS_USAGE;
	}
	return c->run(argc - 1, argv + 1);
}

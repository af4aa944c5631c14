// SPDX-License-Identifier: MIT
// rigtool, the one static program of the rig:
//	as PID 1                   the guest's init, see init.c
//	rigtool netserver IP PORT  answers the guest's network tests (host side)
//	rigtool ts HOOK CMD...     runs CMD, each output line with the host's CLOCK_MONOTONIC in front; runs HOOK
//	                           at the line "BENCH hold"
//	rigtool stamp WORD         prints "RIG WORD <monotonic ns>"
//	rigtool blk DEV SCALE      only the block tests, on DEV (host reference)
//	rigtool cpu SCALE          only the CPU tests (host reference)
// Only the kernel's own interfaces are used; no library but libc.
#define _GNU_SOURCE
#include "init.h"
#include "measure.h"
#include "tests.h"
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void call_hook(const char *hook)
{
	if (strcmp(hook, "-") && fork() == 0) {
		execl(hook, hook, (char *)0);
		_exit(127);
	}
}

// Hands on each line that is not empty, with the time in front of it.
static void stamp_lines(FILE *f, const char *hook)
{
	char line[4096];
	int first = 1;

	while (fgets(line, sizeof(line), f)) {
		unsigned long long t = now_ns();
		const char *text = line + strspn(line, "\r ");

		for (size_t n = strlen(line); n && (line[n - 1] == '\n' || line[n - 1] == '\r');
			n--)
			line[n - 1] = 0;
		if (!*text)
			continue;
		if (first)
			printf("RIG first_line %llu\n", t);
		first = 0;
		printf("G %llu %s\n", t, text);
		fflush(stdout);
		if (strstr(text, "BENCH hold"))
			call_hook(hook);
		if (strstr(text, "BENCH end"))
			printf("RIG guest_end %llu\n", t);
		fflush(stdout);
	}
}

static int run_stamped(const char *hook, char **command)
{
	int p[2], status = 0;
	pid_t child;

	if (pipe(p))
		return 2;
	child = fork();
	if (child == 0) {
		dup2(p[1], 1);
		dup2(p[1], 2);
		close(p[0]);
		close(p[1]);
		execvp(command[0], command);
		perror(command[0]);
		_exit(127);
	}
	close(p[1]);
	stamp_lines(fdopen(p[0], "r"), hook);
	waitpid(child, &status, 0);
	printf("RIG guest_gone %llu\n", (unsigned long long)now_ns());
	printf("RIG exit_status %d\n", status);
	return 0;
}

static int host_reference(const char *scale, const char *disk)
{
	measure_setup("hostref_", atoi(scale));
	measure_calibrate();
	if (disk)
		block_tests(disk);
	else
		cpu_tests();
	return 0;
}

int main(int argc, char **argv)
{
	if (getpid() == 1) // the kernel hands words that it does not know on to init
		return guest_init();
	if (argc >= 4 && !strcmp(argv[1], "netserver"))
		return net_server(argv[2], atoi(argv[3]));
	if (argc >= 4 && !strcmp(argv[1], "ts"))
		return run_stamped(argv[2], argv + 3);
	if (argc >= 3 && !strcmp(argv[1], "stamp")) {
		printf("RIG %s %llu\n", argv[2], (unsigned long long)now_ns());
		return 0;
	}
	if (argc >= 4 && !strcmp(argv[1], "blk"))
		return host_reference(argv[3], argv[2]);
	if (argc >= 3 && !strcmp(argv[1], "cpu"))
		return host_reference(argv[2], NULL);
	fprintf(stderr, "usage: rigtool netserver|ts|stamp|blk|cpu ...\n");
	return 2;
}

// SPDX-License-Identifier: MIT
// The subcommand run: its options, the machine they make, and what it is started with.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "config/bundle.h"
#include "mezz/command.h"
#include "mezz/iso.h"
#include "mezz/machine.h"
#include "common/save.h"
#include "mezz/session.h"
#include "mezz/terminal.h"
#include "common/util.h"

#define CPUS_DEFAULT 2
#define CPU_DEFAULT  "EPYC,+svm,+npt"
#define TIMEOUT_MAX  10000000 // seconds

#define STOP_DEFAULT_MS 60000

struct run {
	struct config config;
	struct machine machine;
	struct session_options session;
	const char *attach;
	bool dry;
};

enum {
	MODEL = 256,
	BOOT,
	CPUS,
	MEMORY,
	CPU,
	KERNEL_ARGS,
	LOG,
	TIMEOUT,
	ATTACH,
	STOP_TIMEOUT,
	DISK,
	NIC,
	FORWARD,
	SNAPSHOT,
	NO_ATTACH,
	VERBOSE,
	GDB,
	QEMU_ARGS,
	DRY
};

static const struct option longs[] = {
	{"model", required_argument, NULL, MODEL},
	{"boot", required_argument, NULL, BOOT},
	{"cpus", required_argument, NULL, CPUS},
	{"memory", required_argument, NULL, MEMORY},
	{"cpu", required_argument, NULL, CPU},
	{"kernel-args", required_argument, NULL, KERNEL_ARGS},
	{"log", required_argument, NULL, LOG},
	{"timeout", required_argument, NULL, TIMEOUT},
	{"attach", required_argument, NULL, ATTACH},
	{"stop-timeout", required_argument, NULL, STOP_TIMEOUT},
	{"disk", required_argument, NULL, DISK},
	{"nic", required_argument, NULL, NIC},
	{"forward", required_argument, NULL, FORWARD},
	{"snapshot", no_argument, NULL, SNAPSHOT},
	{"no-attach", no_argument, NULL, NO_ATTACH},
	{"verbose", no_argument, NULL, VERBOSE},
	{"gdb", no_argument, NULL, GDB},
	{"qemu-args", required_argument, NULL, QEMU_ARGS},
	{"dry-run", no_argument, NULL, DRY},
	{0},
};

static bool read_boot(const char *text, enum machine_boot *out)
{
	static const char *const names[] = {"pvh", "bios", "uefi"};

	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(names[i], text) != 0)
			continue;
		*out = (enum machine_boot)i;
		return true;
	}
	return false;
}

// One option with its value; returns what was expected, or NULL when it was right.
static const char *read_option(struct run *r, int option, const char *value)
{
	uint64_t number;

	switch (option) {
	case MODEL:
		r->machine.model = value;
		return command_is_model(value) ? NULL : "micro or mono";
	case BOOT:
		return read_boot(value, &r->machine.boot) ? NULL : "pvh, bios or uefi";
	case CPUS:
		if (!parse_number(value, 1, CONFIG_CPUS_MAX, &number))
			return "a number from 1 to 64";
		r->machine.cpus = (unsigned)number;
		return NULL;
	case MEMORY:
		if (!parse_size(value, &number) || number % CONFIG_MEMORY_MIN ||
			number < 64 * CONFIG_MEMORY_MIN)
			return "a multiple of 1MiB, at least 64MiB";
		r->machine.memory = number;
		return NULL;
	case CPU:
		r->machine.cpu = value;
		return *value ? NULL : "a CPU model of QEMU's";
	case KERNEL_ARGS:
		r->machine.kernel_args = value;
		return NULL;
	case LOG:
		r->session.log_folder = value;
		return *value ? NULL : "a folder";
	case TIMEOUT:
		if (!parse_number(value, 1, TIMEOUT_MAX, &number))
			return "a number of seconds";
		r->session.timeout_ms = (int64_t)number * 1000;
		return NULL;
	case ATTACH:
		r->attach = value;
		return NULL;
	case STOP_TIMEOUT:
		if (!parse_number(value, 0, TIMEOUT_MAX, &number))
			return "a number of seconds";
		r->session.stop_ms = (int64_t)number * 1000;
		return NULL;
	case DISK:
		return hardware_add_disk(&r->machine.hardware, value);
	case NIC:
		return hardware_add_nic(&r->machine.hardware, value);
	case FORWARD:
		return hardware_add_forward(&r->machine.hardware, value);
	case QEMU_ARGS:
		return words_split(&r->machine.more, value) ? NULL : "words with closed quotes";
	default:
		if (option == NO_ATTACH)
			r->session.attached = TERMINAL_NOBODY;
		r->machine.hardware.snapshot |= option == SNAPSHOT;
		r->session.verbose |= option == VERBOSE;
		r->machine.gdb |= option == GDB;
		r->dry |= option == DRY;
		return NULL;
	}
}

static bool find_attached(struct run *r)
{
	for (unsigned i = 0; r->attach && i < r->config.vm_count; i++) {
		if (strcmp(r->config.vms[i].name, r->attach) != 0)
			continue;
		r->session.attached = i;
		return true;
	}
	return !r->attach;
}

static int read_options(int argc, char **argv, struct run *r)
{
	int c;

	r->machine = (struct machine){
		.model = "micro", .cpu = CPU_DEFAULT, .cpus = CPUS_DEFAULT, .kernel_args = ""};
	r->session.config = &r->config;
	r->session.stop_ms = STOP_DEFAULT_MS;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		const char *expected;

		if (c == '?' || c == ':')
			return command_misused(argv[0], "%s '%s'",
				c == ':' ? "no value after" : "unknown option", argv[optind - 1]);
		expected = read_option(r, c, optarg);
		if (expected)
			return command_misused(argv[0], "--%s '%s', expected %s",
				longs[c - MODEL].name, optarg, expected);
	}
	if (!command_config(argc, argv, &r->config))
		return STATUS_USAGE;
	if (!find_attached(r))
		return command_misused(argv[0], "--attach '%s', expected a VM's name", r->attach);
	return STATUS_OK;
}

// A command line for a shell: first what makes the image, then the emulator with the line on its terminal.
static int print_dry(
	const struct run *r, const char *kernel, const char *config_path, uint64_t bundle_size)
{
	const struct machine *m = &r->machine;
	bool pvh = m->boot == BOOT_PVH;
	struct machine_parts parts = {.kernel = kernel,
		.image = pvh ? "mezz.bundle" : "mezz.iso",
		.line = "stdio,id=line"};
	struct words make = {0},
		     qemu = machine_words(m, &parts, machine_memory(m, &r->config, bundle_size));
	char *args = machine_kernel_args(m), *line;

	words_add(&make, "mezz");
	words_add(&make, pvh ? "bundle" : "iso");
	if (!pvh) {
		words_print(&make, "--model=%s", m->model);
		words_print(&make, "--kernel-args=%s", args);
	}
	words_add(&make, "-o");
	words_add(&make, parts.image);
	words_add(&make, config_path);
	line = words_quote(&make);
	puts(line);
	free(line);
	line = words_quote(&qemu);
	puts(line);
	free(line);
	free(args);
	words_free(&make);
	words_free(&qemu);
	return STATUS_OK;
}

// An open ISO image without a name; -1 after a complaint.
static int make_image(const struct run *r, const char *kernel)
{
	char *folder = scratch_make(), *args = machine_kernel_args(&r->machine), *image;
	int fd = -1;

	if (folder && iso_make(&r->config, kernel, args, folder, &image)) {
		fd = open(image, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			complain("%s: %s", image, strerror(errno));
		free(image);
	}
	if (folder)
		scratch_remove(folder);
	free(folder);
	free(args);
	return fd;
}

// The bundle in memory, without a name; -1 after a complaint.
static int make_bundle(const struct run *r, int64_t *size)
{
	int fd = memfd_create("bundle", MFD_CLOEXEC);

	if (fd < 0)
		complain("the bundle's memory: %s", strerror(errno));
	*size = fd < 0 ? -1 : bundle_write(&r->config, fd);
	if (*size < 0 && fd >= 0)
		close(fd);
	return *size < 0 ? -1 : fd;
}

static int run_machine(const struct run *r, const char *kernel, int image, uint64_t bundle_size)
{
	char *line = print_text("socket,id=line,fd=%d", SESSION_LINE_FD);
	char *qmp = print_text("socket,id=qmp,fd=%d", SESSION_QMP_FD);
	char *path = print_text("/dev/fd/%d", SESSION_IMAGE_FD);
	struct machine_parts parts = {.kernel = kernel, .image = path, .line = line, .qmp = qmp};
	struct words argv = machine_words(
		&r->machine, &parts, machine_memory(&r->machine, &r->config, bundle_size));
	int status = session_run(&r->session, &argv, image);

	words_free(&argv);
	free(path);
	free(qmp);
	free(line);
	return status;
}

int command_run(int argc, char **argv)
{
	static struct run r;
	int status = read_options(argc, argv, &r), image;
	int64_t size;
	char *kernel;

	if (status != STATUS_OK)
		return status;
	kernel = machine_kernel(r.machine.model);
	if (!kernel)
		return STATUS_FAILED;
	image = make_bundle(&r, &size);
	if (image >= 0 && !r.dry && r.machine.boot != BOOT_PVH) {
		close(image);
		image = make_image(&r, kernel);
	}
	if (image < 0)
		status = STATUS_FAILED;
	else if (r.dry)
		status = print_dry(&r, kernel, argv[optind], (uint64_t)size);
	else
		status = run_machine(&r, kernel, image, (uint64_t)size);
	if (image >= 0)
		close(image);
	free(kernel);
	words_free(&r.machine.more);
	config_free(&r.config);
	return status;
}

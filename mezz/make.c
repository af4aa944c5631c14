// SPDX-License-Identifier: MIT
// The subcommands that write files: bundle and iso.
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "config/bundle.h"
#include "mezz/command.h"
#include "mezz/iso.h"
#include "mezz/machine.h"
#include "common/save.h"
#include "common/util.h"

struct make_options {
	const char *output, *model, *kernel_args;
};

// The options of both commands; bundle has only -o. Returns STATUS_OK or STATUS_USAGE.
static int read_options(int argc, char **argv, const struct option *longs, struct make_options *o)
{
	int c;

	*o = (struct make_options){.model = "micro", .kernel_args = ""};
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":o:", longs, NULL)) != -1) {
		if (c == 'o')
			o->output = optarg;
		else if (c == 'm' && command_is_model(optarg))
			o->model = optarg;
		else if (c == 'm')
			return command_misused(
				argv[0], "--model '%s', expected micro or mono", optarg);
		else if (c == 'k')
			o->kernel_args = optarg;
		else
			return command_misused(argv[0], "%s '%s'",
				c == ':' ? "no value after" : "unknown option", argv[optind - 1]);
	}
	if (!o->output)
		return command_misused(argv[0], "no output file, expected -o FILE");
	return STATUS_OK;
}

int command_bundle(int argc, char **argv)
{
	static const struct option longs[] = {{0}};
	struct make_options o;
	struct config config;
	bool ok;

	if (read_options(argc, argv, longs, &o) != STATUS_OK ||
		!command_config(argc, argv, &config))
		return STATUS_USAGE;
	ok = bundle_save(&config, o.output);
	config_free(&config);
	return ok ? STATUS_OK : STATUS_FAILED;
}

static bool make_iso(const struct make_options *o, const struct config *config)
{
	char *kernel = machine_kernel(o->model), *folder, *image;
	bool ok;

	if (!kernel)
		return false;
	folder = scratch_make();
	ok = folder && iso_make(config, kernel, o->kernel_args, folder, &image);
	if (ok) {
		ok = save_copy(image, o->output);
		free(image);
	}
	if (folder)
		scratch_remove(folder);
	free(folder);
	free(kernel);
	return ok;
}

int command_iso(int argc, char **argv)
{
	static const struct option longs[] = {{"model", required_argument, NULL, 'm'},
		{"kernel-args", required_argument, NULL, 'k'}, {0}};
	struct make_options o;
	struct config config;
	bool ok;

	if (read_options(argc, argv, longs, &o) != STATUS_OK ||
		!command_config(argc, argv, &config))
		return STATUS_USAGE;
	ok = make_iso(&o, &config);
	config_free(&config);
	return ok ? STATUS_OK : STATUS_FAILED;
}

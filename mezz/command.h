// SPDX-License-Identifier: MIT
// The subcommands and what they share. Each takes its own words (argv[0] is its name) and returns the exit
// status; a usage error has been told when it is STATUS_USAGE.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

#define MEZZ_VERSION "0.2"

int command_bundle(int argc, char **argv);
int command_iso(int argc, char **argv);
int command_run(int argc, char **argv);
int command_trace(int argc, char **argv);
int command_vm(int argc, char **argv);
int command_host(int argc, char **argv);
int command_log(int argc, char **argv);
int command_top(int argc, char **argv);

// Tells what is wrong with the command line, then how it is used. Returns STATUS_USAGE.
__attribute__((format(printf, 2, 3))) int command_misused(const char *name, const char *fmt, ...);

// The configuration named by the only word that is left after the options. False after a message.
bool command_config(int argc, char **argv, struct config *config);

// True when text is micro or mono.
bool command_is_model(const char *text);

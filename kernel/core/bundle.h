// SPDX-License-Identifier: MIT
// Reads the boot bundle (abi/bundle.h): the configuration and the files it names. Portable;
// believes nothing.
#pragma once

#include "abi/bundle.h"
#include "lib/types.h"

struct bundle_file {
	const u8 *data; // within the bundle
	size_t size;
};

struct bundle_module {
	struct bundle_file file;
	char *args; // terminated, within `text` of the bundle
};

// A line about a disk, a network card or the balloon, for the model's I/O to understand (bundle_disk.h).
struct bundle_line {
	char *key;
	char *value;
};

struct bundle_vm {
	const struct bundle *bundle; // it is in
	char *name;                  // names and command lines are within `text` of the bundle
	char *cmdline;
	bool is_root; // it owns the machine's devices (micro); always the first
	u64 memory;   // bytes
	u32 vcpus;    // 0: as many as the machine has CPUs (root VM)
	u32 weight;
	u32 cap;      // percent of one CPU, 0: none
	u64 affinity; // mask of CPUs, 0: all
	u32 repeat;
	bool debug_exit;
	struct bundle_file kernel;
	struct bundle_file initrd; // data NULL: none
	struct bundle_module modules[BUNDLE_MAX_MODULES];
	unsigned module_count;
	struct bundle_line io[BUNDLE_MAX_IO];
	unsigned io_count;
};

struct bundle {
	struct bundle_vm *vms;
	unsigned count;
	char *text;       // a copy of the configuration, cut into strings
	const void *data; // the archive
	size_t size;
};

// How much memory bundle_parse needs: for the VMs and the text. 0: this is no bundle; *why says
// what is wrong.
size_t bundle_memory(const void *data, size_t size, const char **why);

// Parses the bundle [data, data + size), which must stay where it is, into *out, using `memory`
// (zeroed, of the size that bundle_memory gave, 16-byte aligned) for what out points to. 0, or the
// line number of the configuration at which it is wrong, or -1 when the archive itself is; *why
// says what was expected.
int bundle_parse(struct bundle *out, const void *data, size_t size, void *memory, const char **why);

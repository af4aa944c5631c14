// SPDX-License-Identifier: MIT
// The configuration: a YAML file that names the VMs, read and checked completely before anything is done.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/bundle.h"

#define CONFIG_ERROR_MAX      1024
#define CONFIG_FILE_MAX       (1u << 20) // bytes of a configuration
#define CONFIG_MEMORY_MIN     (1ull << 20)
#define CONFIG_MEMORY_MAX     (1ull << 40)
#define CONFIG_CAP_MAX        6400
#define CONFIG_WEIGHT_MAX     10000
#define CONFIG_REPEAT_MAX     1000000
#define CONFIG_CPUS_MAX       64
#define CONFIG_ORDER_MAX      1000000
#define CONFIG_STORM_MAX      1000000000u // frames a second
#define CONFIG_STORM_DEFAULT  10000
#define CONFIG_RATE_MIN       (1ull << 16) // bytes a second
#define CONFIG_RATE_MAX       (1ull << 40)
#define CONFIG_FIRMWARE_FILES 2
#define CONFIG_ROOT           "root"
#define CONFIG_ROOT_WEIGHT    1024
#define CONFIG_FIRMWARE_MAX   (16 << 20) // bytes

struct config_module {
	char *path;
	char *args; // may be empty, never NULL
};

// What each port of the switch may do.
struct config_switch {
	char name[BUNDLE_NAME_MAX + 1];
	char uplink[BUNDLE_UPLINK_MAX + 1]; // a network card of the machine; empty: none
	uint64_t storm; // frames a second to groups and unknown stations; 0: no limit
	uint64_t rate;  // bytes a second; 0: no limit
};

struct config_nic {
	char switch_name[BUNDLE_NAME_MAX + 1];
	bool trunk;                             // VLANs with tags
	unsigned vlan;                          // 0: none
	unsigned trunk_vlans[BUNDLE_MAX_TRUNK]; // of a trunk; 0: the network without tags
	unsigned trunk_count;                   // 0: all
	bool follow;                            // its link is that of the switch's uplink
	bool has_mac;                           // it was given, not derived
	uint8_t mac[6];
	unsigned line; // in the file
};

enum config_disk_mode { CONFIG_DISK_RW, CONFIG_DISK_RO, CONFIG_DISK_SNAPSHOT };

struct config_disk {
	char *image;   // a path; NULL: it is a device
	uint64_t size; // bytes of the image
	char *device;  // a name or PARTUUID of the machine's
	enum config_disk_mode mode;
};

// Paths can be opened from the current directory, whatever the configuration's own directory is.
struct config_vm {
	char name[BUNDLE_NAME_MAX + 1];
	bool is_root;    // "root"; the first of all
	uint64_t memory; // bytes
	unsigned vcpus;
	char *kernel;                          // NULL: it boots its disks by firmware
	char *firmware[CONFIG_FIRMWARE_FILES]; // one file, or two that lie one behind the other
	char *firmware_vars; // a device of the machine's that keeps its variables; NULL: they go with the VM
	char *initrd; // NULL: none
	struct config_module modules[BUNDLE_MAX_MODULES];
	unsigned module_count;
	char *cmdline; // may be empty, never NULL
	unsigned weight;
	unsigned cap;      // percent of one CPU; 0: none
	uint64_t affinity; // mask of CPUs; 0: any
	struct config_disk disks[BUNDLE_MAX_DISKS];
	unsigned disk_count;
	char *user_data;      // for cloud-init; NULL: none
	char *network_config; // NULL: none
	unsigned repeat;
	bool debug_exit;
	bool no_balloon;
	uint64_t balloon; // bytes that it takes from the start
	struct config_nic nics[BUNDLE_MAX_NICS];
	unsigned nic_count;
	bool autostart; // mezzd's, as is the order: when it starts, it starts this VM
	unsigned order; // the least first
};

struct config {
	struct config_vm vms[BUNDLE_MAX_VMS];
	unsigned vm_count;
	struct config_switch switches[BUNDLE_MAX_SWITCHES];
	unsigned switch_count;
};

// Reads the file at path. On failure returns false with one line, "FILE:LINE: what was wrong, expected
// what", in error (CONFIG_ERROR_MAX bytes, without a new line) and nothing to free in *out.
bool config_load(const char *path, struct config *out, char *error);

// The same with the configuration's text; messages name no place, and paths are absolute.
bool config_parse(const char *text, size_t size, struct config *out, char *error);
void config_free(struct config *config);

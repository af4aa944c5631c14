// SPDX-License-Identifier: MIT
// The part of the configuration about virtual switches and network cards.
#pragma once

#include "config/config.h"
#include "config/document.h"

// The value of `switches`: a list of {name, storm, rate}. false after document_fail.
bool config_read_switches(struct document *d, struct config *config, const yaml_node_t *node);

// The value of a VM's `nics`: a list of {switch, vlan, mac}; vm is a struct config_vm whose name is known, the switches
// need not be.
bool config_read_nics(struct document *d, void *vm, const yaml_node_t *node);

// When all is read: gives cards without an address theirs, and checks that switches are there and addresses differ.
bool config_check_nics(struct document *d, struct config *config);

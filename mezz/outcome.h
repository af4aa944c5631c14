// SPDX-License-Identifier: MIT
// What became of the VMs, as the kernel's events tell it (abi/console.h).
#pragma once

#include <stdbool.h>

#include "config/config.h"
#include "common/util.h"

enum vm_phase { VM_WAITING, VM_RUNNING, VM_OFF, VM_STOPPED };

// Starts as all zero but for config.
struct outcome {
	const struct config *config;
	struct {
		enum vm_phase phase;
		unsigned starts;
		unsigned ends; // power-offs and debug exits
	} vm[BUNDLE_MAX_VMS];
	bool ended;    // the kernel said that no VM is left
	bool panicked; // the kernel said that it died
	bool stopped;  // the kernel stopped a VM at least once
};

// Takes one event line (it may be cut into its words) and adds to say what people should know, as whole
// lines. Words that are no event, or name no VM, are told to people and change nothing.
void outcome_event(struct outcome *o, const char *event, struct text *say);

// The index of the VM called name, or -1.
int outcome_vm(const struct outcome *o, const char *name, size_t length);

// True when VM i is not running and will not be started again.
bool outcome_gone(const struct outcome *o, unsigned i);

// The exit status that follows from the events alone. When the kernel ended without having told the end of
// every VM, STATUS_FAILED and a line in say.
int outcome_status(const struct outcome *o, struct text *say);

// SPDX-License-Identifier: MIT
// The files of `mezz run --log DIR`: the kernel's log, the events, each VM's console as it came.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "common/util.h"

#define LOGS_TAIL 8192 // bytes of the kernel's log that are kept for a report

struct logs {
	int kernel, events, vm[BUNDLE_MAX_VMS]; // -1 without --log
	unsigned vm_count;
	int64_t start; // clock_ms of the run's beginning
	char tail[LOGS_TAIL];
	size_t tail_length;
};

// Opens the files, emptied, in folder (made if missing); folder may be NULL. False after a complaint.
bool logs_open(struct logs *l, const struct config *config, const char *folder);
void logs_close(struct logs *l);

void logs_kernel(struct logs *l, const uint8_t *bytes, size_t n);
void logs_vm(struct logs *l, unsigned vm, const uint8_t *bytes, size_t n);

// One line with the seconds since the start in front.
void logs_event(struct logs *l, const char *event);

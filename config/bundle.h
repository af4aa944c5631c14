// SPDX-License-Identifier: MIT
// Writes the boot bundle of abi/bundle.h.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

// Writes the bundle to fd, from its current position. Returns its size in bytes, or -1 after a complaint.
int64_t bundle_write(const struct config *config, int fd);

// The same into the file at path, which appears whole or not at all. False after a complaint.
bool bundle_save(const struct config *config, const char *path);

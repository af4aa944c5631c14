// SPDX-License-Identifier: MIT
// Decodes the kernel's trace (abi/trace.h) from its log.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "abi/trace.h"
#include "common/util.h"

// Finds a trace line's record in a line of the log; whatever stands before "trace: " is passed over.
bool trace_parse(const char *line, struct trace_record *out);

// Sorts the records by time, drops those that several dumps repeat, and returns how many are left.
size_t trace_sort(struct trace_record *records, size_t count);

// Adds one line for people; origin is the time stamp that counts as zero.
void trace_print(struct text *out, const struct trace_record *r, u64 origin);

// The name of an exit reason, in the order of the kernel's enum exit_reason; NULL beyond its end.
const char *trace_exit_name(u64 reason);

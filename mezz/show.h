// SPDX-License-Identifier: MIT
// How the root VM's commands show what the kernel told: words for people, and JSON.
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "abi/hypercall.h"

// "512 MiB", "1.5 GiB"; "3 h 02 min", "12.3 s". In one of a few buffers that are used in turn.
const char *show_bytes(u64 bytes);
const char *show_time(u64 ns);

// Prints it on one line and frees it.
void show_json(struct json_object *o);

// Takes `-o json` and `-o text` out of the words; false: another word after -o.
bool show_option(const char *word, bool *json);

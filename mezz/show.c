// SPDX-License-Identifier: MIT
#include "mezz/show.h"

#include <stdio.h>
#include <string.h>

#define MIB 1048576.0

static char *buffer(void)
{
	static char buffers[8][24];
	static unsigned next;

	return buffers[next++ % 8];
}

const char *show_bytes(u64 bytes)
{
	char *b = buffer();

	if (bytes >= 10240 * MIB)
		snprintf(b, 24, "%.1f GiB", (double)bytes / MIB / 1024);
	else if (bytes >= 10 * MIB)
		snprintf(b, 24, "%.0f MiB", (double)bytes / MIB);
	else
		snprintf(b, 24, "%.0f KiB", (double)bytes / 1024);
	return b;
}

const char *show_time(u64 ns)
{
	unsigned long long s = ns / 1000000000;
	char *b = buffer();

	if (s < 100)
		snprintf(b, 24, "%.1f s", (double)ns / 1e9);
	else if (s < 3600)
		snprintf(b, 24, "%llu min %02llu s", s / 60, s % 60);
	else
		snprintf(b, 24, "%llu h %02llu min", s / 3600, s / 60 % 60);
	return b;
}

void show_json(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
}

bool show_option(const char *word, bool *json)
{
	*json = strcmp(word, "json") == 0;
	return *json || strcmp(word, "text") == 0;
}

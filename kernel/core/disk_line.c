// SPDX-License-Identifier: MIT
// The words of a `disk` line: MEMBER MODE, or device NAME MODE.
#include "kernel/core/disk_line.h"
#include "lib/string.h"

// Cuts the next word off *text into to[size]; false: there is none, or it is too long.
static bool next_word(const char **text, char *to, size_t size)
{
	const char *space = strchr(*text, ' ');
	size_t n = space ? (size_t)(space - *text) : strlen(*text);

	if (!n || n >= size)
		return false;
	memcpy(to, *text, n);
	to[n] = 0;
	*text += n + (space ? 1 : 0);
	return true;
}

static bool parse_mode(const char *text, enum bundle_disk_mode *mode)
{
	static const char *const names[] = {"rw", "ro", "snapshot"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*mode = (enum bundle_disk_mode)i;
			return true;
		}
	}
	return false;
}

static bool is_device(const char *value)
{
	return strlen(value) > 7 && memcmp(value, "device ", 7) == 0;
}

const char *disk_line_parse(struct disk_line *out, const char *text)
{
	*out = (struct disk_line){.device = is_device(text)};
	if (out->device) {
		text += 7;
		if (!next_word(&text, out->name, sizeof(out->name)))
			return "disk: a device's name of up to 36 characters was expected";
		if (!parse_mode(text, &out->mode) || out->mode == BUNDLE_DISK_SNAPSHOT)
			return "disk: rw or ro was expected for a device";
		return NULL;
	}
	if (!next_word(&text, out->name, BUNDLE_NAME_MAX + 1))
		return "disk: a member of the archive was expected";
	return parse_mode(text, &out->mode) ? NULL : "disk: rw, ro or snapshot was expected";
}

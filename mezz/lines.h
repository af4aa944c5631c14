// SPDX-License-Identifier: MIT
// Makes harmless lines of what a guest sends: the bytes are hostile, the terminal believes every one of them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_MAX_BYTES 1000

// The line that is being received; starts as all zero.
struct line {
	char text[LINE_MAX_BYTES + 8];
	size_t length;
	int escape;      // where in a control sequence, which is left out
	unsigned follow; // bytes still to come of a UTF-8 character
	uint32_t point;  // its code point so far
	uint32_t least;  // smallest code point of its length
	size_t mark;     // where it began
};

// Takes one byte; true when the line is complete (or as long as it may be): then text holds length bytes of
// printable UTF-8 and tabs, to be used before the next call of line_add and then dropped with line_reset.
bool line_add(struct line *l, uint8_t byte);
void line_reset(struct line *l);

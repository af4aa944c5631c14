// SPDX-License-Identifier: MIT
// Makes harmless lines of what a guest sends: the bytes are hostile, the terminal believes every one of them.
#include "mezz/lines.h"

enum { PLAIN, AFTER_ESC, IN_CSI, IN_STRING, STRING_ESC };

// Follows ECMA-48: ESC [ ... final, ESC ] ... BEL or ESC \, and ESC with one more byte.
static bool in_escape(struct line *l, uint8_t byte)
{
	switch (l->escape) {
	case AFTER_ESC:
		if (byte == '[')
			l->escape = IN_CSI;
		else if (byte == ']' || byte == 'P' || byte == '_' || byte == '^' || byte == 'X')
			l->escape = IN_STRING;
		else if (byte < 0x20 || byte > 0x2f) // an intermediate byte is followed by another
			l->escape = PLAIN;
		return true;
	case IN_CSI:
		if (byte < 0x20 || byte > 0x3f)
			l->escape = PLAIN;
		return true;
	case IN_STRING:
		if (byte == 0x1b)
			l->escape = STRING_ESC;
		else if (byte == '\a')
			l->escape = PLAIN;
		return true;
	case STRING_ESC:
		l->escape = byte == '\\' ? PLAIN : IN_STRING;
		return true;
	default:
		return false;
	}
}

// A UTF-8 character is kept when it is complete, in its shortest form, and no control character.
static void add_utf8(struct line *l, uint8_t byte)
{
	if (l->follow && (byte & 0xc0) == 0x80) {
		l->point = l->point << 6 | (byte & 0x3f);
		l->text[l->length++] = (char)byte;
		if (--l->follow)
			return;
		if (l->point < l->least || l->point < 0xa0 || l->point > 0x10ffff ||
			(l->point >= 0xd800 && l->point < 0xe000))
			l->length = l->mark;
		return;
	}
	if (l->follow) // cut short
		l->length = l->mark;
	l->follow = byte >= 0xf0 && byte < 0xf5   ? 3
		    : byte >= 0xe0 && byte < 0xf0 ? 2
		    : byte >= 0xc2 && byte < 0xe0 ? 1
						  : 0;
	if (!l->follow)
		return;
	l->mark = l->length;
	l->point = byte & (0x3fu >> l->follow);
	l->least = l->follow == 3 ? 0x10000 : l->follow == 2 ? 0x800 : 0x80;
	l->text[l->length++] = (char)byte;
}

bool line_add(struct line *l, uint8_t byte)
{
	if (byte ==
		'\n') { // ends a control sequence, too: nobody hides the rest of the output in one
		if (l->follow)
			l->length = l->mark;
		l->follow = 0;
		l->escape = PLAIN;
		return true;
	}
	if (in_escape(l, byte))
		return false;
	if (byte >= 0x80) {
		add_utf8(l, byte);
	} else {
		if (l->follow)
			l->length = l->mark;
		l->follow = 0;
		if (byte == 0x1b)
			l->escape = AFTER_ESC;
		else if (byte == '\t' || (byte >= 0x20 && byte < 0x7f))
			l->text[l->length++] = (char)byte;
	}
	return l->length >= LINE_MAX_BYTES && !l->follow;
}

void line_reset(struct line *l)
{
	if (l->follow) { // the character goes on in the next line; half of it is nothing
		l->follow = 0;
	}
	l->length = 0;
}

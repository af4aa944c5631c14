// SPDX-License-Identifier: MIT
// Finds members of a cpio archive of the newc format (cpio(5)): a header of 6 + 13 * 8 bytes of
// ASCII, the name, padding to 4 bytes, the data, padding to 4 bytes.
#include "kernel/core/cpio.h"
#include "lib/string.h"

#define HEADER     110u
#define AT_SIZE    54u // c_filesize
#define AT_NAME    94u // c_namesize
#define NAME_LIMIT 256u
#define MEMBERS    4096u // looked at

static bool hex_field(const u8 *p, u32 *out)
{
	u32 n = 0;

	for (unsigned i = 0; i < 8; i++) {
		unsigned c = p[i] | 0x20u; // digits have that bit anyway
		unsigned digit = c - '0' < 10 ? c - '0' : c - 'a' < 6 ? c - 'a' + 10 : 99;

		if (digit > 15 || p[i] < '0')
			return false;
		n = n << 4 | digit;
	}
	*out = n;
	return true;
}

// The member at *at; *at moves to the next. false: no more.
static bool next_member(
	const u8 *data, size_t size, size_t *at, const char **name, struct cpio_member *m)
{
	u32 name_size, file_size;
	size_t start;

	if (size - *at < HEADER || memcmp(data + *at, "070701", 6) != 0)
		return false;
	if (!hex_field(data + *at + AT_SIZE, &file_size) ||
		!hex_field(data + *at + AT_NAME, &name_size))
		return false;
	if (name_size == 0 || name_size > NAME_LIMIT || name_size > size - *at - HEADER)
		return false;
	*name = (const char *)data + *at + HEADER;
	start = ALIGN_UP(*at + HEADER + name_size, 4);
	if ((*name)[name_size - 1] || start > size || file_size > size - start)
		return false;
	*m = (struct cpio_member){data + start, file_size};
	*at = MIN(ALIGN_UP(start + file_size, 4), size);
	return true;
}

bool cpio_find(const void *data, size_t size, const char *name, struct cpio_member *out)
{
	struct cpio_member m;
	const char *found;
	size_t at = 0;

	for (unsigned i = 0; i < MEMBERS && next_member(data, size, &at, &found, &m); i++) {
		if (strcmp(found, "TRAILER!!!") == 0)
			return false;
		if (strcmp(found, name) == 0) {
			*out = m;
			return true;
		}
	}
	return false;
}

// SPDX-License-Identifier: MIT
// Reading a frame whose bytes lie in several places.
#include "net/frame.h"

#include "lib/string.h"

const u8 *net_frame_at(const struct net_frame *f, u32 offset, u32 *len)
{
	if (offset < f->head_len) {
		*len = f->head_len - offset;
		return f->head + offset;
	}
	offset -= f->head_len;
	for (u32 i = 0; i < f->segs; i++) {
		if (offset < f->seg[i].len) {
			*len = f->seg[i].len - offset;
			return f->seg[i].at + offset;
		}
		offset -= f->seg[i].len;
	}
	return NULL;
}

bool net_frame_read(const struct net_frame *f, u32 offset, void *to, u32 len)
{
	for (u32 done = 0, n; done < len; done += n) {
		const u8 *from = net_frame_at(f, offset + done, &n);

		if (!from)
			return false;
		n = MIN(n, len - done);
		memcpy((u8 *)to + done, from, n);
	}
	return true;
}

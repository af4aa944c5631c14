// SPDX-License-Identifier: MIT
// An Ethernet frame on its way: a private copy of its first bytes, the memory that the rest lies in, and the work that
// its sender left to the network card (as struct virtio_net_hdr says it; virtio 1.2, section 5.1.6).
//
// What the segments name may belong to a guest and change at any moment: decisions are made on `head` only.
#pragma once

#include "lib/types.h"

#define NET_ADDR     6u
#define NET_ETHERNET 14u // both addresses and the type
#define NET_TAG      4u  // an 802.1Q tag
#define NET_HEAD                                                                                   \
	104u // bytes copied before anything is decided: all that is looked at of TCP behind a tag
#define NET_MTU        1500u
#define NET_FRAME_MAX  (NET_ETHERNET + NET_TAG + 65535u) // before it is cut into packets
#define NET_PACKET_MAX (NET_ETHERNET + NET_TAG + NET_MTU)

enum { NET_TYPE_VLAN = 0x8100, NET_TYPE_IPV4 = 0x0800, NET_TYPE_IPV6 = 0x86dd };

// offload.flags
enum { NET_NEEDS_CSUM = 1, NET_DATA_VALID = 2 };

// offload.gso_type
enum { NET_GSO_NONE = 0, NET_GSO_TCPV4 = 1, NET_GSO_TCPV6 = 4, NET_GSO_ECN = 0x80 };

struct net_offload {
	u8 flags;
	u8 gso_type;
	u16 hdr_len;     // bytes of all headers, when gso_type is not NONE
	u16 gso_size;    // bytes of payload in each packet
	u16 csum_start;  // with NEEDS_CSUM: sum from here to the end ...
	u16 csum_offset; // ... and put it so far behind there
};

struct net_segment {
	const u8 *at;
	u32 len;
};

struct net_frame {
	u8 head[NET_HEAD + NET_TAG]; // the first head_len bytes
	u32 head_len; // from a sender: NET_HEAD, or all of a shorter frame; a tag changes it
	u32 length;   // of the whole frame, the head included
	struct net_offload offload;
	const struct net_segment *seg; // what follows the head
	u32 segs;
};

static inline u16 net_get16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static inline void net_put16(u8 *p, u16 v)
{
	p[0] = (u8)(v >> 8);
	p[1] = (u8)v;
}

static inline u32 net_get32(const u8 *p)
{
	return (u32)net_get16(p) << 16 | net_get16(p + 2);
}

static inline void net_put32(u8 *p, u32 v)
{
	net_put16(p, (u16)(v >> 16));
	net_put16(p + 2, (u16)v);
}

// Six bytes as a number; 0 is no station's address.
static inline u64 net_addr(const u8 *p)
{
	return (u64)net_get16(p) << 32 | net_get32(p + 2);
}

static inline bool net_addr_is_group(u64 addr)
{
	return addr >> 40 & 1;
}

#define NET_BROADCAST 0xffffffffffffull

// The byte at `offset` (below f->length) and in *len how many follow it without a gap; NULL: the frame's parts are
// shorter than it says.
const u8 *net_frame_at(const struct net_frame *f, u32 offset, u32 *len);

// Copies [offset, offset + len); false when the frame is shorter.
bool net_frame_read(const struct net_frame *f, u32 offset, void *to, u32 len);

// SPDX-License-Identifier: MIT
// The work that a sender left to the network card, done in software for a receiver that cannot take it over: a
// checksum filled in, a large TCP segment cut into packets. (TCP over IPv4, and over IPv6 without extension headers.)
#pragma once

#include "net/frame.h"

#define NET_HEADERS_MAX 256u // bytes of a frame's headers
#define NET_GSO_MIN     48u  // bytes of payload in a packet: the least that Linux cuts to

// Is what f->offload asks for possible with this frame? hdr_len, which a sender's driver only guesses, is set from the
// headers; a segment that fits into one packet is none. What passes here may be given to any guest's driver.
bool net_offload_check(struct net_frame *f);

// A TCP packet that acknowledges, and says nothing that would be answered.
bool net_is_bare_ack(const struct net_frame *f);

// One packet of a frame: `header`, then the frame's bytes [offset, offset + length).
struct net_packet {
	const u8 *header;
	u32 header_len;
	u32 offset;
	u32 length;
};

struct net_cut {
	const struct net_frame *f; // that net_offload_check let pass
	u32 ip, tcp;               // offsets; of a segment only
	u32 start;                 // of the payload
	u32 index;                 // of the next packet
	u32 packets;
	u8 header[NET_HEADERS_MAX]; // as the frame has it
	u8 packet[NET_HEADERS_MAX]; // of the packet in hand
};

// Begins at packet `index`. false: the headers are not (any more) such that it could be done.
bool net_cut_begin(struct net_cut *c, const struct net_frame *f, u32 index);

// The next packet, complete with checksums; valid until the next call. false: that was all.
bool net_cut_next(struct net_cut *c, struct net_packet *p);

// SPDX-License-Identifier: MIT
// TCP packets of a flow that wait together become one frame: fewer frames for the switch and for the guest, whose cost
// is by frames. Done while a batch of packets lies in a driver's buffers; nothing waits for it.
//
//	data      consecutive segments, alike but for the number of the packet, become a large one (as a sender with TSO
//	          would have made it: net_cut makes the same packets of it again)
//	no data   an acknowledgement makes the one before it superfluous if it acknowledges more and says nothing else
//
// The packets of a flow stay in order; flows are not in order among each other. What is looked at is a private copy of
// the packet's first NET_HEAD bytes.
#pragma once

#include "net/frame.h"

#define NET_MERGE_FLOWS   4u
#define NET_MERGE_PACKETS 64u // of data in one frame
#define NET_MERGE_ACKS    16u // replaced by the last of them: senders go by how often they are told

struct net_merge_packet {
	bool data, last;      // last: nothing fits behind it
	u32 ip, tcp, payload; // offsets of the headers, and of what follows them
	u32 end;              // where it ends; what is behind is padding
	u32 seq;              // that comes next
	u32 size;             // bytes of payload; of a flow: in all packets but the last
	struct net_frame frame;
};

struct net_merge_flow {
	u32 packets; // 0: it is free
	struct net_merge_packet p;
	struct net_segment seg[NET_MERGE_PACKETS];
};

struct net_merge {
	// Is given the frames; each is valid during the call. A frame of several packets asks for NET_NEEDS_CSUM and
	// segmentation as net_offload_check lets pass.
	void (*deliver)(void *to, const struct net_frame *f);
	void *to;
	u32 victim; // the flow that makes room next
	struct net_merge_flow flow[NET_MERGE_FLOWS];
};

// A packet of NET_ETHERNET bytes or more, which stays where it is until net_merge_end. summed: its TCP or UDP checksum was
// found right. May deliver, this or earlier ones.
void net_merge_add(struct net_merge *m, const u8 *at, u32 len, bool summed);

// The end of the batch: delivers what is left.
void net_merge_end(struct net_merge *m);

// SPDX-License-Identifier: MIT
// A virtual Ethernet switch: learns where stations are, keeps VLANs apart, bounds what a port may do.
//
// A frame comes from a port, belongs to one VLAN, and goes to the port of its destination, or, when that is not known
// or a group, to all ports of the VLAN but its own. VLAN 0 is the plain network of frames without a tag.
//
//	access port   one VLAN; its frames have no tag (a priority tag, VLAN 0 in a tag, is taken off)
//	trunk port    the VLANs of a set, each frame with its 802.1Q tag; those of the native VLAN, if it is in the
//	              set, without
//	locked port   sends from its own address only, which no other port may use; unknown stations are not behind it
//	uplink port   leads to a physical network: anything may come from it, and unknown stations are sought there
//
// Stations are learned into a table of fixed size, four places for each hash; a station that was silent for
// NET_AGEING_NS is forgotten. One port may hold NET_STATIONS places at most, so that one that invents addresses
// does not drive out the others'. Source: IEEE 802.1Q-2018, clauses 8.6 to 8.8.
//
// The caller's one lock covers all of a switch and its ports. Time is the caller's, in ns.
#pragma once

#include "net/bucket.h"
#include "net/frame.h"

#define NET_PORTS     64u
#define NET_VLANS     4095u // 0..4094; 4095 is reserved
#define NET_TABLE     1024u // stations of a switch
#define NET_STATIONS  256u  // of one port, an uplink excepted
#define NET_AGEING_NS (300 * 1000000000ull)

enum net_drop {
	NET_DROP_BAD,   // no Ethernet frame: too short, too long, its source is a group
	NET_DROP_VLAN,  // a tag that the port may not use
	NET_DROP_MAC,   // a source that is not the port's, or is another's
	NET_DROP_STORM, // too many group or unknown destinations
	NET_DROP_RATE,  // more bytes than the port may send
	NET_DROP_FULL,  // the receiver has no room (counted at the receiver)
	NET_DROP_LINK,  // not for a switch to pass on: 01-80-C2-00-00-0x
	NET_DROPS
};

extern const char *const net_drop_names[NET_DROPS];

struct net_counters {
	u64 in_frames, in_bytes;   // from the port, those dropped not counted
	u64 out_frames, out_bytes; // delivered to it
	u64 drop[NET_DROPS];
};

// What a port is, given by whoever attaches it.
struct net_port_config {
	bool trunk;
	bool locked;
	bool uplink;
	u16 vlan;        // of an access port; native VLAN of a trunk
	const u8 *vlans; // of a trunk: NET_VLANS bits, stays with the caller; NULL: all
	u64 addr;        // of a locked port
	u64 storm;       // frames a second to groups and unknown stations; 0: no limit
	u64 rate;        // bytes a second from the port; 0: no limit
};

struct net_switch;

struct net_port {
	struct net_port_config config;
	// Takes a frame, which is valid during the call only. false: no room. Must not call the switch.
	bool (*deliver)(struct net_port *p, const struct net_frame *f);
	const char *name;      // for people, stays with the caller
	struct net_switch *sw; // NULL: not attached
	u32 index;
	u32 stations;
	struct net_bucket storm, rate;
	struct net_counters count;
};

struct net_station {
	u64 key; // address << 16 | VLAN; 0: free
	u64 seen;
	struct net_port *port;
};

struct net_switch {
	struct net_port *port[NET_PORTS];
	u32 ports; // attached
	u64 seed;
	struct net_station table[NET_TABLE];
};

// seed: a number that guests do not know, so that they cannot choose addresses of one hash.
void net_switch_init(struct net_switch *s, u64 seed);

// The caller has filled in config and deliver. 0; -ENOSPC: no port is free; -EEXIST: the address of a locked port is
// another locked port's; -EINVAL: no such VLAN, or no station's address.
int net_switch_attach(struct net_switch *s, struct net_port *p, u64 now);

// Forgets the port and its stations. Harmless if it is not attached.
void net_switch_detach(struct net_port *p);

// A frame from a port. It is delivered before this returns, or dropped and counted.
void net_switch_input(struct net_port *p, const struct net_frame *f, u64 now);

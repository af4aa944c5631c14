// SPDX-License-Identifier: MIT
// Network cards of the machine, as the mono kernel uses them.
//
// A driver registers a card, which then has a name (eth0, eth1, ...). A user opens it, is given the frames that come,
// and sends frames. What a sender left to the card (checksums, large segments) is done in software while the frame is
// copied, once, into the driver's buffers. The layer between watches the time: a packet that is not sent within
// NET_SEND_NS makes it reset the card, by the driver's steps; what was on its way is lost then, as on any network.
//
// Receiving, interrupts and resets are work of one CPU, the card's own, done in turns with no lock held: a turn takes
// NET_TURN packets at most, and after a full one the next begins no sooner than after as much time as it took, so a flood
// takes half of one CPU at most. For NET_HOT_NS after a packet that soon followed another the card raises no interrupts:
// it is looked at every NET_LOOK_NS, when its CPU has sent, and all the time while that has nothing else to do. TCP packets
// of a flow that come in one turn are merged (net/merge.h) where the card has looked at their checksums. Sending is
// anybody's, under the card's lock.
#pragma once

#include "kernel/core/spinlock.h"
#include "kernel/core/timer.h"
#include "net/bucket.h"
#include "net/frame.h"
#include "net/merge.h"

#define NET_DEVICES 8u
#define NET_NAME    16u
#define NET_BUFFER  2048u // bytes of a driver's buffers
#define NET_TURN    64u   // packets received in one turn
#define NET_SEND_NS 2000000000ull
#define NET_HOT_NS  600000ull
#define NET_LOOK_NS 300000ull

struct net_device;

// A packet that came: in the driver's memory, where the card may still change it.
struct net_received {
	const u8 *at;
	u32 len;     // at most NET_BUFFER
	bool summed; // the card found its TCP or UDP checksum right
};

struct net_driver {
	// With the card's lock held:
	// Where the next packet to be sent is put, NET_PACKET_MAX bytes; NULL: nothing is free.
	u8 *(*room)(struct net_device *d);
	// It is there.
	void (*put)(struct net_device *d, u32 len);
	// A frame whose checksum or segments were left to the card: copies it. How many entries, as `sent` counts them, that
	// took; 0: no room. NULL: the card does none of this, so it is done in software.
	u32 (*put_whole)(struct net_device *d, const struct net_frame *f);
	// kick tells the card of all that were put.
	void (*kick)(struct net_device *d);
	// Takes back what was sent; how many packets the card still has.
	u32 (*sent)(struct net_device *d);

	// On the card's CPU, with no lock held:
	// Has a packet come that is to be taken? Looks at memory only.
	bool (*ready)(const struct net_device *d);
	// The next packet, which stays until give; false: none. What is no whole packet is counted by the driver and
	// passed over, at most NET_TURN times in a call. At most NET_TURN packets are taken before give.
	bool (*take)(struct net_device *d, struct net_received *r);
	// All that was taken is the card's again.
	void (*give)(struct net_device *d);
	bool (*link)(struct net_device *d);
	// No interrupts until `listen`. True from listen: something came meanwhile and may raise none.
	void (*quiet)(struct net_device *d);
	bool (*listen)(struct net_device *d);
	// One step towards a card that works and whose rings are new; the first one stops whatever it does.
	// In how many ns the next step shall be; 0: it works, and is quiet; NET_FAILED: it does not (d->why says why).
	// The card's lock is held.
	u64 (*recover)(struct net_device *d, bool first);
	// It must not touch memory any more.
	void (*cut_off)(struct net_device *d);
};

#define NET_FAILED (~0ull)

enum net_state { NET_DOWN, NET_LIVE, NET_DEAD };

struct net_device_counters {
	u64 in_packets, in_bytes, in_bad; // bad: no whole packet, an impossible length
	u64 in_frames;                    // that they were merged to
	u64 out_packets, out_bytes;
	u64 out_full; // no buffer was free for a packet
	u64 resets;
};

// A driver embeds it, all zero but for driver, kind, addr, mtu.
struct net_device {
	const struct net_driver *driver;
	const char *kind;
	char name[NET_NAME];
	u8 addr[NET_ADDR];
	u32 mtu;
	bool link; // own CPU writes
	struct pcpu *cpu;
	u64 posted; // a: there is work for its CPU
	u64 broken; // a: it is to be reset

	struct spinlock lock; // LOCK_CARD: state, sending
	enum net_state state;
	const char *why;
	u64 done, seen;     // packets sent; when the watchdog last looked
	u32 pending;        // packets with the card
	struct timer watch; // while packets are with the card

	struct timer turn;      // own CPU: the next turn, or the next step of a reset
	bool pause;             // own CPU: no turn before that
	u64 came, hot;          // own CPU, ticks: the last packet; until then the card is looked at
	u32 recent;             // resets, lately
	u64 reset_at;           // the last one, ticks
	struct net_bucket said; // changes of the link that are logged
	struct net_merge merge; // own CPU, within a turn
	struct net_device_counters count;

	// Set by the user before net_device_open. Called on the card's CPU, no lock held, for each frame of one or more
	// packets; it is valid during the call only.
	void (*receive)(struct net_device *d, const struct net_frame *f);
	// The same, when the link has gone down or come up.
	void (*link_changed)(struct net_device *d);
	void *user;
	u64 open; // a: receive may be called
};

// ---------------------------------------------------------------- for users

// NULL: there is none of this name.
struct net_device *net_device_find(const char *name);
struct net_device *net_device_at(u32 i); // i from 0; NULL: no more

// From now on frames are given to d->receive / dropped. A call of receive may be under way at the return of close.
void net_device_open(struct net_device *d);
void net_device_close(struct net_device *d);

// Sends a frame that net_offload_check let pass, or that came from a network: copies it. false: the link is down, or
// the card has no room for all of it. Locks below LOCK_CARD may be held.
bool net_device_send(struct net_device *d, const struct net_frame *f);

// Moves what this CPU's cards received. No lock held.
void net_devices_work(void);

// The CPU has nothing else to do: the same, if something has come. True: to be called again, as more is expected soon.
bool net_devices_idle(void);

// ---------------------------------------------------------------- for drivers

// Start only: the CPU of the next card to be registered.
struct pcpu *net_device_cpu(void);

// Start only: brings the card to work by its steps (which also find its address), names and logs it. 0, -EIO (it does
// not work, which was logged), or -ENOSPC.
int net_device_register(struct net_device *d);

// The card's interrupt: work for its CPU. An irq_fn.
void net_device_interrupt(void *device);

// Anywhere, any locks: the card is to be reset.
void net_device_break(struct net_device *d, const char *why);

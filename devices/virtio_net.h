// SPDX-License-Identifier: MIT
// virtio-net (virtio 1.2, section 5.1): offloads, mergeable buffers, several queue pairs, control queue, link status.
//
//	guest -> transmit queue -> net_offload_check -> host_net_send
//	guest <- receive queue <- a checksum or packets made in software if the driver lacks the offload <- virtio_net_receive
//
// The card has one address and the driver cannot change it: the host's port is locked to it.
#pragma once

#include "devices/virtio.h"
#include "devices/virtio_pace.h"
#include "net/offload.h"

#define VIRTIO_NET_QUEUE 256u // entries of each queue
#define VIRTIO_NET_PAIRS 8u   // of queues at most
#define VIRTIO_NET_PIECES                                                                          \
	320u // of a frame in guest memory: segments, each cut at 4 KiB boundaries if need be
#define VIRTIO_NET_MERGE    64u        // buffers that one packet may take
#define VIRTIO_NET_ADDRS    64u        // of each kind in the filter's table
#define VIRTIO_NET_FLOWS    256u       // remembered for the choice of a receive queue
#define VIRTIO_NET_SHARE    128u       // frames that a call sends at most ...
#define VIRTIO_NET_BYTES    (1u << 20) // ... or so many bytes, and one frame more
#define VIRTIO_NET_PAUSE_NS 50000ull   // then it goes on after
#define VIRTIO_NET_UNTOLD                                                                          \
	16u // frames that were sent, of which the driver was not told, at most ...
#define VIRTIO_NET_HELD    (64u << 10) // ... or so many bytes, or
#define VIRTIO_NET_TELL_NS 500000ull   // one to two of these
#define VIRTIO_NET_GOAL    16u         // frames of which a driver notifies together, ...
#define VIRTIO_NET_LARGE   8192u       // ... if each is so large, or answers to so many bytes
#define VIRTIO_NET_TRIAL   4u          // notifications between two trials of more
#define VIRTIO_NET_LOOK_NS 250000ull   // a frame waits no longer to be seen

#define VIRTIO_NET_F_CSUM          BIT(0)
#define VIRTIO_NET_F_GUEST_CSUM    BIT(1)
#define VIRTIO_NET_F_MTU           BIT(3)
#define VIRTIO_NET_F_MAC           BIT(5)
#define VIRTIO_NET_F_GUEST_TSO4    BIT(7)
#define VIRTIO_NET_F_GUEST_TSO6    BIT(8)
#define VIRTIO_NET_F_GUEST_ECN     BIT(9)
#define VIRTIO_NET_F_HOST_TSO4     BIT(11)
#define VIRTIO_NET_F_HOST_TSO6     BIT(12)
#define VIRTIO_NET_F_HOST_ECN      BIT(13)
#define VIRTIO_NET_F_MRG_RXBUF     BIT(15)
#define VIRTIO_NET_F_STATUS        BIT(16)
#define VIRTIO_NET_F_CTRL_VQ       BIT(17)
#define VIRTIO_NET_F_CTRL_RX       BIT(18)
#define VIRTIO_NET_F_CTRL_RX_EXTRA BIT(20)
#define VIRTIO_NET_F_MQ            BIT(22)
#define VIRTIO_NET_F_CTRL_MAC_ADDR BIT(23)

// A piece of the guest's memory for the host to fill.
struct virtio_net_piece {
	u8 *at;
	u32 len;
	u32 chain; // of which one it is
};

#define VIRTIO_NET_PLACES 128u // pieces of a frame at most

// Chains of a receive queue that were looked at before there was a frame for them, from the oldest available one on.
struct virtio_net_ahead {
	u32 pair;
	u32 chains, pieces;
	u32 bytes; // of all
	u16 head[VIRTIO_NET_MERGE];
	u32 len[VIRTIO_NET_MERGE];
	struct virtio_net_piece piece[VIRTIO_NET_PLACES];
};

// Which frames the driver wants (5.1.6.5.1); after a reset all, until it says otherwise.
struct virtio_net_filter {
	u8 promisc, allmulti, alluni, nomulti, nouni, nobcast;
	u16 addrs[2]; // of unicast and multicast addresses
	u8 addr[2][VIRTIO_NET_ADDRS][NET_ADDR];
};

// What the driver has set by commands: kept in memory that outlives the process, as the commands are not seen again. All
// zero at first.
struct virtio_net_kept {
	u32 life;  // as of struct virtqueue_log
	u32 valid; // which of the two; a new setting is written into the other first
	struct virtio_net_set {
		u16 active_pairs;
		struct virtio_net_filter filter;
	} set[2];
};

struct virtio_net {
	struct virtio_device dev;
	struct host_net *net;
	struct virtio_net_kept *kept; // NULL: nowhere
	struct virtqueue
		queue[2 * VIRTIO_NET_PAIRS + 1]; // receive, transmit, receive, ..., control
	struct host_timer later, tell, look;
	u8 addr[NET_ADDR];
	u16 pairs;        // that there are
	u16 active_pairs; // that the driver uses
	bool link;
	bool starved[VIRTIO_NET_PAIRS]; // the host waits for buffers in the pair's receive queue
	u32 held[VIRTIO_NET_PAIRS];     // bytes sent of which the driver may have to be told
	u32 sends, sends_seen;          // calls of virtio_net_transmit; when `tell` last looked
	u32 received;                   // bytes, since the last one
	struct virtio_pace pace[VIRTIO_NET_PAIRS][2]; // of large frames to send, and of answers
	struct virtio_pace *paced
		[VIRTIO_NET_PAIRS]; // the one by which the driver was asked to notify of several; NULL: of each
	struct virtio_net_filter filter;
	u8 flow[VIRTIO_NET_FLOWS]; // the pair that sent the flow last
	u32 last_pair;             // that got a frame
	struct virtio_net_ahead ahead;
	u64 dropped_bad; // frames from the guest that were nonsense
	// Of the chain in hand.
	struct host_segment seg[VIRTIO_NET_QUEUE], first[VIRTIO_NET_QUEUE];
	struct net_segment piece[VIRTIO_NET_PIECES];
	struct net_cut cut;
};

// pairs: 1 .. VIRTIO_NET_PAIRS. The link is up.
void virtio_net_init(struct virtio_net *n, struct host *h, struct host_net *net,
	const u8 addr[NET_ADDR], unsigned pairs);
void virtio_net_destroy(struct virtio_net *n); // host_timer_destroy's rule holds

// A frame for the guest, whose bytes do not change meanwhile, and that passed net_offload_check somewhere.
enum virtio_net_taken {
	VIRTIO_NET_TAKEN, // or nobody wants it: the device does not run, the link is down, it was filtered out
	VIRTIO_NET_FULL, // no buffers: to be offered again after host_net_room, with the same *packet
};
// *packet: how many packets of it were taken already; 0 for a new frame.
enum virtio_net_taken virtio_net_receive(
	struct virtio_net *n, const struct net_frame *f, u32 *packet);
// For a host that reads a frame straight into the guest's memory: where the bytes behind the first NET_HEAD go, of the longest
// frame. Returns how many pieces there are, 0: there is no room for such a frame. What is put there harms nobody, but the guest may
// see it, whatever becomes of the frame. Valid until the next entry of the device.
u32 virtio_net_place(struct virtio_net *n, struct virtio_net_piece piece[VIRTIO_NET_PLACES]);
// As virtio_net_receive, for a frame whose rest was put there. false: it has to be copied from there, checked again, and given to
// virtio_net_receive.
bool virtio_net_receive_placed(struct virtio_net *n, const struct net_frame *f);

// After a batch of virtio_net_receive: interrupts, and what virtio_check does.
void virtio_net_receive_end(struct virtio_net *n);

// A vcpu of the guest is about to sleep (host_net_rest).
void virtio_net_rest(struct virtio_net *n);

// The link goes up or down; the driver is told.
void virtio_net_set_link(struct virtio_net *n, bool up);

// State for save and restore.
struct virtio_net_state {
	struct virtio_state virtio;
	struct virtqueue_state queue[2 * VIRTIO_NET_PAIRS + 1]; // those that are not there are zero
	u16 active_pairs;
	u8 link;
	u8 reserved[5]; // zero
	struct virtio_net_filter filter;
};

void virtio_net_save(const struct virtio_net *n, struct virtio_net_state *s);
bool virtio_net_load(struct virtio_net *n, const struct virtio_net_state *s); // as virtio_load

// As virtio_resume; `kept` is the device's alone.
bool virtio_net_resume(struct virtio_net *n, const struct virtio_state *s,
	const struct virtqueue_state *queue, struct virtqueue_log *log,
	struct virtio_net_kept *kept, u32 life);

// ---- between the device's own files

#define VIRTIO_NET_HEADER 12u // struct virtio_net_hdr with num_buffers (5.1.6)

struct virtio_net_header {
	struct net_offload offload;
	u16 buffers;
};

static inline struct virtio_net *virtio_net_of(struct virtio_device *d)
{
	return container_of(d, struct virtio_net, dev);
}

unsigned virtio_net_control_queue(const struct virtio_net *n);
void virtio_net_control(struct virtio_net *n); // virtio_net_control.c
void virtio_net_filter_reset(struct virtio_net *n);
bool virtio_net_filter_wants(const struct virtio_net *n, u64 dst);
void virtio_net_keep(struct virtio_net *n); // what a command has set
// Sends what is in the pair's transmit queue; true: not all, as a call has its share.
bool virtio_net_transmit(struct virtio_net *n, unsigned pair); // virtio_net_tx.c
bool virtio_net_notified(
	struct virtio_net *n, unsigned pair); // likewise; the driver has notified of them
// Looks for frames of which no driver was to notify; the set of pairs that have some. sleeps: the guest does.
u32 virtio_net_look(struct virtio_net *n, bool sleeps);
void virtio_net_tell(struct virtio_net *n); // of all frames that were sent, if it wants to know
unsigned virtio_net_flow(
	const u8 *head, u32 len); // a number for both directions of a flow, below VIRTIO_NET_FLOWS

// SPDX-License-Identifier: MIT
// virtio-console with its one port (virtio 1.2, section 5.3); emergency write is offered.
//
// Output is done within the notification: the driver (Linux's hvc) spins until its buffer comes back. When the host
// takes no more, or a call has moved its share, the rest is moved later by virtio_console_room or by a timer.
#pragma once

#include "devices/virtio.h"

#define VIRTIO_CONSOLE_QUEUE 64u   // entries of either queue
#define VIRTIO_CONSOLE_INPUT 4096u // bytes of input kept for a driver that has no buffers available
#define VIRTIO_CONSOLE_SHARE 4096u // bytes of output moved in one call at most

enum { VIRTIO_CONSOLE_RX, VIRTIO_CONSOLE_TX, VIRTIO_CONSOLE_QUEUES };

#define VIRTIO_CONSOLE_F_EMERG_WRITE BIT(2)

struct virtio_console {
	struct virtio_device dev;
	struct virtqueue queue[VIRTIO_CONSOLE_QUEUES];
	struct host_segment seg[VIRTIO_CONSOLE_QUEUE]; // of the chain in hand
	struct host_timer later;
	u64 tx_done; // bytes already written of the chain at the head of the transmit queue
	u32 in_head; // input[] is a ring: its oldest byte
	u32 in_count;
	bool in_refused; // the host was told that there is no room
	u8 input[VIRTIO_CONSOLE_INPUT];
};

void virtio_console_init(struct virtio_console *c, struct host *h);
void virtio_console_destroy(struct virtio_console *c); // host_timer_destroy's rule holds

// Does a driver run the device and listen? If not, input goes elsewhere.
bool virtio_console_live(const struct virtio_console *c);

// Input from the host; returns how many bytes were taken. When not all: host_console_room follows.
size_t virtio_console_input(struct virtio_console *c, const u8 *bytes, size_t len);

// The host's console takes bytes again.
void virtio_console_room(struct virtio_console *c);

// State for save and restore.
struct virtio_console_state {
	struct virtio_state virtio;
	struct virtqueue_state queue[VIRTIO_CONSOLE_QUEUES];
	u64 tx_done;
	u32 in_count;
	u32 reserved;                   // zero
	u8 input[VIRTIO_CONSOLE_INPUT]; // its oldest byte first
};

void virtio_console_save(const struct virtio_console *c, struct virtio_console_state *s);
bool virtio_console_load(
	struct virtio_console *c, const struct virtio_console_state *s); // as virtio_load

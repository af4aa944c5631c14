// SPDX-License-Identifier: MIT
// The network cards of VMs and the virtual switches between them, in the mono kernel.
//
// A frame's way: the sender's device (its VM's lock held) -> the switch (LOCK_NET) -> copied into the receiver's
// buffers, if the receiver's VM's lock is free (it is tried, never waited for), all in the sender's processor time.
// Else, or when the guest has no buffers, it is copied into the receiver's inbox: what does not fit there is dropped, and
// counted. The sender's CPU later, with no lock held (model_work), takes the receiver's VM's lock and moves the inbox into
// the receiver's queues; or the guest's next notification of buffers does so, in its own time.
#pragma once

#include "devices/host_kernel/host_kernel.h"
#include "devices/virtio_net.h"
#include "kernel/core/timer.h"
#include "kernel/mono/guest_wait.h"
#include "kernel/mono/nics.h"
#include "net/config.h"
#include "net/inbox.h"

#define NIC_FIRST_SLOT 16u          // of cards on the VM's PCI bus
#define NIC_INBOX      (512u << 10) // bytes
#define NIC_MAX        256u         // of all VMs

struct nic_switch;

#define NIC_OWED_FRAMES 64u
#define NIC_OWED_BYTES  (512u << 10)
#define NIC_OWED_NS     400000ull

// A receiver whose guest has been given frames and was not told yet, by the sender's vm->lock. While the receiver could not run
// anyway, because its sender's vcpu has the CPU, telling it can wait until that vcpu sleeps: one interrupt and one change
// of vcpus for all that is sent until then, but NIC_OWED_* at most.
struct nic_owed {
	bool any;
	unsigned index; // of the receiver
	u32 frames, bytes;
	struct host_rest rest;
	struct timer timer;
};

// One card. Its device is under vm->lock, its port under the switch's lock.
struct host_net {
	struct vm *vm;
	struct nic_switch *sw;
	char uplink[BUNDLE_UPLINK_MAX + 1]; // whose link is the card's; empty: it always has one
	u8 vlans[(NET_VLANS + 7) / 8];      // for port.config
	unsigned index;                     // among all cards
	struct host host;                   // for the device
	struct net_port port;
	struct net_inbox inbox; // producer: the switch's lock; consumer: nic_drain
	u32 packet;             // consumer: packets of the oldest frame that were taken already
	struct nic_owed owed;   // as a sender
	struct guest_wait wait; // for an answer from outside; two in flight stand for any number
	u8 *ring;
	struct virtio_net dev;
	struct virtio_pci pci;
};

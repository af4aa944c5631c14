// SPDX-License-Identifier: MIT
// virtio-balloon: memory that the guest does not need goes back to the host (virtio 1.2, section 5.5).
//
// Two ways: the driver inflates the balloon as far as the host asks (num_pages), and by itself reports memory that is
// free (VIRTIO_BALLOON_F_PAGE_REPORTING). What it deflates needs nothing of us: a touch brings a page back. So the driver
// need not ask before it uses one (no MUST_TELL_HOST), and may take some when it is short (DEFLATE_ON_OOM).
//
// One chain is in hand at a time:
//
//	IDLE -> NAMING    a chain is taken up; its ranges are named to the host, some at a time
//	NAMING -> NAMED   all are
//	NAMED -> IDLE     the host says that nobody reaches the pages: the chain goes back to the driver
//
// Between two steps the host owes us an answer (`owed`), also over a reset, which makes it IDLE at once.
#pragma once

#include "devices/virtio.h"

#define VIRTIO_BALLOON_QUEUE  64u // entries; Linux needs 32 to report
#define VIRTIO_BALLOON_QUEUES 5u

#define VIRTIO_BALLOON_F_DEFLATE_ON_OOM BIT(2)
#define VIRTIO_BALLOON_F_PAGE_POISON    BIT(4)
#define VIRTIO_BALLOON_F_PAGE_REPORTING BIT(5)

struct virtio_balloon_config { // 5.5.4
	u32 num_pages;         // of 4 KiB: as large the balloon shall be
	u32 actual;            // the driver's: as large it is
	u32 free_page_hint_cmd_id;
	u32 poison_val; // the driver's: what it fills free pages with
};

struct virtio_balloon {
	struct virtio_device dev;
	struct virtqueue queue[VIRTIO_BALLOON_QUEUES];
	struct virtio_balloon_config config;
	enum { BALLOON_IDLE, BALLOON_NAMING, BALLOON_NAMED } stage;
	bool owed;
	unsigned hand;                                         // the queue of the chain in hand
	struct virtqueue_chain chain;                          // in hand
	u64 at;                                                // bytes of it that are dealt with
	struct host_segment seg[VIRTIO_BALLOON_QUEUE];         // of the chain in hand
	struct host_segment deflate_seg[VIRTIO_BALLOON_QUEUE]; // of chains that go back at once
};

// pages: how large the balloon shall be.
void virtio_balloon_init(struct virtio_balloon *b, struct host *h, u32 pages);

// State for save and restore. A chain in hand is not taken yet: it is done again, which does no harm.
struct virtio_balloon_state {
	struct virtio_state virtio;
	struct virtio_balloon_config config;
	struct virtqueue_state queue[VIRTIO_BALLOON_QUEUES];
};

void virtio_balloon_save(const struct virtio_balloon *b, struct virtio_balloon_state *s);
bool virtio_balloon_load(
	struct virtio_balloon *b, const struct virtio_balloon_state *s); // as virtio_load

// As virtio_resume. What the driver has written into the configuration, `poison_val` above all, has to be known: else
// pages that it has filled would be taken.
bool virtio_balloon_resume(struct virtio_balloon *b, const struct virtio_state *s,
	const struct virtqueue_state *queue, struct virtqueue_log *log, u32 life,
	const struct virtio_balloon_config *config);

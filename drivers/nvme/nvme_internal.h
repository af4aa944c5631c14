// SPDX-License-Identifier: MIT
// A controller and its queues, between the files of the NVMe driver.
#pragma once

#include "drivers/block.h"
#include "drivers/nvme/nvme_regs.h"
#include "drivers/pci.h"

#define NVME_SLOTS     63u // requests in a queue at a time; one entry stays free
#define NVME_ENTRIES   (NVME_SLOTS + 1)
#define NVME_ADMIN     16u // entries of the admin queue
#define NVME_BYTES_MAX (1 * MiB)
#define NVME_LIST      (NVME_BYTES_MAX / PAGE_SIZE) // entries of a slot's list of pages
#define NVME_DISKS     16

// A pair of rings. Of I/O: under block.lock; of administration: under the controller's lock.
struct nvme_ring {
	struct nvme_command *sq;
	volatile struct nvme_completion *cq;
	u32 entries, tail, head;
	u16 phase;
	u16 number; // 0: administration
};

struct nvme_queue {
	struct block_queue block; // first
	struct nvme *controller;
	struct nvme_ring ring;
	u64 free; // slots, a bit each
	struct block_request *requests[NVME_SLOTS];
	u64 *lists;  // NVME_LIST numbers for each slot
	u64 strange; // completions nobody waits for
};

// What is done to bring the controller to work, at start and after a failure; see nvme_reset.c.
enum nvme_state {
	NVME_STOP,
	NVME_STOPPING,
	NVME_STARTING,
	NVME_QUEUES,
};

struct nvme {
	struct block_controller block;
	struct pci_function *pci;
	volatile u8 *regs;
	u32 doorbell_stride; // bytes

	enum nvme_state state;
	u64 deadline;    // of the present state
	u64 ready_ticks; // the controller's own bound
	u32 step;        // NVME_QUEUES: which command is next or under way
	bool sent;
	bool created; // all queues were made once: fewer will not do any more
	u32 aborts;   // sent, and their answers not seen
	u32 entries;  // of each queue

	struct nvme_ring admin; // under block.lock
	u32 queue_count;
	struct nvme_queue *queues[BLOCK_QUEUES];

	u32 max_bytes;
	u32 optional; // ONCS
	char serial[21];
	struct block_disk disks[NVME_DISKS];
	u32 disk_count;
};

// nvme_ring.c. Room for a ring of so many entries, which the device reaches; 0 or -ENOMEM.
int nvme_ring_init(struct nvme_ring *r, struct iommu_domain *d, u32 entries, u16 number);

// As it was when it was new.
void nvme_ring_reset(struct nvme_ring *r);

// Puts a command into the ring, which has room; nvme_ring_ring tells the device of all that were put.
void nvme_ring_put(struct nvme_ring *r, const struct nvme_command *c);
void nvme_ring_ring(const struct nvme *n, const struct nvme_ring *r);

// Is there a completion that was not taken?
bool nvme_ring_ready(const struct nvme_ring *r);

// The next completion, copied; false: none. nvme_ring_took tells the device how far we are.
bool nvme_ring_take(struct nvme_ring *r, struct nvme_completion *out);
void nvme_ring_took(const struct nvme *n, const struct nvme_ring *r);

// nvme_reset.c
u64 nvme_recover(struct block_controller *c, bool first);
void nvme_cut_off(struct block_controller *c);

// nvme_io.c
extern const struct block_driver nvme_driver;
int nvme_queue_init(struct nvme *n, u32 i);
void nvme_queue_reset(struct nvme_queue *q);
void nvme_interrupt(void *queue);

// nvme_identify.c. Start only: asks who it is and registers its disks; false: it did not answer well.
bool nvme_identify(struct nvme *n);
void nvme_register(struct nvme *n);

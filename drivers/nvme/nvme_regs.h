// SPDX-License-Identifier: MIT
// NVM Express as the driver needs it: registers, commands, completions (NVMe base 1.4; sections in brackets).
#pragma once

#include "lib/types.h"

// Registers (3.1).
#define NVME_CAP       0x00 // 64 bits
#define NVME_VS        0x08
#define NVME_INTMS     0x0C
#define NVME_CC        0x14
#define NVME_CSTS      0x1C
#define NVME_AQA       0x24
#define NVME_ASQ       0x28 // 64 bits
#define NVME_ACQ       0x30 // 64 bits
#define NVME_DOORBELLS 0x1000

#define CC_ENABLE  BIT(0)
#define CC_ENTRIES (6u << 16 | 4u << 20) // sizes of entries: 64 and 16 bytes
#define CSTS_READY BIT(0)
#define CSTS_FATAL BIT(1)

// Admin commands (5) and those of the NVM command set (6).
enum {
	NVME_CREATE_SQ = 0x01,
	NVME_CREATE_CQ = 0x05,
	NVME_IDENTIFY = 0x06,
	NVME_ABORT = 0x08,
	NVME_SET_FEATURES = 0x09,

	NVME_FLUSH = 0x00,
	NVME_WRITE = 0x01,
	NVME_READ = 0x02,
	NVME_WRITE_ZEROES = 0x08,
	NVME_DSM = 0x09,
};

#define NVME_FEATURE_QUEUES   7
#define NVME_ID_NAMESPACE     0
#define NVME_ID_CONTROLLER    1
#define NVME_ID_NAMESPACES    2
#define NVME_DSM_DEALLOCATE   BIT(2)
#define NVME_QUEUE_CONTIGUOUS BIT(0)
#define NVME_CQ_INTERRUPTS    BIT(1)
#define NVME_ONCS_DSM         BIT(2)
#define NVME_ONCS_ZEROES      BIT(3)

struct nvme_command { // 4.2
	u8 opcode;
	u8 flags;
	u16 id;
	u32 namespace;
	u64 reserved;
	u64 metadata;
	u64 prp1, prp2;
	u32 dw10, dw11, dw12, dw13, dw14, dw15;
};

struct nvme_completion { // 4.6
	u32 result;
	u32 reserved;
	u16 sq_head, sq_id;
	u16 id;
	u16 status; // bit 0 is the phase
};

struct nvme_range { // of DSM, 6.7
	u32 attributes, blocks;
	u64 first;
};

_Static_assert(sizeof(struct nvme_command) == 64, "as the device has it");
_Static_assert(sizeof(struct nvme_completion) == 16, "as the device has it");

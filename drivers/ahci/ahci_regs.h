// SPDX-License-Identifier: MIT
// AHCI's registers and structures in memory (AHCI 1.3.1, 3 and 4), and the ATA commands that are used (ACS-3).
#pragma once

#include "lib/types.h"

#define HBA_CAP   0x00
#define HBA_GHC   0x04
#define HBA_IS    0x08
#define HBA_PI    0x0C
#define HBA_CAP2  0x24
#define HBA_BOHC  0x28
#define HBA_PORTS 0x100
#define PORT_SIZE 0x80

#define CAP_64    BIT(31)
#define CAP_NCQ   BIT(30)
#define GHC_AHCI  BIT(31)
#define GHC_IRQ   BIT(1)
#define CAP2_BOH  BIT(0)
#define BOHC_BIOS BIT(0)
#define BOHC_OS   BIT(1)

// Of a port.
#define PORT_CLB  0x00
#define PORT_CLBU 0x04
#define PORT_FB   0x08
#define PORT_FBU  0x0C
#define PORT_IS   0x10
#define PORT_IE   0x14
#define PORT_CMD  0x18
#define PORT_TFD  0x20
#define PORT_SIG  0x24
#define PORT_SSTS 0x28
#define PORT_SCTL 0x2C
#define PORT_SERR 0x30
#define PORT_SACT 0x34
#define PORT_CI   0x38

#define CMD_ST      BIT(0)
#define CMD_SPIN_UP BIT(1)
#define CMD_POWER   BIT(2)
#define CMD_FRE     BIT(4)
#define CMD_FR      BIT(14)
#define CMD_CR      BIT(15)
#define IS_ERRORS   0x78000000u // task file, fatal errors of the host's bus and of the interface
#define IS_WANTED   (IS_ERRORS | 0x0Fu)
#define TFD_BUSY    0x88u // BSY, DRQ
#define SIG_DISK    0x00000101u
#define DET_MASK    15u
#define DET_PRESENT 3u

#define ATA_READ         0x25 // DMA EXT
#define ATA_WRITE        0x35
#define ATA_FLUSH        0xEA
#define ATA_TRIM         0x06 // data set management
#define ATA_IDENTIFY     0xEC
#define ATA_READ_QUEUED  0x60 // FPDMA: native command queueing
#define ATA_WRITE_QUEUED 0x61

struct ahci_header { // of a command, 4.2.2
	u16 flags;   // length of the FIS in words, and the direction
	u16 prdt_count;
	u32 done;
	u64 table;
	u32 reserved[4];
};

#define HEADER_WRITE BIT(6)
#define FIS_WORDS    5u

struct ahci_prd {
	u64 address;
	u32 reserved;
	u32 len; // less one
};

#define AHCI_PRDS 56u

struct ahci_table { // 4.2.3
	u8 fis[64];
	u8 atapi[16];
	u8 reserved[48];
	struct ahci_prd prd[AHCI_PRDS];
};

_Static_assert(sizeof(struct ahci_header) == 32, "as the device has it");
_Static_assert(sizeof(struct ahci_table) == 1024, "as the device has it");

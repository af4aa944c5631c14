// SPDX-License-Identifier: MIT
// Registers and structures in memory of an AMD IOMMU (AMD I/O Virtualization Technology specification 48882: device table
// 2.2.2, page tables 2.2.3, commands 2.4, event log 2.5, registers 3.4).
#pragma once

#include "lib/types.h"

enum { // offsets
	R_DEVICE_TABLE = 0x00,
	R_COMMANDS = 0x08,
	R_EVENTS = 0x10,
	R_CONTROL = 0x18,
	R_FEATURES = 0x30,
	R_COMMAND_HEAD = 0x2000,
	R_COMMAND_TAIL = 0x2008,
	R_EVENT_HEAD = 0x2010,
	R_EVENT_TAIL = 0x2018,
	R_STATUS = 0x2020,
	R_SIZE = 0x4000,
};

#define CONTROL_ON        BIT(0)
#define CONTROL_HT_TUNNEL BIT(1)
#define CONTROL_EVENTS    BIT(2)
#define CONTROL_EVENT_IRQ BIT(3)
#define CONTROL_PASS_PW   BIT(8) // with the next three as IVRS says
#define CONTROL_RES_PASS  BIT(9)
#define CONTROL_COHERENT  BIT(10)
#define CONTROL_ISOC      BIT(11)
#define CONTROL_COMMANDS  BIT(12)

#define STATUS_OVERFLOW  BIT(0) // cleared by writing it, as the next one
#define STATUS_EVENT     BIT(1)
#define STATUS_LOGGING   BIT(3)
#define STATUS_COMMANDED BIT(4)

#define FEATURE_ALL BIT(6) // INVALIDATE_IOMMU_ALL

// Of the PCI capability's first register.
#define CAP_ID       0x0Fu
#define CAP_NP_CACHE BIT(26)      // it remembers that a page was not there
#define CAP_FEATURES BIT(27)      // the register of features is there
#define LENGTH_256   (8ull << 56) // of commands and of events: 2^8 entries
#define RING_ENTRIES 256u
#define DEVICES      65536u

struct device_entry {
	u64 q[4];
};

// The device is known and may neither read nor write: translation valid, no levels, no rights (2.2.2.1).
#define DTE_BLOCKED   (BIT(0) | BIT(1))
#define DTE_LEVELS(n) ((u64)(n) << 9)
#define DTE_READ      BIT(61)
#define DTE_WRITE     BIT(62)

// Of the third quarter: interrupts are looked up in a table of 2^IRQ_TABLE_BITS entries (2.2.5), or refused.
#define IRQ_TABLE_BITS   6u
#define IRQ_TABLE        (1u << IRQ_TABLE_BITS)
#define DTE_IRQ_REFUSED  BIT(0)
#define DTE_IRQ_REMAPPED (BIT(0) | IRQ_TABLE_BITS << 1 | 2ull << 60)

// An entry of that table: fixed delivery, edge, to one APIC.
#define IRQ_ENTRY(apic, vector) (1u | (u32)(apic) << 8 | (u32)(vector) << 16)

// Entries of page tables. Six bits of the last level's are ignored by the IOMMU (4:1, 8:7) and ours.
#define IOPTE_PRESENT BIT(0)
#define IOPTE_ADDRESS 0x000FFFFFFFFFF000ull
#define IOPTE_RIGHTS  (DTE_READ | DTE_WRITE)

#define COMMAND(op)      ((u64)(op) << 60)
#define COMMAND_WAIT     COMMAND(1)
#define COMMAND_DEVICE   COMMAND(2)
#define COMMAND_PAGES    COMMAND(3)
#define COMMAND_IRQS     COMMAND(5)
#define COMMAND_ALL      COMMAND(8)
#define WAIT_STORE       BIT(0)
#define PAGES_SIZE       BIT(0) // the address says how many
#define PAGES_DIRECTORY  BIT(1) // tables too, not only their last level
#define PAGES_EVERYTHING 0x7FFFFFFFFFFFF000ull

enum event_kind {
	EVENT_DEVICE_ENTRY = 1,
	EVENT_PAGE_FAULT = 2,
	EVENT_DEVICE_TABLE = 3,
	EVENT_PAGE_TABLE = 4,
	EVENT_ILLEGAL_COMMAND = 5,
	EVENT_COMMAND_ERROR = 6,
	EVENT_REQUEST = 8,
};

#define EVENT_WRITE BIT(21) // of the second 32 bits of a page fault

// SPDX-License-Identifier: MIT
// A port with a disk, between the files of the AHCI driver. Each is a controller of the block layer with one queue.
#pragma once

#include "drivers/ahci/ahci_regs.h"
#include "drivers/block.h"
#include "drivers/pci.h"

#define AHCI_SLOTS 32u
#define AHCI_PORTS 32u

enum ahci_state { AHCI_STOP, AHCI_STOPPING, AHCI_RESETTING, AHCI_WAKING, AHCI_BUSY };

struct ahci_port {
	struct block_controller block;
	struct block_queue queue;
	struct block_disk disk;
	struct pci_function *pci;
	volatile u8 *regs; // of the port

	struct ahci_header *headers; // a page: 32 headers, then the FIS that are received
	struct ahci_table *tables;
	u64 (*ranges)[64]; // of TRIM, a sector for each slot
	u32 slots;         // that the controller has
	u32 depth;         // commands that the disk queues, 0: it does not
	u32 busy;          // slots in use
	bool queued;       // those commands are queued ones
	u32 alone;         // commands still to be done one at a time, after a failure among several
	struct block_request *requests[AHCI_SLOTS];

	enum ahci_state state;
	u64 deadline;
};

// ahci_io.c
extern const struct block_driver ahci_driver;
void ahci_port_interrupt(struct ahci_port *p);

// Puts a command into the slot's table; its data is added with ahci_add.
void ahci_command(struct ahci_port *p, u32 slot, u8 command, u64 sector, u32 count, bool write);
void ahci_add(struct ahci_port *p, u32 slot, u64 at, u32 len);

// ahci_reset.c
u64 ahci_recover(struct block_controller *c, bool first);
void ahci_cut_off(struct block_controller *c);

// ahci_identify.c: start only, no command under way; false: the disk is none that can be used, which was logged.
bool ahci_identify(struct ahci_port *p);

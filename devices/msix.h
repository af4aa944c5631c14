// SPDX-License-Identifier: MIT
// MSI-X of a PCI function: its capability, table and pending bits (PCI Local Bus Specification 3.0, section 6.8.2).
//
// An interrupt that may not be sent now (vector or function masked, not a bus master) stays pending and is sent when it
// may. The table and the pending bits lie in a memory BAR; the function passes accesses on with offsets into them.
#pragma once

#include "devices/host.h"
#include "devices/pci_config.h"

#define MSIX_MAX       64u // vectors of a function
#define MSIX_NONE      0xffffu
#define MSIX_ENTRY     16u // bytes of an entry in the table
#define MSIX_CAP_ID    0x11u
#define MSIX_CAP_BYTES 12u

struct msix_entry {
	u64 addr;
	u32 data;
	u32 control; // bit 0: masked
};

struct msix {
	struct host *host;
	struct pci_config *config;
	u8 cap; // offset of the capability
	u16 vectors;
	struct msix_entry entry[MSIX_MAX];
	u64 pending; // set of vectors
};

// Adds the capability; table and pending bits at these offsets of the BAR, both 8-byte aligned.
void msix_init(struct msix *m, struct host *h, struct pci_config *config, u16 vectors, u8 bar,
	u32 table_offset, u32 pba_offset);
void msix_reset(struct
	msix *m); // all masked, nothing pending; the capability is reset with the configuration space

// Is MSI-X switched on by the guest? If not, the function has its pin.
bool msix_enabled(const struct msix *m);

// Sends the vector's message, now or when it may. Nothing happens if the vector does not exist or MSI-X is off.
void msix_raise(struct msix *m, u16 vector);

// Sends what is pending and may be sent; after each write to configuration space.
void msix_update(struct msix *m);

// size 1, 2, 4, 8; any offset: what lies outside reads as 0. Writes take effect for aligned 4 and 8 bytes only.
u64 msix_table_read(const struct msix *m, u64 offset, unsigned size);
void msix_table_write(struct msix *m, u64 offset, unsigned size, u64 value);
u64 msix_pba_read(const struct msix *m, u64 offset, unsigned size);

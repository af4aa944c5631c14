// SPDX-License-Identifier: MIT
// What firmware looks for in a Q35: the bridge to what is not on PCI, with the power management block's address, fw_cfg,
// the flash chip, and configuration space in memory where the firmware expects it.
#pragma once

#include "devices/fw_cfg.h"
#include "devices/pci.h"
#include "kernel/vm/vflash.h"

#define LPC_SLOT        31u
#define LPC_FW_CFG_PORT 0x510u

#define LPC_ECAM                                                                                   \
	0xb0000000ull // PCIEXBAR of Debian 12's OVMF; guests find GPA_ECAM in the MCFG table

struct vpci;

struct lpc {
	struct vpci *bus;
	struct fw_cfg fw_cfg;
	struct vflash *flash; // NULL: none
};

// The function's `dev` is a struct lpc, which the owner has filled. All under the VM's lock.
extern const struct pci_function_ops lpc_ops;

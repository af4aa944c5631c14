// SPDX-License-Identifier: MIT
// The networks of VMs in the root VM: for each switch a bridge, for each network card a tap, its port (docs/backends.md).
//
// Nothing is remembered: Linux keeps what was made, with a text that says whose it is, and each call makes things as they
// shall be, whatever was there. So one that was killed in the middle is no matter.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/bundle.h"

// For a kernel whose bridges know no VLANs: cards in a VLAN are refused from now on, and frames with tags are not kept apart.
void network_without_vlans(void);

// Makes the tap of a VM's card, and the bridge and the uplink of its switch. card: its number among the VM's; line: what
// follows `nic ` (abi/bundle.h). False after a message.
bool network_plug(uint32_t vm, const char *name, unsigned card, const char *line);

// The same for all cards of a VM, whose lines the kernel tells.
bool network_plug_vm(uint32_t vm, const char *name);

// Takes away the taps of all other VMs, and bridges without taps, and gives the root VM's addresses back to their uplinks; moves
// addresses that came to an uplink since (a DHCP client gave them) to its bridge.
void network_keep(const uint32_t *vms, size_t count);

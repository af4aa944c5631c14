// SPDX-License-Identifier: MIT
// devices/host.h in the kernel: what stands behind a struct host.
#pragma once

#include "devices/console.h"
#include "devices/virtio_pci.h"

struct vm;

struct host {
	struct vm *vm;
};

// All devices of a VM. Under vm->lock, but for the pointers in host and the timers' own parts.
struct vm_devices {
	struct host host;
	struct virtio_console console;
	struct virtio_pci console_pci;
};

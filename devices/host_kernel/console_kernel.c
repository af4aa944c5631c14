// SPDX-License-Identifier: MIT
// The devices that the kernel gives every VM: a virtio-console on its PCI bus.
#include "devices/host_kernel/host_kernel.h"
#include "devices/host_kernel/vm_devices.h"

#include "kernel/core/frame.h"
#include "kernel/vm/vm.h"
#include "lib/errno.h"

int vm_devices_create(struct vm *vm)
{
	struct vm_devices *d = kmem_alloc(sizeof(*d), vm->id);
	int err;

	if (!d)
		return -ENOMEM;
	d->host.vm = vm;
	virtio_console_init(&d->console, &d->host);
	virtio_pci_init(&d->console_pci, &d->console.dev, VM_CONSOLE_SLOT);
	err = vpci_add(&vm->pc.pci, VM_CONSOLE_SLOT, &virtio_pci_ops, &d->console_pci);
	if (err) {
		virtio_console_destroy(&d->console);
		kmem_free(d, sizeof(*d));
		return err;
	}
	vm->devices = d;
	return 0;
}

void vm_devices_destroy(struct vm *vm)
{
	struct vm_devices *d = vm->devices;

	if (!d)
		return;
	spin_lock(&vm->lock);
	virtio_reset(&d->console.dev); // a timer that goes off now finds nothing to do
	vm->devices = NULL;
	spin_unlock(&vm->lock);
	virtio_console_destroy(&d->console);
	kmem_free(d, sizeof(*d));
}

bool vm_console_device_input(struct vm *vm, const u8 *bytes, size_t n, size_t *taken)
{
	bool live;

	spin_lock(&vm->lock);
	live = vm->devices && virtio_console_live(&vm->devices->console);
	*taken = live ? virtio_console_input(&vm->devices->console, bytes, n) : 0;
	spin_unlock(&vm->lock);
	return live;
}

void vm_console_device_drain(struct vm *vm)
{
	spin_lock(&vm->lock);
	if (vm->devices)
		virtio_console_room(&vm->devices->console);
	spin_unlock(&vm->lock);
}

// SPDX-License-Identifier: MIT
// The disks of a VM: what its lines in the bundle say, as virtio-blk functions before their stores.
#include "kernel/mono/disks.h"

#include "devices/host_kernel/host_kernel.h"
#include "devices/virtio_blk.h"
#include "kernel/core/bundle_disk.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/mono/disk.h"
#include "kernel/vm/vm.h"

#define FIRST_SLOT 2u // on the PCI bus; the other disks follow

struct disk {
	struct host_block *store;
	struct virtio_blk *blk; // NULL: not made
	struct virtio_pci pci;
};

// Of a VM, under vm->lock.
struct vm_disks {
	struct host host;
	unsigned count;
	struct disk disk[BUNDLE_MAX_DISKS];
};

static struct host_block *store_create(struct vm *vm, const struct bundle_disk *d, const char **why)
{
	static const enum disk_image_mode modes[] = {
		[BUNDLE_DISK_RW] = DISK_IMAGE_IN_PLACE,
		[BUNDLE_DISK_RO] = DISK_IMAGE_READ_ONLY,
		[BUNDLE_DISK_SNAPSHOT] = DISK_IMAGE_PRIVATE,
	};

	if (!d->image.data)
		return disk_device_create(vm, d->device, d->mode == BUNDLE_DISK_RW, why);
	return disk_image_create(vm, d->image, modes[d->mode], why);
}

static const char *disk_create(struct vm *vm, unsigned line)
{
	// Two at least: see put_madt in kernel/vm/acpi_tables.c.
	unsigned queues = MIN(MAX(vm->vcpu_count, 2u), VIRTIO_BLK_QUEUES), n = vm->disks->count;
	const char *why = "not enough free memory for its disks";
	struct disk *disk = &vm->disks->disk[n];
	struct bundle_disk d;

	if (n == BUNDLE_MAX_DISKS)
		return "disk: at most 8 were expected";
	if (!bundle_disk_parse(vm->config, line, &d, &why))
		return why;
	disk->store = store_create(vm, &d, &why);
	if (!disk->store)
		return why;
	vm->disks->count++;
	if (!disk->store->info.id[0])
		format(disk->store->info.id, sizeof(disk->store->info.id), "disk%u", n);
	disk->blk = kmem_alloc(sizeof(*disk->blk), vm->id);
	if (!disk->blk)
		return "not enough free memory for its disks";
	virtio_blk_init(disk->blk, &vm->disks->host, disk->store, queues);
	virtio_pci_init(&disk->pci, &disk->blk->dev, FIRST_SLOT + n);
	if (vpci_add(&vm->pc.pci, FIRST_SLOT + n, &virtio_pci_ops, &disk->pci))
		return "its PCI bus is full";
	log_line("%s: disk %u: %s, %llu sectors", vm->name, n, vm->config->io[line].value,
		(unsigned long long)disk->store->info.sectors);
	return NULL;
}

const char *disks_create(struct vm *vm)
{
	const char *why = NULL;
	int line = bundle_disk_line(vm->config, 0);

	if (line < 0)
		return NULL;
	vm->disks = kmem_alloc(sizeof(*vm->disks), vm->id);
	if (!vm->disks)
		return "not enough free memory for its disks";
	vm->disks->host.vm = vm;
	for (unsigned n = 1; !why && line >= 0; n++) {
		why = disk_create(vm, (unsigned)line);
		line = bundle_disk_line(vm->config, n);
	}
	return why;
}

// In flight is nothing, and what was written is on stable storage.
static bool disk_settled(struct disk *d)
{
	virtio_reset(&d->blk->dev);
	return virtio_blk_quiet(d->blk) &&
	       (!d->store->ops->settle || d->store->ops->settle(d->store));
}

bool disks_quiet(struct vm *vm)
{
	bool quiet = true;

	if (!vm->disks)
		return true;
	spin_lock(&vm->lock);
	for (unsigned i = 0; i < vm->disks->count; i++)
		quiet = disk_settled(&vm->disks->disk[i]) && quiet;
	spin_unlock(&vm->lock);
	return quiet;
}

void disks_destroy(struct vm *vm)
{
	if (!vm->disks)
		return;
	for (unsigned i = 0; i < vm->disks->count; i++) {
		struct disk *d = &vm->disks->disk[i];

		if (d->blk) {
			virtio_blk_destroy(d->blk);
			kmem_free(d->blk, sizeof(*d->blk));
		}
		d->store->ops->destroy(d->store);
	}
	kmem_free(vm->disks, sizeof(*vm->disks));
	vm->disks = NULL;
}

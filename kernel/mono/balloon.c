// SPDX-License-Identifier: MIT
// The virtio-balloon of a VM: by default it takes what the guest reports as free, and asks for nothing.
#include "kernel/mono/balloon.h"

#include "devices/host_kernel/host_kernel.h"
#include "devices/virtio_balloon.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/mono/reclaim.h"
#include "lib/string.h"

#define SLOT 11u // on the PCI bus, behind disks and random generator

struct vm_balloon {
	struct host host;
	struct virtio_balloon dev;
	struct virtio_pci pci;
	struct reclaim reclaim;
};

void host_on_dropped(struct host *h, void (*done)(void *device), void *device)
{
	h->vm->balloon->reclaim.done = done;
	h->vm->balloon->reclaim.device = device;
}

u64 host_drop(struct host *h, u64 gpa, u64 len)
{
	return reclaim_drop(&h->vm->balloon->reclaim, gpa, len);
}

void host_drop_end(struct host *h)
{
	reclaim_end(&h->vm->balloon->reclaim);
}

void balloon_work(void)
{
	reclaim_quiet();
}

// "off", or the bytes that the balloon shall hold. false: neither.
static bool parse(const char *text, u64 memory, bool *off, u64 *target)
{
	*off = !strcmp(text, "off");
	if (*off)
		return true;
	*target = 0;
	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '9' || *target > memory)
			return false;
		*target = *target * 10 + (u64)(*c - '0');
	}
	return *text && *target < memory;
}

static const char *make(struct vm *vm, u64 target)
{
	struct vm_balloon *b = kmem_alloc(sizeof(*b), vm->id);

	if (!b)
		return "out of memory for its devices";
	vm->balloon = b;
	b->host.vm = vm;
	reclaim_init(&b->reclaim, vm, &b->host);
	virtio_balloon_init(&b->dev, &b->host, (u32)(target / PAGE_SIZE));
	virtio_pci_init(&b->pci, &b->dev.dev, SLOT);
	return vpci_add(&vm->pc.pci, SLOT, &virtio_pci_ops, &b->pci) ? "its PCI bus is full" : NULL;
}

const char *balloon_create(struct vm *vm)
{
	const struct bundle_vm *c = vm->config;
	bool off = false;
	u64 target = 0;

	for (unsigned i = 0; i < c->io_count; i++)
		if (!strcmp(c->io[i].key, "balloon") &&
			!parse(c->io[i].value, c->memory, &off, &target))
			return "balloon: off or less than its memory was expected";
	return off ? NULL : make(vm, target);
}

void balloon_destroy(struct vm *vm)
{
	struct vm_balloon *b = vm->balloon;

	if (!b)
		return;
	spin_lock(&vm->lock);
	virtio_reset(&b->dev.dev);
	spin_unlock(&vm->lock);
	reclaim_destroy(&b->reclaim);
	log_line("%s: balloon: %llu KiB came back while it ran", vm->name,
		(unsigned long long)b->reclaim.frames * 4);
	vm->balloon = NULL;
	kmem_free(b, sizeof(*b));
}

// SPDX-License-Identifier: MIT
// A VM's memory for the root VM, where the back-end and the devices it commands reach it: at the machine's address, as all that the
// root VM has. It is lent piece by piece as the back-end touches it, and taken back at the end, before the frames are free.
#include "kernel/micro/backend.h"
#include "kernel/micro/root.h"
#include "lib/errno.h"

#define BLOCK  (2 * MiB)
#define LEAVES 512u // looked at in one call of backend_take_back

_Static_assert(MEZZ_FIRMWARE_SIZE == BLOCK, "it is lent as a whole");

static bool lend_page(struct vm *root, u64 at, u64 size)
{
	struct gmap_leaf seen;

	gmap_leaf(&root->gmap, at, &seen);
	if (seen.device)
		return true;
	if (!gmap_map_device(&root->gmap, at, size))
		return false;
	if (root_iommu_lend(at, size))
		return true;
	gmap_unmap_device(&root->gmap, at, size);
	return false;
}

// A block goes as a whole, or, where the root VM's map has a table for it, page by page.
static bool lend(struct vm *root, u64 at, u64 size)
{
	bool whole = size == BLOCK && lend_page(root, at, BLOCK);

	for (u64 end = at + size; !whole && at < end; at += PAGE_SIZE)
		if (!lend_page(root, at, PAGE_SIZE))
			return false;
	return true;
}

s64 backend_lend(struct vm *vm, u64 gpa)
{
	const struct firmware *f = vm->backend->firmware;
	struct gmap_leaf leaf;
	u64 size = BLOCK;

	if (f && gpa - MEZZ_MAP_FIRMWARE < MEZZ_FIRMWARE_SIZE) {
		leaf.at = va_to_hpa(f->area);
	} else {
		if (!gmap_is_ram(&vm->gmap, gpa))
			return -EFAULT;
		if (!gmap_ptr(&vm->gmap, gpa))
			return -ENOMEM;
		gmap_leaf(&vm->gmap, gpa, &leaf);
		size = leaf.end - leaf.start;
	}
	vm->backend->lent = true;
	vm->backend->at = 0;
	if (!lend(root_vm(), leaf.at.v, size))
		return -ENOMEM;
	root_iommu_lent();
	return (s64)(leaf.at.v | (size == BLOCK ? MEZZ_MAP_BLOCK : 0));
}

static void take_leaf(struct vm *root, u64 at, u64 size)
{
	struct gmap_leaf seen;

	for (u64 end = at + size, n; at < end; at += n) {
		gmap_leaf(&root->gmap, at, &seen);
		n = MIN(seen.end - at, end - at);
		if (!seen.device)
			continue;
		gmap_unmap_device(&root->gmap, at, n);
		root_iommu_take_back(at, n);
	}
}

// The RAM at or behind gpa; ~0: there is none.
static u64 next_ram(const struct gmap *g, u64 gpa)
{
	u64 next = ~0ull;

	for (unsigned i = 0; i < g->ranges; i++)
		if (gpa < g->ram[i].end)
			next = MIN(next, MAX(gpa, g->ram[i].start));
	return next;
}

// true: all has been looked at.
static bool take_some(struct vm *vm)
{
	u64 *at = &vm->backend->at;
	struct gmap_leaf leaf;

	for (unsigned i = 0; i < LEAVES; i++) {
		*at = next_ram(&vm->gmap, *at);
		if (*at == ~0ull)
			break;
		gmap_leaf(&vm->gmap, *at, &leaf);
		if (!hpa_is_none(leaf.at) && !leaf.device)
			take_leaf(root_vm(), leaf.at.v, leaf.end - leaf.start);
		*at = leaf.end;
	}
	if (*at == ~0ull && vm->backend->firmware)
		take_leaf(root_vm(), va_to_hpa(vm->backend->firmware->area).v, BLOCK);
	root_iommu_taken_back();
	return *at == ~0ull;
}

// None of the root VM's processors has a translation from before: each has flushed, or will before it enters the guest.
static bool is_flushed(const struct vm *root)
{
	for (u32 i = 0; i < root->vcpu_count; i++)
		if (atomic_load(&root->vcpus[i]->events) & VCPU_FLUSH &&
			atomic_load(&root->vcpus[i]->in_guest))
			return false;
	return true;
}

bool backend_take_back(struct vm *vm)
{
	struct vm_backend *b = vm->backend;
	struct vm *root = root_vm();

	if (!b->lent)
		return true;
	if (!b->flushing) {
		if (!take_some(vm))
			return false;
		for (u32 i = 0; i < root->vcpu_count; i++)
			vcpu_post(root->vcpus[i], VCPU_FLUSH);
		b->flushing = true;
	}
	if (!is_flushed(root))
		return false;
	b->lent = b->flushing = false;
	return true;
}

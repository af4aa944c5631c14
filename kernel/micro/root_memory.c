// SPDX-License-Identifier: MIT
// The root VM's memory: RAM where the machine has it, and the machine's devices beside it. What is neither (the kernel's own
// RAM and that of other VMs) is reserved in its memory map, and reads as ones.
#include "abi/hypercall.h"
#include "drivers/amd_iommu/amd_iommu.h"
#include "kernel/core/boot_info.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/micro/root.h"
#include "kernel/vm/loader_parts.h"
#include "kernel/x86/acpi.h"
#include "lib/errno.h"

#define BLOCK     (2 * MiB)
#define LOW_START 0x1000u // page 0 is kept, as BIOSes do
#define LOW_END   0x9f000u
#define DMA_END   BIT(32)
#define PIECES    (GMAP_RANGES - 1)

static const struct boot_info *machine;

static bool is_ram(u64 start, u64 end)
{
	for (u32 i = 0; i < machine->map_count; i++)
		if (machine->map[i].type == BOOT_RAM && machine->map[i].start < end &&
			machine->map[i].end > start)
			return true;
	return false;
}

static u64 run_end(u64 start, u64 size)
{
	u64 end = start;

	while (end - start < size && end < DMA_END && is_ram(end, end + BLOCK) &&
		frame_is_free_block(hpa(end)))
		end += BLOCK;
	return end;
}

// The lowest run of so many free bytes, or the longest there is.
static struct gmap_range find_run(u64 size)
{
	struct gmap_range best = {0, 0};

	for (u64 at = BLOCK, end; at < DMA_END && best.end - best.start < size; at = end + BLOCK) {
		end = run_end(at, size);
		if (end - at > best.end - best.start)
			best = (struct gmap_range){at, end};
	}
	return best;
}

// Takes up to PIECES runs, the longest first, and sorts them by address. What is missing.
static u64 take_pieces(struct vm *vm, struct gmap_range *pieces, unsigned *n, u64 left)
{
	for (*n = 0; *n < PIECES && left; ++*n) {
		struct gmap_range run = find_run(left);
		unsigned i = *n;

		for (u64 at = run.start; at < run.end; at += BLOCK)
			ASSERT(frame_claim(hpa(at), vm->id));
		if (!i)
			vm->ram_low = run.end - ROOT_ACPI_SIZE;
		for (; i && pieces[i - 1].start > run.start; i--)
			pieces[i] = pieces[i - 1];
		pieces[i] = run;
		left -= run.end - run.start;
	}
	return left;
}

// The first MiB, as far as the firmware leaves it, serves the start of Linux's other processors; the rest is counted.
const char *root_memory_take(struct vm *vm, const struct boot_info *info)
{
	struct gmap_range pieces[PIECES];
	u64 left;
	unsigned n;

	machine = info;
	if (!IS_ALIGNED(vm->config->memory, BLOCK))
		return "the root VM's memory is not a multiple of 2 MiB";
	vm->gmap.identity = true;
	gmap_add_ram(&vm->gmap, LOW_START, LOW_END);
	left = take_pieces(vm, pieces, &n, vm->config->memory);
	for (unsigned i = 0; i < n; i++)
		gmap_add_ram(&vm->gmap, pieces[i].start, pieces[i].end);
	return left ? "the machine has not so much memory for the root VM below 4 GiB, in three pieces"
		    : NULL;
}

u64 root_acpi_place(const struct vm *vm)
{
	return vm->ram_low;
}

static void add(struct memory_entry *map, unsigned max, unsigned *n, u64 start, u64 end, u32 type)
{
	if (start < end && *n < max)
		map[(*n)++] = (struct memory_entry){start, end - start, type};
}

// The tables are at the end of one of the pieces.
static void add_piece(
	struct memory_entry *map, unsigned max, unsigned *n, u64 start, u64 end, u64 tables)
{
	bool has = tables >= start && tables < end;

	add(map, max, n, start, has ? tables : end, MEMORY_RAM);
	if (has)
		add(map, max, n, tables, end, BOOT_ACPI);
}

// Of what the firmware names as RAM the root VM has some; the rest is somebody's.
static void add_ram(const struct vm *vm, struct memory_entry *map, unsigned max, unsigned *n,
	const struct boot_range *r)
{
	u64 at = r->start;

	for (unsigned i = 0; i < vm->gmap.ranges; i++) {
		u64 start = MAX(vm->gmap.ram[i].start, at), end = MIN(vm->gmap.ram[i].end, r->end);

		if (start >= end)
			continue;
		add(map, max, n, at, start, MEMORY_RESERVED);
		add_piece(map, max, n, start, end, root_acpi_place(vm));
		at = end;
	}
	add(map, max, n, at, r->end, MEMORY_RESERVED);
}

unsigned root_memory_map(const struct vm *vm, struct memory_entry *map, unsigned max)
{
	unsigned n = 0;

	for (u32 i = 0; i < machine->map_count; i++) {
		const struct boot_range *r = &machine->map[i];

		if (r->type == BOOT_RAM)
			add_ram(vm, map, max, &n, r);
		else
			add(map, max, &n, r->start, r->end, r->type);
	}
	return n;
}

// What the firmware names as RAM around `at`, as far as it is not the root VM's.
s64 root_call_ram(struct vcpu *v, u64 at, gpa_t buffer, u64 room)
{
	struct mezz_range r = {0};

	for (u32 i = 0; i < machine->map_count; i++) {
		const struct boot_range *b = &machine->map[i];

		if (b->type == BOOT_RAM && at >= b->start && at < b->end)
			r = (struct mezz_range){b->start, b->end};
	}
	for (unsigned i = 0; i < v->vm->gmap.ranges; i++) {
		const struct gmap_range *own = &v->vm->gmap.ram[i];

		if (own->end <= at)
			r.start = MAX(r.start, own->end);
		else
			r.end = MIN(r.end, own->start);
	}
	return r.start < r.end && at >= r.start ? root_give(v, &r, sizeof(r), buffer, room)
						: -ENOENT;
}

// What the kernel keeps for itself of the device memory: interrupt controllers are the VM's own, virtual ones, and the
// IOMMU is there against it.
static bool is_kept(u64 gpa)
{
	if (gpa - acpi_info.lapic.v < PAGE_SIZE || amd_iommu_has(gpa))
		return true;
	for (u32 i = 0; i < acpi_info.ioapic_count; i++)
		if (gpa - ALIGN_DOWN(acpi_info.ioapics[i].base.v, PAGE_SIZE) < PAGE_SIZE)
			return true;
	return false;
}

static bool block_is_devices(u64 start)
{
	if (is_ram(start, start + BLOCK))
		return false;
	for (u64 at = start; at < start + BLOCK; at += PAGE_SIZE)
		if (is_kept(at))
			return false;
	return true;
}

bool root_map_device(struct vm *vm, u64 gpa)
{
	u64 page = ALIGN_DOWN(gpa, PAGE_SIZE), block = ALIGN_DOWN(gpa, BLOCK);

	if (is_ram(page, page + PAGE_SIZE) || is_kept(page))
		return false;
	if (block_is_devices(block) && gmap_map_device(&vm->gmap, block, BLOCK))
		return true;
	return gmap_map_device(&vm->gmap, page, PAGE_SIZE);
}

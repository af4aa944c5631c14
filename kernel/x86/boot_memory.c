// SPDX-License-Identifier: MIT
// Memory before the frame allocator exists: hands out pages of RAM that nobody uses, lowest first,
// and in the end tells the frame allocator what is left.
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/x86/boot.h"
#include "kernel/core/pcpu.h" // for arch.h: the real one, or the fake one of a test

#define TAKEN_MAX 32

static const struct boot_info *info;
static struct boot_image image;
// What is not free: first the start's own memory, then image, module, what we gave out.
static struct boot_range taken[TAKEN_MAX];
static u32 taken_count;
static u64 allocated; // bytes given out by boot_alloc

static void take(u64 start, u64 end)
{
	struct boot_range *last = taken_count ? &taken[taken_count - 1] : NULL;

	if (last && last->end == start) {
		last->end = end;
		return;
	}
	ASSERT(taken_count < TAKEN_MAX);
	taken[taken_count++] = (struct boot_range){start, end, BOOT_RESERVED};
}

static void take_bytes(hpa_t start, u64 size)
{
	take(ALIGN_DOWN(start.v, PAGE_SIZE), ALIGN_UP(start.v + size, PAGE_SIZE));
}

void boot_memory_init(const struct boot_info *boot_info, const struct boot_image *where)
{
	info = boot_info;
	image = *where;
	taken_count = 0;
	allocated = 0;
	take(image.start_only.v, image.end.v);
	take(0, MiB); // the first MiB is the firmware's, and ours for the trampoline
	if (!hpa_is_none(info->module))
		take_bytes(info->module, info->module_size);
	if (info->screen.kind == BOOT_SCREEN_PIXELS)
		take_bytes(info->screen.base, (u64)info->screen.pitch * info->screen.height);
	take(image.start.v, image.start_only.v);
}

static bool overlaps(const struct boot_range *r, u64 start, u64 end)
{
	return r->start < end && r->end > start;
}

// What lies across [start, end) and is not free: the one that begins lowest, NULL for none. Where
// the firmware's map contradicts itself, what is not RAM wins; and RAM among the first `given` of
// its entries has been dealt with.
static const struct boot_range *find_blocker(u64 start, u64 end, u32 given)
{
	const struct boot_range *best = NULL;

	for (u32 i = 0; i < info->map_count; i++) {
		const struct boot_range *r = &info->map[i];

		if ((r->type != BOOT_RAM || i < given) && overlaps(r, start, end) &&
			(!best || r->start < best->start))
			best = r;
	}
	for (u32 i = 0; i < taken_count; i++) {
		const struct boot_range *r = &taken[i];

		if (r->type != BOOT_RAM && overlaps(r, start, end) &&
			(!best || r->start < best->start))
			best = r;
	}
	return best;
}

static hpa_t alloc_below(size_t size, u64 end)
{
	size = ALIGN_UP(size, PAGE_SIZE);
	for (u32 i = 0; i < info->map_count; i++) {
		const struct boot_range *r = &info->map[i], *blocker;
		u64 at = ALIGN_UP(r->start, PAGE_SIZE), limit = MIN(r->end, end);

		if (r->type != BOOT_RAM)
			continue;
		while (at < limit && limit - at >= size) {
			blocker = find_blocker(at, at + size, 0);
			if (!blocker) {
				take(at, at + size);
				allocated += size;
				arch_zero(hpa_to_va(hpa(at)), size);
				return hpa(at);
			}
			at = ALIGN_UP(blocker->end, PAGE_SIZE);
		}
	}
	panic("no %zu KiB of memory to start with", size / 1024);
}

hpa_t boot_alloc(size_t size)
{
	return alloc_below(size, BOOT_REACH);
}

static u64 ram_end(void)
{
	u64 end = 0;

	for (u32 i = 0; i < info->map_count; i++)
		if (info->map[i].type == BOOT_RAM)
			end = MAX(end, info->map[i].end);
	return ALIGN_DOWN(end, PAGE_SIZE);
}

// Each step gives what is free up to the next blocker and goes on behind it.
static void give_free(u64 start, u64 end, u32 given)
{
	while (start < end) {
		const struct boot_range *blocker = find_blocker(start, end, given);
		u64 stop = blocker ? MAX(blocker->start, start) : end;

		if (stop > start)
			frame_add_range(hpa(start), hpa(stop));
		start = blocker ? blocker->end : end;
	}
}

void boot_memory_handover(void)
{
	hpa_t end = hpa(ram_end());
	size_t size = frame_bookkeeping_size(end);

	frame_init(end, hpa_to_va(alloc_below(size, end.v))); // all RAM is mapped by now
	for (u32 i = 0; i < info->map_count; i++)
		if (info->map[i].type == BOOT_RAM)
			give_free(info->map[i].start, info->map[i].end, i);
}

u64 boot_memory_used(void)
{
	return image.start_only.v - image.start.v + allocated;
}

void boot_memory_release_start(void)
{
	frame_add_range(image.start_only, image.end);
}

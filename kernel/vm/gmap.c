// SPDX-License-Identifier: MIT
// A VM's memory map: guest-physical address -> frame, in the tables that the processor walks.
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"
#include "kernel/vm/gmap.h"
#include "kernel/x86/hvm.h"
#include "lib/errno.h"

#define LEVELS     4
#define ENTRIES    512
#define ADDR_MASK  0x000ffffffffff000ull
#define BLOCK      (2 * MiB)
#define GROUP      (64 * KiB)
#define GPA_END    BIT(48)
#define PTE_WRITE  2ull    // of a leaf, in both vendors' formats
#define PTE_DEVICE BIT(52) // ours, ignored by both: not memory of the kernel's direct map

static u64 *table_at(hpa_t a)
{
	return hpa_to_va(a);
}
static unsigned level_shift(int level)
{
	return 12 + 9 * (unsigned)level;
} // level 0 maps 4 KiB
static u64 *entry_at(u64 *table, u64 gpa, int level)
{
	return &table[gpa >> level_shift(level) & (ENTRIES - 1)];
}
static hpa_t entry_hpa(u64 pte)
{
	return hpa(pte & ADDR_MASK);
}

COLD int gmap_init(struct gmap *g, u16 owner)
{
	*g = (struct gmap){.lock = SPINLOCK(LOCK_GMAP), .owner = owner, .tables = 1};
	g->root = frame_alloc(owner, FRAME_TABLE, ORDER_4K);
	return hpa_is_none(g->root) ? -ENOMEM : 0;
}

COLD void gmap_add_ram(struct gmap *g, u64 start, u64 end)
{
	ASSERT(g->ranges < GMAP_RANGES && IS_ALIGNED(start | end, PAGE_SIZE) && end <= GPA_END);
	if (start < end)
		g->ram[g->ranges++] = (struct gmap_range){start, end};
}

static const struct gmap_range *range_of(const struct gmap *g, u64 gpa)
{
	for (unsigned i = 0; i < g->ranges; i++)
		if (gpa >= g->ram[i].start && gpa < g->ram[i].end)
			return &g->ram[i];
	return NULL;
}

bool gmap_is_ram(const struct gmap *g, u64 gpa)
{
	return range_of(g, gpa) != NULL;
}

u64 gmap_ram_left(const struct gmap *g, u64 gpa)
{
	const struct gmap_range *r = range_of(g, gpa);

	return r ? r->end - gpa : 0;
}

COLD static void table_free(u64 *table, int level)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		u64 pte = table[i];

		if (!pte || pte & PTE_DEVICE)
			continue;
		if (level > 0 && !(pte & hvm->pte_large))
			table_free(table_at(entry_hpa(pte)), level - 1);
		else
			frame_free(entry_hpa(pte), level ? ORDER_2M : ORDER_4K);
	}
	frame_free(va_to_hpa(table), ORDER_4K);
}

COLD void gmap_destroy(struct gmap *g)
{
	if (g->root.v && !hpa_is_none(g->root))
		table_free(table_at(g->root), LEVELS - 1);
	g->root = HPA_NONE;
	g->populated = g->tables = 0;
}

// The leaf's entry for gpa and its level, as far as tables are there and not below level `down`;
// its value may be 0.
static u64 *find(const struct gmap *g, u64 gpa, int down, int *level)
{
	u64 *table = table_at(g->root);

	for (int l = LEVELS - 1;; l--) {
		u64 *e = entry_at(table, gpa, l);
		u64 pte = READ_ONCE(*e);

		if (l == down || !pte || (l <= 2 && (pte & hvm->pte_large))) {
			*level = l;
			return e;
		}
		table = table_at(entry_hpa(pte));
	}
}

// Puts tables below the entry e of `level` until it reaches `down`; the entry there, NULL: no
// memory.
COLD static u64 *descend(struct gmap *g, u64 *e, u64 gpa, int level, int down)
{
	while (level > down) {
		hpa_t t = frame_alloc(g->owner, FRAME_TABLE, ORDER_4K);

		if (hpa_is_none(t))
			return NULL;
		g->tables++;
		atomic_store(e, t.v | hvm->pte_table);
		e = entry_at(table_at(t), gpa, --level);
	}
	return e;
}

static bool block_fits(const struct gmap_range *r, u64 gpa)
{
	u64 start = ALIGN_DOWN(gpa, BLOCK);

	return start >= r->start && start + BLOCK <= r->end;
}

// A whole block if its table entry is still empty, the range covers it and there is one.
static bool populate_block(struct gmap *g, const struct gmap_range *r, u64 gpa, u64 *e, int level)
{
	hpa_t block;

	if (level < 1 || !block_fits(r, gpa))
		return false;
	e = descend(g, e, gpa, level, 1);
	if (!e)
		return false;
	block = g->identity ? hpa(ALIGN_DOWN(gpa, BLOCK))
			    : frame_alloc(g->owner, FRAME_GUEST, ORDER_2M);
	if (hpa_is_none(block))
		return false;
	g->populated += ENTRIES;
	atomic_store(e, block.v | hvm->pte_leaf_rwx | hvm->pte_large);
	return true;
}

COLD static int populate_frame(struct gmap *g, u64 gpa)
{
	int level;
	u64 *e = find(g, gpa, 0, &level);
	hpa_t frame;

	if (*e)
		return 0;
	e = descend(g, e, gpa, level, 0);
	if (!e)
		return -ENOMEM;
	frame = g->identity ? hpa(ALIGN_DOWN(gpa, PAGE_SIZE))
			    : frame_alloc(g->owner, FRAME_GUEST, ORDER_4K);
	if (hpa_is_none(frame))
		return -ENOMEM;
	g->populated++;
	atomic_store(e, frame.v | hvm->pte_leaf_rwx);
	return 0;
}

// Where no block fits: the frame, and with it those around it that are not there yet, as they
// will be touched next and each would cost an exit.
COLD static int populate_group(struct gmap *g, const struct gmap_range *r, u64 gpa)
{
	u64 start = MAX(ALIGN_DOWN(gpa, GROUP), r->start);
	u64 end = MIN(ALIGN_DOWN(gpa, GROUP) + GROUP, r->end);
	int err = populate_frame(g, gpa);

	for (u64 at = start; !err && at < end; at += PAGE_SIZE)
		if (populate_frame(g, at))
			break; // nobody has asked for it
	return err;
}

COLD int gmap_populate(struct gmap *g, u64 gpa)
{
	const struct gmap_range *r = range_of(g, gpa);
	int level, err = 0;
	u64 *e;

	if (!r)
		return -EFAULT;
	spin_lock(&g->lock);
	e = find(g, gpa, 0, &level);
	if (!*e && !populate_block(g, r, gpa, e, level)) // else another vcpu was faster
		err = populate_group(g, r, gpa);
	spin_unlock(&g->lock);
	return err;
}

void *gmap_ptr(struct gmap *g, u64 gpa)
{
	for (int tries = 0; tries < 2; tries++) {
		int level;
		u64 pte = gpa < GPA_END ? READ_ONCE(*find(g, gpa, 0, &level)) : 0;

		if ((pte & (PTE_WRITE | PTE_DEVICE)) == PTE_WRITE)
			return (u8 *)hpa_to_va(entry_hpa(pte)) +
			       (gpa & (BIT(level_shift(level)) - 1));
		if (gmap_populate(g, gpa))
			return NULL;
	}
	return NULL;
}

COLD bool gmap_map_device(struct gmap *g, u64 gpa, u64 size)
{
	bool whole = size == BLOCK && IS_ALIGNED(gpa, BLOCK);
	u64 done = 0;

	spin_lock(&g->lock);
	while (done < size) {
		int level;
		u64 *e = find(g, gpa + done, whole, &level);

		e = *e ? NULL : descend(g, e, gpa + done, level, whole);
		if (!e)
			break;
		atomic_store(e, (gpa + done) | hvm->pte_leaf_rwx | PTE_DEVICE |
					(whole ? hvm->pte_large : 0));
		done += whole ? BLOCK : PAGE_SIZE;
	}
	spin_unlock(&g->lock);
	return done >= size;
}

COLD void gmap_unmap_device(struct gmap *g, u64 gpa, u64 size)
{
	int level;
	u64 *e;

	spin_lock(&g->lock);
	e = find(g, gpa, size == BLOCK, &level);
	if (*e & PTE_DEVICE && size == BIT(level_shift(level)))
		atomic_store(e, 0);
	spin_unlock(&g->lock);
}

COLD void gmap_leaf(const struct gmap *g, u64 gpa, struct gmap_leaf *leaf)
{
	int level;
	u64 pte = READ_ONCE(*find(g, gpa, 0, &level)), size = BIT(level_shift(level));

	leaf->start = ALIGN_DOWN(gpa, size);
	leaf->end = leaf->start + size;
	leaf->at = pte ? entry_hpa(pte) : HPA_NONE;
	leaf->device = pte & PTE_DEVICE;
}

COLD static bool map_rom_page(struct gmap *g, u64 gpa, hpa_t frame)
{
	int level;
	u64 *e = find(g, gpa, 0, &level);

	e = descend(g, e, gpa, level, 0);
	if (e)
		atomic_store(e, frame.v | (hvm->pte_leaf_rwx & ~PTE_WRITE));
	return e;
}

COLD bool gmap_map_rom(struct gmap *g, u64 gpa, const void *rom, u64 size)
{
	u64 done = 0;

	spin_lock(&g->lock);
	while (done < size && map_rom_page(g, gpa + done, va_to_hpa((const u8 *)rom + done)))
		done += PAGE_SIZE;
	spin_unlock(&g->lock);
	if (done < size)
		gmap_unmap_rom(g, gpa, done);
	return done >= size;
}

COLD void gmap_unmap_rom(struct gmap *g, u64 gpa, u64 size)
{
	spin_lock(&g->lock);
	for (u64 at = gpa; at < gpa + size; at += PAGE_SIZE) {
		int level;
		u64 *e = find(g, at, 0, &level);

		if (level == 0)
			atomic_store(e, 0);
	}
	spin_unlock(&g->lock);
}

void *gmap_look(const struct gmap *g, u64 gpa)
{
	int level;
	u64 pte = gpa < GPA_END ? READ_ONCE(*find(g, gpa, 0, &level)) : 0;

	return (pte & (PTE_WRITE | PTE_DEVICE)) == PTE_WRITE
		       ? (u8 *)hpa_to_va(entry_hpa(pte)) + (gpa & (BIT(level_shift(level)) - 1))
		       : NULL;
}

// ---------------------------------------------------------------- memory given back

// The block at e becomes a table of frames that maps the same. Processors may know both for a
// while; until something is taken out of the table they say the same.
static bool split(struct gmap *g, u64 *e)
{
	hpa_t block = entry_hpa(*e), t = frame_alloc(g->owner, FRAME_TABLE, ORDER_4K);

	if (hpa_is_none(t))
		return false;
	for (unsigned i = 0; i < ENTRIES; i++)
		table_at(t)[i] = hpa_add(block, i * PAGE_SIZE).v | hvm->pte_leaf_rwx;
	g->tables++;
	atomic_store(e, t.v | hvm->pte_table);
	return true;
}

u64 gmap_unmap(struct gmap *g, u64 gpa, u64 end, struct gmap_gone *gone)
{
	bool whole = IS_ALIGNED(gpa, BLOCK) && end - gpa >= BLOCK;
	u64 *e, pte, size;
	int level;

	gone->kind = GMAP_NOTHING;
	if (!gmap_is_ram(g, gpa))
		return PAGE_SIZE;
	spin_lock(&g->lock);
	e = find(g, gpa, whole, &level);
	if (*e && level && !whole && split(g, e)) {
		level = 0;
		e = entry_at(table_at(entry_hpa(*e)), gpa, level);
	}
	if (*e && level == whole) {
		pte = atomic_exchange(e, 0);
		gone->at = entry_hpa(pte);
		gone->kind = !level ? GMAP_FRAME : pte & hvm->pte_large ? GMAP_BLOCK : GMAP_TABLE;
	}
	spin_unlock(&g->lock);
	size = BIT(level_shift(level));
	return ALIGN_DOWN(gpa, size) + size - gpa;
}

u64 gmap_release(struct gmap *g, const struct gmap_gone *gone)
{
	u64 frames = gone->kind == GMAP_BLOCK ? ENTRIES : gone->kind == GMAP_FRAME;

	if (gone->kind == GMAP_TABLE) {
		for (unsigned i = 0; i < ENTRIES; i++)
			frames += table_at(gone->at)[i] != 0;
		table_free(table_at(gone->at), 0);
	} else if (gone->kind != GMAP_NOTHING) {
		frame_free(gone->at, gone->kind == GMAP_BLOCK ? ORDER_2M : ORDER_4K);
	}
	spin_lock(&g->lock);
	g->populated -= frames;
	g->tables -= gone->kind == GMAP_TABLE;
	spin_unlock(&g->lock);
	return frames;
}

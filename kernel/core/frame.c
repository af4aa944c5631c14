// SPDX-License-Identifier: MIT
// The frame allocator: see frame.h for what it promises.
//
// A whole block (free or used) carries type and owner in its descriptor; only a broken block uses its 512 entries
// of frame_info. A free block is in the list `clean` or `dirty`; a broken one with free frames in `partial`; one
// that a CPU is scrubbing, or that has nothing free, in none.
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/spinlock.h"
#include "lib/bits.h"
#include "lib/list.h"
#include "lib/string.h"

#define BLOCK_SHIFT  21
#define BLOCK_SIZE   (1ull << BLOCK_SHIFT)
#define BLOCK_FRAMES 512u
#define BLOCK_WORDS  (BLOCK_FRAMES / 64)
#define OWNERS       4096u
#define RUN_BLOCKS   256 // partly used blocks that kmem_alloc looks into

enum block_state { BLOCK_WHOLE, BLOCK_BROKEN };

// Type in the upper 4 bits, owner in the lower 12.
typedef u16 info_t;

struct block {
	struct list link;
	u8 state;
	bool mixed;             // BROKEN: not all of it is RAM
	info_t info;            // WHOLE: of all its frames
	u16 free_count;         // BROKEN: bits set in `free`
	u64 free[BLOCK_WORDS];  // BROKEN: its free frames
	u64 clean[BLOCK_WORDS]; // frames known to be zero; counts for free frames only
};

// All below are under `lock`.
static struct spinlock lock;
static struct list clean, dirty, partial;
static u32 scrubbing; // free blocks that are in no list because a CPU zeroes them
static struct block *blocks;
static u64 block_count;
static info_t *frame_info;
static u32 *owned;
static u64 total_frames, free_frames, clean_frames;

static info_t info_make(u16 owner, enum frame_type type)
{
	return (info_t)(type << 12 | (owner & 0xfff));
}
static enum frame_type info_type(info_t i)
{
	return (enum frame_type)(i >> 12);
}
static u16 info_owner(info_t i)
{
	return i & 0xfff;
}

static u64 block_number(const struct block *b)
{
	return (u64)(b - blocks);
}
static info_t *block_infos(const struct block *b)
{
	return frame_info + block_number(b) * BLOCK_FRAMES;
}
static hpa_t block_address(const struct block *b)
{
	return hpa(block_number(b) << BLOCK_SHIFT);
}
static unsigned frame_index(hpa_t a)
{
	return (unsigned)(a.v >> PAGE_SHIFT) % BLOCK_FRAMES;
}
static bool bit_test(const u64 *map, unsigned i)
{
	return map[i / 64] >> (i % 64) & 1;
}
static void bit_set(u64 *map, unsigned i)
{
	map[i / 64] |= BIT(i % 64);
}
static void bit_clear(u64 *map, unsigned i)
{
	map[i / 64] &= ~BIT(i % 64);
}

static struct block *block_of(hpa_t a)
{
	ASSERT(a.v >> BLOCK_SHIFT < block_count);
	return &blocks[a.v >> BLOCK_SHIFT];
}

static unsigned clean_count(const struct block *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < BLOCK_WORDS; i++)
		n += bits_count(b->clean[i]);
	return n;
}

// Zeroes those of n frames at p that the map does not show as clean.
static void zero_frames(u8 *p, const u64 *map, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (i % 64 == 0 && map[i / 64] == ~0ull)
			i += 63;
		else if (!bit_test(map, i))
			arch_zero(p + i * PAGE_SIZE, PAGE_SIZE);
	}
}

static u64 pool_blocks(hpa_t end)
{
	return ALIGN_UP(end.v, BLOCK_SIZE) >> BLOCK_SHIFT;
}

size_t frame_bookkeeping_size(hpa_t end)
{
	u64 n = pool_blocks(end);

	return ALIGN_UP(
		n * sizeof(struct block) + OWNERS * sizeof(u32) + n * BLOCK_FRAMES * sizeof(info_t),
		PAGE_SIZE);
}

void frame_init(hpa_t end, void *pool)
{
	lock = SPINLOCK(LOCK_FRAME);
	list_init(&clean);
	list_init(&dirty);
	list_init(&partial);
	block_count = pool_blocks(end);
	total_frames = free_frames = clean_frames = 0;
	blocks = pool;
	owned = (u32 *)(blocks + block_count);
	frame_info = (info_t *)(owned + OWNERS);
	// Everything begins as a whole block of FRAME_RESERVED, which is 0; frame_info is filled when a block breaks.
	memset(pool, 0, (size_t)((u8 *)frame_info - (u8 *)pool));
	for (u64 i = 0; i < block_count; i++)
		list_init(&blocks[i].link);
}

// A broken block that has free frames now. Mixed ones stand behind the others.
static void block_enlist_partial(struct block *b)
{
	if (b->mixed)
		list_push_back(&partial, &b->link);
	else
		list_push_front(&partial, &b->link);
}

// Turns a whole block that is in no list into frames, all with the block's type and owner. Free ones become free.
static void block_break(struct block *b)
{
	info_t *infos = block_infos(b);
	bool is_free = info_type(b->info) == FRAME_FREE;

	for (unsigned i = 0; i < BLOCK_FRAMES; i++)
		infos[i] = b->info;
	b->state = BLOCK_BROKEN;
	b->free_count = is_free ? BLOCK_FRAMES : 0;
	memset(b->free, is_free ? 0xff : 0, sizeof(b->free));
	b->mixed = info_type(b->info) == FRAME_RESERVED;
	if (is_free)
		block_enlist_partial(b);
	else
		memset(b->clean, 0, sizeof(b->clean));
}

static void block_enlist_free(struct block *b)
{
	if (clean_count(b) == BLOCK_FRAMES)
		list_push_back(&clean, &b->link);
	else
		list_push_back(&dirty, &b->link);
}

// A free block out of its list, NULL when there is none; waits while the only ones are being scrubbed. Drops the
// lock meanwhile.
static struct block *block_take(struct list *first, struct list *second)
{
	struct block *b;

	while (!(b = list_first(first, struct block, link)) &&
		!(b = list_first(second, struct block, link))) {
		if (!scrubbing)
			return NULL;
		spin_unlock(&lock);
		cpu_relax();
		spin_lock(&lock);
	}
	list_remove(&b->link);
	return b;
}

// Lock held. Marks frame i of a broken block as used; whether it was clean.
static bool frame_take(struct block *b, unsigned i, info_t info)
{
	bool was_clean = bit_test(b->clean, i);

	ASSERT(bit_test(b->free, i));
	bit_clear(b->free, i);
	bit_clear(b->clean, i);
	block_infos(b)[i] = info;
	free_frames--;
	clean_frames -= was_clean;
	owned[info_owner(info)]++;
	if (--b->free_count == 0)
		list_remove(&b->link);
	return was_clean;
}

// Lock held. A free frame of a broken block that has one, a clean one if it can be had.
static unsigned frame_pick(const struct block *b)
{
	for (unsigned w = 0; w < BLOCK_WORDS; w++)
		if (b->free[w] & b->clean[w])
			return w * 64 + (unsigned)__builtin_ctzll(b->free[w] & b->clean[w]);
	for (unsigned w = 0; w < BLOCK_WORDS; w++)
		if (b->free[w])
			return w * 64 + (unsigned)__builtin_ctzll(b->free[w]);
	panic("a block in the list of partly used ones has no free frame");
}

// Lock held. A broken block with a free frame; NULL: there is no memory. Guests' frames come out of blocks that are RAM
// throughout, if they can, as somebody may want to treat such a block as a whole (frame.h).
static struct block *block_for_frame(info_t info)
{
	bool guest = info_type(info) == FRAME_GUEST;
	struct block *b = guest ? list_first(&partial, struct block, link)
				: list_last(&partial, struct block, link);

	if (b && !(guest && b->mixed))
		return b;
	b = block_take(&dirty, &clean); // clean ones are worth more as whole blocks
	if (!b)
		return list_first(&partial, struct block, link); // freed while we waited
	block_break(b);
	return b;
}

static hpa_t alloc_4k(info_t info)
{
	struct block *b;
	unsigned i;
	bool was_clean;
	hpa_t a;

	spin_lock(&lock);
	b = block_for_frame(info);
	if (!b) {
		spin_unlock(&lock);
		return HPA_NONE;
	}
	i = frame_pick(b);
	was_clean = frame_take(b, i, info);
	spin_unlock(&lock);

	a = hpa_add(block_address(b), (u64)i << PAGE_SHIFT);
	if (!was_clean)
		arch_zero(hpa_to_va(a), PAGE_SIZE);
	return a;
}

static hpa_t alloc_2m(info_t info)
{
	struct block *b;
	hpa_t a;

	spin_lock(&lock);
	b = block_take(&clean, &dirty);
	if (!b) {
		spin_unlock(&lock);
		return HPA_NONE;
	}
	b->info = info;
	free_frames -= BLOCK_FRAMES;
	clean_frames -= clean_count(b);
	owned[info_owner(info)] += BLOCK_FRAMES;
	spin_unlock(&lock);

	a = block_address(b); // the block is ours alone now, its map of clean frames too
	zero_frames(hpa_to_va(a), b->clean, BLOCK_FRAMES);
	return a;
}

hpa_t frame_alloc(u16 owner, enum frame_type type, enum frame_order order)
{
	info_t info = info_make(owner, type);

	ASSERT(owner < OWNERS && type >= FRAME_KERNEL && type <= FRAME_GUEST);
	return order == ORDER_2M ? alloc_2m(info) : alloc_4k(info);
}

// Lock held.
static bool is_free_block(const struct block *b)
{
	return b->state == BLOCK_WHOLE && info_type(b->info) == FRAME_FREE;
}

bool frame_is_free_block(hpa_t a)
{
	bool is_free;

	ASSERT(IS_ALIGNED(a.v, BLOCK_SIZE));
	spin_lock(&lock);
	is_free = is_free_block(block_of(a));
	spin_unlock(&lock);
	return is_free;
}

bool frame_claim(hpa_t a, u16 owner)
{
	struct block *b = block_of(a);
	bool is_free;

	ASSERT(IS_ALIGNED(a.v, BLOCK_SIZE));
	spin_lock(&lock);
	is_free = is_free_block(b);
	while (is_free && list_empty(&b->link)) { // a CPU scrubs it
		spin_unlock(&lock);
		cpu_relax();
		spin_lock(&lock);
	}
	if (is_free) {
		list_remove(&b->link);
		free_frames -= BLOCK_FRAMES;
		clean_frames -= clean_count(b);
		owned[owner] += BLOCK_FRAMES;
		b->info = info_make(owner, FRAME_GUEST);
	}
	spin_unlock(&lock);
	return is_free;
}

// Lock held. A frame of a broken block becomes free, content unknown; the last one makes the block whole again.
static void frame_put(struct block *b, unsigned i)
{
	block_infos(b)[i] = info_make(0, FRAME_FREE);
	bit_set(b->free, i);
	bit_clear(b->clean, i);
	free_frames++;
	if (b->free_count++ == 0)
		block_enlist_partial(b);
	if (b->free_count == BLOCK_FRAMES) {
		list_remove(&b->link);
		b->state = BLOCK_WHOLE;
		b->info = info_make(0, FRAME_FREE);
		block_enlist_free(b);
	}
}

static info_t info_of(const struct block *b, unsigned i)
{
	return b->state == BLOCK_WHOLE ? b->info : block_infos(b)[i];
}

// Lock held. The owner of what is being given back; it must be in use.
static u16 owner_of_used(info_t info)
{
	ASSERT(info_type(info) >= FRAME_KERNEL); // else it is free already, or was never ours
	return info_owner(info);
}

static void free_4k(struct block *b, unsigned i)
{
	u16 owner = owner_of_used(info_of(b, i));

	if (b->state == BLOCK_WHOLE)
		block_break(b);
	ASSERT(owned[owner] >= 1);
	owned[owner]--;
	frame_put(b, i);
}

static void free_2m(struct block *b)
{
	u16 owner = owner_of_used(b->info);

	ASSERT(b->state == BLOCK_WHOLE && owned[owner] >= BLOCK_FRAMES);
	owned[owner] -= BLOCK_FRAMES;
	free_frames += BLOCK_FRAMES;
	b->info = info_make(0, FRAME_FREE);
	memset(b->clean, 0, sizeof(b->clean));
	block_enlist_free(b);
}

void frame_free(hpa_t a, enum frame_order order)
{
	struct block *b = block_of(a);

	ASSERT(IS_ALIGNED(a.v, PAGE_SIZE << order));
	spin_lock(&lock);
	if (order == ORDER_2M)
		free_2m(b);
	else
		free_4k(b, frame_index(a));
	spin_unlock(&lock);
}

void frame_add_range(hpa_t start, hpa_t end)
{
	u64 a = ALIGN_UP(start.v, PAGE_SIZE), last = ALIGN_DOWN(end.v, PAGE_SIZE);

	spin_lock(&lock);
	while (a < last) {
		struct block *b = block_of(hpa(a));

		if (IS_ALIGNED(a, BLOCK_SIZE) && last - a >= BLOCK_SIZE &&
			b->state == BLOCK_WHOLE) {
			ASSERT(info_type(b->info) == FRAME_RESERVED);
			b->info = info_make(0, FRAME_FREE);
			list_push_back(&dirty, &b->link);
			free_frames += BLOCK_FRAMES;
			total_frames += BLOCK_FRAMES;
			a += BLOCK_SIZE;
			continue;
		}
		ASSERT(info_type(info_of(b, frame_index(hpa(a)))) == FRAME_RESERVED);
		if (b->state == BLOCK_WHOLE)
			block_break(b);
		frame_put(b, frame_index(hpa(a)));
		total_frames++;
		a += PAGE_SIZE;
	}
	spin_unlock(&lock);
}

u64 frame_free_count(void)
{
	return READ_ONCE(free_frames);
}
u64 frame_clean_count(void)
{
	return READ_ONCE(clean_frames);
}
u64 frame_total(void)
{
	return READ_ONCE(total_frames);
}

u64 frame_owned(u16 owner)
{
	ASSERT(owner < OWNERS);
	return READ_ONCE(owned[owner]);
}

static info_t info_at(hpa_t a)
{
	struct block *b;
	info_t info;

	if (a.v >> BLOCK_SHIFT >= block_count)
		return 0; // no RAM there: reserved
	b = block_of(a);
	spin_lock(&lock);
	info = info_of(b, frame_index(a));
	spin_unlock(&lock);
	return info;
}

enum frame_type frame_type_of(hpa_t a)
{
	return info_type(info_at(a));
}
u16 frame_owner_of(hpa_t a)
{
	return info_owner(info_at(a));
}

// A frame of the block that is not scrubbed yet; there is one.
static unsigned first_dirty(const struct block *b)
{
	unsigned w = 0;

	while (!~b->clean[w])
		w++;
	return w * 64 + (unsigned)__builtin_ctzll(~b->clean[w]);
}

bool frame_scrub_slice(void)
{
	struct block *b;
	unsigned i;

	if (list_empty(&dirty)) // a glance; looked at again under the lock
		return false;
	// Nobody shall queue behind scrubbers: where CPUs are threads of an emulator, more than the machine below
	// has, each turn of a fair lock may cost a time slice of that machine.
	if (!spin_trylock(&lock))
		return true;
	b = list_first(&dirty, struct block, link);
	if (!b) {
		spin_unlock(&lock);
		return false;
	}
	list_remove(&b->link);
	scrubbing++;
	spin_unlock(&lock);

	i = first_dirty(b);
	arch_zero(hpa_to_va(hpa_add(block_address(b), (u64)i << PAGE_SHIFT)), PAGE_SIZE);

	while (!spin_trylock(&lock))
		cpu_relax();
	scrubbing--;
	bit_set(b->clean, i);
	clean_frames++;
	if (clean_count(b) == BLOCK_FRAMES)
		list_push_back(&clean, &b->link);
	else
		list_push_front(&dirty, &b->link);
	spin_unlock(&lock);
	return true;
}
// The first of n free frames in a row in a broken block; BLOCK_FRAMES when there is no such run.
static unsigned find_run(const struct block *b, unsigned n)
{
	unsigned run = 0;

	for (unsigned i = 0; i < BLOCK_FRAMES; i++) {
		if (!b->free[i / 64]) {
			run = 0;
			i |= 63;
			continue;
		}
		run = bit_test(b->free, i) ? run + 1 : 0;
		if (run == n)
			return i + 1 - n;
	}
	return BLOCK_FRAMES;
}

// Lock held. A broken block with n free frames in a row, the first of which is *index.
static struct block *block_with_run(unsigned n, unsigned *index)
{
	unsigned looked = 0;
	struct block *b;

	list_for_each(link, &partial)
	{
		b = list_entry(link, struct block, link);
		*index = b->free_count < n ? BLOCK_FRAMES : find_run(b, n);
		if (*index < BLOCK_FRAMES)
			return b;
		if (++looked == RUN_BLOCKS)
			break;
	}
	b = block_take(&dirty, &clean);
	if (b)
		block_break(b);
	*index = 0;
	return b;
}

void *kmem_alloc(size_t size, u16 owner)
{
	info_t info = info_make(owner, FRAME_KERNEL);
	unsigned n = (unsigned)(ALIGN_UP(size, PAGE_SIZE) >> PAGE_SHIFT), first;
	u64 was_clean[BLOCK_WORDS] = {0};
	struct block *b;
	void *p;

	ASSERT(size > 0 && size <= BLOCK_SIZE && owner < OWNERS);
	if (n == 1 || n == BLOCK_FRAMES) {
		hpa_t a = n == 1 ? alloc_4k(info) : alloc_2m(info);

		return hpa_is_none(a) ? NULL : hpa_to_va(a);
	}
	spin_lock(&lock);
	b = block_with_run(n, &first);
	if (!b) {
		spin_unlock(&lock);
		return NULL;
	}
	for (unsigned i = 0; i < n; i++)
		if (frame_take(b, first + i, info))
			bit_set(was_clean, i);
	spin_unlock(&lock);

	p = hpa_to_va(hpa_add(block_address(b), (u64)first << PAGE_SHIFT));
	zero_frames(p, was_clean, n);
	return p;
}

void kmem_free(void *p, size_t size)
{
	hpa_t a = va_to_hpa(p);
	unsigned n = (unsigned)(ALIGN_UP(size, PAGE_SIZE) >> PAGE_SHIFT);
	struct block *b = block_of(a);

	ASSERT(size > 0 && IS_ALIGNED(a.v, PAGE_SIZE) && frame_index(a) + n <= BLOCK_FRAMES);
	spin_lock(&lock);
	for (unsigned i = 0; i < n; i++)
		ASSERT(info_type(info_of(b, frame_index(a) + i)) == FRAME_KERNEL);
	if (n == BLOCK_FRAMES)
		free_2m(b);
	else
		for (unsigned i = 0; i < n; i++)
			free_4k(b, frame_index(a) + i);
	spin_unlock(&lock);
}

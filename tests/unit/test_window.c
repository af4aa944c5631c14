// SPDX-License-Identifier: MIT
// The window of kernel addresses: pieces are contiguous there, made of blocks where there are some and of frames elsewhere, and all of it
// comes back.
// link: kernel/x86/window.c kernel/core/frame.c tests/unit/fake/arch.c
#include "tests/unit/test.h"
#include "kernel/core/frame.h"
#include "kernel/core/pcpu.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/window.h"

#define RAM (64 * MiB)
#define ID  7u

struct cpu_info cpu_info = {.nx = true};
static hpa_t root;

hpa_t paging_root(void)
{
	return root;
}

static void start(void)
{
	size_t size = frame_bookkeeping_size(hpa(RAM));
	u8 *ram;

	fake_reset(1);
	ram = fake_ram(RAM);
	frame_init(hpa(RAM), ram);
	frame_add_range(hpa(size), hpa(RAM));
	root = frame_alloc(FRAME_OWNER_KERNEL, FRAME_KERNEL, ORDER_4K);
	CHECK(window_init());
}

// As the processor finds it; *flags: of the last entry. NULL: not mapped.
static u8 *find(u64 va, u64 *flags)
{
	u64 *table = hpa_to_va(root);

	for (int level = 3;; level--) {
		u64 entry = table[va >> (12 + 9 * level) & 511];

		if (!(entry & PTE_PRESENT))
			return NULL;
		*flags = entry & ~PTE_ADDR;
		if (!level || entry & PTE_LARGE)
			return (u8 *)hpa_to_va(hpa(entry & PTE_ADDR)) +
			       (va & ((PAGE_SIZE << 9 * level) - 1));
		table = hpa_to_va(hpa(entry & PTE_ADDR));
	}
}

static u64 fill(unsigned n, u64 size)
{
	u64 at = 0, more;

	while (at < size && (more = window_grow(n, at, size - at, ID)))
		at += more;
	return at;
}

static void check_piece(unsigned n, u64 size)
{
	u64 va = (u64)window_at(n), flags = 0;

	for (u64 at = 0; at < size; at += PAGE_SIZE) {
		u8 *p = find(va + at, &flags);

		CHECK(p && !p[0] && !p[PAGE_SIZE - 1]); // zeroed, and nobody else's
		if (!p)
			return;
		memset(p, 0x5a, PAGE_SIZE);
		CHECK((flags & (PTE_WRITE | PTE_NX)) == (PTE_WRITE | PTE_NX));
		CHECK(!(flags & (PTE_GLOBAL | PTE_USER)));
	}
	CHECK(!find(va + size, &flags));
}

TEST(pieces_come_and_go)
{
	static const u64 sizes[] = {PAGE_SIZE, 2 * MiB, 5 * MiB + 3 * PAGE_SIZE, 20 * MiB};
	u64 before;

	start();
	before = frame_free_count();
	for (unsigned round = 0; round < 1000; round++) {
		unsigned n = round % WINDOW_PIECES;
		u64 size = sizes[round % 4];

		CHECK_EQ(fill(n, size), size);
		CHECK(frame_owned(ID) >= size / PAGE_SIZE &&
			frame_owned(ID) <= size / PAGE_SIZE + 2);
		if (round < 8)
			check_piece(n, size);
		window_free(window_close(n));
		CHECK_EQ(frame_free_count(), before);
		CHECK_EQ(frame_owned(ID), 0);
	}
	CHECK(!window_close(5)); // there is nothing
	window_free(NULL);
}

TEST(several_at_once)
{
	void *closed;

	start();
	CHECK_EQ(fill(0, 6 * MiB), 6 * MiB);
	CHECK_EQ(fill(63, 4 * MiB + PAGE_SIZE), 4 * MiB + PAGE_SIZE);
	check_piece(0, 6 * MiB);
	closed = window_close(0);
	CHECK_EQ(fill(0, 3 * PAGE_SIZE), 3 * PAGE_SIZE); // before the first one's frames are free
	check_piece(0, 3 * PAGE_SIZE);
	check_piece(63, 4 * MiB + PAGE_SIZE);
	window_free(closed);
	window_free(window_close(0));
	window_free(window_close(63));
	CHECK_EQ(frame_owned(ID), 0);
}

// Every second frame is taken: there is no block, and the piece is made of what is between.
TEST(without_blocks)
{
	static hpa_t taken[RAM / PAGE_SIZE];
	unsigned n = 0;
	u64 before;

	start();
	while (!hpa_is_none(taken[n] = frame_alloc(1, FRAME_KERNEL, ORDER_4K)))
		n++;
	for (unsigned i = 0; i < n; i += 2)
		frame_free(taken[i], ORDER_4K);
	before = frame_free_count();
	CHECK_EQ(fill(3, 4 * MiB + PAGE_SIZE), 4 * MiB + PAGE_SIZE);
	check_piece(3, 4 * MiB + PAGE_SIZE);
	window_free(window_close(3));
	CHECK_EQ(frame_free_count(), before);
}

TEST(out_of_memory)
{
	u64 before, got;

	start();
	before = frame_free_count();
	got = fill(2, WINDOW_PIECE);
	CHECK(got > 50 * MiB && got < RAM && !frame_free_count());
	CHECK_EQ(fill(4, PAGE_SIZE), 0); // not even a table
	window_free(window_close(2));
	window_free(window_close(4));
	CHECK_EQ(frame_free_count(), before);
}

TEST_MAIN()

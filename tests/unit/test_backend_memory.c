// SPDX-License-Identifier: MIT
// A VM's memory lent to the root VM: what becomes reachable there, and that all of it is taken back before the frames are free.
// link: kernel/micro/backend_memory.c kernel/vm/gmap.c kernel/core/frame.c tests/unit/fake/arch.c
#include "tests/unit/test.h"
#include "kernel/core/frame.h"
#include "kernel/core/pcpu.h"
#include "kernel/micro/backend.h"
#include "kernel/micro/root.h"
#include "kernel/x86/hvm.h"
#include "lib/errno.h"

#define RAM    (32 * MiB)
#define MEMORY (6 * MiB) // of the VM

static const struct hvm_ops ops = {.pte_table = 0x7, .pte_leaf_rwx = 0x7, .pte_large = 0x80};
const struct hvm_ops *hvm = &ops;

static struct vm root, vm;
static struct vm_backend backend;
static struct vcpu vcpus[2]; // of the root VM
static void *pool;
static u8 mapped[RAM / PAGE_SIZE]; // by the IOMMU, how often
static bool dirty;                 // it has not been told yet
static bool full;                  // it has no memory for tables

struct vm *root_vm(void)
{
	return &root;
}

bool root_iommu_lend(u64 at, u64 size)
{
	if (full)
		return false;
	for (u64 a = at; a < at + size; a += PAGE_SIZE)
		mapped[a / PAGE_SIZE]++;
	dirty = true;
	return true;
}

void root_iommu_take_back(u64 at, u64 size)
{
	for (u64 a = at; a < at + size; a += PAGE_SIZE)
		mapped[a / PAGE_SIZE]--;
	dirty = true;
}

void root_iommu_lent(void)
{
	dirty = false;
}

void root_iommu_taken_back(void)
{
	dirty = false;
}

void vcpu_post(struct vcpu *v, u64 events)
{
	v->events |= events;
}

static void start(void)
{
	fake_reset(1);
	fake_ram(RAM);
	free(pool);
	pool = malloc(frame_bookkeeping_size(hpa(RAM)));
	frame_init(hpa(RAM), pool);
	frame_add_range(hpa(0x9000), hpa(RAM));
	memset(mapped, 0, sizeof(mapped));
	full = false;
	memset(vcpus, 0, sizeof(vcpus));
	root = (struct vm){.id = 1, .vcpu_count = 2, .vcpus = {&vcpus[0], &vcpus[1]}};
	backend = (struct vm_backend){.serial = 1};
	vm = (struct vm){.id = 2, .backend = &backend, .ram_low = MEMORY};
	CHECK(!gmap_init(&root.gmap, 1) && !gmap_init(&vm.gmap, 2));
	gmap_add_ram(&vm.gmap, 0, GPA_VGA_HOLE);
	gmap_add_ram(&vm.gmap, GPA_VGA_END, MEMORY);
}

static void stop(void)
{
	gmap_destroy(&vm.gmap);
	gmap_destroy(&root.gmap);
}

// How many pages the root VM, and its devices, reach: all of them the VM's.
static unsigned reached(void)
{
	unsigned n = 0;

	for (u64 at = 0; at < RAM; at += PAGE_SIZE) {
		struct gmap_leaf leaf;

		gmap_leaf(&root.gmap, at, &leaf);
		CHECK_EQ(mapped[at / PAGE_SIZE], !hpa_is_none(leaf.at));
		if (hpa_is_none(leaf.at))
			continue;
		CHECK_EQ(leaf.at.v, leaf.start);
		CHECK(leaf.device && frame_owner_of(hpa(at)) == 2 &&
			frame_type_of(hpa(at)) == FRAME_GUEST);
		n++;
	}
	CHECK(!dirty);
	return n;
}

TEST(pages_and_blocks)
{
	s64 page, block;

	start();
	page = backend_lend(&vm, 0x5123);
	CHECK(page > 0 && !(page & (s64)MEZZ_MAP_BLOCK) &&
		hpa_to_va(hpa((u64)page)) == gmap_look(&vm.gmap, 0x5000));
	CHECK_EQ(reached(), 1);
	block = backend_lend(&vm, 3 * MiB + 5);
	CHECK(block & (s64)MEZZ_MAP_BLOCK);
	CHECK(hpa_to_va(hpa((u64)block & ~MEZZ_MAP_BLOCK)) == gmap_look(&vm.gmap, 2 * MiB));
	CHECK_EQ(reached(), 513);
	CHECK_EQ(backend_lend(&vm, 0x5000), page); // again
	CHECK_EQ(backend_lend(&vm, 2 * MiB), block);
	CHECK_EQ(reached(), 513);
	CHECK_EQ(backend_lend(&vm, GPA_VGA_HOLE), -EFAULT);
	CHECK_EQ(backend_lend(&vm, MEMORY), -EFAULT);
	CHECK_EQ(backend_lend(&vm, ~0ull), -EFAULT);
	CHECK(gmap_look(&root.gmap, (u64)page) ==
		NULL); // the kernel takes nothing there for the root VM's own
	stop();
}

TEST(no_memory_for_tables_of_the_iommu)
{
	start();
	full = true;
	CHECK_EQ(backend_lend(&vm, 0x5000), -ENOMEM);
	CHECK_EQ(backend_lend(&vm, 2 * MiB), -ENOMEM);
	full = false;
	CHECK_EQ(reached(), 0);
	CHECK(backend_lend(&vm, 2 * MiB) > 0);
	CHECK_EQ(reached(), 512);
	stop();
}

// The root VM's processors have to flush, or to be outside of the guest with a flush to come.
TEST(taken_back)
{
	start();
	CHECK(backend_take_back(&vm)); // nothing was lent
	for (u64 at = 0; at < MEMORY; at += PAGE_SIZE)
		backend_lend(&vm, at);
	CHECK_EQ(reached(), (MEMORY - (GPA_VGA_END - GPA_VGA_HOLE)) / PAGE_SIZE);
	vcpus[1].in_guest = 1;
	for (unsigned i = 0; i < 10; i++)
		CHECK(!backend_take_back(&vm)); // vcpu 1 has not flushed
	CHECK_EQ(reached(), 0);
	CHECK((vcpus[0].events & VCPU_FLUSH) && (vcpus[1].events & VCPU_FLUSH));
	vcpus[1].events = 0;
	CHECK(backend_take_back(&vm) && !backend.lent);
	stop();
}

// The area that is shared with a VM's firmware is none of its guest's memory, and goes as that does.
TEST(firmware)
{
	struct firmware f = {0};
	s64 at;

	start();
	CHECK_EQ(backend_lend(&vm, MEZZ_MAP_FIRMWARE), -EFAULT);
	f.area = kmem_alloc(MEZZ_FIRMWARE_SIZE, 2);
	backend.firmware = &f;
	at = backend_lend(&vm, MEZZ_MAP_FIRMWARE + 70000);
	CHECK_EQ(at, (s64)(va_to_hpa(f.area).v | MEZZ_MAP_BLOCK));
	CHECK_EQ(backend_lend(&vm, MEZZ_MAP_FIRMWARE + MEZZ_FIRMWARE_SIZE), -EFAULT);
	CHECK_EQ(backend_lend(&vm, MEZZ_MAP_FIRMWARE - 1), -EFAULT);
	CHECK_EQ(mapped[((u64)at & ~MEZZ_MAP_BLOCK) / PAGE_SIZE + 511], 1);
	CHECK(backend_take_back(&vm));
	CHECK_EQ(reached(), 0);
	kmem_free(f.area, MEZZ_FIRMWARE_SIZE);
	stop();
}

// What is taken back from one VM is another's later: a block where pages were, and pages where a block was.
TEST(lent_again_in_other_sizes)
{
	start();
	for (unsigned turn = 0; turn < 3; turn++) {
		struct gmap_leaf leaf;

		backend_lend(&vm, 2 * MiB);
		CHECK_EQ(reached(), 512);
		gmap_leaf(&vm.gmap, 2 * MiB, &leaf);
		if (turn == 0) { // leaves a table in the root VM's map
			CHECK(backend_take_back(&vm));
			CHECK(gmap_map_device(&root.gmap, leaf.at.v, PAGE_SIZE));
			gmap_unmap_device(&root.gmap, leaf.at.v, PAGE_SIZE);
			continue;
		}
		CHECK(backend_take_back(&vm));
		CHECK_EQ(reached(), 0);
	}
	stop();
}

TEST_MAIN()

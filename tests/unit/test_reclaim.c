// SPDX-License-Identifier: MIT
// Taking memory from a VM that runs: the memory map, grace periods, and both under several threads.
// link: kernel/mono/reclaim.c kernel/vm/gmap.c kernel/core/frame.c devices/virtqueue.c tests/unit/fake/arch.c -pthread
#include "tests/unit/test.h"
#include "devices/virtio_pci.h"
#include "kernel/core/frame.h"
#include "kernel/mono/reclaim.h"
#include "kernel/vm/vpv_abi.h"

#include <pthread.h>
#include <sched.h>

#define RAM    (64 * MiB)
#define GUEST  (16 * MiB + 512 * KiB) // so that the last block of RAM is no whole one
#define VM_ID  3
#define BLOCK  (2 * MiB)
#define FRAMES (BLOCK / PAGE_SIZE)

struct host {
	int unused;
};

static const struct hvm_ops ops = {.pte_table = 0x7, .pte_leaf_rwx = 0x7, .pte_large = 0x80};
const struct hvm_ops *hvm = &ops;
const struct pci_function_ops virtio_pci_ops;

static struct vm *vm;
static struct reclaim reclaim;
static struct host host;
static struct host_timer *timer; // the one that is set; NULL: none
static unsigned done_calls;
static void *pool;

// ---------------------------------------------------------------- the kernel around it

void host_timer_init(struct host *h, struct host_timer *t, void (*fn)(struct host_timer *))
{
	*t = (struct host_timer){.fn = fn, .host = h};
}

void host_timer_set(struct host_timer *t, u64 delay_ns)
{
	(void)delay_ns;
	timer = t;
}

void host_timer_destroy(struct host_timer *t)
{
	(void)t;
	timer = NULL;
}

void *host_guest_ptr(struct host *h, u64 gpa, size_t len)
{
	(void)h, (void)len;
	return gmap_is_ram(&vm->gmap, gpa) ? gmap_ptr(&vm->gmap, gpa) : NULL;
}

bool host_guest_read(struct host *h, u64 gpa, void *to, size_t len)
{
	(void)h, (void)gpa, (void)to, (void)len;
	return false;
}

bool host_guest_write(struct host *h, u64 gpa, const void *from, size_t len)
{
	(void)h, (void)gpa, (void)from, (void)len;
	return false;
}

static void done(void *device)
{
	(void)device;
	done_calls++;
}

// The timer goes off, with the VM's lock held. True: the grace period is over.
static bool look(void)
{
	unsigned before = done_calls;
	struct host_timer *t = timer;

	timer = NULL;
	spin_lock(&vm->lock);
	t->fn(t);
	spin_unlock(&vm->lock);
	return done_calls > before;
}

static void finish(void)
{
	reclaim_destroy(&reclaim);
	gmap_destroy(&vm->gmap);
	for (u32 i = 0; i < vm->vcpu_count; i++)
		free(vm->vcpus[i]);
	free(vm);
	free(pool);
}

static void start(u32 vcpus)
{
	fake_reset(4);
	fake_ram(RAM);
	pool = calloc(1, frame_bookkeeping_size(hpa(RAM)));
	vm = calloc(1, sizeof(*vm));
	CHECK(pool && vm);
	frame_init(hpa(RAM), pool);
	frame_add_range(hpa(0), hpa(RAM));
	vm->lock = SPINLOCK(LOCK_VM);
	vm->ram_low = GUEST;
	vm->vcpu_count = vcpus;
	for (u32 i = 0; i < vcpus; i++)
		vm->vcpus[i] = calloc(1, sizeof(*vm->vcpus[i]));
	CHECK(!gmap_init(&vm->gmap, VM_ID));
	gmap_add_ram(&vm->gmap, 0, GPA_VGA_HOLE);
	gmap_add_ram(&vm->gmap, GPA_VGA_END, GUEST);
	gmap_add_ram(&vm->gmap, 0xffe00000, GPA_RAM_HIGH); // firmware
	memset(&reclaim, 0, sizeof(reclaim));
	reclaim_init(&reclaim, vm, &host);
	reclaim.done = done;
}

static u64 *word(u64 gpa)
{
	return gmap_ptr(&vm->gmap, gpa);
}

static void touch(u64 start, u64 end)
{
	for (u64 at = start; at < end; at += PAGE_SIZE)
		if (gmap_is_ram(&vm->gmap, at))
			*word(at) = at + 1;
}

static u64 drop(u64 gpa, u64 len)
{
	u64 n = reclaim_drop(&reclaim, gpa, len);

	reclaim_end(&reclaim);
	return n;
}

// Nothing is lost and nothing twice: what the VM owns is what its map says.
static void check_account(void)
{
	u64 mapped = 0;

	for (u64 at = 0; at < GUEST; at += PAGE_SIZE)
		mapped += gmap_look(&vm->gmap, at) != NULL;
	CHECK_EQ(vm->gmap.populated, mapped);
	CHECK_EQ(frame_owned(VM_ID), mapped + vm->gmap.tables);
	CHECK_EQ(frame_free_count(), RAM / PAGE_SIZE - mapped - vm->gmap.tables);
}

// ---------------------------------------------------------------- the map

TEST(a_block_goes_whole_and_comes_back_empty)
{
	start(1);
	touch(4 * MiB, 8 * MiB);
	CHECK_EQ(drop(4 * MiB, BLOCK), BLOCK);
	CHECK_EQ(reclaim.count, 1);
	CHECK(!gmap_look(&vm->gmap, 5 * MiB));
	CHECK_EQ(vm->gmap.populated, 2 * FRAMES); // until it is given back
	CHECK(look());
	CHECK_EQ(reclaim.frames, FRAMES);
	check_account();
	CHECK_EQ(*word(4 * MiB + PAGE_SIZE), 0);
	CHECK_EQ(*word(6 * MiB), 6 * MiB + 1);
	check_account();
	finish();
}

TEST(a_block_is_split_and_later_goes_with_its_table)
{
	start(1);
	touch(4 * MiB, 6 * MiB);
	CHECK_EQ(drop(4 * MiB + 8 * PAGE_SIZE, 2 * PAGE_SIZE), 2 * PAGE_SIZE);
	CHECK(look());
	check_account();
	for (u64 i = 0; i < FRAMES; i++) {
		u64 at = 4 * MiB + i * PAGE_SIZE, *p = gmap_look(&vm->gmap, at);

		CHECK((i == 8 || i == 9) ? !p : p && *p == at + 1);
	}
	CHECK_EQ(*word(4 * MiB + 9 * PAGE_SIZE), 0);
	CHECK(gmap_look(&vm->gmap, 4 * MiB + 8 * PAGE_SIZE)); // its group came with it
	CHECK_EQ(drop(4 * MiB + 9 * PAGE_SIZE, PAGE_SIZE), PAGE_SIZE);
	CHECK(look());
	check_account();
	CHECK_EQ(drop(4 * MiB, BLOCK), BLOCK);
	CHECK_EQ(reclaim.gone[0].kind, GMAP_TABLE);
	CHECK(look());
	check_account();
	CHECK_EQ(vm->gmap.populated, 0);
	*word(5 * MiB) = 1; // a whole block again
	CHECK_EQ(vm->gmap.populated, FRAMES);
	finish();
}

TEST(what_is_not_its_ram_is_passed_over)
{
	start(1);
	touch(0, GUEST);
	touch(0xffe00000, 0xfff00000);
	for (u64 at = 0, n; at < 8 * GiB; at += n) {
		n = drop(at, 8 * GiB - at);
		CHECK(n > 0 && look());
	}
	CHECK_EQ(reclaim.frames, (GUEST - (GPA_VGA_END - GPA_VGA_HOLE)) / PAGE_SIZE);
	CHECK_EQ(*(u64 *)gmap_look(&vm->gmap, 0xffe00000), 0xffe00001);
	CHECK_EQ(drop(BIT(48), 4096), 4096);
	CHECK(look());
	CHECK_EQ(drop(~0ull - 4095, 4095), 4095);
	CHECK(look());
	CHECK_EQ(drop(100, 5000), 5000); // no whole page
	CHECK(look());
	finish();
}

TEST(one_call_is_bounded)
{
	start(1);
	touch(2 * MiB, 16 * MiB);
	for (u64 at = 2 * MiB; at < 16 * MiB; at += BLOCK)
		CHECK(drop(at + PAGE_SIZE, PAGE_SIZE) == PAGE_SIZE && look()); // all are tables now
	CHECK_EQ(reclaim.frames, 7);
	CHECK_EQ(drop(2 * MiB, 14 * MiB), 14 * MiB);
	CHECK_EQ(reclaim.count, 7);
	CHECK(look());
	touch(2 * MiB, 16 * MiB);
	CHECK_EQ(drop(2 * MiB + PAGE_SIZE, 14 * MiB - PAGE_SIZE), 4 * MiB - PAGE_SIZE);
	CHECK_EQ(reclaim.count, RECLAIM_ROOM);
	CHECK(look());
	check_account();
	finish();
}

TEST(without_memory_for_a_table_the_page_stays)
{
	hpa_t all;

	start(1);
	touch(4 * MiB, 6 * MiB);
	while (!hpa_is_none(all = frame_alloc(1, FRAME_KERNEL, ORDER_4K)))
		;
	CHECK_EQ(drop(4 * MiB, PAGE_SIZE), PAGE_SIZE);
	CHECK_EQ(reclaim.count, 0);
	CHECK_EQ(*word(4 * MiB), 4 * MiB + 1);
	CHECK(look());
	finish();
}

// ---------------------------------------------------------------- the grace period

TEST(every_cpu_that_runs_a_vcpu_comes_by)
{
	start(3);
	touch(4 * MiB, 6 * MiB);
	vm->vcpus[0]->loaded_on = pcpus[0];
	vm->vcpus[2]->loaded_on = pcpus[2];
	drop(4 * MiB, BLOCK);
	for (u32 i = 0; i < 3; i++)
		CHECK_EQ(vm->vcpus[i]->events, VCPU_FLUSH);
	CHECK_EQ(pcpus[0]->work & WORK_MODEL, WORK_MODEL);
	CHECK_EQ(pcpus[2]->work & WORK_MODEL, WORK_MODEL);
	CHECK(!pcpus[1]->work && !pcpus[3]->work);
	CHECK(fake_kicks[2] == 1 && !fake_kicks[0] && !fake_kicks[1]); // this CPU needs none
	CHECK(!look());
	reclaim_quiet(); // as CPU 0
	fake_cpu = pcpus[1];
	reclaim_quiet();
	CHECK(!look());
	CHECK_EQ(vm->gmap.populated, FRAMES);
	fake_cpu = pcpus[2];
	reclaim_quiet();
	CHECK(look());
	check_account();
	finish();
}

TEST(what_disks_began_before_is_waited_for)
{
	unsigned old, new;

	start(1);
	touch(4 * MiB, 8 * MiB);
	old = dma_begin(vm);
	drop(4 * MiB, BLOCK);
	new = dma_begin(vm);
	CHECK(!look());
	dma_end(vm, old);
	CHECK(look());
	drop(6 * MiB, BLOCK);
	old = dma_begin(vm);
	CHECK(!look());
	dma_end(vm, new);
	CHECK(look());
	dma_end(vm, old);
	check_account();
	finish();
}

TEST(a_structure_that_a_vcpu_shares_is_waited_for)
{
	struct vpv *pv;

	start(2);
	touch(4 * MiB, 6 * MiB);
	pv = &vm->vcpus[1]->pv;
	pv->eoi_msr = (4 * MiB + 64) | MSR_KVM_ENABLED;
	pv->eoi = gmap_ptr(&vm->gmap, 4 * MiB + 64);
	drop(4 * MiB, BLOCK);
	CHECK(!look());
	pv->eoi = gmap_ptr(&vm->gmap, 4 * MiB + 64); // written anew: another page
	CHECK(look());
	pv->steal_msr = (4 * MiB + 128) | MSR_KVM_ENABLED;
	pv->steal = gmap_ptr(&vm->gmap, 4 * MiB + 128);
	drop(4 * MiB, BLOCK);
	pv->eoi = NULL;
	CHECK(!look());
	pv->steal = NULL;
	CHECK(look());
	check_account();
	finish();
}

TEST(rings_follow_the_map)
{
	static struct virtio_device dev;
	static struct virtio_pci fn;
	static struct virtqueue queue;

	start(1);
	touch(4 * MiB, 6 * MiB);
	dev = (struct virtio_device){.queue = &queue, .queues = 1};
	fn.dev = &dev;
	virtqueue_reset(&queue, &host, 256);
	queue.s.desc = 4 * MiB + 2048; // two pages
	queue.s.driver = 5 * MiB;
	queue.s.device = 8 * MiB; // elsewhere
	virtqueue_enable(&queue);
	vm->pc.pci.slot[7].ops = &virtio_pci_ops;
	vm->pc.pci.slot[7].dev = &fn;
	drop(4 * MiB, BLOCK);
	CHECK(queue.desc.page[0] == gmap_look(&vm->gmap, queue.s.desc));
	CHECK(queue.desc.page[1] == gmap_look(&vm->gmap, 4 * MiB + 4096));
	CHECK(queue.avail.page[0] == gmap_look(&vm->gmap, queue.s.driver));
	CHECK(queue.used.page[0] == gmap_look(&vm->gmap, queue.s.device));
	CHECK(!queue.broken && look());
	finish();
}

// ---------------------------------------------------------------- under threads

// Two vcpus write to their VM's memory by translations that they keep, as a processor's TLB does, and by pointers that
// they hold for the length of an exit; memory is taken from them all the time; and another VM fills the frames that come
// free and finds them as it left them.
#define TLB     64u
#define OTHERS  64u
#define ROUNDS  600u
#define TOUCHED (8 * MiB)

static u64 over, found_wrong;

static void enter_guest(struct vcpu *v, u64 **tlb, unsigned *seed)
{
	atomic_store(&v->in_guest, 1);
	if (!atomic_load(&v->events)) {
		for (unsigned i = 0; i < 50; i++) {
			u64 page = (unsigned)rand_r(seed) % (TOUCHED / PAGE_SIZE);
			u64 **entry = &tlb[page % TLB];

			if (!*entry) // one entry stands for a page here: what is cached may differ
				*entry = gmap_look(&vm->gmap, 4 * MiB + page * PAGE_SIZE);
			if (*entry)
				atomic_store(*entry, 0x1111);
		}
	}
	atomic_store(&v->in_guest, 0);
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;
	u64 *tlb[TLB] = {0};
	unsigned seed = v->id;

	fake_cpu = pcpus[1 + v->id];
	while (!atomic_load(&over)) {
		__atomic_store_n(&v->loaded_on, fake_cpu, __ATOMIC_RELEASE);
		for (unsigned i = 0; i < 8; i++) {
			u64 *p;

			if (atomic_exchange(&fake_cpu->work, 0) & WORK_MODEL)
				reclaim_quiet();
			if (atomic_load(&v->events) & VCPU_FLUSH) {
				atomic_and(&v->events, ~(u64)VCPU_FLUSH);
				memset(tlb, 0, sizeof(tlb));
			}
			enter_guest(v, tlb, &seed);
			p = gmap_ptr(&vm->gmap, 4 * MiB + (unsigned)rand_r(&seed) %
								  (TOUCHED / PAGE_SIZE) *
								  PAGE_SIZE);
			for (unsigned n = 0; p && n < 20; n++)
				atomic_store(p, 0x2222);
		}
		if (atomic_exchange(&fake_cpu->work, 0) & WORK_MODEL)
			reclaim_quiet();
		__atomic_store_n(&v->loaded_on, NULL, __ATOMIC_RELEASE);
		if (v->id)
			sched_yield();
	}
	return NULL;
}

static void *other_vm(void *arg)
{
	hpa_t a[OTHERS];

	(void)arg;
	fake_cpu = pcpus[3];
	while (!atomic_load(&over)) {
		for (unsigned i = 0; i < OTHERS; i++) {
			a[i] = frame_alloc(9, FRAME_GUEST, ORDER_4K);
			if (hpa_is_none(a[i]))
				continue;
			if (atomic_load((u64 *)hpa_to_va(a[i])))
				atomic_add(&found_wrong, 1);
			atomic_store((u64 *)hpa_to_va(a[i]), 0x9999);
		}
		sched_yield();
		for (unsigned i = 0; i < OTHERS; i++) {
			if (hpa_is_none(a[i]))
				continue;
			if (atomic_load((u64 *)hpa_to_va(a[i])) != 0x9999)
				atomic_add(&found_wrong, 1);
			frame_free(a[i], ORDER_4K);
		}
	}
	return NULL;
}

// One round: some memory goes.
static void take_some(unsigned *seed)
{
	u64 gpa = 4 * MiB + (unsigned)rand_r(seed) % (TOUCHED / PAGE_SIZE) * PAGE_SIZE;

	if (rand_r(seed) % 8 == 0)
		gpa = ALIGN_DOWN(gpa, BLOCK);
	spin_lock(&vm->lock);
	*word(gpa) = 0x3333; // so that there is something to take
	drop(gpa, rand_r(seed) % 4 ? 16 * PAGE_SIZE : BLOCK);
	spin_unlock(&vm->lock);
	while (!look())
		sched_yield();
}

TEST(threads)
{
	pthread_t thread[3];
	unsigned seed = 1;

	start(2);
	over = found_wrong = 0;
	for (u32 i = 0; i < 2; i++) {
		vm->vcpus[i]->id = i;
		CHECK(!pthread_create(&thread[i], NULL, vcpu_thread, vm->vcpus[i]));
	}
	CHECK(!pthread_create(&thread[2], NULL, other_vm, NULL));
	for (unsigned i = 0; i < ROUNDS; i++)
		take_some(&seed);
	atomic_store(&over, 1);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	CHECK_EQ(found_wrong, 0);
	CHECK(reclaim.frames >= ROUNDS);
	check_account();
	finish();
}

TEST_MAIN()

// SPDX-License-Identifier: MIT
// VMs that are made while the machine runs: bundles that come piece by piece, good ones and bad ones, and that nothing is left of them.
// link: kernel/micro/create.c kernel/core/bundle.c kernel/core/bundle_disk.c kernel/core/disk_line.c kernel/core/cpio.c kernel/core/frame.c
// link: lib/format.c tests/unit/fake/arch.c
#include <sys/mman.h>
#include "tests/unit/test.h"
#include "abi/hypercall.h"
#include "kernel/core/frame.h"
#include "kernel/core/pcpu.h"
#include "kernel/micro/backend.h"
#include "kernel/micro/create.h"
#include "kernel/micro/root.h"
#include "kernel/vm/vm_list.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/window.h"
#include "lib/errno.h"
#include "tests/unit/cpio_build.h"

#define RAM    (128 * MiB) // of the machine
#define PAGE   0x1000u     // of the root VM's memory: what calls take
#define ANSWER 0x2000u

static struct bundle boot = {.count = 3}, other_boot;
static struct bundle_vm root_config = {.bundle = &boot};
static struct vm root = {.name = "root", .config = &root_config};
static struct vcpu v = {.vm = &root};
static u8 root_ram[16 * KiB] __attribute__((aligned(4096)));
static struct vm made[BUNDLE_MAX_VMS]; // by index; config NULL: none
static const char *make_fails;
static unsigned flushes;
static u64 flushed_by;

struct vm *root_vm(void)
{
	return &root;
}

void vm_list_each(void (*fn)(struct vm *vm, void *arg), void *arg)
{
	fn(&root, arg);
	for (unsigned i = 0; i < BUNDLE_MAX_VMS; i++)
		if (made[i].config)
			fn(&made[i], arg);
}

u64 vm_list_promised(void)
{
	return create_promised() + 1000;
}

const char *vm_make(const struct bundle_vm *config, unsigned index, u32 runs_left)
{
	CHECK(!runs_left && index >= boot.count && !made[index].config);
	if (make_fails)
		return make_fails;
	made[index].config = config;
	strcpy(made[index].name, config->name);
	CHECK(create_is_own(&made[index]));
	return NULL;
}

const char *backend_lines(const struct bundle_vm *c, bool *devices)
{
	*devices = false;
	return c->io_count > 1 ? "too much" : NULL;
}

s64 root_take(struct vcpu *c, void *to, size_t size, gpa_t buffer, u64 room)
{
	CHECK(c == &v && room == size);
	if (buffer.v >= sizeof(root_ram) || size > PAGE_SIZE - buffer.v % PAGE_SIZE)
		return -EFAULT;
	memcpy(to, root_ram + buffer.v, size);
	return 0;
}

s64 root_give(struct vcpu *c, const void *from, size_t size, gpa_t buffer, u64 room)
{
	size_t n = MIN(size, room);

	CHECK(c == &v);
	if (buffer.v >= sizeof(root_ram) || n > PAGE_SIZE - buffer.v % PAGE_SIZE)
		return -EFAULT;
	memcpy(root_ram + buffer.v, from, n);
	return (s64)n;
}

// ---------------------------------------------------------------- a window of the host's

// Addresses that stay, with frames that are only counted.
struct piece {
	u64 frames;
	hpa_t frame[RAM / PAGE_SIZE];
};

static u8 *area;
static struct piece *pieces[WINDOW_PIECES];

void paging_flush(void)
{
	flushes++;
	flushed_by |= BIT(this_pcpu()->id);
}

bool window_init(void)
{
	if (!area)
		area = mmap(NULL, WINDOW_PIECES * WINDOW_PIECE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return area != MAP_FAILED;
}

void *window_at(unsigned n)
{
	return area + n * WINDOW_PIECE;
}

u64 window_grow(unsigned n, u64 at, u64 left, u16 owner)
{
	struct piece *p = pieces[n] = pieces[n] ? pieces[n] : calloc(1, sizeof(*p));
	hpa_t a = frame_alloc(owner, FRAME_KERNEL, ORDER_4K);

	CHECK(owner == n + 1 && left && at == p->frames * PAGE_SIZE);
	if (hpa_is_none(a))
		return 0;
	p->frame[p->frames++] = a;
	return PAGE_SIZE;
}

void *window_close(unsigned n)
{
	struct piece *p = pieces[n];

	pieces[n] = NULL;
	flushed_by = 0;
	return p;
}

void window_free(void *closed)
{
	struct piece *p = closed;

	CHECK_EQ(flushed_by, BIT(pcpu_count) - 1); // nobody knows it any more
	for (u64 i = 0; p && i < p->frames; i++)
		frame_free(p->frame[i], ORDER_4K);
	free(p);
}

// ---------------------------------------------------------------- calls

static s64 call(u64 nr, u64 a0, u64 a1, u64 buffer, u64 size)
{
	return create_call(&v, nr, (const u64[]){a0, a1, buffer, size});
}

// What every CPU does in its loop.
static void loops(void)
{
	for (u32 i = 0; i < pcpu_count; i++) {
		fake_cpu = pcpus[i];
		if (atomic_exchange(&this_pcpu()->work, 0) & WORK_MODEL)
			create_work();
	}
	fake_cpu = pcpus[0];
}

static void start(void)
{
	size_t size = frame_bookkeeping_size(hpa(RAM));
	u8 *ram;

	fake_reset(3);
	ram = fake_ram(RAM);
	frame_init(hpa(RAM), ram);
	frame_add_range(hpa(size), hpa(RAM));
	memset(made, 0, sizeof(made));
	make_fails = NULL;
	CHECK(!create_init());
}

static void vm_ends(u64 id)
{
	made[id - 1].config = NULL;
	create_gone((unsigned)id - 1);
	loops();
}

#define LINES(name)                                                                                \
	"vm " name                                                                                 \
	"\nmemory 33554432\nvcpus 1\nkernel k\ncmdline quiet\nweight 256\nrepeat 0\ndebug_exit "   \
	"0\nend\n"
#define GOOD "mezzanine-bundle 1\n" LINES("web")

static u8 archive[64 * KiB];

static size_t bundle(const char *config)
{
	size_t n;

	memset(archive, 0, sizeof(archive));
	n = cpio_add(archive, 0, BUNDLE_CONFIG, config, strlen(config));
	n = cpio_add(archive, n, "k", "the kernel", 10);
	return cpio_add(archive, n, "TRAILER!!!", "", 0) + 9000; // as if its files were longer
}

static s64 hand_over(s64 handle, size_t size)
{
	s64 err = 0;

	for (size_t at = 0, n; at < size && !err; at += n) {
		n = MIN(size - at, PAGE_SIZE);
		memcpy(root_ram + PAGE, archive + at, n);
		err = call(MEZZ_CALL_BUNDLE_WRITE, (u64)handle, at, PAGE, n);
	}
	return err;
}

static s64 create(const char *config)
{
	size_t size = bundle(config);
	s64 handle = call(MEZZ_CALL_BUNDLE_BEGIN, size, 0, 0, 0);

	memset(root_ram, 0, sizeof(root_ram));
	if (handle < 0)
		return handle;
	CHECK_EQ(hand_over(handle, size), 0);
	return call(MEZZ_CALL_VM_CREATE, (u64)handle, 0, ANSWER, MEZZ_MESSAGE_MAX);
}

TEST(a_vm_comes_and_goes)
{
	u64 before, handle;
	s64 id;

	start();
	before = frame_free_count();
	id = create(GOOD);
	CHECK_EQ(id, 4); // behind those of the boot bundle
	CHECK(!strcmp(made[3].name, "web") && made[3].config->kernel.size == 10);
	memset(root_ram, 0xff, sizeof(root_ram)); // it does not matter any more
	memset(archive, 0xff, sizeof(archive));
	CHECK(!memcmp(made[3].config->kernel.data, "the kernel", 10));
	CHECK(frame_owned(4) >= 3 && create_promised() == 0);
	handle = (u64)call(MEZZ_CALL_BUNDLE_BEGIN, 5, 0, 0, 0);
	for (u64 h = 0; h < handle; h++) { // a VM's bundle is out of reach
		CHECK_EQ(call(MEZZ_CALL_BUNDLE_DROP, h, 0, 0, 0), -ENOENT);
		CHECK_EQ(call(MEZZ_CALL_BUNDLE_WRITE, h, 0, PAGE, 1), -ENOENT);
		CHECK_EQ(call(MEZZ_CALL_VM_CREATE, h, 0, ANSWER, 128), -ENOENT);
	}
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_DROP, handle, 0, 0, 0), 0);
	create_gone(4); // no VM's
	create_gone(1); // of the boot bundle
	vm_ends((u64)id);
	CHECK_EQ(frame_free_count(), before);
	CHECK_EQ(frame_owned(4), 0);
}

TEST(a_thousand_times)
{
	u64 before;

	start();
	before = frame_free_count();
	for (unsigned i = 0; i < 1000; i++) {
		s64 id = create(GOOD);

		CHECK(id >= 4);
		if (id < 0)
			return;
		vm_ends((u64)id);
	}
	CHECK_EQ(frame_free_count(), before);
	CHECK_EQ(create_promised(), 0);
}

// Frames are somebody else's only when each processor has forgotten where they were.
TEST(all_processors_forget)
{
	u64 before;
	s64 id, next;

	start();
	before = frame_free_count();
	id = create(GOOD);
	made[id - 1].config = NULL;
	create_gone((unsigned)id - 1);
	for (unsigned i = 0; i < 3; i++)
		CHECK(pcpus[i]->work & WORK_MODEL);
	fake_cpu = pcpus[2];
	create_work();
	create_work(); // once is enough
	fake_cpu = pcpus[0];
	CHECK(frame_owned((u16)id) != 0);
	next = create(GOOD); // goes elsewhere meanwhile
	CHECK_EQ(next, id + 1);
	flushed_by = BIT(2);
	loops();
	CHECK_EQ(frame_owned((u16)id), 0);
	vm_ends((u64)next);
	CHECK_EQ(frame_free_count(), before);
	flushes = 0;
	create_work(); // nothing to do
	CHECK_EQ(flushes, 0);
}

TEST(bad_bundles)
{
	static const struct {
		const char *config, *message;
		s64 result;
	} bad[] = {
		{"", "line 1 of mezzanine.conf: \"mezzanine-bundle 1\" was expected", -EINVAL},
		{"mezzanine-bundle 1\n", "line 1 of mezzanine.conf: at least one VM was expected",
			-EINVAL},
		{GOOD LINES("db"), "one VM was expected", -EINVAL},
		{GOOD "vm", "line 11 of mezzanine.conf: the configuration ends too early", -EINVAL},
		{"mezzanine-bundle 1\nroot\nmemory 33554432\nkernel k\ncmdline \nweight "
		 "1\nrepeat 0\ndebug_exit 0\nend\n",
			"the root VM is there already", -EINVAL},
		{"mezzanine-bundle 1\nvm a\nmemory 1048576\nvcpus 1\nkernel k\ncmdline \nweight "
		 "1\nrepeat 1\ndebug_exit 0\nend\n",
			"repeat 0 was expected", -EINVAL},
		{"mezzanine-bundle 1\nvm a\nmemory 1048576\nvcpus 1\nkernel nil\n",
			"line 5 of mezzanine.conf: a member of the archive was expected", -EINVAL},
		{"mezzanine-bundle 1\nvm a\nmemory 1048576\nvcpus 1\nkernel k\ncmdline \nweight "
		 "1\nnic a\nnic b\nrepeat 0\ndebug_exit 0\nend\n",
			"too much", -EINVAL},
		{"mezzanine-bundle 1\nvm a\nmemory 1048576\nvcpus 1\nkernel k\ncmdline \nweight "
		 "1\ndisk device sda snapshot\nrepeat 0\ndebug_exit 0\nend\n",
			"disk: rw or ro was expected for a device", -EINVAL},
		{"mezzanine-bundle 1\n" LINES("root"), "there is a VM of this name", -EEXIST},
	};
	u64 before;

	start();
	before = frame_free_count();
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK_EQ(create(bad[i].config), bad[i].result);
		if (strcmp((char *)root_ram + ANSWER, bad[i].message)) {
			fprintf(stderr, "\"%s\", expected \"%s\"\n", root_ram + ANSWER,
				bad[i].message);
			CHECK(false);
		}
		loops();
		CHECK_EQ(frame_free_count(), before);
	}
	make_fails = "not enough free memory";
	CHECK_EQ(create(GOOD), -ENOMEM);
	CHECK(!strcmp((char *)root_ram + ANSWER, make_fails));
	loops();
	CHECK_EQ(frame_free_count(), before);
}

TEST(a_long_configuration)
{
	static char config[300 * KiB];
	u64 before;
	size_t size;
	s64 handle;
	static u8 big[400 * KiB];

	start();
	before = frame_free_count();
	memset(config, 'x', sizeof(config) - 1);
	size = cpio_add(big, 0, BUNDLE_CONFIG, config, sizeof(config) - 1);
	handle = call(MEZZ_CALL_BUNDLE_BEGIN, size, 0, 0, 0);
	for (size_t at = 0, n; at < size; at += n) {
		n = MIN(size - at, 4000); // not just pages
		memcpy(root_ram + PAGE, big + at, n);
		CHECK_EQ(call(MEZZ_CALL_BUNDLE_WRITE, (u64)handle, at, PAGE, n), 0);
	}
	CHECK_EQ(call(MEZZ_CALL_VM_CREATE, (u64)handle, 0, ANSWER, 128), -EINVAL);
	CHECK(!strcmp((char *)root_ram + ANSWER, "its configuration is too long"));
	loops();
	CHECK_EQ(frame_free_count(), before);
}

TEST(pieces_in_their_order)
{
	size_t size = bundle(GOOD);
	u64 before, h;

	start();
	before = frame_free_count();
	h = (u64)call(MEZZ_CALL_BUNDLE_BEGIN, size, 0, 0, 0);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_WRITE, h, 4096, PAGE, 4096), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_WRITE, h, 0, PAGE, 0), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_WRITE, h, 0, PAGE, 4097), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_WRITE, h, 0, PAGE + 1, 4096), -EFAULT);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_WRITE, h, 0, BIT(40), 4096), -EFAULT);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_WRITE, h, 0, PAGE, 4096), 0);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_WRITE, h, 0, PAGE, 4096), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_WRITE, h, ~0ull, PAGE, 4096), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_VM_CREATE, h, 0, ANSWER, 128), -EINVAL);
	CHECK(!strcmp((char *)root_ram + ANSWER, "it is not whole"));
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_DROP, h, 0, 0, 0), -ENOENT); // it is gone
	loops();
	h = (u64)call(MEZZ_CALL_BUNDLE_BEGIN, 10, 0, 0, 0);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_WRITE, h, 0, PAGE, 11), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_WRITE, h, 0, PAGE, 10), 0);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_WRITE, h, 10, PAGE, 1), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_VM_CREATE, h, 0, BIT(50), 128), -EINVAL); // no room for an answer
	loops();
	CHECK_EQ(frame_free_count(), before);
}

TEST(limits)
{
	u64 before, handles[BUNDLE_MAX_VMS], n = 0;
	s64 r;

	start();
	before = frame_free_count();
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_BEGIN, 0, 0, 0, 0), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_BEGIN, MEZZ_BUNDLE_MAX + 1, 0, 0, 0), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_BEGIN, ~0ull, 0, 0, 0), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_BEGIN, MEZZ_BUNDLE_MAX, 0, 0, 0), -ENOMEM);
	while ((r = call(MEZZ_CALL_BUNDLE_BEGIN, MiB, 0, 0, 0)) > 0)
		handles[n++] = (u64)r;
	CHECK(r == -ENOSPC && n == BUNDLE_MAX_VMS - boot.count);
	CHECK_EQ(create_promised(), n * (MiB / PAGE_SIZE));
	while (n)
		CHECK_EQ(call(MEZZ_CALL_BUNDLE_DROP, handles[--n], 0, 0, 0), 0);
	loops();
	// What is promised to one is not for the next, nor for VMs.
	handles[0] = (u64)call(MEZZ_CALL_BUNDLE_BEGIN, 80 * MiB, 0, 0, 0);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_BEGIN, 80 * MiB, 0, 0, 0), -ENOMEM);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_WRITE, handles[0], 0, PAGE, 4096), 0);
	CHECK_EQ(create_promised(), 80 * MiB / PAGE_SIZE - 1);
	CHECK_EQ(call(MEZZ_CALL_BUNDLE_DROP, handles[0], 0, 0, 0), 0);
	CHECK_EQ(create_promised(), 0);
	loops();
	CHECK_EQ(frame_free_count(), before);
}

// Another VM of the root's bundle is not one of ours.
TEST(whose_it_is)
{
	struct bundle_vm config = {.bundle = &boot};
	struct vm vm = {.config = &config};

	CHECK(!create_is_own(&vm));
	config.bundle = &other_boot;
	CHECK(create_is_own(&vm));
}

TEST(any_arguments)
{
	u64 before;

	srand(1);
	start();
	before = frame_free_count();
	for (unsigned i = 0; i < 100000; i++) {
		u64 a[4], nr = MEZZ_CALL_BUNDLE_BEGIN + (u64)rand() % 4;
		s64 r;

		for (unsigned k = 0; k < 4; k++)
			a[k] = ((u64)rand() << 31 ^ (u64)rand() << 62 ^ (u64)rand()) >> rand() % 64;
		if (rand() % 2)
			a[1] = a[2] = 0;
		r = create_call(&v, nr, a);
		CHECK(r >= -ETIMEDOUT);
		if (rand() % 100 == 0)
			loops();
	}
	for (u64 h = 0; h < 100000; h++)
		call(MEZZ_CALL_BUNDLE_DROP, h, 0, 0, 0);
	loops();
	CHECK_EQ(frame_free_count(), before);
}

TEST_MAIN()

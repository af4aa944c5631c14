// SPDX-License-Identifier: MIT
// Bundles of the root VM, and the VMs that are made of them.
//
// A bundle is FREE -> BUSY -> FILLING, from there BUSY during a call, or a VM's (OWNED) until that has ended; then GOING until
// all CPUs have forgotten where it was, and FREE. BUSY is one CPU's, which alone touches the rest.
#include "kernel/micro/create.h"
#include "abi/hypercall.h"
#include "kernel/core/bundle_disk.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/micro/backend.h"
#include "kernel/micro/root.h"
#include "kernel/vm/vm_list.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/window.h"
#include "lib/errno.h"
#include "lib/string.h"

#define CONFIG_MAX (256 * KiB) // the configuration of one VM, and what is made of it

enum state { FREE, BUSY, FILLING, OWNED, GOING };

struct made {
	u64 state;  // a: enum state
	u64 handle; // a
	u64 size, written;
	u64 mapped;   // bytes that have frames
	void *closed; // of the window
	u64 cpus;     // a: that have not forgotten it
	struct bundle bundle;
	void *memory; // of the bundle, what bundle_parse made
	size_t memory_size;
};

_Static_assert(BUNDLE_MAX_VMS <= WINDOW_PIECES, "a piece for each");

static struct made *made; // BUNDLE_MAX_VMS of them
static u64 handles;       // given so far
static u64 promised;      // a: frames that bundles will have
static u64 in_call;       // a: a call is underway
static unsigned turns;    // so that a number is not used again soon

const char *create_init(void)
{
	turns = 0;
	made = kmem_alloc(BUNDLE_MAX_VMS * sizeof(*made), FRAME_OWNER_KERNEL);
	return made && window_init() ? NULL : "out of memory for VMs to come";
}

u64 create_promised(void)
{
	return atomic_load(&promised);
}

bool create_is_own(const struct vm *vm)
{
	return root_vm() && vm->config->bundle != root_vm()->config->bundle;
}

static unsigned index_of(const struct made *m)
{
	return (unsigned)(m - made);
}

static u16 owner_of(const struct made *m)
{
	return (u16)(index_of(m) + 1);
}

static u64 frames_left(const struct made *m)
{
	return (ALIGN_UP(m->size, PAGE_SIZE) - m->mapped) / PAGE_SIZE;
}

static void drop(struct made *m)
{
	atomic_store(&m->handle, 0);
	atomic_sub(&promised, frames_left(m));
	m->closed = window_close(index_of(m));
	m->cpus = pcpu_count < 64 ? BIT(pcpu_count) - 1 : ~0ull;
	atomic_store(&m->state, GOING);
	for (u32 i = 0; i < pcpu_count; i++)
		pcpu_post(pcpus[i], WORK_MODEL);
}

static void forgotten(struct made *m)
{
	window_free(m->closed);
	if (m->memory)
		kmem_free(m->memory, m->memory_size);
	m->memory = NULL;
	atomic_store(&m->state, FREE);
}

void create_work(void)
{
	u64 cpu = BIT(this_pcpu()->id), going = 0;

	for (unsigned i = 0; made && i < BUNDLE_MAX_VMS; i++)
		if (atomic_load(&made[i].state) == GOING && atomic_load(&made[i].cpus) & cpu)
			going |= BIT(i);
	if (!going)
		return;
	paging_flush();
	for (; going; going &= going - 1) {
		struct made *m = &made[__builtin_ctzll(going)];

		if (atomic_and(&m->cpus, ~cpu) == cpu)
			forgotten(m);
	}
}

// The bundle of that handle, taken from being filled; NULL: there is none.
static struct made *take(u64 handle)
{
	for (unsigned i = 0; made && handle && i < BUNDLE_MAX_VMS; i++)
		if (atomic_load(&made[i].handle) == handle &&
			atomic_compare_exchange(&made[i].state, FILLING, BUSY))
			return &made[i];
	return NULL;
}

// One that is free, with a number that none of the boot bundle's VMs has; NULL: there is none.
static struct made *take_free(unsigned first)
{
	unsigned room = BUNDLE_MAX_VMS - first;

	for (unsigned i = 0; i < room; i++) {
		struct made *m = &made[first + turns++ % room];

		if (atomic_compare_exchange(&m->state, FREE, BUSY))
			return m;
	}
	return NULL;
}

static s64 begin(struct vcpu *v, u64 size)
{
	u64 frames = ALIGN_UP(size, PAGE_SIZE) / PAGE_SIZE;
	struct made *m;

	if (!size || size > MEZZ_BUNDLE_MAX)
		return -EINVAL;
	m = take_free(v->vm->config->bundle->count);
	if (!m)
		return -ENOSPC;
	atomic_add(&promised, frames);
	if (vm_list_promised() > frame_free_count()) {
		atomic_sub(&promised, frames);
		atomic_store(&m->state, FREE);
		return -ENOMEM;
	}
	m->size = size;
	m->written = m->mapped = 0;
	atomic_store(&m->handle, ++handles);
	atomic_store(&m->state, FILLING);
	return (s64)handles;
}

static bool grow(struct made *m, u64 end)
{
	while (m->mapped < end) {
		u64 n = window_grow(
			index_of(m), m->mapped, frames_left(m) * PAGE_SIZE, owner_of(m));

		if (!n)
			return false;
		m->mapped += n;
		atomic_sub(&promised, n / PAGE_SIZE);
	}
	return true;
}

static s64 fill(struct vcpu *v, struct made *m, u64 offset, gpa_t buffer, u64 n)
{
	s64 err;

	if (!n || n > PAGE_SIZE || offset != m->written || n > m->size - offset)
		return -EINVAL;
	if (!grow(m, offset + n))
		return -ENOMEM;
	err = root_take(v, (u8 *)window_at(index_of(m)) + offset, n, buffer, n);
	m->written += err ? 0 : n;
	return err;
}

// ---------------------------------------------------------------- the VM

struct name {
	const char *name;
	bool found;
};

static void look(struct vm *vm, void *arg)
{
	struct name *n = arg;

	n->found |= strcmp(vm->name, n->name) == 0;
}

static bool name_is_taken(const char *name)
{
	struct name n = {.name = name};

	vm_list_each(look, &n);
	return n.found;
}

static s64 parse(struct made *m, const char **why, int *line)
{
	const void *data = window_at(index_of(m));

	if (m->written != m->size) {
		*why = "it is not whole";
		return -EINVAL;
	}
	m->memory_size = bundle_memory(data, m->size, why);
	if (!m->memory_size)
		return -EINVAL;
	if (m->memory_size > CONFIG_MAX) {
		*why = "its configuration is too long";
		return -EINVAL;
	}
	m->memory = kmem_alloc(m->memory_size, owner_of(m));
	if (!m->memory) {
		*why = "out of memory";
		return -ENOMEM;
	}
	*line = bundle_parse(&m->bundle, data, m->size, m->memory, why);
	return *line ? -EINVAL : 0;
}

// NULL, or what is wrong with the definition of a VM to be made.
static const char *judge(const struct bundle *b)
{
	const struct bundle_vm *c = &b->vms[0];
	const char *why = NULL;
	struct bundle_disk d;
	bool devices;

	if (b->count != 1)
		return "one VM was expected";
	if (c->is_root)
		return "the root VM is there already";
	if (c->repeat)
		return "repeat 0 was expected";
	for (unsigned i = 0; i < c->io_count; i++)
		if (strcmp(c->io[i].key, "disk") == 0 && !bundle_disk_parse(c, i, &d, &why))
			return why;
	return backend_lines(c, &devices);
}

// The bundle is the VM's as soon as that is there, which may end at once.
static s64 make(struct made *m, const char **why, int *line)
{
	unsigned index = index_of(m);
	s64 err = parse(m, why, line);

	if (err)
		return err;
	*why = judge(&m->bundle);
	if (*why)
		return -EINVAL;
	if (name_is_taken(m->bundle.vms[0].name)) {
		*why = "there is a VM of this name";
		return -EEXIST;
	}
	atomic_store(&m->state, OWNED);
	*why = vm_make(&m->bundle.vms[0], index, 0);
	return *why ? -ENOMEM : (s64)index + 1;
}

static s64 create(struct vcpu *v, struct made *m, gpa_t buffer, u64 room)
{
	const char *why = NULL;
	char text[MEZZ_MESSAGE_MAX];
	int line = 0;
	size_t n;
	s64 result = make(m, &why, &line);

	if (result >= 0)
		return result;
	if (line > 0)
		n = format(text, sizeof(text), "line %d of " BUNDLE_CONFIG ": %s", line, why);
	else
		n = format(text, sizeof(text), "%s", why);
	drop(m);
	root_give(v, text, MIN(n + 1, sizeof(text)), buffer, room);
	return result;
}

void create_gone(unsigned index)
{
	if (made && atomic_load(&made[index].state) == OWNED)
		drop(&made[index]);
}

// ---------------------------------------------------------------- the calls

static s64 call(struct vcpu *v, u64 nr, const u64 a[4])
{
	struct made *m;
	s64 result = 0;

	if (nr == MEZZ_CALL_BUNDLE_BEGIN)
		return begin(v, a[0]);
	m = take(a[0]);
	if (!m)
		return -ENOENT;
	if (nr == MEZZ_CALL_VM_CREATE)
		return create(v, m, gpa(a[2]), a[3]);
	if (nr == MEZZ_CALL_BUNDLE_DROP) {
		drop(m);
		return 0;
	}
	result = fill(v, m, a[1], gpa(a[2]), a[3]);
	atomic_store(&m->state, FILLING);
	return result;
}

s64 create_call(struct vcpu *v, u64 nr, const u64 a[4])
{
	s64 result;

	if (atomic_exchange(&in_call, 1))
		return -EBUSY;
	result = call(v, nr, a);
	atomic_store(&in_call, 0);
	return result;
}

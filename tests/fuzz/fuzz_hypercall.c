// SPDX-License-Identifier: MIT
// All hypercalls of the root VM in any order and with any arguments, beside drivers that use their devices and VMs that end. What is
// read of the root VM's memory changes at once. Nothing but the VM that is named may change, nothing but the buffer is written, and
// in the end nothing is left.
// link: kernel/micro/root_call.c kernel/micro/backend_call.c kernel/micro/backend_device.c kernel/micro/backend.c
// link: kernel/micro/backend_event.c kernel/micro/create.c kernel/core/bundle.c kernel/core/bundle_disk.c kernel/core/disk_line.c
// link: kernel/core/cpio.c lib/format.c lib/firmware.c devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio.c devices/virtqueue.c
// link: devices/pci_config.c devices/msix.c tests/unit/fake/arch.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=768
#include <stdarg.h>
#include <sys/mman.h>
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"
#include "kernel/micro/backend.h"
#include "kernel/micro/create.h"
#include "kernel/micro/root.h"
#include "kernel/vm/vm_list.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/window.h"
#include "lib/errno.h"
#include "lib/firmware.h"
#include "tests/fuzz/input.h"
#include "tests/unit/cpio_build.h"
#include "tests/unit/fake/arch.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define RAM    (8 * PAGE_SIZE) // of the root VM
#define BELLS  (6 * PAGE_SIZE) // of the VM that nobody names by mistake
#define EVENTS (7 * PAGE_SIZE)
#define WORK   2u // that VM
#define SLOT   5u // of its device
#define FRAMES 256u
#define VMS    BUNDLE_MAX_VMS
#define STEPS  200u

static u8 root_ram[RAM] __attribute__((aligned(4096))), seen[RAM];
static struct bundle boot = {.count = 3};
static struct bundle_vm configs[3];
static const struct vm_machine machine;
static struct vm *vms[VMS]; // by id - 1; NULL: there is none
static struct vcpu v;
static u8 guest_page[PAGE_SIZE] __attribute__((aligned(4096)));
static u8 *area;
static u64 grown[VMS], frames, allocated;
static u64 handles; // of bundles so far
static bool no_memory, changes;

const char *const model_name = "micro";
u64 sched_barred;

// There is none here, so a bundle with some is refused.
const char *firmware_create(struct vm *vm, struct firmware **f)
{
	const struct bundle_file *image = &vm->config->kernel;

	*f = NULL;
	return firmware_is(image->data, image->size) || firmware_is_bios(image->data, image->size)
		       ? "no firmware here"
		       : NULL;
}

void firmware_destroy(struct firmware *f)
{
	MUST(!f);
}

// ---------------------------------------------------------------- the root VM's memory

// A buffer is whole in one page, as pages that follow each other here need not do so elsewhere.
static bool fits(gpa_t at, size_t n)
{
	MUST(at.v % PAGE_SIZE + n <= PAGE_SIZE);
	return at.v < RAM && n <= RAM - at.v;
}

bool guest_write(struct vm *vm, gpa_t at, const void *from, size_t n)
{
	MUST(vm == vms[0]);
	if (!fits(at, n))
		return false;
	memcpy(root_ram + at.v, from, n);
	return true;
}

// Who looks twice sees something else.
bool guest_read(struct vm *vm, gpa_t at, void *to, size_t n)
{
	MUST(vm == vms[0]);
	if (!fits(at, n))
		return false;
	memcpy(to, root_ram + at.v, n);
	for (size_t i = 0; changes && i < n; i++)
		seen[at.v + i] = root_ram[at.v + i] ^= 0x5a;
	return true;
}

bool gmap_is_ram(const struct gmap *g, u64 at)
{
	MUST(g == &vms[0]->gmap);
	return at < RAM;
}

void *guest_ptr(struct vm *vm, gpa_t at, size_t size)
{
	MUST(vm == vms[0] && fits(at, size));
	return root_ram + at.v;
}

// ---------------------------------------------------------------- what is around the calls

void *kmem_alloc(size_t size, u16 owner)
{
	(void)owner;
	if (no_memory)
		return NULL;
	allocated++;
	return calloc(1, size);
}

void kmem_free(void *p, size_t size)
{
	(void)size;
	allocated--;
	free(p);
}

u64 frame_total(void)
{
	return 1000;
}

u64 frame_free_count(void)
{
	return FRAMES - frames;
}

u64 frame_owned(u16 owner)
{
	return owner;
}

u64 sched_vcpu_used(const struct sched_vcpu *s, u64 now)
{
	(void)now;
	return s->used;
}

size_t log_read(u64 *at, char *out, size_t size)
{
	size_t n = MIN(*at % 5000, size);

	memset(out, 'l', n);
	*at += n;
	return n;
}

void vm_begin(struct vm *vm)
{
	vm->state = VM_RUNNING;
}

void vpm_power_button(struct vm *vm)
{
	MUST(!vm->machine);
}

void vm_stop(struct vm *vm, const char *fmt, ...)
{
	(void)fmt;
	MUST(!vm->machine);
	vm->end = VM_END_STOPPED;
	vm->state = VM_STOPPING;
}

void vm_stop_by_request(struct vm *vm)
{
	MUST(!vm->machine);
	if (vm->state == VM_RUNNING)
		vm_stop(vm, "by request");
}

void vm_pause(struct vm *vm, bool on)
{
	MUST(!vm->machine);
	vm->paused = on;
}

size_t vm_console_read(struct vm *vm, u64 *at, void *out, size_t size)
{
	MUST(!vm->machine);
	return log_read(at, out, size);
}

size_t vm_console_type(struct vm *vm, const u8 *bytes, size_t n)
{
	MUST(!vm->machine && n <= VM_INPUT_MAX);
	return n && bytes[0] & 1 ? n : 0;
}

struct vm *root_vm(void)
{
	return vms[0];
}

void vm_list_each(void (*fn)(struct vm *vm, void *arg), void *arg)
{
	for (unsigned i = VMS; i > 0; i--)
		if (vms[i - 1])
			fn(vms[i - 1], arg);
}

unsigned vm_list_count(void)
{
	return 3;
}

u64 vm_list_promised(void)
{
	return create_promised();
}

int vpci_add(struct vpci *p, unsigned slot, const struct pci_function_ops *o, void *dev)
{
	MUST(slot >= 2 && slot < MEZZ_SLOTS);
	if (p->slot[slot].ops)
		return -EBUSY;
	p->slot[slot].ops = o;
	p->slot[slot].dev = dev;
	return 0;
}

void vioapic_pulse(struct vm *at, unsigned pin)
{
	MUST(at == vms[0] && pin == VIOAPIC_EVENT_PIN);
}

s64 backend_lend(struct vm *of, u64 gpa)
{
	MUST(of->backend && of->backend->bells);
	return (s64)(gpa & 0xffffffff);
}

bool backend_take_back(struct vm *of)
{
	MUST(!of->backend->bells);
	return true;
}

s64 root_call_ram(struct vcpu *c, u64 at, gpa_t buffer, u64 room)
{
	struct mezz_range r = {at, at + PAGE_SIZE};

	return root_give(c, &r, sizeof(r), buffer, room);
}

void *host_guest_ptr(struct host *h, u64 gpa, size_t len)
{
	(void)h;
	return len && len <= PAGE_SIZE - gpa % PAGE_SIZE ? guest_page + gpa % PAGE_SIZE : NULL;
}

bool host_guest_read(struct host *h, u64 gpa, void *to, size_t len)
{
	(void)h;
	(void)gpa;
	memset(to, 0, len);
	return false;
}

bool host_guest_write(struct host *h, u64 gpa, const void *from, size_t len)
{
	(void)h;
	(void)gpa;
	(void)from;
	(void)len;
	return false;
}

void host_msi(struct host *h, u64 addr, u32 data)
{
	MUST(h->vm != vms[0]);
	(void)addr;
	(void)data;
}

void host_intx(struct host *h, unsigned slot, bool level)
{
	(void)level;
	MUST(h->vm != vms[0] && slot < MEZZ_SLOTS);
}

void host_log(struct host *h, const char *fmt, ...)
{
	(void)h;
	(void)fmt;
}

// ---------------------------------------------------------------- the window: pieces of as much memory as there is

void paging_flush(void) {}

bool window_init(void)
{
	if (!area)
		area = mmap(NULL, VMS * FRAMES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return area != MAP_FAILED;
}

void *window_at(unsigned n)
{
	return area + n * FRAMES * PAGE_SIZE;
}

u64 window_grow(unsigned n, u64 at, u64 left, u16 owner)
{
	MUST(owner == n + 1 && left && at == grown[n] && at < FRAMES * PAGE_SIZE);
	if (no_memory || frames == FRAMES)
		return 0;
	frames++;
	grown[n] += PAGE_SIZE;
	return PAGE_SIZE;
}

void *window_close(unsigned n)
{
	memset(window_at(n), 0xa5, grown[n]);
	frames -= grown[n] / PAGE_SIZE;
	grown[n] = 0;
	return NULL;
}

void window_free(void *closed)
{
	MUST(!closed);
}

// ---------------------------------------------------------------- VMs

static const char *vm_new(unsigned index, const struct bundle_vm *config)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	const char *why;

	vm->id = (u16)(index + 1);
	vm->index = index;
	vm->config = config;
	vm->lock = SPINLOCK(LOCK_VM);
	vm->vcpu_count = 0;
	strcpy(vm->name, config->name);
	why = index ? backend_create(vm, true) : NULL;
	if (why) {
		free(vm);
		return why;
	}
	if (vm->backend)
		vm->backend->host.vm = vm;
	vm->state = index ? VM_CREATING : VM_RUNNING;
	vm->machine = index ? NULL : &machine;
	vms[index] = vm;
	return NULL;
}

const char *vm_make(const struct bundle_vm *config, unsigned index, u32 runs_left)
{
	MUST(!runs_left && index >= boot.count && index < VMS && !vms[index]);
	return no_memory ? "not enough free memory" : vm_new(index, config);
}

static void vm_gone(struct vm *vm)
{
	unsigned index = vm->index;

	backend_destroy(vm);
	free(vm);
	vms[index] = NULL;
	create_gone(index);
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

// ---------------------------------------------------------------- calls

static void check_result(u64 nr, s64 r)
{
	MUST(r >= -4095);
	if (nr < MEZZ_CALL_END)
		MUST(r <= (s64)PAGE_SIZE);
}

static bool may_ring(u64 page)
{
	for (unsigned i = 0; i < VMS; i++)
		if (vms[i] && vms[i]->backend && (u8 *)vms[i]->backend->bells == root_ram + page)
			return true;
	return page == EVENTS;
}

// The one page of the buffer, and the pages in which the kernel sets bits, may be written.
static void check_memory(u64 buffer)
{
	for (u64 at = 0; at < RAM; at += PAGE_SIZE)
		MUST(may_ring(at) || at == buffer / PAGE_SIZE * PAGE_SIZE ||
			!memcmp(root_ram + at, seen + at, PAGE_SIZE));
	memcpy(seen, root_ram, RAM);
}

static struct mezz_device_state state_of_work(void)
{
	struct mezz_device_state s;

	memset(&s, 0, sizeof(s));
	if (vms[WORK - 1]->backend->device[SLOT])
		remote_state(vms[WORK - 1]->backend->device[SLOT], &s);
	return s;
}

static s64 call(u64 nr, u64 a0, u64 a1, u64 buffer, u64 size)
{
	const u64 a[4] = {a0, a1, buffer, size};
	struct mezz_device_state before = state_of_work(), after;
	struct mezz_bells *bells = vms[WORK - 1]->backend->bells;
	u64 waiting = vms[WORK - 1]->waiting;
	s64 r;

	memcpy(seen, root_ram, RAM);
	r = root_call(&v, nr, a);
	if (nr == MEZZ_CALL_BUNDLE_BEGIN && r > 0)
		handles = (u64)r;
	check_result(nr, r);
	check_memory(buffer);
	after = state_of_work();
	if ((u32)a0 != WORK)
		MUST(!memcmp(&before, &after, sizeof(after)) &&
			vms[WORK - 1]->backend->bells == bells &&
			vms[WORK - 1]->waiting == waiting);
	for (unsigned i = 0; i < VMS; i++)
		MUST(!vms[i] || vms[i]->lock.next == vms[i]->lock.owner);
	return r;
}

static u64 number(struct input *in)
{
	u8 how = input_u8(in);

	switch (how % 4) {
	case 0:
		return how >> 2;
	case 1:
		return ~0ull - (how >> 2);
	case 2:
		return 1ull << (how >> 2);
	default:
		return input_u64(in);
	}
}

// The n-th of those that are there, or so.
static struct vm *vm_number(unsigned n)
{
	unsigned i = 0;

	for (; n && i < VMS - 1; i++)
		n -= vms[i] != NULL;
	return vms[i];
}

// A VM, or a slot of it that may have a device; or one of the last bundles.
static u64 name(struct input *in)
{
	u8 how = input_u8(in);
	struct vm *vm = vm_number(how % 8);

	if (how >= 0xf0)
		return number(in);
	if (how >= 0xe0)
		return handles - how % 4;
	if (how >= 0xd8)
		return MEZZ_DEVICE_OF(how & 4 ? WORK : 3, MEZZ_SLOTS - 2 + how % 4);
	return MEZZ_DEVICE_OF(vm ? vm->id : how % 64u, how & 0x80 ? 0 : 2 + how / 8 % 8);
}

static u64 buffer(struct input *in)
{
	u8 how = input_u8(in);

	return how < 0xe0 ? (u64)(how % 6) * PAGE_SIZE + (how & 0x40 ? 8u * how : 0) : number(in);
}

static u64 size_of(struct input *in)
{
	static const u64 sizes[] = {sizeof(struct mezz_device), sizeof(struct mezz_device_state),
		PAGE_SIZE, sizeof(struct mezz_host), 8, 16, 0, MEZZ_MESSAGE_MAX};
	u8 how = input_u8(in);

	return how < 0xc0 ? sizes[how % 8] : number(in);
}

static void any_call(struct input *in)
{
	u8 how = input_u8(in);
	u64 nr = how < 0xf0 ? (how & 1 ? MEZZ_CALL_HOST + how / 2 % 14
				       : MEZZ_CALL_EVENTS + how / 2 % 9)
			    : number(in);
	u64 a0 = name(in), a1 = number(in), at = buffer(in), size = size_of(in);

	call(nr, a0, a1, at, size);
}

// Of a device, with a buffer as it should be.
static void device_call(struct input *in, struct vm *vm)
{
	static const struct {
		u64 nr, size;
	} calls[] = {{MEZZ_CALL_DEVICE_STATE, sizeof(struct mezz_device_state)},
		{MEZZ_CALL_DEVICE_INTERRUPT, 0}, {MEZZ_CALL_DEVICE_DO, 0},
		{MEZZ_CALL_DEVICE_CONFIG, 8}, {MEZZ_CALL_ATTACH, PAGE_SIZE}, {MEZZ_CALL_DETACH, 0},
		{MEZZ_CALL_VM_DO, 0}, {MEZZ_CALL_MAP, 0}};
	u8 how = input_u8(in);
	u64 id = vm->id, nr = calls[how % 8].nr, value = how & 0x80 ? number(in) : how >> 3;

	if (nr >= MEZZ_CALL_DEVICE_STATE && nr <= MEZZ_CALL_DEVICE_CONFIG)
		id = MEZZ_DEVICE_OF(id, 2 + (how >> 3) % 8);
	call(nr, id, value, PAGE_SIZE * (1 + (how >> 6)), calls[how % 8].size);
}

static void add_device(struct input *in, u64 id)
{
	u8 how = input_u8(in);
	struct mezz_device d = {.slot = (u16)(2 + how % 8),
		.type = (u16)(1 + (how >> 3 & 3)),
		.queues = (u16)(1 + (how >> 5)),
		.queue_size = 128,
		.features = BIT(9),
		.pci_class = 0x010000,
		.config_size = 8};

	memcpy(root_ram + PAGE_SIZE, &d, sizeof(d));
	call(MEZZ_CALL_DEVICE_ADD, id, 0, PAGE_SIZE, sizeof(d));
}

#define GOOD                                                                                                                      \
	"mezzanine-bundle 1\nvm vm%c\nmemory 33554432\nvcpus 1\nkernel k\ncmdline quiet\nweight 256\ndisk k snapshot\nrepeat 0\n" \
	"debug_exit 0\nend\n"

// A good bundle, with some bytes changed.
static void hand_over(struct input *in)
{
	static u8 archive[8 * KiB], kernel[512];
	u8 changed = input_u8(in) % 4;
	char config[400];
	s64 handle, err = 0;
	size_t n;

	memset(archive, 0, sizeof(archive));
	snprintf(config, sizeof(config), GOOD, 'a' + input_u8(in) % 8);
	n = cpio_add(archive, 0, BUNDLE_CONFIG, config, strlen(config));
	n = cpio_add(archive, n, "k", kernel, sizeof(kernel));
	n = cpio_add(archive, n, "TRAILER!!!", "", 0);
	while (changed--)
		archive[input_u16(in) % n] = input_u8(in);
	handle = call(MEZZ_CALL_BUNDLE_BEGIN, n, 0, 0, 0);
	for (size_t at = 0, some; handle > 0 && at < n && !err; at += some) {
		some = MIN(n - at, PAGE_SIZE);
		memcpy(root_ram + PAGE_SIZE, archive + at, some);
		err = call(MEZZ_CALL_BUNDLE_WRITE, (u64)handle, at, PAGE_SIZE, some);
	}
	if (handle > 0)
		call(MEZZ_CALL_VM_CREATE, (u64)handle, 0, 2 * PAGE_SIZE, MEZZ_MESSAGE_MAX);
}

// ---------------------------------------------------------------- the guest's side

static void put(void *dev, unsigned offset, unsigned size, u64 value)
{
	virtio_pci_ops.bar_write(dev, VIRTIO_PCI_BAR, VIRTIO_PCI_COMMON + offset, size, value);
}

static void allow_messages(void *dev)
{
	u8 cap = (u8)virtio_pci_ops.config_read(dev, PCI_CAPABILITY_LIST, 1);

	while (cap && virtio_pci_ops.config_read(dev, cap, 1) != MSIX_CAP_ID)
		cap = (u8)virtio_pci_ops.config_read(dev, cap + 1, 1);
	if (cap)
		virtio_pci_ops.config_write(dev, cap + 2, 2, 0x8000);
	virtio_pci_ops.bar_write(dev, VIRTIO_PCI_BAR, VIRTIO_PCI_MSIX, 8, 0xfee00000);
	virtio_pci_ops.bar_write(dev, VIRTIO_PCI_BAR, VIRTIO_PCI_MSIX + 8, 4, 0x40);
	virtio_pci_ops.bar_write(dev, VIRTIO_PCI_BAR, VIRTIO_PCI_MSIX + 12, 4, 0);
}

// What a good driver does, up to a step.
static void come_up(void *dev, unsigned steps)
{
	static const struct {
		u8 offset, size;
		u64 value;
	} writes[] = {{20, 1, 0}, {20, 1, 3}, {8, 4, 1}, {12, 4, 1}, {20, 1, 11}, {16, 2, 0},
		{22, 2, 0}, {24, 2, 64}, {26, 2, 0}, {32, 8, 0x1000}, {40, 8, 0x2000},
		{48, 8, 0x3000}, {28, 2, 1}, {20, 1, 15}};

	virtio_pci_ops.config_write(dev, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	if (steps & 1)
		allow_messages(dev);
	for (u64 i = 0; i < ARRAY_SIZE(writes) && (steps == 15 || i < steps || steps & 8); i++)
		put(dev, writes[i].offset, writes[i].size, writes[i].value);
}

static void drive(struct input *in, struct vm *vm)
{
	u8 slot = (u8)(2 + input_u8(in) % 8), op = input_u8(in);
	unsigned size = 1u << (op >> 2 & 3);
	u64 at = input_u16(in) % VIRTIO_PCI_BAR_SIZE / size * size, value = number(in);
	void *dev = vm->pc.pci.slot[slot].dev;

	if (!dev)
		return;
	if (op & 0x80) // its common structure and its doorbells are worth more than the rest
		at = (op & 0x40 ? VIRTIO_PCI_COMMON : VIRTIO_PCI_NOTIFY) + at % 64;
	spin_lock(&vm->lock);
	switch (op & 3) {
	case 0:
		virtio_pci_ops.bar_write(dev, VIRTIO_PCI_BAR, at, size, value);
		break;
	case 1:
		virtio_pci_ops.bar_read(dev, VIRTIO_PCI_BAR, at, size);
		break;
	case 2:
		virtio_pci_ops.config_write(dev, (unsigned)at % 256 / 4 * 4, 4, (u32)value);
		break;
	default:
		come_up(dev, op >> 4);
	}
	spin_unlock(&vm->lock);
}

// All its vcpus are gone; whether it can be given back, or begin again, is asked as long as it lasts.
static void ends(struct vm *vm, bool again)
{
	if (vm->waiting || vm->id == WORK)
		return;
	vm->state = VM_STOPPING;
	vm->end = again ? VM_END_RESET : VM_END_STOPPED;
	if (!backend_quiet(vm))
		return;
	if (again)
		vm->state = VM_RUNNING;
	else
		vm_gone(vm);
}

// In half of the inputs the second VM has its devices from the start, and runs.
static void begin_running(struct input *in)
{
	struct vm *vm = vms[2];

	add_device(in, vm->id);
	add_device(in, vm->id);
	call(MEZZ_CALL_ATTACH, vm->id, 0, 5 * PAGE_SIZE, PAGE_SIZE);
	call(MEZZ_CALL_VM_DO, vm->id, MEZZ_VM_START, 0, 0);
}

static void step(struct input *in)
{
	u8 op = input_u8(in);
	struct vm *vm = vm_number(1 + input_u8(in) % 8u);

	switch (op % 16) {
	case 0:
		hand_over(in);
		break;
	case 1:
		loops();
		break;
	case 2:
		no_memory = op & 0x80;
		changes = op & 0x40;
		break;
	case 3:
	case 4:
	case 5:
	case 6:
		if (vm && vm->backend)
			drive(in, vm);
		break;
	case 7:
		if (vm)
			add_device(in, vm->id);
		break;
	case 8:
		if (vm && vm->index >= 2)
			ends(vm, op & 0x80);
		break;
	case 9:
		for (unsigned i = 0, at = input_u16(in); i < 16; i++)
			root_ram[(at + i) % BELLS] = input_u8(in);
		break;
	case 10:
	case 11:
	case 12:
		if (vm)
			device_call(in, vm);
		break;
	case 13:
		root_ram[BELLS + input_u16(in) % (2 * PAGE_SIZE)] = input_u8(in);
		break;
	default:
		any_call(in);
	}
}

// ---------------------------------------------------------------- a run

static void begin(void)
{
	static char disk[] = "disk", value[] = "device nvme0n1 rw";
	static const char *const names[] = {"root", "work", "bad"};

	fake_reset(2);
	memset(root_ram, 0, sizeof(root_ram));
	no_memory = changes = false;
	if (!area)
		MUST(!create_init());
	for (unsigned i = 0; i < 3; i++) {
		configs[i] = (struct bundle_vm){.name = (char *)names[i],
			.bundle = &boot,
			.memory = 64 * MiB,
			.io_count = !!i};
		configs[i].io[0] = (struct bundle_line){disk, value};
		MUST(!vm_new(i, &configs[i]));
	}
	v = (struct vcpu){.vm = vms[0]};
	call(MEZZ_CALL_EVENTS, 0, 0, EVENTS, PAGE_SIZE);
	add_device(&(struct input){(const u8[]){SLOT - 2}, 1}, WORK);
	MUST(call(MEZZ_CALL_ATTACH, WORK, 0, BELLS, PAGE_SIZE) > 0);
}

// All bundles that are nobody's are dropped, and all VMs end.
static void finish(u64 first)
{
	no_memory = false;
	for (u64 handle = first + 1; handle <= handles; handle++)
		call(MEZZ_CALL_BUNDLE_DROP, handle, 0, 0, 0);
	for (unsigned i = VMS; i-- > 0;)
		if (vms[i])
			vm_gone(vms[i]);
	loops();
	MUST(!frames && !create_promised());
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u64 before = allocated, first = handles;
	struct input in = {data, size};

	begin();
	if (input_u8(&in) & 1)
		begin_running(&in);
	for (unsigned i = 0; i < STEPS && in.left; i++)
		step(&in);
	finish(first);
	MUST(!before || allocated == before); // the first run makes room for bundles
	return 0;
}

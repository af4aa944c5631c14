// SPDX-License-Identifier: MIT
// Virtual devices with back-ends in the root VM: what a driver does becomes bells, what a back-end does becomes interrupts, and
// resets and ends wait for it.
// link: kernel/micro/backend.c kernel/micro/backend_call.c kernel/micro/backend_device.c kernel/micro/backend_event.c
// link: kernel/core/bundle_disk.c kernel/core/disk_line.c kernel/core/cpio.c lib/format.c lib/firmware.c devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio.c
// link: devices/virtqueue.c devices/pci_config.c devices/msix.c tests/unit/fake/arch.c
#include <stdarg.h>
#include "tests/unit/test.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"
#include "kernel/micro/backend.h"
#include "kernel/micro/create.h"
#include "kernel/micro/root.h"
#include "kernel/vm/vm_list.h"
#include "lib/errno.h"

#define RAM    (64 * KiB) // of each VM
#define ID     3u
#define SLOT   5u
#define BUFFER 0x1000u
#define BELLS  0x2000u
#define EVENTS 0x3000u
#define COMMON VIRTIO_PCI_COMMON
#define DEVICE MEZZ_DEVICE_OF(ID, SLOT)

static struct vm root, vm, other;
static struct vcpu v = {.vm = &root};
static struct bundle_vm config;
static u8 root_ram[RAM] __attribute__((aligned(4096))), ram[RAM] __attribute__((aligned(4096)));
static void *function; // the device on the bus
static unsigned pulses, msis, lends;
static u32 msi;
static bool taken_back;

// ---------------------------------------------------------------- what is around it

void vm_list_each(void (*fn)(struct vm *vm, void *arg), void *arg)
{
	fn(&root, arg);
	fn(&other, arg);
	fn(&vm, arg);
}

int vpci_add(struct vpci *p, unsigned slot, const struct pci_function_ops *o, void *dev)
{
	CHECK(o == &virtio_pci_ops);
	if (p->slot[slot].ops)
		return -EBUSY;
	p->slot[slot].ops = o;
	p->slot[slot].dev = function = dev;
	return 0;
}

void vioapic_pulse(struct vm *at, unsigned pin)
{
	CHECK(at == &root && pin == VIOAPIC_EVENT_PIN);
	pulses++;
}

s64 backend_lend(struct vm *of, u64 gpa)
{
	CHECK(of == &vm);
	lends++;
	return (s64)gpa;
}

bool backend_take_back(struct vm *of)
{
	CHECK(of == &vm);
	return taken_back;
}

static struct firmware *made;
static unsigned destroyed;

const char *firmware_create(struct vm *of, struct firmware **f)
{
	CHECK(of == &vm);
	*f = made;
	return NULL;
}

void firmware_destroy(struct firmware *f)
{
	CHECK(f == made);
	destroyed++;
}

s64 root_call_ram(struct vcpu *c, u64 at, gpa_t buffer, u64 room)
{
	(void)c;
	(void)at;
	(void)buffer;
	(void)room;
	return -ENOENT;
}

s64 create_call(struct vcpu *c, u64 nr, const u64 a[4])
{
	(void)c;
	(void)nr;
	(void)a;
	return -ENOENT;
}

static bool fits(gpa_t at, size_t n)
{
	return at.v < RAM && n <= RAM - at.v;
}

s64 root_give(struct vcpu *c, const void *from, size_t size, gpa_t buffer, u64 room)
{
	size_t n = MIN(size, room);

	CHECK(c == &v);
	if (!fits(buffer, n))
		return -EFAULT;
	memcpy(root_ram + buffer.v, from, n);
	return (s64)n;
}

s64 root_take(struct vcpu *c, void *to, size_t size, gpa_t buffer, u64 room)
{
	CHECK(c == &v);
	if (room != size || !fits(buffer, size))
		return -EINVAL;
	memcpy(to, root_ram + buffer.v, size);
	return 0;
}

void *root_page(struct vcpu *c, gpa_t page)
{
	CHECK(c == &v);
	return page.v % PAGE_SIZE || !fits(page, PAGE_SIZE) ? NULL : root_ram + page.v;
}

void *kmem_alloc(size_t size, u16 owner)
{
	CHECK_EQ(owner, ID);
	return calloc(1, size);
}

void kmem_free(void *p, size_t size)
{
	(void)size;
	free(p);
}

void *host_guest_ptr(struct host *h, u64 gpa, size_t len)
{
	CHECK(h->vm == &vm);
	return len && gpa < RAM && len <= PAGE_SIZE - gpa % PAGE_SIZE ? ram + gpa : NULL;
}

bool host_guest_read(struct host *h, u64 gpa, void *to, size_t len)
{
	(void)h;
	(void)gpa;
	(void)to;
	(void)len;
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
	CHECK(h->vm == &vm && addr == 0xfee00000);
	msis++;
	msi = data;
}

void host_intx(struct host *h, unsigned slot, bool level)
{
	(void)h;
	(void)level;
	CHECK_EQ(slot, SLOT);
}

void host_log(struct host *h, const char *fmt, ...)
{
	(void)h;
	(void)fmt;
}

// ---------------------------------------------------------------- the two sides

static s64 call(u64 nr, u64 a0, u64 a1, u64 buffer, u64 size)
{
	return backend_call(&v, nr, (const u64[]){a0, a1, buffer, size});
}

static struct mezz_bells *bells(void)
{
	return (void *)(root_ram + BELLS);
}

static u64 take(u64 *word)
{
	u64 set = *word;

	*word = 0;
	return set;
}

static struct mezz_device_state state(void)
{
	struct mezz_device_state s;

	CHECK_EQ(call(MEZZ_CALL_DEVICE_STATE, DEVICE, 0, BUFFER, sizeof(s)), (s64)sizeof(s));
	memcpy(&s, root_ram + BUFFER, sizeof(s));
	return s;
}

static void put(unsigned offset, unsigned size, u64 value)
{
	virtio_pci_ops.bar_write(function, VIRTIO_PCI_BAR, offset, size, value);
}

static u64 get(unsigned offset, unsigned size)
{
	return virtio_pci_ops.bar_read(function, VIRTIO_PCI_BAR, offset, size);
}

static void set_status(u8 value)
{
	put(COMMON + 20, 1, value);
}

static u8 get_status(void)
{
	return (u8)get(COMMON + 20, 1);
}

static s64 add(u16 slot, u16 type)
{
	struct mezz_device d = {.slot = slot,
		.type = type,
		.queues = 2,
		.queue_size = 128,
		.features = BIT(9),
		.pci_class = 0x010000,
		.config_size = 8,
		.config = "capacity"};

	memcpy(root_ram + BUFFER, &d, sizeof(d));
	return call(MEZZ_CALL_DEVICE_ADD, ID, 0, BUFFER, sizeof(d));
}

static void lines(unsigned n, const struct bundle_line *l)
{
	config = (struct bundle_vm){.io_count = n};
	memcpy(config.io, l, n * sizeof(*l));
}

static void start(void)
{
	static char key[] = "disk", value[] = "device nvme0n1 rw";

	fake_reset(1);
	memset(root_ram, 0, sizeof(root_ram));
	memset(&vm, 0, sizeof(vm));
	pulses = msis = lends = 0;
	taken_back = false;
	function = NULL;
	lines(1, &(struct bundle_line){key, value});
	root.id = 1;
	other.id = 2;
	vm.id = ID;
	vm.config = &config;
	vm.lock = SPINLOCK(LOCK_VM);
	CHECK(!backend_create(&vm, true) && vm.waiting);
	CHECK_EQ(call(MEZZ_CALL_EVENTS, 0, 0, EVENTS, 4096), VIOAPIC_EVENT_PIN);
}

static void stop(void)
{
	backend_destroy(&vm);
	CHECK(!vm.backend);
}

static void attach(void)
{
	CHECK(call(MEZZ_CALL_ATTACH, ID, 0, BELLS, 4096) > 0);
	memset(bells(), 0, sizeof(*bells()));
}

// What Linux does: both queues, MSI-X, ready.
static void drive(void)
{
	u8 cap = 0;

	virtio_pci_ops.config_write(
		function, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (cap = (u8)virtio_pci_ops.config_read(function, PCI_CAPABILITY_LIST, 1); cap;
		cap = (u8)virtio_pci_ops.config_read(function, cap + 1, 1))
		if (virtio_pci_ops.config_read(function, cap, 1) == MSIX_CAP_ID)
			virtio_pci_ops.config_write(function, cap + 2, 2, 0x8000);
	for (unsigned i = 0; i < 3; i++) {
		put(VIRTIO_PCI_MSIX + i * 16, 8, 0xfee00000);
		put(VIRTIO_PCI_MSIX + i * 16 + 8, 4, 0x40 + i);
		put(VIRTIO_PCI_MSIX + i * 16 + 12, 4, 0);
	}
	set_status(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	put(COMMON + 8, 4, 1);
	put(COMMON + 12, 4, 1); // VERSION_1
	put(COMMON + 8, 4, 0);
	put(COMMON + 12, 4, BIT(9));
	set_status(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	put(COMMON + 16, 2, 2); // vector of the configuration
	for (unsigned q = 0; q < 2; q++) {
		put(COMMON + 22, 2, q);
		put(COMMON + 24, 2, 64);
		put(COMMON + 26, 2, q);
		put(COMMON + 32, 8, 0x1000 + 0x4000 * q);
		put(COMMON + 40, 8, 0x2000 + 0x4000 * q);
		put(COMMON + 48, 8, 0x3000 + 0x4000 * q);
		put(COMMON + 28, 2, 1);
	}
	set_status(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
}

// ---------------------------------------------------------------- tests

TEST(lines_of_the_definition)
{
	static char disk[] = "disk", nic[] = "nic", vars[] = "vars", balloon[] = "balloon",
		    off[] = "off", text[] = "text", mib[] = "1048576";

	start();
	CHECK_EQ(call(MEZZ_CALL_VM_LINE, ID, 0, BUFFER, 4096), 22);
	CHECK(!memcmp(root_ram + BUFFER, "disk device nvme0n1 rw", 22));
	CHECK_EQ(call(MEZZ_CALL_VM_LINE, ID, 1, BUFFER, 4096), -ENOENT);
	CHECK_EQ(call(MEZZ_CALL_VM_LINE, 2, 0, BUFFER, 4096), -ENOENT);  // has no devices
	CHECK_EQ(call(MEZZ_CALL_VM_FILE, ID, 0, BUFFER, 4096), -ENOENT); // no file
	CHECK_EQ(call(MEZZ_CALL_VM_FILE, ID | 7ull << 32, 0, BUFFER, 4096), -ENOENT);
	stop();
	vm.config = &config;
	lines(1, &(struct bundle_line){nic, text});
	vm.waiting = 0;
	CHECK(backend_create(&vm, false) && !vm.waiting); // no root VM
	lines(1, &(struct bundle_line){balloon, off});
	CHECK(!backend_create(&vm, false) && !vm.backend && !vm.waiting);
	lines(1, &(struct bundle_line){balloon, mib});
	CHECK(backend_create(&vm, true));
	lines(2, (struct bundle_line[]){{disk, text}, {vars, text}});
	CHECK(!backend_create(&vm, true)); // the back-end looks at them
	stop();
}

TEST(devices_are_added_while_the_vm_waits)
{
	start();
	CHECK_EQ(add(1, 2), -EINVAL);
	CHECK_EQ(add(32, 2), -EINVAL);
	CHECK_EQ(add(SLOT, 0), -EINVAL);
	CHECK_EQ(add(SLOT, 2), 0);
	CHECK_EQ(add(SLOT, 2), -EBUSY);
	CHECK_EQ(virtio_pci_ops.config_read(function, PCI_DEVICE_ID, 2), 0x1042);
	CHECK(!memcmp(&(u64){get(VIRTIO_PCI_DEVICE, 8)}, "capacity", 8));
	CHECK_EQ(call(MEZZ_CALL_DEVICE_STATE, MEZZ_DEVICE_OF(ID, 6), 0, BUFFER, 4096), -ENOENT);
	CHECK_EQ(call(MEZZ_CALL_DEVICE_STATE, MEZZ_DEVICE_OF(ID, 77), 0, BUFFER, 4096), -ENOENT);
	CHECK_EQ(call(MEZZ_CALL_DEVICE_STATE, MEZZ_DEVICE_OF(2, SLOT), 0, BUFFER, 4096), -ENOENT);
	vm.waiting = 0;
	CHECK_EQ(add(7, 2), -EBUSY);
	stop();
}

TEST(bells_and_interrupts)
{
	struct mezz_device_state s;
	struct mezz_events *e = (void *)(root_ram + EVENTS);

	start();
	add(SLOT, 2);
	attach();
	CHECK_EQ(call(MEZZ_CALL_ATTACH, ID, 0, BELLS, 4096), -EBUSY);
	CHECK_EQ(call(MEZZ_CALL_MAP, ID, 0x4000, 0, 0), 0x4000);
	drive();
	CHECK(pulses == 1 && e->vm[0] == BIT(ID));
	CHECK_EQ(take(&bells()->device[SLOT]), MEZZ_BELL_STATE);
	s = state();
	CHECK(s.running && !s.resetting && s.queues == 2 && s.accepted == (BIT(32) | BIT(9)));
	CHECK(s.queue[1].desc == 0x5000 && s.queue[1].device == 0x7000 && s.queue[1].size == 64 &&
		s.queue[1].enabled);
	virtio_pci_ops.bar_write(function, VIRTIO_PCI_PORT_BAR, 0, 2, 1);
	CHECK_EQ(pulses, 1); // the root VM has not looked since
	take(&e->vm[0]);
	virtio_pci_ops.bar_write(function, VIRTIO_PCI_PORT_BAR, 0, 2, 0);
	CHECK_EQ(pulses, 1); // the back-end has not
	CHECK_EQ(take(&bells()->device[SLOT]), 3);
	virtio_pci_ops.bar_write(function, VIRTIO_PCI_PORT_BAR, 0, 2, 7); // no such queue
	CHECK(!bells()->device[SLOT]);
	virtio_pci_ops.bar_write(function, VIRTIO_PCI_PORT_BAR, 0, 2, 0);
	CHECK(pulses == 2 && take(&e->vm[0]) == BIT(ID));
	CHECK_EQ(call(MEZZ_CALL_DEVICE_INTERRUPT, DEVICE, 3, 0, 0), 0);
	CHECK(msis == 2 && msi == 0x41);
	CHECK_EQ(call(MEZZ_CALL_DEVICE_INTERRUPT, DEVICE, ~3ull, 0, 0), 0);
	CHECK(msis == 3 && msi == 0x42); // of the configuration; there are no more queues
	memcpy(root_ram + BUFFER, "12345678", 8);
	CHECK_EQ(call(MEZZ_CALL_DEVICE_CONFIG, DEVICE, 0, BUFFER, 8), 0);
	CHECK(msis == 4 && !memcmp(&(u64){get(VIRTIO_PCI_DEVICE, 8)}, "12345678", 8));
	CHECK_EQ(call(MEZZ_CALL_DEVICE_CONFIG, DEVICE, 0, BUFFER, 9), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_DEVICE_CONFIG, DEVICE, 0, BUFFER, ~0ull), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_DEVICE_DO, DEVICE, MEZZ_DEVICE_BROKEN, 0, 0), 0);
	CHECK(get_status() & VIRTIO_NEEDS_RESET && msis == 5);
	CHECK_EQ(call(MEZZ_CALL_DEVICE_INTERRUPT, DEVICE, 3, 0, 0), 0); // it does not run
	CHECK_EQ(msis, 5);
	CHECK_EQ(call(MEZZ_CALL_DEVICE_DO, DEVICE, 77, 0, 0), -EINVAL);
	stop();
}

TEST(reset_waits_for_the_back_end)
{
	start();
	add(SLOT, 2);
	attach();
	drive();
	set_status(0);
	CHECK(get_status() != 0 && state().resetting);
	drive(); // too early: nothing of it counts
	CHECK(!(get_status() & VIRTIO_DRIVER_OK));
	CHECK_EQ(call(MEZZ_CALL_DEVICE_DO, DEVICE, MEZZ_DEVICE_RESET_DONE, 0, 0), 0);
	CHECK(get_status() == 0 && !state().resetting);
	CHECK_EQ(call(MEZZ_CALL_DEVICE_DO, DEVICE, MEZZ_DEVICE_RESET_DONE, 0, 0), -EINVAL);
	set_status(0); // it never ran: nothing to wait for
	CHECK_EQ(get_status(), 0);
	drive();
	CHECK(state().running && state().queue[0].enabled);
	set_status(0);
	CHECK(get_status() != 0);
	CHECK_EQ(call(MEZZ_CALL_DETACH, ID, 0, 0, 0), 0); // killed: nothing is in flight
	CHECK_EQ(get_status(), 0);
	CHECK_EQ(call(MEZZ_CALL_DETACH, ID, 0, 0, 0), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_MAP, ID, 0, 0, 0), -EBUSY);
	drive();
	set_status(0); // nobody is there
	CHECK_EQ(get_status(), 0);
	drive();
	attach();
	CHECK(state().running); // as the next back-end finds it
	stop();
}

TEST(the_end_waits_for_the_back_end)
{
	start();
	add(SLOT, 2);
	attach();
	drive();
	vm.state = VM_STOPPING;
	vm.end = VM_END_POWEROFF;
	CHECK(!backend_quiet(&vm));
	CHECK(state().resetting && !(bells()->vm & MEZZ_BELL_END));
	call(MEZZ_CALL_DEVICE_DO, DEVICE, MEZZ_DEVICE_RESET_DONE, 0, 0);
	CHECK(this_pcpu()->work & WORK_REAP);
	CHECK(!backend_quiet(&vm) && bells()->vm & MEZZ_BELL_END);
	CHECK_EQ(call(MEZZ_CALL_DETACH, ID, 0, 0, 0), 0);
	CHECK_EQ(call(MEZZ_CALL_ATTACH, ID, 0, BELLS, 4096), -ENOENT);
	CHECK(!backend_quiet(&vm)); // its memory is reachable yet
	taken_back = true;
	CHECK(backend_quiet(&vm));
	stop();
}

TEST(a_reboot_keeps_the_back_end)
{
	start();
	add(SLOT, 2);
	attach();
	drive();
	vm.end = VM_END_RESET;
	CHECK(!backend_quiet(&vm));
	call(MEZZ_CALL_DEVICE_DO, DEVICE, MEZZ_DEVICE_RESET_DONE, 0, 0);
	CHECK(backend_quiet(&vm) && !(bells()->vm & MEZZ_BELL_END));
	stop();
}

// What was set before a reset of the VM is kept by then, if somebody keeps it and is there.
TEST(a_reboot_waits_for_variables)
{
	struct mezz_firmware area = {.changes = 3};
	struct firmware f = {.area = &area, .changes = 3};

	made = &f;
	start();
	vm.backend->firmware = &f;
	attach();
	vm.end = VM_END_RESET;
	CHECK(backend_quiet(&vm)); // nobody keeps them
	area.kept = 1;
	CHECK(!backend_quiet(&vm));
	area.saved = 2;
	CHECK(!backend_quiet(&vm));
	area.saved = 3;
	this_pcpu()->work = 0;
	CHECK_EQ(call(MEZZ_CALL_DEVICE_DO, MEZZ_DEVICE_OF(ID, 0), MEZZ_DEVICE_SAVED, 0, 0), 0);
	CHECK(this_pcpu()->work & WORK_REAP);
	CHECK(backend_quiet(&vm));
	area.saved = 0;
	CHECK(!backend_quiet(&vm));
	CHECK_EQ(call(MEZZ_CALL_DETACH, ID, 0, 0, 0), 0);
	CHECK(backend_quiet(&vm)); // the next one writes them
	destroyed = 0;
	stop();
	CHECK_EQ(destroyed, 1);
	made = NULL;
}

// Whatever the root VM asks, the answer is an error or a small number, and a VM without such devices is not touched.
TEST(any_arguments)
{
	static const u64 calls[] = {MEZZ_CALL_VM_LINE, MEZZ_CALL_VM_FILE, MEZZ_CALL_DEVICE_ADD,
		MEZZ_CALL_DEVICE_STATE, MEZZ_CALL_DEVICE_INTERRUPT, MEZZ_CALL_DEVICE_DO,
		MEZZ_CALL_DEVICE_CONFIG, MEZZ_CALL_ATTACH, MEZZ_CALL_DETACH, MEZZ_CALL_EVENTS,
		MEZZ_CALL_RAM, MEZZ_CALL_END};

	srand(1);
	start();
	for (unsigned i = 0; i < 200000; i++) {
		u64 a[4] = {MEZZ_DEVICE_OF((u32)rand() % 5, (u32)rand() % 34),
			(u64)rand() >> rand() % 32, (u64)rand() % RAM, (u64)rand() % 200};
		s64 r;

		for (unsigned k = 0; rand() % 4 == 0 && k < 8; k++)
			root_ram[(u64)rand() % RAM] = (u8)rand();
		if (rand() % 8 == 0)
			a[rand() % 4] = ((u64)rand() << 40 ^ (u64)rand() << 62 ^ (u64)rand()) >>
					rand() % 64;
		if (rand() % 50 == 0)
			add((u16)(rand() % 40), (u16)(rand() % 70));
		if (function && rand() % 8 == 0)
			drive();
		r = call(calls[(unsigned)rand() % ARRAY_SIZE(calls)], a[0], a[1], a[2], a[3]);
		CHECK(r >= -ENOSYS && r <= 4096);
	}
	function = NULL;
	stop();
}

TEST_MAIN()

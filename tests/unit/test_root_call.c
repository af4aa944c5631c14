// SPDX-License-Identifier: MIT
// Hypercalls of the root VM: what they tell, whom they obey, and arguments that make no sense.
// link: kernel/micro/root_call.c lib/format.c tests/unit/fake/arch.c
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/test.h"
#include "abi/hypercall.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/micro/backend.h"
#include "kernel/micro/root.h"
#include "kernel/vm/vm_list.h"
#include "lib/errno.h"

#define RAM (64 * KiB) // of the root VM

static u8 ram[RAM];
static const struct vm_machine machine;
static struct bundle_vm configs[3];
static struct vm vms[3]; // root, web and db, with the ids 1, 4 and 9
static struct vcpu vcpus[3];
static char order[64];         // the last one that a VM got
static u8 typed[VM_INPUT_MAX]; // for web
static size_t room;            // for what is typed
static const char text[] = "one line\n";

const char *const model_name = "micro";
u64 sched_barred;

void vm_list_each(void (*fn)(struct vm *vm, void *arg), void *arg)
{
	for (unsigned i = 3; i > 0; i--) // in no order
		fn(&vms[i - 1], arg);
}

unsigned vm_list_count(void)
{
	return 3;
}

u64 frame_total(void)
{
	return 1000;
}

u64 frame_free_count(void)
{
	return 600;
}

u64 frame_owned(u16 owner)
{
	return owner == FRAME_OWNER_KERNEL ? 50 : 130;
}

u64 sched_vcpu_used(const struct sched_vcpu *v, u64 now)
{
	(void)now;
	return v->used;
}

size_t log_read(u64 *at, char *out, size_t size)
{
	size_t n = *at < sizeof(text) - 1 ? MIN(sizeof(text) - 1 - *at, size) : 0;

	memcpy(out, text + sizeof(text) - 1 - n, n);
	*at += n;
	return n;
}

bool guest_write(struct vm *vm, gpa_t at, const void *from, size_t size)
{
	CHECK(vm == &vms[0]);
	if (at.v >= RAM || size > RAM - at.v)
		return false;
	memcpy(ram + at.v, from, size);
	return true;
}

bool guest_read(struct vm *vm, gpa_t at, void *to, size_t size)
{
	CHECK(vm == &vms[0]);
	if (at.v >= RAM || size > RAM - at.v)
		return false;
	memcpy(to, ram + at.v, size);
	return true;
}

bool gmap_is_ram(const struct gmap *g, u64 at)
{
	CHECK(g == &vms[0].gmap);
	return at < RAM;
}

void *guest_ptr(struct vm *vm, gpa_t at, size_t size)
{
	CHECK(vm == &vms[0] && size == PAGE_SIZE);
	return ram + at.v;
}

s64 backend_call(struct vcpu *v, u64 nr, const u64 a[4])
{
	(void)v;
	(void)nr;
	(void)a;
	return -ENOSYS;
}

void vm_begin(struct vm *vm)
{
	snprintf(order, sizeof(order), "begin %s", vm->name);
}

void vpm_power_button(struct vm *vm)
{
	snprintf(order, sizeof(order), "shutdown %s", vm->name);
}

void vm_stop(struct vm *vm, const char *fmt, ...)
{
	CHECK(!strcmp(fmt, "by request"));
	snprintf(order, sizeof(order), "stop %s", vm->name);
}

void vm_stop_by_request(struct vm *vm)
{
	snprintf(order, sizeof(order), "stop %s", vm->name);
}

void vm_pause(struct vm *vm, bool on)
{
	vm->paused = on;
	snprintf(order, sizeof(order), "%s %s", on ? "pause" : "resume", vm->name);
}

size_t vm_console_read(struct vm *vm, u64 *at, void *out, size_t size)
{
	CHECK(vm != &vms[0] && size == MEZZ_LOG_TEXT);
	return log_read(at, out, size);
}

size_t vm_console_type(struct vm *vm, const u8 *bytes, size_t n)
{
	CHECK(vm != &vms[0] && n <= VM_INPUT_MAX);
	n = MIN(n, room);
	memcpy(typed, bytes, n);
	return n;
}

static void start(void)
{
	static const char *const names[] = {"root", "web", "db"};
	static const u16 ids[] = {1, 4, 9};

	fake_reset(2);
	memset(ram, 0xa5, sizeof(ram));
	memset(vms, 0, sizeof(vms));
	memset(vcpus, 0, sizeof(vcpus));
	for (unsigned i = 0; i < 3; i++) {
		strcpy(vms[i].name, names[i]);
		vms[i].id = ids[i];
		vms[i].state = VM_RUNNING;
		configs[i] =
			(struct bundle_vm){.memory = 100 * PAGE_SIZE, .weight = 256, .cap = 30};
		vms[i].config = &configs[i];
		vms[i].vcpu_count = 1;
		vms[i].vcpus[0] = &vcpus[i];
		vms[i].gmap.populated = 90;
		vms[i].gmap.tables = 5;
		vcpus[i].vm = &vms[i];
		vcpus[i].exits[EXIT_CPUID] = 7 * (i + 1);
	}
	vms[0].machine = &machine;
	order[0] = 0;
	room = VM_INPUT_MAX;
}

static s64 call(u64 nr, u64 a0, u64 a1, u64 buffer, u64 size)
{
	return root_call(&vcpus[0], nr, (const u64[]){a0, a1, buffer, size});
}

// Nothing but [from, from + n) was written.
static void check_written(u64 from, u64 n)
{
	for (u64 i = 0; i < RAM; i++)
		if (i - from >= n && ram[i] != 0xa5) {
			CHECK_EQ(i, ~0ull);
			return;
		}
}

TEST(host)
{
	struct mezz_host h;

	start();
	CHECK_EQ(call(MEZZ_CALL_HOST, 0, 0, 0x1000, sizeof(h)), (s64)sizeof(h));
	memcpy(&h, ram + 0x1000, sizeof(h));
	CHECK(!strcmp(h.model, "micro"));
	CHECK(h.cpus == 2 && h.vm_cpus == 2 && h.vms == 3);
	CHECK(h.memory == 1000 * PAGE_SIZE && h.free_memory == 600 * PAGE_SIZE &&
		h.kernel_memory == 50 * PAGE_SIZE);
	check_written(0x1000, sizeof(h));
	start();
	CHECK_EQ(call(MEZZ_CALL_HOST, 0, 0, 0x1ff8, 8), 8); // an older program takes less
	check_written(0x1ff8, 8);
}

TEST(vms_by_id)
{
	static const u64 from[] = {0, 1, 2, 4, 5, 9}, found[] = {1, 1, 4, 4, 9, 9};
	struct mezz_vm vm;

	start();
	for (unsigned i = 0; i < 6; i++) {
		CHECK_EQ(call(MEZZ_CALL_VM, from[i], 0, 0x2000, sizeof(vm)), (s64)sizeof(vm));
		memcpy(&vm, ram + 0x2000, sizeof(vm));
		CHECK_EQ(vm.id, found[i]);
	}
	CHECK(!strcmp(vm.name, "db") && vm.state == MEZZ_VM_RUNNING && !vm.is_root &&
		vm.vcpus == 1 && vm.cap == 30);
	CHECK(vm.populated == 90 * PAGE_SIZE && vm.overhead == 40 * PAGE_SIZE);
	CHECK(vm.exits == 21 && vm.cause[EXIT_CPUID].count == 21 &&
		!strcmp(vm.cause[EXIT_CPUID].name, "cpuid"));
	CHECK_EQ(call(MEZZ_CALL_VM, 10, 0, 0x2000, sizeof(vm)), -ENOENT);
	CHECK_EQ(call(MEZZ_CALL_VM, ~0ull, 0, 0x2000, sizeof(vm)), -ENOENT);
	CHECK_EQ(call(MEZZ_CALL_VM, 1, 0, 0x2000, sizeof(vm)), (s64)sizeof(vm));
	memcpy(&vm, ram + 0x2000, sizeof(vm));
	CHECK(vm.is_root && vm.populated == vm.memory);
}

TEST(orders)
{
	start();
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 4, MEZZ_VM_SHUTDOWN, 0, 0), 0);
	CHECK(!strcmp(order, "shutdown web"));
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 9, MEZZ_VM_STOP, 0, 0), 0);
	CHECK(!strcmp(order, "stop db"));
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 9, MEZZ_VM_PAUSE, 0, 0), 0);
	CHECK(!strcmp(order, "pause db") && vms[2].paused);
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 9, MEZZ_VM_RESUME, 0, 0), 0);
	CHECK(!strcmp(order, "resume db") && !vms[2].paused);
	order[0] = 0;
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 4, MEZZ_VM_START + 1, 0, 0), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 4, MEZZ_VM_START, 0, 0), -EBUSY);
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 5, MEZZ_VM_STOP, 0, 0), -ENOENT);
	CHECK_EQ(call(MEZZ_CALL_VM_DO, BIT(32) | 4, MEZZ_VM_STOP, 0, 0), -ENOENT);
	for (u64 op = 0; op <= MEZZ_VM_START; op++)
		CHECK_EQ(call(MEZZ_CALL_VM_DO, 1, op, 0, 0), -EPERM); // itself
	vms[1].state = VM_STOPPING;
	vms[1].end = VM_END_POWEROFF;
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 4, MEZZ_VM_PAUSE, 0, 0), -ENOENT);
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 4, MEZZ_VM_STOP, 0, 0), -ENOENT);
	CHECK(!order[0]);
	vms[1].end = VM_END_RESET; // it will run again, unless it is told now
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 4, MEZZ_VM_PAUSE, 0, 0), -ENOENT);
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 4, MEZZ_VM_STOP, 0, 0), 0);
	CHECK(!strcmp(order, "stop web"));
}

// It can be started or given up, by one caller.
TEST(orders_to_a_vm_that_waits)
{
	struct mezz_vm vm;

	start();
	vms[1].waiting = vms[2].waiting = 1;
	vms[1].state = vms[2].state = VM_CREATING;
	CHECK_EQ(call(MEZZ_CALL_VM, 4, 0, 0x2000, sizeof(vm)), (s64)sizeof(vm));
	memcpy(&vm, ram + 0x2000, sizeof(vm));
	CHECK_EQ(vm.state, MEZZ_VM_WAITING);
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 4, MEZZ_VM_PAUSE, 0, 0), -ENOENT);
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 4, MEZZ_VM_START + 1, 0, 0), -EINVAL);
	CHECK(!order[0]);
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 4, MEZZ_VM_START, 0, 0), 0);
	CHECK(!strcmp(order, "begin web"));
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 4, MEZZ_VM_START, 0, 0), -ENOENT); // it is being loaded
	CHECK_EQ(call(MEZZ_CALL_VM_DO, 9, MEZZ_VM_STOP, 0, 0), 0);
	CHECK(!strcmp(order, "stop db") && !vms[2].waiting);
}

TEST(log)
{
	struct mezz_log l;

	start();
	CHECK_EQ(call(MEZZ_CALL_LOG, 0, 0, 0x3000, sizeof(l)), (s64)sizeof(text) - 1);
	memcpy(&l, ram + 0x3000, sizeof(l));
	CHECK(l.size == sizeof(text) - 1 && l.position == l.size && !memcmp(l.text, text, l.size));
	CHECK_EQ(call(MEZZ_CALL_LOG, l.position, 0, 0x3000, sizeof(l)), 0);
	CHECK_EQ(call(MEZZ_CALL_LOG, 0, 0, 0x3000, sizeof(l) - 1), -EINVAL);
}

TEST(consoles)
{
	struct mezz_log l;

	start();
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_READ, 4, 4, 0x3000, sizeof(l)), (s64)sizeof(text) - 5);
	memcpy(&l, ram + 0x3000, sizeof(l));
	CHECK(l.size == sizeof(text) - 5 && l.position == sizeof(text) - 1 &&
		!memcmp(l.text, text + 4, l.size));
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_READ, 4, l.position, 0x3000, sizeof(l)), 0);
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_READ, 4, 0, 0x3000, sizeof(l) - 1), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_READ, 4, 0, 0x3001, PAGE_SIZE), (s64)sizeof(text) - 1);
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_READ, 4, 0, 0x3100, sizeof(l)), -EINVAL); // on two pages
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_READ, 4, 0, RAM, sizeof(l)), -EFAULT);
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_READ, 1, 0, 0x3000, sizeof(l)), -EPERM);
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_READ, 5, 0, 0x3000, sizeof(l)), -ENOENT);
	memcpy(ram + 0x1000, "echo", 4);
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_WRITE, 4, 0, 0x1000, 4), 4);
	CHECK(!memcmp(typed, "echo", 4));
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_WRITE, 4, 0, 0x1000, 4096), VM_INPUT_MAX);
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_WRITE, 4, 0, 0x1000, ~0ull), VM_INPUT_MAX);
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_WRITE, 4, 0, 0x1000, 0), 0);
	room = 3;
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_WRITE, 4, 0, 0x1000, 4), 3);
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_WRITE, 4, 0, 0x1ffe, 4), -EINVAL);
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_WRITE, 4, 0, RAM, 4), -EFAULT);
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_WRITE, 1, 0, 0x1000, 4), -EPERM);
	CHECK_EQ(call(MEZZ_CALL_CONSOLE_WRITE, 9 | BIT(32), 0, 0x1000, 4), -ENOENT);
}

TEST(buffers_that_are_none)
{
	const u64 calls[] = {MEZZ_CALL_HOST, MEZZ_CALL_VM, MEZZ_CALL_LOG};

	start();
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(call(calls[i], 0, 0, 0x1ffc, PAGE_SIZE), -EINVAL); // on two pages
		CHECK_EQ(call(calls[i], 0, 0, RAM, PAGE_SIZE), -EFAULT);
		CHECK_EQ(call(calls[i], 0, 0, BIT(63), PAGE_SIZE), -EFAULT);
		CHECK_EQ(call(calls[i], 0, 0, ~0ull, ~0ull), -EINVAL);
	}
	check_written(0, 0);
	CHECK_EQ(call(MEZZ_CALL_END, 0, 0, 0, 0), -ENOSYS);
	CHECK_EQ(call(0, 0, 0, 0, 0), -ENOSYS);
	CHECK_EQ(call(~0ull, 0, 0, 0, 0), -ENOSYS);
}

// Whatever is asked, the answer is an error or a size, and what was written is in the one page that was named.
TEST(any_arguments)
{
	srand(1);
	for (unsigned i = 0; i < 3000; i++) {
		static const u64 calls[] = {MEZZ_CALL_HOST, MEZZ_CALL_VM, MEZZ_CALL_VM_DO,
			MEZZ_CALL_LOG, MEZZ_CALL_VM_LINE, MEZZ_CALL_CONSOLE_READ,
			MEZZ_CALL_CONSOLE_WRITE};
		u64 a[4], nr = calls[rand() % 7];
		s64 r;

		start();
		for (unsigned k = 0; k < 4; k++)
			a[k] = ((u64)rand() << 31 ^ (u64)rand() << 62 ^ (u64)rand()) >> rand() % 64;
		r = root_call(&vcpus[0], nr, a);
		CHECK(r >= -ENOSYS && r <= 4096);
		check_written(a[2], r >= 0 ? PAGE_SIZE - a[2] % PAGE_SIZE : 0);
	}
}

TEST_MAIN()

// SPDX-License-Identifier: MIT
// What a VM's console said last is kept, and what is typed for it waits for its devices.
// link: kernel/vm/vm_console.c tests/unit/fake/arch.c
#include "tests/unit/test.h"
#include "devices/host_kernel/vm_devices.h"
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/core/pcpu.h"
#include "kernel/vm/vm_list.h"

static struct vm vm = {.id = 3, .index = 2, .name = "web"}, other = {.id = 4, .index = 3};
static size_t line_room, uart_room;
static u8 uart[1024];
static size_t uart_count;
static unsigned allocated;

void vm_list_each(void (*fn)(struct vm *v, void *arg), void *arg)
{
	fn(&other, arg);
	fn(&vm, arg);
}

size_t console_vm_write(unsigned index, const char *name, const u8 *bytes, size_t n)
{
	(void)bytes;
	CHECK(index == 2 && !strcmp(name, "web"));
	n = MIN(n, line_room);
	line_room -= n;
	return n;
}

bool vm_console_device_input(struct vm *v, const u8 *bytes, size_t n, size_t *taken)
{
	(void)v;
	(void)bytes;
	(void)n;
	(void)taken;
	return false;
}

void vm_console_device_drain(struct vm *v)
{
	(void)v;
}

void vuart_drain(struct vm *v)
{
	(void)v;
}

size_t vuart_input(struct vm *v, const u8 *bytes, size_t n)
{
	CHECK(v == &vm);
	n = MIN(n, uart_room);
	memcpy(uart + uart_count, bytes, n);
	uart_count += n;
	uart_room -= n;
	return n;
}

void *kmem_alloc(size_t size, u16 owner)
{
	CHECK(size == 16 * KiB && owner == 3);
	allocated++;
	return calloc(1, size);
}

void kmem_free(void *p, size_t size)
{
	CHECK_EQ(size, 16 * KiB);
	allocated--;
	free(p);
}

static void start(void)
{
	fake_reset(1);
	vm.lock = SPINLOCK(LOCK_VM);
	vm.input.count = 0;
	line_room = ~0ull;
	uart_room = 0;
	uart_count = 0;
	CHECK(vm_console_keep(&vm));
}

static void stop(void)
{
	vm_console_forget(&vm);
	CHECK(!allocated && !vm.kept);
	vm_console_forget(&vm); // nothing is kept
}

static void say(const char *text)
{
	CHECK_EQ(vm_console_output(&vm, (const u8 *)text, strlen(text)), strlen(text));
}

TEST(kept)
{
	char text[64];
	u64 at = 0;

	start();
	CHECK_EQ(vm_console_read(&vm, &at, text, sizeof(text)), 0);
	say("hello ");
	say("world");
	CHECK_EQ(vm_console_read(&vm, &at, text, 8), 8);
	CHECK(at == 8 && !memcmp(text, "hello wo", 8));
	CHECK_EQ(vm_console_read(&vm, &at, text, sizeof(text)), 3);
	CHECK(at == 11 && !memcmp(text, "rld", 3));
	CHECK_EQ(vm_console_read(&vm, &at, text, sizeof(text)), 0);
	at = 500; // not said yet: from the oldest that is kept
	CHECK_EQ(vm_console_read(&vm, &at, text, sizeof(text)), 11);
	line_room = 2; // only what the line took was said; the rest comes again
	CHECK_EQ(vm_console_output(&vm, (const u8 *)"abc", 3), 2);
	CHECK_EQ(vm_console_read(&vm, &at, text, sizeof(text)), 2);
	CHECK_EQ(at, 13);
	stop();
	at = 0;
	line_room = 5;
	say("again");
	CHECK_EQ(vm_console_read(&vm, &at, text, sizeof(text)), 0);
}

TEST(the_last_of_it)
{
	static char text[VM_KEPT + 100];
	u64 at = 0, n = 0;

	start();
	for (; n < 3 * VM_KEPT + 77; n++) {
		u8 c = (u8)(n % 251);

		CHECK_EQ(vm_console_output(&vm, &c, 1), 1);
	}
	CHECK_EQ(vm_console_read(&vm, &at, text, sizeof(text)), VM_KEPT);
	CHECK_EQ(at, n);
	for (u64 i = 0; i < VM_KEPT; i++)
		if ((u8)text[i] != (n - VM_KEPT + i) % 251) {
			CHECK_EQ(i, ~0ull);
			break;
		}
	at = n - VM_KEPT - 1; // just gone
	CHECK_EQ(vm_console_read(&vm, &at, text, 1), 1);
	CHECK_EQ(at, n - VM_KEPT + 1);
	stop();
}

TEST(typed)
{
	u8 bytes[VM_INPUT_MAX + 100];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)i;
	start();
	uart_room = 10;
	CHECK_EQ(vm_console_type(&vm, bytes, 100), 100); // 10 of them are through
	CHECK(uart_count == 10 && vm.input.count == 90);
	CHECK_EQ(vm_console_type(&vm, bytes + 100, 200), VM_INPUT_MAX - 90);
	CHECK_EQ(vm_console_type(&vm, bytes, 1), 0);
	uart_room = 1000;
	vm_console_push_input();
	CHECK_EQ(uart_count, 10 + VM_INPUT_MAX);
	CHECK(!memcmp(uart, bytes, 10 + VM_INPUT_MAX)); // in its order
	vm_console_input(2, bytes, 5);
	CHECK_EQ(uart_count, 15 + VM_INPUT_MAX);
	stop();
}

TEST_MAIN()

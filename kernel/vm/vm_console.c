// SPDX-License-Identifier: MIT
// A VM's console: what its UART and its virtio console say, and what is typed for it.
#include "kernel/vm/vm_console.h"
#include "devices/host_kernel/vm_devices.h"
#include "kernel/core/console.h"
#include "kernel/vm/vm_list.h"
#include "lib/string.h"

size_t vm_console_output(struct vm *vm, const u8 *bytes, size_t n)
{
	return console_vm_write(vm->index, vm->name, bytes, n);
}

// Called with vm->lock held: what waits is offered again from pcpu_loop.
void vm_console_input_room(struct vm *vm)
{
	if (READ_ONCE(vm->input.count))
		pcpu_post(this_pcpu(), WORK_VM_INPUT);
}

// Input goes to the virtio console when a driver runs it, else to the UART.
static void push_input(struct vm *vm)
{
	struct vm_input *in = &vm->input;
	size_t taken;

	if (!in->count)
		return;
	if (!vm_console_device_input(vm, in->bytes, in->count, &taken))
		taken = vuart_input(vm, in->bytes, in->count);
	in->count -= (u32)taken;
	memmove(in->bytes, in->bytes + taken, in->count);
}

static void push(struct vm *vm, void *arg)
{
	(void)arg;
	push_input(vm);
}

void vm_console_push_input(void)
{
	vm_list_each(push, NULL);
}

static void drain(struct vm *vm, void *arg)
{
	if (vm->index != *(const unsigned *)arg)
		return;
	vm_console_device_drain(vm);
	vuart_drain(vm);
}

void vm_console_room(unsigned index)
{
	vm_list_each(drain, &index);
}

struct typed {
	unsigned index;
	const u8 *bytes;
	size_t n;
};

// What does not fit is lost, as on a serial line whose reader is late.
static void take_typed(struct vm *vm, void *arg)
{
	const struct typed *t = arg;
	size_t n = MIN(t->n, VM_INPUT_MAX - vm->input.count);

	if (vm->index != t->index)
		return;
	memcpy(vm->input.bytes + vm->input.count, t->bytes, n);
	vm->input.count += (u32)n;
	push_input(vm);
}

void vm_console_input(unsigned index, const u8 *bytes, size_t n)
{
	struct typed t = {index, bytes, n};

	vm_list_each(take_typed, &t);
}

// SPDX-License-Identifier: MIT
// A VM's console: what its UART and its virtio console say, and what is typed for it.
#include "kernel/vm/vm_console.h"
#include "devices/host_kernel/vm_devices.h"
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/vm/vm_list.h"
#include "lib/string.h"

size_t vm_console_output(struct vm *vm, const u8 *bytes, size_t n)
{
	size_t taken = console_vm_write(vm->index, vm->name, bytes, n);
	struct vm_kept *k = vm->kept;

	for (size_t i = 0; k && i < taken; i++)
		k->text[k->head++ % VM_KEPT] = bytes[i];
	return taken;
}

bool vm_console_keep(struct vm *vm)
{
	vm->kept = kmem_alloc(sizeof(*vm->kept), vm->id);
	return vm->kept;
}

void vm_console_forget(struct vm *vm)
{
	struct vm_kept *k;

	spin_lock(&vm->lock);
	k = vm->kept;
	vm->kept = NULL;
	spin_unlock(&vm->lock);
	if (k)
		kmem_free(k, sizeof(*k));
}

size_t vm_console_read(struct vm *vm, u64 *at, void *out, size_t size)
{
	struct vm_kept *k;
	size_t n = 0;

	spin_lock(&vm->lock);
	k = vm->kept;
	if (k && k->head - *at > VM_KEPT) // dropped, or not said yet
		*at = k->head - MIN(k->head, VM_KEPT);
	while (k && n < size && *at < k->head)
		((u8 *)out)[n++] = k->text[(*at)++ % VM_KEPT];
	spin_unlock(&vm->lock);
	return n;
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

size_t vm_console_type(struct vm *vm, const u8 *bytes, size_t n)
{
	n = MIN(n, VM_INPUT_MAX - vm->input.count);
	memcpy(vm->input.bytes + vm->input.count, bytes, n);
	vm->input.count += (u32)n;
	push_input(vm);
	return n;
}

// What does not fit is lost, as on a serial line whose reader is late.
static void take_typed(struct vm *vm, void *arg)
{
	const struct typed *t = arg;

	if (vm->index == t->index)
		vm_console_type(vm, t->bytes, t->n);
}

void vm_console_input(unsigned index, const u8 *bytes, size_t n)
{
	struct typed t = {index, bytes, n};

	vm_list_each(take_typed, &t);
}

// SPDX-License-Identifier: MIT
// devices/host.h in the kernel. Devices are called with vm->lock held, so all of this is, but for timers firing.
#include "devices/host_kernel/host_kernel.h"

#include "kernel/core/log.h"
#include "kernel/core/timer.h"
#include "kernel/vm/vm.h"

void *host_guest_ptr(struct host *h, u64 addr, size_t len)
{
	if (!len || len > PAGE_SIZE - addr % PAGE_SIZE)
		return NULL;
	return guest_ptr(h->vm, gpa(addr), len);
}

bool host_guest_read(struct host *h, u64 addr, void *to, size_t len)
{
	return guest_read(h->vm, gpa(addr), to, len);
}

bool host_guest_write(struct host *h, u64 addr, const void *from, size_t len)
{
	return guest_write(h->vm, gpa(addr), from, len);
}

void host_msi(struct host *h, u64 addr, u32 data)
{
	vlapic_msi(h->vm, addr, data);
}

void host_intx(struct host *h, unsigned slot, bool level)
{
	vpci_intx_set(&h->vm->pc.pci, slot, level);
}

size_t host_console_write(struct host *h, const u8 *bytes, size_t len)
{
	return vm_console_output(h->vm, bytes, len);
}

void host_console_room(struct host *h)
{
	vm_console_input_room(h->vm);
}

void host_log(struct host *h, const char *fmt, ...)
{
	char line[128];
	va_list args;

	va_start(args, fmt);
	format_v(line, sizeof(line), fmt, args);
	va_end(args);
	log_vm(h->vm, "%s", line);
}

// ---------------------------------------------------------------- timers

// The kernel's timer lies in host_timer.space. `armed` is under vm->lock and decides: a kernel timer that went off
// while somebody cancelled it, or set it anew, finds armed false or fires early by less than it takes to see that.
struct kernel_timer {
	struct timer timer;
	u64 deadline;
};

_Static_assert(sizeof(struct kernel_timer) <= sizeof(((struct host_timer *)0)->space), "room");

static struct kernel_timer *kernel_timer(struct host_timer *t)
{
	return (struct kernel_timer *)(void *)t->space;
}

static void timer_fired(struct timer *timer)
{
	struct host_timer *t = container_of((void *)timer, struct host_timer, space);
	struct vm *vm = t->host->vm;

	spin_lock(&vm->lock);
	if (t->armed && time_now() >= kernel_timer(t)->deadline) {
		t->armed = false;
		t->fn(t);
	}
	spin_unlock(&vm->lock);
}

void host_timer_init(struct host *h, struct host_timer *t, void (*fn)(struct host_timer *))
{
	t->fn = fn;
	t->host = h;
	t->armed = false;
	timer_init(&kernel_timer(t)->timer, timer_fired);
}

void host_timer_set(struct host_timer *t, u64 delay_ns)
{
	struct kernel_timer *k = kernel_timer(t);

	k->deadline = time_now() + time_from_ns(delay_ns);
	t->armed = true;
	timer_set(&k->timer, k->deadline);
}

void host_timer_cancel(struct host_timer *t)
{
	t->armed = false;
	timer_cancel(&kernel_timer(t)->timer);
}

void host_timer_destroy(struct host_timer *t)
{
	timer_cancel_sync(&kernel_timer(t)->timer);
}

// What is set while the list is gone through comes in at its front, and is not called in that round.
void host_rest_set(struct host *h, struct host_rest *r, bool on)
{
	struct host_rest **at = &h->vm->rest;

	if (r->on == on)
		return;
	r->on = on;
	if (on) {
		r->next = *at;
		WRITE_ONCE(*at, r);
		return;
	}
	while (*at != r)
		at = &(*at)->next;
	WRITE_ONCE(*at, r->next);
}

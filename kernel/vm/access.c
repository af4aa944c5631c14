// SPDX-License-Identifier: MIT
// A guest's accesses to device memory: the instruction is fetched, decoded and interpreted.
#include "kernel/core/trace.h"
#include "kernel/vm/access.h"
#include "kernel/vm/emulate.h"
#include "kernel/vm/linear.h"
#include "kernel/x86/regs.h"
#include "lib/errno.h"
#include "lib/string.h"

// One instruction under interpretation.
struct access {
	struct vcpu *v;
	struct page_fault fault;
};

static u64 mmio_read(struct vcpu *v, u64 addr, unsigned size)
{
	u64 value = ~0ull;
	gpa_t lapic;

	if (vlapic_mmio_enabled(v, &lapic) && addr - lapic.v < PAGE_SIZE) {
		unsigned shift = (addr & 3) * 8;

		value = (u64)vlapic_mmio_read(v, (u32)(addr - lapic.v) & ~3u) >> shift;
	} else {
		pc_mmio_read(v, addr, size, &value);
	}
	TRACE(TRACE_MMIO, v->vm->id, v->id, addr, value);
	return value;
}

static void mmio_write(struct vcpu *v, u64 addr, unsigned size, u64 value)
{
	gpa_t lapic;

	TRACE(TRACE_MMIO, v->vm->id, v->id, addr | BIT(63), value);
	if (vlapic_mmio_enabled(v, &lapic) && addr - lapic.v < PAGE_SIZE) {
		if (IS_ALIGNED(addr, 4)) // registers are written as aligned words (SDM 3A, 10.4.1)
			vlapic_mmio_write(v, (u32)(addr - lapic.v), (u32)value);
		return;
	}
	pc_mmio_write(v, addr, size, value);
}

// Devices see powers of two; an access that a page boundary cut becomes several.
static unsigned device_size(u64 addr, size_t n)
{
	unsigned size = n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;

	(void)addr;
	return size;
}

static void device_read(struct vcpu *v, u64 addr, u8 *to, size_t n)
{
	while (n) {
		unsigned size = device_size(addr, n);
		u64 value = mmio_read(v, addr, size);

		memcpy(to, &value, size);
		to += size;
		addr += size;
		n -= size;
	}
}

static void device_write(struct vcpu *v, u64 addr, const u8 *from, size_t n)
{
	while (n) {
		unsigned size = device_size(addr, n);
		u64 value = 0;

		memcpy(&value, from, size);
		mmio_write(v, addr, size, value);
		from += size;
		addr += size;
		n -= size;
	}
}

// The page of guest RAM at addr, populated; NULL: devices. Out of memory stops the VM.
static u8 *ram_at(struct vcpu *v, u64 addr)
{
	u8 *p = vcpu_ram(v, addr);

	if (!p && gmap_is_ram(&v->vm->gmap, addr))
		vm_stop(v->vm, "out of memory for address 0x%lx", addr);
	return p;
}

int access_linear_read(struct vcpu *v, u64 linear, void *to, size_t size, struct page_fault *fault)
{
	for (size_t done = 0, n; done < size; done += n) {
		gpa_t at;
		u8 *ram;

		n = MIN(size - done, PAGE_SIZE - ((linear + done) & (PAGE_SIZE - 1)));
		if (!linear_translate(v, linear + done, ACCESS_READ, &at, fault))
			return -EFAULT;
		ram = ram_at(v, at.v);
		if (ram)
			memcpy((u8 *)to + done, ram, n);
		else
			device_read(v, at.v, (u8 *)to + done, n);
	}
	return 0;
}

int access_linear_write(
	struct vcpu *v, u64 linear, const void *from, size_t size, struct page_fault *fault)
{
	gpa_t at[2];
	unsigned pages = 1 + ((linear & (PAGE_SIZE - 1)) + size > PAGE_SIZE);

	// Both pages of one that crosses must take it before any byte changes.
	for (unsigned i = 0; i < pages; i++)
		if (!linear_translate(v, i ? ALIGN_DOWN(linear + size, PAGE_SIZE) : linear,
			    ACCESS_WRITE, &at[i], fault))
			return -EFAULT;
	for (size_t done = 0, n, i = 0; done < size; done += n, i++) {
		u8 *ram = ram_at(v, at[i].v);

		n = MIN(size - done, PAGE_SIZE - (at[i].v & (PAGE_SIZE - 1)));
		if (ram)
			memcpy(ram, (const u8 *)from + done, n);
		else
			device_write(v, at[i].v, (const u8 *)from + done, n);
	}
	return 0;
}

static int op_read(void *opaque, u64 linear, void *data, size_t size)
{
	struct access *a = opaque;

	return access_linear_read(a->v, linear, data, size, &a->fault);
}

static int op_write(void *opaque, u64 linear, const void *data, size_t size)
{
	struct access *a = opaque;

	return access_linear_write(a->v, linear, data, size, &a->fault);
}

static const struct emulate_ops access_ops = {.read = op_read, .write = op_write};

static void load_context(struct vcpu *v, struct emulate_ctx *ctx)
{
	struct hvm_segment s;

	ctx->gpr = v->gpr;
	ctx->rip = v->rip;
	ctx->rflags = v->rflags;
	ctx->mode = linear_code_mode(v);
	for (unsigned i = 0; i < 6; i++) {
		hvm->seg_get(v, i, &s);
		ctx->seg_base[i] = ctx->mode == DECODE_64 && i < SEG_FS ? 0 : s.base;
		if (i == SEG_SS)
			ctx->stack_size = s.attr & SEG_ATTR_D ? 4 : 2;
	}
}

// The instruction cannot be interpreted: the guest gets what a processor gives for a device access
// of that kind that it does not take, and people are told once why.
static void refuse(struct vcpu *v, const struct hvm_exit *exit, const u8 *bytes)
{
	log_vm(v->vm,
		"vcpu %u: instruction %02x %02x %02x %02x at rip 0x%lx accesses 0x%lx, where no RAM is: #GP",
		v->id, bytes[0], bytes[1], bytes[2], bytes[3], v->rip, exit->fault.addr.v);
	vcpu_fault(v, VECTOR_GP, true, 0);
}

static void finish(struct vcpu *v, const struct emulate_ctx *ctx)
{
	u64 length = ctx->rip - v->rip;

	v->rflags = ctx->rflags;
	if (length)
		vcpu_advance(v, (unsigned)length);
}

void access_mmio(struct vcpu *v, struct hvm_exit *exit)
{
	struct access a = {.v = v, .fault = {.fatal = true}};
	struct emulate_ctx ctx = {.ops = &access_ops, .opaque = &a};
	u8 bytes[INSN_LENGTH_MAX] = {0};
	size_t n = exit->fault.bytes;

	if (exit->fault.walk) {
		vm_stop(v->vm, "page tables at 0x%lx, outside of RAM (rip 0x%lx)",
			exit->fault.addr.v, v->rip);
		return;
	}
	if (exit->fault.access & ACCESS_EXEC) {
		vm_stop(v->vm, "execution at 0x%lx, outside of RAM (rip 0x%lx)", exit->fault.addr.v,
			v->rip);
		return;
	}
	if (hvm->injecting(v)) {
		vm_stop(v->vm, "an event's delivery touched 0x%lx, outside of RAM (rip 0x%lx)",
			exit->fault.addr.v, v->rip);
		return;
	}
	if (n)
		memcpy(bytes, exit->fault.insn, n);
	else
		n = linear_fetch(v, bytes, &a.fault);
	if (!n) {
		vcpu_page_fault(v, &a.fault);
		return;
	}
	load_context(v, &ctx);
	switch (decode_insn(&ctx.insn, bytes, n, ctx.mode)) {
	case 0:
		break;
	case -EAGAIN: // its rest is on a page that is not there
		vcpu_page_fault(v, &a.fault);
		return;
	default:
		refuse(v, exit, bytes);
		return;
	}
	switch (emulate_insn(&ctx)) {
	case EMULATE_DONE:
	case EMULATE_MORE:
		finish(v, &ctx);
		return;
	case -EFAULT:
		if (a.fault.fatal && !a.fault.address) // not canonical
			vcpu_fault(v, VECTOR_GP, true, 0);
		else
			vcpu_page_fault(v, &a.fault);
		return;
	default:
		refuse(v, exit, bytes);
	}
}

// SPDX-License-Identifier: MIT
// A guest's accesses to ports: IN and OUT, and the string forms INS and OUTS.
#include "kernel/core/trace.h"
#include "kernel/vm/access.h"
#include "kernel/vm/linear.h"
#include "kernel/x86/regs.h"
#include "lib/errno.h"

#define SLICE 64 // elements of a string access between two looks at the rest of the world

static u32 port_read(struct vcpu *v, u16 port, unsigned size)
{
	u32 value = pc_io_read(v, port, size);

	TRACE(TRACE_IO, v->vm->id, v->id, port | (u64)size << 16, value);
	return value;
}

static void port_write(struct vcpu *v, u16 port, unsigned size, u32 value)
{
	TRACE(TRACE_IO, v->vm->id, v->id, port | (u64)size << 16 | BIT(24), value);
	pc_io_write(v, port, size, value);
}

static void set_low(u64 *reg, unsigned size, u64 value)
{
	u64 mask = size == 8 ? ~0ull : BIT(8 * size) - 1;

	*reg = size == 4 ? (u32)value : (*reg & ~mask) | (value & mask);
}

static u64 low(u64 reg, unsigned size)
{
	return size == 8 ? reg : reg & (BIT(8 * size) - 1);
}

// What the string form is made of; from the exit where the processor says it, else decoded.
struct string_io {
	unsigned address_size;
	u64 base;
	unsigned length;
};

static int string_decode(struct vcpu *v, struct string_io *s, bool in, struct page_fault *fault)
{
	u8 bytes[INSN_LENGTH_MAX];
	enum decode_mode mode = linear_code_mode(v);
	struct hvm_segment seg;
	struct insn insn;
	size_t n = linear_fetch(v, bytes, fault);
	unsigned which;

	if (!n || decode_insn(&insn, bytes, n, mode) == -EAGAIN)
		return -EFAULT;
	if (decode_insn(&insn, bytes, n, mode) || insn.map != INSN_PRIMARY ||
		(insn.opcode & 0xfc) != 0x6c)
		return -EAGAIN; // another vcpu has changed it since: it runs again
	which = in ? SEG_ES : insn.segment;
	hvm->seg_get(v, which, &seg);
	s->base = mode == DECODE_64 && which < SEG_FS ? 0 : seg.base;
	s->address_size = insn.address_size;
	s->length = insn.length;
	return 0;
}

static int string_element(struct vcpu *v, const struct hvm_exit *exit, const struct string_io *s,
	struct page_fault *fault)
{
	u64 *index = &v->gpr[exit->io.in ? RDI : RSI];
	u64 linear = s->base + low(*index, s->address_size);
	u64 step = v->rflags & RFLAGS_DF ? 0 - (u64)exit->io.size : exit->io.size;
	u32 value = 0;
	int err;

	if (exit->io.in) {
		// The port is read once the memory is known to take it.
		gpa_t at;

		if (!linear_translate(v, linear, ACCESS_WRITE, &at, fault))
			return -EFAULT;
		value = port_read(v, exit->io.port, exit->io.size);
		err = access_linear_write(v, linear, &value, exit->io.size, fault);
	} else {
		err = access_linear_read(v, linear, &value, exit->io.size, fault);
		if (!err)
			port_write(v, exit->io.port, exit->io.size, value);
	}
	if (!err)
		set_low(index, s->address_size, *index + step);
	return err;
}

static void string_io(struct vcpu *v, const struct hvm_exit *exit)
{
	struct page_fault fault = {.fatal = true};
	struct string_io s = {0};
	int err = string_decode(v, &s, exit->io.in, &fault);

	for (unsigned i = 0; !err && i < SLICE; i++) {
		if (exit->io.rep && !low(v->gpr[RCX], s.address_size))
			break;
		err = string_element(v, exit, &s, &fault);
		if (err)
			break;
		if (!exit->io.rep) {
			vcpu_advance(v, s.length);
			return;
		}
		set_low(&v->gpr[RCX], s.address_size, v->gpr[RCX] - 1);
	}
	if (err == -EFAULT)
		vcpu_page_fault(v, &fault);
	else if (!err && !low(v->gpr[RCX], s.address_size))
		vcpu_advance(v, s.length);
}

void access_io(struct vcpu *v, struct hvm_exit *exit)
{
	u64 next = exit->io.next_rip;

	if (exit->io.string) {
		string_io(v, exit);
		return;
	}
	if (exit->io.in)
		set_low(&v->gpr[RAX], exit->io.size, port_read(v, exit->io.port, exit->io.size));
	else
		port_write(v, exit->io.port, exit->io.size, (u32)low(v->gpr[RAX], exit->io.size));
	if (next)
		vcpu_advance(v, (unsigned)(next - v->rip) & 15);
	else
		vcpu_skip(v, exit);
}

// SPDX-License-Identifier: MIT
// What is done about each exit; one function a reason, in one table.
#include "kernel/core/log.h"
#include "kernel/core/trace.h"
#include "kernel/vm/access.h"
#include "kernel/vm/linear.h"
#include "kernel/vm/policy.h"
#include "kernel/vm/vpv_abi.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/regs.h"
#include "lib/errno.h"

void vcpu_fault(struct vcpu *v, u8 vector, bool has_error, u32 error)
{
	hvm->inject(v, EVENT_EXCEPTION, vector, has_error, error);
}

COLD void vcpu_page_fault(struct vcpu *v, const struct page_fault *fault)
{
	if (fault->fatal) {
		vm_stop(v->vm, "page tables outside of RAM, for address 0x%lx at rip 0x%lx",
			fault->address, v->rip);
		return;
	}
	if (fault->protection) {
		vcpu_fault(v, VECTOR_GP, true, 0);
		return;
	}
	hvm->reg_set(v, HVM_CR2, fault->address);
	vcpu_fault(v, VECTOR_PF, true, fault->error);
}

static void on_interrupt(struct vcpu *v, struct hvm_exit *exit)
{
	(void)v;
	(void)exit;
	arch_take_interrupts();
}

static void on_nothing(struct vcpu *v, struct hvm_exit *exit)
{
	(void)v;
	(void)exit;
}

static void on_irq_window(struct vcpu *v, struct hvm_exit *exit)
{
	(void)exit;
	hvm->irq_window(v, false);
	atomic_or(&v->events, VCPU_LAPIC);
}

static void on_cpuid(struct vcpu *v, struct hvm_exit *exit)
{
	struct cpuid r = cpuid_guest(v, (u32)v->gpr[RAX], (u32)v->gpr[RCX]);

	v->gpr[RAX] = r.eax;
	v->gpr[RBX] = r.ebx;
	v->gpr[RCX] = r.ecx;
	v->gpr[RDX] = r.edx;
	vcpu_skip(v, exit);
}

static void on_rdmsr(struct vcpu *v, struct hvm_exit *exit)
{
	u32 msr = (u32)v->gpr[RCX];
	u64 value = 0;

	if (msr_guest_read(v, msr, &value)) {
		v->msr_refused++;
		vcpu_fault(v, VECTOR_GP, true, 0);
		return;
	}
	TRACE(TRACE_MSR, v->vm->id, v->id, msr, value);
	v->gpr[RAX] = (u32)value;
	v->gpr[RDX] = value >> 32;
	vcpu_skip(v, exit);
}

static void on_wrmsr(struct vcpu *v, struct hvm_exit *exit)
{
	u32 msr = (u32)v->gpr[RCX];
	u64 value = v->gpr[RDX] << 32 | (u32)v->gpr[RAX];

	TRACE(TRACE_MSR, v->vm->id, v->id, msr | BIT(32), value);
	if (msr_guest_write(v, msr, value)) {
		v->msr_refused++;
		vcpu_fault(v, VECTOR_GP, true, 0);
		return;
	}
	vcpu_skip(v, exit);
}

static __attribute__((noinline)) u64 hypercall(struct vcpu *v, u64 nr)
{
	const u64 *g = v->gpr;
	struct hvm_paging paging;
	bool wide;
	u64 mask;

	hvm->paging_get(v, &paging);
	wide = linear_is_64bit(&paging);
	mask = wide ? ~0ull : 0xffffffffull;
	return (u64)vpv_hypercall(v, nr & mask, g[RBX] & mask, g[RCX] & mask, g[RDX] & mask,
		       g[RSI] & mask, wide) &
	       mask;
}

// The instruction is done before the call, which may inject something. The call that does nothing
// needs no look at modes.
static void on_hypercall(struct vcpu *v, struct hvm_exit *exit)
{
	u64 nr = v->gpr[RAX];

	vcpu_skip(v, exit);
	v->gpr[RAX] = nr == KVM_HC_VAPIC_POLL_IRQ ? 0 : hypercall(v, nr);
	TRACE(TRACE_HYPERCALL, v->vm->id, v->id, nr, v->gpr[RAX]);
}

static void on_hlt(struct vcpu *v, struct hvm_exit *exit)
{
	vcpu_skip(v, exit);
	vcpu_halt(v);
}

// The guest spins, on a lock perhaps that a waiting vcpu holds: its turn ends.
static void on_pause(struct vcpu *v, struct hvm_exit *exit)
{
	vcpu_skip(v, exit);
	pcpu_post(this_pcpu(), WORK_RESCHED);
}

static void on_gmap_fault(struct vcpu *v, struct hvm_exit *exit)
{
	u64 addr = exit->fault.addr.v;

	TRACE(TRACE_FAULT, v->vm->id, v->id, addr, exit->fault.access);
	if (!gmap_is_ram(&v->vm->gmap, addr)) {
		if (!v->vm->machine || !v->vm->machine->map_device(v->vm, addr))
			access_mmio(v, exit);
		return;
	}
	if (gmap_populate(&v->vm->gmap, addr))
		vm_stop(v->vm, "out of memory for address 0x%lx", addr);
}

// The instruction at rip is MOV to a control register; false: it is not (any more), or cannot be
// read.
COLD static bool mov_to_cr(struct vcpu *v, struct insn *insn)
{
	u8 bytes[INSN_LENGTH_MAX];
	struct page_fault fault = {.fatal = true};
	size_t n = linear_fetch(v, bytes, &fault);

	if (!n)
		vcpu_page_fault(v, &fault);
	return n && !decode_insn(insn, bytes, n, linear_code_mode(v)) && insn->map == INSN_0F &&
	       insn->opcode == 0x22;
}

COLD static void on_cr8_write(struct vcpu *v, struct hvm_exit *exit)
{
	struct insn insn;

	(void)exit;
	if (!mov_to_cr(v, &insn))
		return; // changed since: it runs again
	u64 value = v->gpr[insn.rm & 15];
	if (value > 15) {
		vcpu_fault(v, VECTOR_GP, true, 0);
		return;
	}
	vlapic_tpr_set(v, (u8)(value << 4));
	vcpu_advance(v, insn.length);
}

COLD static void on_xsetbv(struct vcpu *v, struct hvm_exit *exit)
{
	u64 value = v->gpr[RDX] << 32 | (u32)v->gpr[RAX];
	struct hvm_segment ss;

	hvm->seg_get(v, SEG_SS, &ss);
	if (!guest_features.xsave || !(hvm->reg_get(v, HVM_CR4) & CR4_OSXSAVE)) {
		vcpu_fault(v, VECTOR_UD, false, 0);
	} else if ((ss.attr >> 5 & 3) || (u32)v->gpr[RCX] || !xcr0_legal(value)) {
		vcpu_fault(v, VECTOR_GP, true, 0);
	} else {
		// The guest's extended state, XCR0 with it, is in the processor while the vcpu is
		// loaded.
		xcr_write(0, value);
		vcpu_skip(v, exit);
	}
}

static void on_wbinvd(struct vcpu *v, struct hvm_exit *exit)
{
	vcpu_skip(v, exit); // no device sees memory behind the cache
}

COLD static void on_undefined(struct vcpu *v, struct hvm_exit *exit)
{
	(void)exit;
	vcpu_fault(v, VECTOR_UD, false, 0);
}

COLD static void on_protection(struct vcpu *v, struct hvm_exit *exit)
{
	(void)exit;
	vcpu_fault(v, VECTOR_GP, true, 0);
}

// Intercepted so that their delivery cannot loop in microcode for ever; else they are the guest's.
COLD static void on_exception(struct vcpu *v, struct hvm_exit *exit)
{
	if (exit->exception.vector == VECTOR_MC)
		panic("machine check in VM %s", v->vm->name);
	vcpu_fault(v, exit->exception.vector, exit->exception.has_error, exit->exception.error);
}

COLD static void on_triple_fault(struct vcpu *v, struct hvm_exit *exit)
{
	(void)exit;
	vm_stop(v->vm, "triple fault at rip 0x%lx, vcpu %u", v->rip, v->id);
}

// QEMU leaves the guest like this, too, where a MOV sets a reserved bit of CR3 or CR4: that is a
// #GP. If it is not the reason, the fault cannot be delivered either.
COLD static void on_invalid(struct vcpu *v, struct hvm_exit *exit)
{
	struct insn insn;

	if (!hvm->injecting(v) && mov_to_cr(v, &insn)) {
		vcpu_fault(v, VECTOR_GP, true, 0);
		return;
	}
	vm_stop(v->vm, "the processor refused its state at rip 0x%lx, vcpu %u (exit 0x%lx)", v->rip,
		v->id, exit->code);
}

COLD static void on_unknown(struct vcpu *v, struct hvm_exit *exit)
{
	vm_stop(v->vm, "unexpected exit 0x%lx at rip 0x%lx, vcpu %u", exit->code, v->rip, v->id);
}

exit_handler *const exit_handlers[EXIT_REASONS] = {
	[EXIT_INTERRUPT] = on_interrupt,
	[EXIT_NMI] = on_interrupt,
	[EXIT_IRQ_WINDOW] = on_irq_window,
	[EXIT_NMI_WINDOW] = on_nothing,
	[EXIT_GMAP_FAULT] = on_gmap_fault,
	[EXIT_IO] = access_io,
	[EXIT_CPUID] = on_cpuid,
	[EXIT_RDMSR] = on_rdmsr,
	[EXIT_WRMSR] = on_wrmsr,
	[EXIT_HYPERCALL] = on_hypercall,
	[EXIT_HLT] = on_hlt,
	[EXIT_PAUSE] = on_pause,
	[EXIT_CR8_WRITE] = on_cr8_write,
	[EXIT_XSETBV] = on_xsetbv,
	[EXIT_WBINVD] = on_wbinvd,
	[EXIT_UNDEFINED] = on_undefined,
	[EXIT_PROTECTION] = on_protection,
	[EXIT_EXCEPTION] = on_exception,
	[EXIT_TRIPLE_FAULT] = on_triple_fault,
	[EXIT_INIT] = on_interrupt,
	[EXIT_INVALID] = on_invalid,
	[EXIT_UNKNOWN] = on_unknown,
};

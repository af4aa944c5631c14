// SPDX-License-Identifier: MIT
// Exceptions end in a panic, but for those at a place with a fixup; interrupts set a bit and are
// done.
#include "kernel/x86/trap.h"
#include "kernel/x86/arch_pcpu.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/lapic.h"
#include "lib/format.h"

#define VECTOR_GENERAL_PROTECTION 13

struct fixup {
	u64 at;
	u64 go;
};

extern const struct fixup fixup_start[], fixup_end[];

u64 machine_stopping;

static const char *const exception_names[] = {
	"divide error",
	"debug",
	"NMI",
	"breakpoint",
	"overflow",
	"bound range",
	"invalid opcode",
	"device not available",
	"double fault",
	"vector 9",
	"invalid TSS",
	"segment not present",
	"stack fault",
	"general protection",
	"page fault",
	"vector 15",
	"x87 error",
	"alignment check",
	"machine check",
	"SIMD error",
	"virtualization",
	"control protection",
};

static bool fix_up(struct trap_frame *f)
{
	for (const struct fixup *x = fixup_start; x < fixup_end; x++)
		if (x->at == f->rip) {
			f->rip = x->go;
			return true;
		}
	return false;
}

// QEMU, asked for an interrupt that has gone in the meantime, delivers vector -1, which is a #GP
// with an error code that no processor makes. Nothing has happened then.
static bool is_vanished_interrupt(const struct trap_frame *f)
{
	return f->vector == VECTOR_GENERAL_PROTECTION && f->error == (u64)-14 &&
	       (f->rflags & RFLAGS_IF);
}

void trap_exception(struct trap_frame *f)
{
	if (f->vector == VECTOR_NMI && atomic_load(&machine_stopping))
		cpu_halt();
	if (f->vector == VECTOR_GENERAL_PROTECTION && fix_up(f))
		return;
	if (is_vanished_interrupt(f)) {
		this_pcpu()->arch->spurious++;
		return;
	}
	panic_trap(f,
		f->vector < ARRAY_SIZE(exception_names) ? exception_names[f->vector] : "exception");
}

// Interrupts are off in here; the work itself is done by pcpu_loop.
void trap_interrupt(u64 vector)
{
	struct pcpu *p = this_pcpu();

	switch (vector) {
	case VECTOR_TIMER:
		p->timer_armed = ~0ull;
		atomic_or(&p->work, (u64)WORK_TIMER);
		break;
	case VECTOR_SERIAL:
		atomic_or(&p->work, (u64)WORK_CONSOLE);
		break;
	case VECTOR_KICK: // whoever kicked has set the bits
		break;
	default:
		p->arch->spurious++;
		break;
	}
	lapic_eoi();
}

// SPDX-License-Identifier: MIT
// The interrupt lines of the virtual PC.
#include "kernel/vm/irq.h"
#include "kernel/vm/vm.h"

#define ISA_LINES   16u
#define ISA_TIMER   0u
#define ISA_CASCADE 2u // the slave PIC; no device is on it
#define GSI_TIMER   2u // where the PIT's line goes in the IOAPIC

void vm_irq_pic_update(struct vm *vm)
{
	struct vcpu *v = vm->vcpus[0];

	if (vpic_pending(&vm->pc.pic) && vlapic_accepts_extint(v))
		vcpu_post(v, VCPU_LAPIC);
}

void vm_irq_set(struct vm *vm, unsigned irq, bool level)
{
	if (irq == ISA_CASCADE)
		return;
	if (irq < ISA_LINES) {
		bool before = vpic_pending(&vm->pc.pic);

		vpic_line_set(&vm->pc.pic, irq, level);
		if (!before)
			vm_irq_pic_update(vm);
	}
	vioapic_set_irq(vm, irq == ISA_TIMER ? GSI_TIMER : irq, level);
}

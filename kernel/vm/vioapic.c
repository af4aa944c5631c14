// SPDX-License-Identifier: MIT
// The virtual I/O APIC: from a pin to a message, and back by EOI.
#include "kernel/vm/vm.h"
#include "lib/string.h"

// A redirection entry (82093AA data sheet, 3.2.4).
#define ENTRY_VECTOR     0xffull
#define ENTRY_MODE(e)    ((u8)((e) >> 8 & 7))
#define ENTRY_LOGICAL    BIT(11)
#define ENTRY_REMOTE_IRR BIT(14)
#define ENTRY_LEVEL      BIT(15)
#define ENTRY_MASKED     BIT(16)
#define ENTRY_DEST(e)    ((u8)((e) >> 56))
#define ENTRY_WRITABLE   (0xffull << 56 | 0x1afffull)

#define SELECT_OFFSET 0x00u
#define WINDOW_OFFSET 0x10u
#define EOI_OFFSET    0x40u

#define SELECT_ID      0x00u
#define SELECT_VERSION 0x01u
#define SELECT_ARB     0x02u
#define SELECT_ENTRY   0x10u

#define VIOAPIC_VERSION 0x20u

static struct vioapic *vioapic(struct vm *vm)
{
	return &vm->pc.ioapic;
}

static unsigned pins(const struct vm *vm)
{
	return VIOAPIC_PINS + (vm->machine != NULL);
}

static bool entry_send(struct vm *vm, u64 e)
{
	struct apic_message m = {
		.dest = apic_dest8(ENTRY_DEST(e)),
		.logical = e & ENTRY_LOGICAL,
		.level = e & ENTRY_LEVEL,
		.mode = ENTRY_MODE(e),
		.vector = (u8)(e & ENTRY_VECTOR),
	};

	return vlapic_deliver(vm, &m);
}

// A level-triggered pin that is asserted interrupts, unless it is masked or its last interrupt has not ended.
static void level_service(struct vm *vm, unsigned pin)
{
	struct vioapic *io = vioapic(vm);
	u64 *e = &io->redirect[pin];

	if (!(io->lines >> pin & 1) || !(*e & ENTRY_LEVEL) ||
		(*e & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
		return;
	if (entry_send(vm, *e))
		*e |= ENTRY_REMOTE_IRR;
}

void vioapic_set_irq(struct vm *vm, unsigned pin, bool level)
{
	struct vioapic *io = vioapic(vm);
	bool before;
	u64 e;

	if (pin >= VIOAPIC_PINS)
		return;
	before = io->lines >> pin & 1;
	if (before == level)
		return;
	io->lines ^= 1u << pin;
	if (!level)
		return;
	e = io->redirect[pin];
	if (e & ENTRY_LEVEL)
		level_service(vm, pin);
	else if (!(e & ENTRY_MASKED)) // an edge at a masked pin is lost
		entry_send(vm, e);
}

void vioapic_pulse(struct vm *vm, unsigned pin)
{
	u64 e = READ_ONCE(vioapic(vm)->redirect[pin]);

	if (!(e & ENTRY_MASKED))
		entry_send(vm, e & ~ENTRY_LEVEL);
}

static void entry_write(struct vm *vm, unsigned pin, bool high, u32 value)
{
	struct vioapic *io = vioapic(vm);
	u64 old = io->redirect[pin], entry;

	entry = high ? (u32)old | (u64)value << 32 : (old & ~0xffffffffull) | value;
	entry = (entry & ENTRY_WRITABLE) | (old & ENTRY_REMOTE_IRR);
	if (!(entry & ENTRY_LEVEL)) // a guest may reset Remote IRR by a turn to edge and back
		entry &= ~ENTRY_REMOTE_IRR;
	io->redirect[pin] = entry;
	if (vm->machine)
		vm->machine->pin_changed(vm, pin);
	level_service(vm, pin);
}

static void eoi_locked(struct vm *vm, u8 vector)
{
	struct vioapic *io = vioapic(vm);

	for (unsigned pin = 0; pin < pins(vm); pin++) {
		u64 *e = &io->redirect[pin];

		if ((*e & ENTRY_VECTOR) != vector || !(*e & ENTRY_REMOTE_IRR))
			continue;
		*e &= ~ENTRY_REMOTE_IRR;
		if (vm->machine)
			vm->machine->pin_ended(vm, pin);
		level_service(vm, pin);
	}
}

void vioapic_eoi(struct vm *vm, u8 vector)
{
	spin_lock(&vm->lock);
	eoi_locked(vm, vector);
	spin_unlock(&vm->lock);
}

static u32 select_read(struct vm *vm)
{
	const struct vioapic *io = vioapic(vm);
	unsigned i = io->select - SELECT_ENTRY;

	switch (io->select) {
	case SELECT_ID:
	case SELECT_ARB:
		return (u32)io->id << 24;
	case SELECT_VERSION:
		return VIOAPIC_VERSION | (pins(vm) - 1) << 16;
	default:
		if (i >= 2 * pins(vm))
			return 0;
		return (u32)(io->redirect[i / 2] >> (i % 2 * 32));
	}
}

static void select_write(struct vm *vm, u32 value)
{
	struct vioapic *io = vioapic(vm);
	unsigned i = io->select - SELECT_ENTRY;

	if (io->select == SELECT_ID)
		io->id = value >> 24 & 0xf;
	else if (i < 2 * pins(vm))
		entry_write(vm, i / 2, i % 2, value);
}

u32 vioapic_mmio_read(struct vm *vm, u32 offset)
{
	const struct vioapic *io = vioapic(vm);

	if (offset == SELECT_OFFSET)
		return io->select;
	return offset == WINDOW_OFFSET ? select_read(vm) : 0;
}

void vioapic_mmio_write(struct vm *vm, u32 offset, u32 value)
{
	if (offset == SELECT_OFFSET)
		vioapic(vm)->select = (u8)value;
	else if (offset == WINDOW_OFFSET)
		select_write(vm, value);
	else if (offset == EOI_OFFSET)
		eoi_locked(vm, (u8)value);
}

void vioapic_reset(struct vm *vm)
{
	struct vioapic *io = vioapic(vm);

	*io = (struct vioapic){0};
	for (unsigned i = 0; i < ARRAY_SIZE(io->redirect); i++)
		io->redirect[i] = ENTRY_MASKED;
}

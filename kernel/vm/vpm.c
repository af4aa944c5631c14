// SPDX-License-Identifier: MIT
// ACPI power management: PM1a registers, the PM timer, the SCI.

#include "kernel/vm/vpm.h"
#include "kernel/vm/irq.h"
#include "kernel/vm/vclock.h"
#include "kernel/vm/vm.h"

#define PM1_TIMER   0x0001u
#define PM1_GLOBAL  0x0020u
#define PM1_POWER   0x0100u
#define PM1_SLEEP   0x0200u
#define PM1_RTC     0x0400u
#define PM1_ENABLES (PM1_TIMER | PM1_GLOBAL | PM1_POWER | PM1_SLEEP | PM1_RTC)

#define CNT_SCI_EN  0x0001u
#define CNT_BM_RLD  0x0002u
#define CNT_SLP_TYP 10u // bits 10..12
#define CNT_SLP_EN  0x2000u

// TMR_STS is set whenever bit 31 of the timer changes.
#define TIMER_HALF_SHIFT 31u

static u64 now_clock(void)
{
	return CLOCK_NOW(VPM_TIMER_HZ);
}

static void update(struct vpm *p)
{
	u64 now = now_clock();
	bool level;

	if (now >> TIMER_HALF_SHIFT != p->timer_seen >> TIMER_HALF_SHIFT)
		p->status |= PM1_TIMER;
	p->timer_seen = now;
	level = p->status & p->enable & PM1_ENABLES;
	if (level != p->level)
		vm_irq_set(p->vm, VPM_SCI_IRQ, level);
	p->level = level;
	if ((p->enable & PM1_TIMER) && !(p->status & PM1_TIMER) && !p->stopped)
		timer_set(&p->timer, clock_deadline(BIT(TIMER_HALF_SHIFT) -
							    (now & (BIT(TIMER_HALF_SHIFT) - 1)) + 1,
					     VPM_TIMER_HZ));
	else
		timer_cancel(&p->timer);
}

static void fired(struct timer *t)
{
	struct vpm *p = container_of(t, struct vpm, timer);

	spin_lock(&p->vm->lock);
	update(p);
	spin_unlock(&p->vm->lock);
}

static void write_control(struct vpm *p, u16 value)
{
	p->control = value & (CNT_BM_RLD | 7u << CNT_SLP_TYP);
	if ((value & CNT_SLP_EN) && (value >> CNT_SLP_TYP & 7) == VPM_SLP_TYP_S5)
		vm_end(p->vm, VM_END_POWEROFF, 0);
}

// One byte of the blocks. The timer is read as a whole elsewhere.
static u8 read_byte(struct vpm *p, u16 port)
{
	u16 value = 0;

	switch (port & ~1u) {
	case VPM_PORT:
		value = p->status;
		break;
	case VPM_PORT + 2:
		value = p->enable;
		break;
	case VPM_PORT_CNT:
		value = p->control | CNT_SCI_EN;
		break;
	default:
		break;
	}
	return (u8)(value >> (port & 1) * 8);
}

u32 vpm_read(struct vpm *p, u16 port, unsigned size)
{
	u32 value = 0;

	if (port >= VPM_PORT_TMR)
		return (u32)now_clock() >> (port & 3) * 8;
	update(p);
	for (unsigned i = 0; i < size; i++)
		value |= (u32)read_byte(p, (u16)(port + i)) << i * 8;
	return value;
}

// Of a register the bytes [first, first + n) take their new value from `value`.
static u16 merge(u16 old, unsigned first, unsigned n, u32 value)
{
	u16 mask = (u16)(((1u << n * 8) - 1) << first * 8);

	return (u16)((old & ~mask) | (value << first * 8 & mask));
}

static void write_register(struct vpm *p, u16 port, unsigned n, u32 value)
{
	unsigned first = port & 1;

	switch (port & ~1u) {
	case VPM_PORT:
		p->status &= (u16)~merge(0, first, n, value); // ones clear
		break;
	case VPM_PORT + 2:
		p->enable = merge(p->enable, first, n, value) & PM1_ENABLES;
		break;
	case VPM_PORT_CNT:
		write_control(p, merge(p->control, first, n, value));
		break;
	default: // the timer is read-only
		break;
	}
}

void vpm_write(struct vpm *p, u16 port, unsigned size, u32 value)
{
	update(p);
	while (size) {
		unsigned n = MIN(size, 2u - (port & 1u));

		write_register(p, port, n, value);
		value = n < 4 ? value >> n * 8 : 0;
		port = (u16)(port + n);
		size -= n;
	}
	update(p);
}

void vpm_power_button(struct vm *vm)
{
	spin_lock(&vm->lock);
	vm->pc.pm.status |= PM1_POWER;
	update(&vm->pc.pm);
	spin_unlock(&vm->lock);
}

void vpm_init(struct vpm *p, struct vm *vm)
{
	*p = (struct vpm){.vm = vm};
	timer_init(&p->timer, fired);
	vpm_reset(p);
}

void vpm_reset(struct vpm *p)
{
	timer_cancel(&p->timer);
	if (p->level)
		vm_irq_set(p->vm, VPM_SCI_IRQ, false);
	p->status = p->enable = p->control = 0;
	p->level = false;
	p->timer_seen = now_clock();
}

void vpm_destroy(struct vpm *p)
{
	spin_lock(&p->vm->lock);
	p->stopped = true;
	spin_unlock(&p->vm->lock);
	timer_cancel_sync(&p->timer);
}

// SPDX-License-Identifier: GPL-2.0 OR MIT
// The interrupt by which the kernel of Mezzanine tells of bells, and the eventfds of the back-ends that wait for them.
#include <linux/acpi.h>
#include <linux/eventfd.h>
#include <linux/gfp.h>
#include <linux/interrupt.h>

#include "mezz.h"

static struct mezz_events *events; /* a page */
static struct eventfd_ctx *waiting[MEZZ_MAX_VMS];
static DEFINE_SPINLOCK(lock); /* of `waiting` */
static u32 gsi;
static int irq = -1;

static void wake(u32 vm)
{
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	if (waiting[vm])
		eventfd_signal(waiting[vm], 1);
	spin_unlock_irqrestore(&lock, flags);
}

static irqreturn_t mezz_interrupt(int nr, void *unused)
{
	for (u32 i = 0; i < ARRAY_SIZE(events->vm); i++)
		for (u64 set = xchg(&events->vm[i], 0); set; set &= set - 1)
			wake(i * 64 + __ffs64(set));
	return IRQ_HANDLED;
}

void mezz_events_set(u32 vm, struct eventfd_ctx *ctx)
{
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	waiting[vm] = ctx;
	spin_unlock_irqrestore(&lock, flags);
}

int mezz_events_init(void)
{
	long err;

	events = (void *)get_zeroed_page(GFP_KERNEL);
	if (!events)
		return -ENOMEM;
	err = mezz_call(MEZZ_CALL_EVENTS, 0, 0, events, PAGE_SIZE);
	if (err < 0)
		return err; /* the page may be known there, and stays */
	gsi = err;
	irq = acpi_register_gsi(NULL, gsi, ACPI_EDGE_SENSITIVE, ACPI_ACTIVE_HIGH);
	if (irq < 0)
		return irq;
	err = request_irq(irq, mezz_interrupt, 0, "mezz", &events);
	if (err)
		acpi_unregister_gsi(gsi);
	return err;
}

/* The page is not freed: the kernel of Mezzanine writes there until it is given another one. */
void mezz_events_exit(void)
{
	free_irq(irq, &events);
	acpi_unregister_gsi(gsi);
}

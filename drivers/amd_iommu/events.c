// SPDX-License-Identifier: MIT
// What the IOMMU refused (2.5), for the log. A device that is refused again and again costs a look every TURN_NS and a
// line a second: until the next look the status stays set, and the IOMMU does not interrupt.
#include "drivers/amd_iommu/amd_iommu_internal.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "lib/errno.h"

#define TURN_NS    10000000ull
#define TURN       64u // events at a look
#define SAID_RATE  1u  // lines a second
#define SAID_BURST 10u
#define TRIES      1000u

static void look(struct timer *t);

int amd_events_init(struct amd_iommu *u)
{
	u->event_lock = SPINLOCK(LOCK_IOMMU);
	u->events = kmem_alloc(RING_ENTRIES * sizeof(*u->events), FRAME_OWNER_KERNEL);
	u->head = 0;
	timer_init(&u->timer, look);
	net_bucket_init(&u->said, SAID_RATE, SAID_BURST, time_to_ns(time_now()));
	return u->events ? 0 : -ENOMEM;
}

static void say(struct amd_iommu *u, const u32 event[4])
{
	u64 at = event[2] | (u64)event[3] << 32;
	u32 kind = event[1] >> 28, bus = event[0] >> 8 & 0xFF, device = event[0] >> 3 & 31,
	    function = event[0] & 7;

	if (!net_bucket_take(&u->said, 1, time_to_ns(time_now()))) {
		u->unsaid++;
		return;
	}
	if (u->unsaid)
		log_line("iommu: %llu more faults were not said", (unsigned long long)u->unsaid);
	u->unsaid = 0;
	if (kind == EVENT_PAGE_FAULT)
		log_line("iommu: %02x:%02x.%u may not %s %#llx", bus, device, function,
			event[1] & EVENT_WRITE ? "write to" : "read from", (unsigned long long)at);
	else if (kind == EVENT_ILLEGAL_COMMAND || kind == EVENT_COMMAND_ERROR)
		log_line("iommu: it refuses the command at %#llx", (unsigned long long)at);
	else
		log_line("iommu: %02x:%02x.%u is refused, cause %u, %#llx", bus, device, function,
			kind, (unsigned long long)at);
}

// An event may be told of before it is there (its kind is 0 then): it is waited for a little. What was read is cleared.
static void take(struct amd_iommu *u)
{
	volatile u32 *e = u->events[u->head];
	u32 copy[4];

	for (u32 i = 0; i < TRIES && !(e[1] >> 28); i++)
		cpu_relax();
	for (u32 i = 0; i < 4; i++) {
		copy[i] = e[i];
		e[i] = 0;
	}
	u->head = (u->head + 1) % RING_ENTRIES;
	say(u, copy);
}

// It has stopped, as nobody read for long; what it holds was read (2.5.2).
static void restart(struct amd_iommu *u)
{
	amd_write(u, R_CONTROL, u->control & ~CONTROL_EVENTS);
	for (u32 i = 0; i < TRIES && amd_read(u, R_STATUS) & STATUS_LOGGING; i++)
		cpu_relax();
	amd_write(u, R_STATUS, STATUS_OVERFLOW);
	amd_write(u, R_CONTROL, u->control);
	u->unsaid++;
}

// The status is cleared before the tail is read, so an event that comes after it interrupts again.
static void look(struct timer *t)
{
	struct amd_iommu *u = container_of(t, struct amd_iommu, timer);
	u32 tail, taken = 0;

	spin_lock(&u->event_lock);
	amd_write(u, R_STATUS, STATUS_EVENT);
	tail = (u32)amd_read(u, R_EVENT_TAIL) / (u32)sizeof(*u->events) % RING_ENTRIES;
	for (; u->head != tail && taken < TURN; taken++)
		take(u);
	amd_write(u, R_EVENT_HEAD, u->head * sizeof(*u->events));
	if (u->head == tail && amd_read(u, R_STATUS) & STATUS_OVERFLOW)
		restart(u);
	if (taken && !timer_is_set(t))
		timer_set(t, time_now() + time_from_ns(TURN_NS));
	spin_unlock(&u->event_lock);
}

void amd_events_interrupt(void *iommu)
{
	struct amd_iommu *u = iommu;

	spin_lock(&u->event_lock);
	if (!timer_is_set(&u->timer))
		timer_set(&u->timer, time_now());
	spin_unlock(&u->event_lock);
}

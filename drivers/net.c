// SPDX-License-Identifier: MIT
// Cards by name, sending with offloads done in software, turns of receiving, the watchdog, and resets:
//
//   DOWN -> LIVE -> (broken) DOWN -> LIVE, or DEAD
#include "drivers/net.h"
#include "kernel/core/log.h"
#include "kernel/x86/time.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "net/offload.h"

#define STEPS_MAX   100000u
#define RESETS_MAX  16u // without QUIET_NS between two of them: it is of no use any more
#define QUIET_NS    600000000000ull
#define SAID_RATE   1u // changes of the link in the log, a second
#define SAID_BURST  10u
#define TURN_MIN_NS 20000ull

static struct net_device *devices[NET_DEVICES];
static u32 count;

struct net_device *net_device_at(u32 i)
{
	return i < count ? devices[i] : NULL;
}

struct net_device *net_device_find(const char *name)
{
	for (u32 i = 0; i < count; i++)
		if (strcmp(devices[i]->name, name) == 0)
			return devices[i];
	return NULL;
}

static void post(struct net_device *d)
{
	atomic_store(&d->posted, 1);
	pcpu_post(d->cpu, WORK_MODEL);
}

void net_device_open(struct net_device *d)
{
	atomic_store(&d->open, 1);
	post(d);
}

void net_device_close(struct net_device *d)
{
	atomic_store(&d->open, 0);
}

void net_device_break(struct net_device *d, const char *why)
{
	d->why = why;
	atomic_store(&d->broken, 1);
	post(d);
}

// ---------------------------------------------------------------- sending

static void reclaim(struct net_device *d)
{
	u32 left = d->driver->sent(d);

	d->done += d->pending - left;
	d->pending = left;
}

static bool send_packet(struct net_device *d, const struct net_frame *f, const struct net_packet *p)
{
	u32 len = p->header_len + p->length;
	u8 *to;

	if (len > NET_PACKET_MAX)
		return false;
	to = d->driver->room(d);
	if (!to) {
		d->count.out_full++;
		return false;
	}
	memcpy(to, p->header, p->header_len);
	if (!net_frame_read(f, p->offset, to + p->header_len, p->length))
		return false;
	d->driver->put(d, len);
	d->pending++;
	d->count.out_packets++;
	d->count.out_bytes += len;
	return true;
}

// Cards know TCP and UDP right behind an IP header, and headers of less than 256 bytes.
static bool card_can(const struct net_frame *f)
{
	const struct net_offload *o = &f->offload;
	const u8 *h = f->head;
	u32 ip = NET_ETHERNET;
	u8 protocol, want = o->csum_offset == 16 ? 6 : 17;

	if (!(o->flags & NET_NEEDS_CSUM) || o->hdr_len > 255 ||
		(o->csum_offset != 16 && o->csum_offset != 6))
		return false;
	if (net_get16(h + 2 * NET_ADDR) == NET_TYPE_VLAN)
		ip += NET_TAG;
	if (f->head_len < ip + 40)
		return false;
	if (net_get16(h + ip - 2) == NET_TYPE_IPV4) {
		protocol = h[ip + 9];
		return protocol == want && o->csum_start == ip + (h[ip] & 0xfu) * 4;
	}
	protocol = h[ip + 6];
	return net_get16(h + ip - 2) == NET_TYPE_IPV6 && protocol == want &&
	       o->csum_start == ip + 40;
}

// The card does what was left to it.
static bool send_whole(struct net_device *d, const struct net_frame *f)
{
	const struct net_offload *o = &f->offload;
	u32 entries = d->driver->put_whole(d, f);

	if (!entries) {
		d->count.out_full++;
		return false;
	}
	d->pending += entries;
	d->count.out_packets +=
		o->gso_type ? (f->length - o->hdr_len + o->gso_size - 1) / o->gso_size : 1;
	d->count.out_bytes += f->length;
	d->driver->kick(d);
	return true;
}

// The packets of a segment that find no room are lost; who sent it sends those again.
static bool send_all(struct net_device *d, const struct net_frame *f)
{
	struct net_cut cut;
	struct net_packet p;
	u32 before = d->pending;
	bool all;

	if (d->driver->put_whole && card_can(f))
		return send_whole(d, f);
	all = net_cut_begin(&cut, f, 0);
	while (all && net_cut_next(&cut, &p))
		all = send_packet(d, f, &p);
	if (d->pending != before)
		d->driver->kick(d);
	return all;
}

bool net_device_send(struct net_device *d, const struct net_frame *f)
{
	bool ok = false, answered = false;

	spin_lock(&d->lock);
	if (d->state == NET_LIVE && d->link) {
		reclaim(d);
		ok = send_all(d, f);
		if (d->pending && !timer_is_set(&d->watch)) {
			d->seen = d->done;
			timer_set(&d->watch, time_now() + time_from_ns(NET_SEND_NS));
		}
		answered = d->cpu == this_pcpu() && d->driver->ready(d);
	}
	spin_unlock(&d->lock);
	if (answered) // before the guest that sent goes on, which is told of both at once
		post(d);
	return ok;
}

// On the CPU that sent.
static void watch(struct timer *t)
{
	struct net_device *d = container_of(t, struct net_device, watch);
	bool stuck = false;

	spin_lock(&d->lock);
	if (d->state == NET_LIVE) {
		reclaim(d);
		stuck = d->pending && d->done == d->seen;
		d->seen = d->done;
		if (d->pending && !stuck && !timer_is_set(t))
			timer_set(t, time_now() + time_from_ns(NET_SEND_NS));
	}
	spin_unlock(&d->lock);
	if (stuck)
		net_device_break(d, "a packet is not sent");
}

// ---------------------------------------------------------------- receiving

// A frame of the turn, of one or more packets.
static void receive(void *device, const struct net_frame *f)
{
	struct net_device *d = device;

	d->count.in_frames++;
	if (atomic_load(&d->open))
		d->receive(d, f);
}

static void set_link(struct net_device *d, bool link)
{
	WRITE_ONCE(d->link, link);
	if (atomic_load(&d->open))
		d->link_changed(d);
}

static void look_at_link(struct net_device *d)
{
	bool link = d->driver->link(d);

	if (link == d->link)
		return;
	set_link(d, link);
	if (net_bucket_take(&d->said, 1, time_to_ns(time_now())))
		log_line("%s: link %s", d->name, link ? "up" : "down");
}

// True: the budget was used up.
static bool receive_some(struct net_device *d)
{
	struct net_received r;
	u32 n = 0;

	for (; n < NET_TURN && d->driver->take(d, &r); n++) {
		if (r.len >= NET_ETHERNET && r.len <= NET_BUFFER) {
			d->count.in_packets++;
			d->count.in_bytes += r.len;
			net_merge_add(&d->merge, r.at, r.len, r.summed);
		} else {
			d->count.in_bad++;
		}
	}
	net_merge_end(&d->merge);
	d->driver->give(d);
	return n == NET_TURN;
}

static void set_turn(struct net_device *d, u64 ticks)
{
	timer_set(&d->turn, time_now() + ticks);
}

static void take_turn(struct net_device *d)
{
	u64 start = time_now(), before = d->count.in_packets, now;

	look_at_link(d);
	d->pause = receive_some(d);
	now = time_now();
	if (d->count.in_packets != before) {
		if (now - d->came < time_from_ns(NET_HOT_NS))
			d->hot = now + time_from_ns(NET_HOT_NS);
		d->came = now;
	}
	if (!d->pause && now < d->hot) {
		set_turn(d, MAX(now - start, time_from_ns(NET_LOOK_NS)));
		return;
	}
	d->pause = d->pause || d->driver->listen(d);
	if (d->pause)
		set_turn(d, MAX(now - start, time_from_ns(TURN_MIN_NS)));
	else
		timer_cancel(&d->turn);
}

void net_device_interrupt(void *device)
{
	struct net_device *d = device;

	d->driver->quiet(d);
	post(d);
}

// ---------------------------------------------------------------- resets

static void give_up(struct net_device *d)
{
	d->driver->cut_off(d);
	spin_lock(&d->lock);
	d->state = NET_DEAD;
	spin_unlock(&d->lock);
	set_link(d, false);
	log_line("%s: given up: %s", d->name, d->why ? d->why : "it does not start");
}

// One step; its result.
static u64 step(struct net_device *d, bool first)
{
	u64 wait;

	spin_lock(&d->lock);
	wait = d->driver->recover(d, first);
	if (!wait) {
		d->state = NET_LIVE;
		d->pending = 0;
		d->seen = d->done;
		atomic_store(&d->broken, 0);
	}
	spin_unlock(&d->lock);
	return wait;
}

static void recover(struct net_device *d, bool first)
{
	u64 wait = step(d, first);

	if (wait == NET_FAILED) {
		give_up(d);
	} else if (wait) {
		set_turn(d, time_from_ns(wait));
	} else {
		log_line("%s: works again", d->name);
		take_turn(d);
	}
}

static void begin_reset(struct net_device *d)
{
	log_line("%s: reset: %s", d->name, d->why);
	spin_lock(&d->lock);
	d->state = NET_DOWN;
	spin_unlock(&d->lock);
	if (time_to_ns(time_now() - d->reset_at) > QUIET_NS)
		d->recent = 0;
	d->reset_at = time_now();
	d->count.resets++;
	if (d->recent++ < RESETS_MAX) {
		recover(d, true);
	} else {
		d->why = "it was reset too often";
		give_up(d);
	}
}

// ---------------------------------------------------------------- the card's CPU

static void device_work(struct net_device *d)
{
	if (d->state == NET_LIVE && atomic_exchange(&d->broken, 0))
		begin_reset(d);
	else if (d->state == NET_LIVE)
		take_turn(d);
}

static void turn(struct timer *t)
{
	struct net_device *d = container_of(t, struct net_device, turn);

	d->pause = false;
	if (d->state == NET_DOWN)
		recover(d, false);
	else
		device_work(d);
}

void net_devices_work(void)
{
	for (u32 i = 0; i < count; i++) {
		struct net_device *d = devices[i];

		if (d->cpu == this_pcpu() && atomic_exchange(&d->posted, 0) &&
			(!d->pause || atomic_load(&d->broken)))
			device_work(d);
	}
}

bool net_devices_idle(void)
{
	bool hot = false;

	for (u32 i = 0; i < count; i++) {
		struct net_device *d = devices[i];

		if (d->cpu != this_pcpu() || d->state != NET_LIVE || d->pause ||
			time_now() >= d->hot)
			continue;
		hot = true;
		if (d->driver->ready(d))
			take_turn(d);
	}
	return hot;
}

// ---------------------------------------------------------------- start

struct pcpu *net_device_cpu(void)
{
	return pcpus[count % pcpu_count];
}

static u64 bring_up(struct net_device *d)
{
	u64 wait = step(d, true);

	for (u32 i = 0; wait && wait != NET_FAILED && i < STEPS_MAX; i++) {
		time_wait_ns(wait);
		wait = step(d, false);
	}
	return wait;
}

int net_device_register(struct net_device *d)
{
	const u8 *a = d->addr;

	if (count == NET_DEVICES)
		return -ENOSPC;
	format(d->name, sizeof(d->name), "eth%u", count);
	d->cpu = net_device_cpu();
	d->lock = SPINLOCK(LOCK_CARD);
	d->merge.deliver = receive;
	d->merge.to = d;
	timer_init(&d->watch, watch);
	timer_init(&d->turn, turn);
	net_bucket_init(&d->said, SAID_RATE, SAID_BURST, time_to_ns(time_now()));
	devices[count++] = d;
	if (bring_up(d)) {
		give_up(d);
		return -EIO;
	}
	d->link = d->driver->link(d);
	log_line("%s: %s, MAC %02x:%02x:%02x:%02x:%02x:%02x, link %s", d->name, d->kind, a[0], a[1],
		a[2], a[3], a[4], a[5], d->link ? "up" : "down");
	post(d);
	return 0;
}

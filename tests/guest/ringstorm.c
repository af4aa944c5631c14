// SPDX-License-Identifier: MIT
// Mistreats every virtio disk, network card and random generator it finds, for seconds=N: random descriptors and rings,
// requests almost right, loops, indirect tables, indexes that jump, resets with requests in flight, storms of
// notifications, and another CPU that rewrites what the device reads. After each the device must work when it is reset.
// With the word `wait` it begins when something is typed.
#include "guest.h"
#include "smp.h"
#include "virtio.h"

#define BLK     0x1042
#define NET     PCI_VIRTIO_NET
#define RNG     0x1044
#define TARGETS 8
#define QUEUES  5
#define SIZE    32u
#define ARENA                                                                                      \
	(16 * PAGE_SIZE) // what descriptors name; as much lies behind it, for lengths that lie

struct target {
	u16 type;
	u32 queues;
	u32 offered;
	struct virtio dev;
	struct virtq q[QUEUES];
	u8 *arena;
	u32 resets, worked;
};

static struct target targets[TARGETS];
static u32 count, attacks, asked_for_reset;

// ---------------------------------------------------------------- what a descriptor may say

static u64 wild_address(const struct target *t)
{
	switch (random_below(6)) {
	case 0:
		return memory_top() - random_below(256);
	case 1:
		return memory_top() + random_below(MiB);
	case 2:
		return ~0ull - random_below(256);
	case 3:
		return 0xA0000 + random_below(0x20000);
	case 4:
		return (u64)t->dev.common + random_below(0x100);
	default:
		return random64() | BIT(40);
	}
}

// Nothing that makes the device write over this guest: within the arena and what is behind it, or far too much.
static u32 length(void)
{
	switch (random_below(5)) {
	case 0:
		return (u32)random_below(64);
	case 1:
		return 512u * (u32)random_below(128);
	case 2:
		return 0x80000000u | (u32)random64();
	default:
		return (u32)random_below(ARENA);
	}
}

static u64 address(const struct target *t, u32 q)
{
	switch (random_below(8)) {
	case 0:
		return wild_address(t);
	case 1: // the device's own rings
		return (u64)t->q[q].desc + random_below(3 * PAGE_SIZE);
	default:
		return (u64)t->arena + random_below(ARENA);
	}
}

static struct virtq_desc descriptor(const struct target *t, u32 q)
{
	struct virtq_desc d = {address(t, q), length(), (u16)random_below(8),
		(u16)(random_below(8) ? random_below(SIZE) : random64())};

	// The rings' pages have other things behind them.
	if (d.addr - (u64)t->q[q].desc < 3 * PAGE_SIZE)
		d.len = (u32)random_below((u64)t->q[q].desc + 3 * PAGE_SIZE - d.addr + 1);
	return d;
}

// ---------------------------------------------------------------- a good driver

// A reset waits for what is in flight, and a busy machine takes its time.
static bool target_reset(struct target *t)
{
	t->dev.common->status = 0;
	return check_quiet(wait_until(t->dev.common->status == 0, 60000),
		"device %x does not end its reset: status 0x%x", t->type, t->dev.common->status);
}

static void target_start(struct target *t, u32 features)
{
	if (!target_reset(t))
		return;
	virtio_negotiate(&t->dev, features & t->offered);
	for (u32 i = 0; i < t->queues; i++) {
		struct virtq *q = &t->q[i];

		memset((void *)q->desc, 0, 3 * PAGE_SIZE);
		virtio_queue_at(
			&t->dev, (u16)i, q->size, (u64)q->desc, (u64)q->avail, (u64)q->used);
	}
	virtio_run(&t->dev);
	t->resets++;
}

static bool used_one(struct virtq *q)
{
	return wait_until(q->used->idx == 1, 20000);
}

static void put(
	volatile struct virtq_desc *d, const volatile void *at, u32 len, u16 flags, u16 next)
{
	*d = (struct virtq_desc){(u64)at, len, flags, next};
}

// A request of a disk at descriptors `at` to at + 2; its header lies in the arena's last page, `at` 32 bytes into it.
static void blk_put(
	struct target *t, struct virtq *q, u16 at, u32 type, u64 sector, u64 data, u32 len)
{
	u8 *head = t->arena + ARENA - PAGE_SIZE + 32u * at;
	bool reads = type == 0 || type == 8;

	*(volatile u32 *)head = type;
	*(volatile u32 *)(head + 4) = 0;
	*(volatile u64 *)(head + 8) = sector;
	put(&q->desc[at], head, 16, VIRTQ_NEXT, (u16)(len ? at + 1 : at + 2));
	put(&q->desc[at + 1], (void *)data, len, (u16)(VIRTQ_NEXT | (reads ? VIRTQ_WRITE : 0)),
		(u16)(at + 2));
	put(&q->desc[at + 2], head + 16, 1, VIRTQ_WRITE, 0);
}

static u64 blk_sectors(const struct target *t)
{
	return *(volatile u64 *)t->dev.config;
}

// Writes a sector and reads it back.
static bool blk_works(struct target *t)
{
	struct virtq *q = &t->q[0];
	u64 sector = random_below(blk_sectors(t)), word = random64();
	volatile u64 *a = (volatile u64 *)t->arena, *b = a + 64;

	for (u32 i = 0; i < 64; i++) {
		a[i] = word + i;
		b[i] = 0;
	}
	blk_put(t, q, 0, 1, sector, (u64)a, 512);
	virtq_offer(q, 0);
	if (!used_one(q))
		return false;
	blk_put(t, q, 3, 0, sector, (u64)b, 512);
	virtq_offer(q, 3);
	return wait_until(q->used->idx == 2, 20000) && !memcmp(t->arena, t->arena + 512, 512);
}

static bool net_works(struct target *t)
{
	struct virtq *q = &t->q[1];

	memset(t->arena, 0xFF, 12 + 64);
	memset(t->arena, 0, 12);
	for (u32 i = 0; i < 6; i++)
		t->arena[12 + 6 + i] = t->dev.config[i];
	put(&q->desc[0], t->arena, 12 + 64, 0, 0);
	virtq_offer(q, 0);
	return used_one(q);
}

static bool rng_works(struct target *t)
{
	struct virtq *q = &t->q[0];

	put(&q->desc[0], t->arena, 64, VIRTQ_WRITE, 0);
	virtq_offer(q, 0);
	return used_one(q) && q->used->ring[0].len == 64;
}

static void recover(struct target *t, const char *what)
{
	attacks++;
	asked_for_reset += !!(t->dev.common->status & VIRTIO_NEEDS_RESET);
	target_start(t, 0);
	if (check_quiet(t->type == BLK   ? blk_works(t)
			: t->type == NET ? net_works(t)
					 : rng_works(t),
		    "after %s device %x does not work: status 0x%x", what, t->type,
		    t->dev.common->status))
		t->worked++;
}

// ---------------------------------------------------------------- attacks

// Makes requests available that are right but for what `spoil` in 16 says.
static void requests(struct target *t, u32 i, u32 n, u32 spoil)
{
	static const u32 types[] = {0, 1, 0, 1, 4, 8, 11, 13};
	struct virtq *q = &t->q[i];

	for (u32 k = 0; k < n; k++) {
		u16 at = (u16)(3 * random_below(SIZE / 3));
		u32 sectors = 1 + (u32)random_below(32);

		if (t->type == BLK)
			blk_put(t, q, at, types[random_below(8)], random_below(blk_sectors(t) + 4),
				(u64)t->arena, 512 * sectors);
		else
			put(&q->desc[at], t->arena + 12 * at, 64 + (u32)random_below(1514),
				t->type == RNG || i == 0 ? VIRTQ_WRITE : 0, 0);
		while (random_below(16) < spoil)
			q->desc[at + random_below(2)] = descriptor(t, i);
		q->avail->ring[q->avail->idx % q->size] = at;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		q->avail->idx++;
	}
	virtq_ring(q);
}

static void attack_soup(struct target *t, u32 i)
{
	struct virtq *q = &t->q[i];

	for (u32 k = 0; k < q->size; k++)
		q->desc[k] = descriptor(t, i);
	for (u32 k = 0; k < 8; k++)
		virtq_offer(q, (u16)(random_below(4) ? random_below(q->size) : random64()));
}

static void attack_requests(struct target *t, u32 i)
{
	for (u32 k = 0; k < 8; k++)
		requests(t, i, 1 + (u32)random_below(8), 4);
}

static void attack_loop(struct target *t, u32 i)
{
	struct virtq *q = &t->q[i];
	u16 n = (u16)(1 + random_below(q->size)), flags = (u16)(random_below(2) * VIRTQ_WRITE);

	for (u16 k = 0; k < n; k++)
		put(&q->desc[k], t->arena + 64u * k, (u32)random_below(64), VIRTQ_NEXT | flags,
			(u16)((k + 1) % n));
	virtq_offer(q, 0);
}

static void attack_indirect(struct target *t, u32 i)
{
	volatile struct virtq_desc *table =
		(volatile struct virtq_desc *)(t->arena + 1 + random_below(64));
	struct virtq *q = &t->q[i];
	u32 n = 1 + (u32)random_below(16);

	for (u32 k = 0; k < n; k++) {
		table[k] = descriptor(t, i);
		table[k].flags = (u16)(random_below(4) ? table[k].flags & 3 : 7);
		table[k].next = (u16)random_below(n + 1);
	}
	put(&q->desc[0], table, random_below(4) ? 16 * n : length(), VIRTQ_INDIRECT, 0);
	virtq_offer(q, 0);
}

static void attack_index(struct target *t, u32 i)
{
	static const u16 jumps[] = {SIZE, SIZE + 1, 255, 0x7FFF, 0x8000, 0xFFFF};
	struct virtq *q = &t->q[i];

	requests(t, i, 4, 0);
	q->avail->idx = (u16)(q->avail->idx + jumps[random_below(ARRAY_SIZE(jumps))]);
	virtq_ring(q);
	q->avail->idx = (u16)random64();
	virtq_ring(q);
}

static void attack_rings(struct target *t, u32 i)
{
	struct virtq *q = &t->q[i];

	if (!target_reset(t))
		return;
	virtio_negotiate(&t->dev, (u32)random64() & t->offered);
	virtio_queue_at(&t->dev, (u16)i, (u16)(random_below(2) ? q->size : random64()),
		random_below(2) ? (u64)q->desc : wild_address(t),
		random_below(2) ? (u64)q->avail : wild_address(t), wild_address(t));
	virtio_run(&t->dev);
	*(volatile u16 *)q->doorbell = (u16)random64();
	virtq_ring(q);
}

static void attack_registers(struct target *t, u32 i)
{
	volatile u8 *common = (volatile u8 *)t->dev.common;

	for (u32 k = 0; k < 20; k++) {
		u32 at = (u32)random_below(0x20 + 2); // up to queue_notify_off: addresses stay ours

		if (random_below(2))
			*(volatile u16 *)(common + (at & ~1u)) =
				(u16)random_below(1 + BIT(random_below(17)));
		else
			*(common + at) = (u8)random64();
		(void)*(volatile u32 *)(common + random_below(0x40));
		if (t->dev.config)
			*(t->dev.config + random_below(16)) = (u8)random64();
		if (random_below(8) == 0)
			requests(t, i, 2, 1);
	}
}

// A reset with requests in flight: when it is over nothing of before reaches memory.
static void attack_reset(struct target *t, u32 i)
{
	u8 *copy = t->arena + ARENA; // behind the arena

	for (u32 k = 0; k < 4; k++)
		requests(t, i, 8, 0);
	t->dev.common->status = 0;
	if (!check_quiet(
		    wait_until(t->dev.common->status == 0, 30000), "device %x resets", t->type))
		return;
	memcpy(copy, t->arena, ARENA);
	delay_us(random_below(3000));
	check_quiet(!memcmp(copy, t->arena, ARENA), "device %x writes after its reset", t->type);
}

static void attack_storm(struct target *t, u32 i)
{
	requests(t, i, 4, 0);
	for (u32 k = 0; k < 150; k++)
		*(volatile u16 *)t->q[random_below(t->queues)].doorbell =
			(u16)random_below(t->queues);
	for (u32 k = 0; k < 30; k++)
		*(volatile u16 *)t->q[i].doorbell = (u16)random64();
}

static volatile bool go_on;
static struct target *volatile victim;

// Another CPU changes descriptors and heads while the device walks them.
static void change(void *arg)
{
	u32 i = (u32)(u64)arg;

	while (go_on) {
		struct target *t = victim;
		struct virtq *q = &t->q[i];
		u32 k = (u32)random_below(q->size);
		struct virtq_desc d = descriptor(t, i);

		if (d.addr - (u64)q->desc >= 3 * PAGE_SIZE) {
			q->desc[k].addr = d.addr;
			q->desc[k].len = d.len;
		}
		q->desc[k].next = d.next;
		q->desc[k].flags = d.flags;
		q->avail->ring[random_below(q->size)] = (u16)random_below(q->size + 1u);
		*(volatile u8 *)(t->arena + random_below(ARENA)) = (u8)random64();
	}
}

static void attack_race(struct target *t, u32 i)
{
	if (smp_count() < 2)
		return;
	victim = t;
	go_on = true;
	smp_run(1, change, (void *)(u64)i);
	for (u32 k = 0; k < 12; k++) {
		requests(t, i, 1 + (u32)random_below(8), 0);
		if (t->dev.common->status & VIRTIO_NEEDS_RESET)
			target_start(t, (u32)random64());
	}
	go_on = false;
	smp_wait();
}

// ---------------------------------------------------------------- the run

static const struct {
	const char *name;
	void (*attack)(struct target *t, u32 queue);
} kinds[] = {{"random descriptors", attack_soup}, {"spoiled requests", attack_requests},
	{"a loop", attack_loop}, {"an indirect table", attack_indirect},
	{"an index that jumps", attack_index}, {"rings that are no RAM", attack_rings},
	{"random registers", attack_registers}, {"a reset on the way", attack_reset},
	{"a storm of notifications", attack_storm}, {"changes on the way", attack_race}};

static void target_add(pci_bdf at, u16 type)
{
	struct target *t = &targets[count];

	if (count == TARGETS || !check(virtio_open(&t->dev, at), "device %x at %x opens", type, at))
		return;
	t->type = type;
	t->dev.common->device_feature_select = 0;
	t->offered = t->dev.common->device_feature;
	t->queues = MIN((u32)t->dev.common->num_queues, QUEUES);
	t->arena = memory_pages(2 * ARENA / PAGE_SIZE);
	virtio_negotiate(&t->dev, 0);
	for (u32 i = 0; i < t->queues; i++)
		virtq_make(&t->dev, &t->q[i], (u16)i, SIZE);
	count++;
	recover(t, "nothing");
}

static void targets_find(void)
{
	for (u32 slot = 1; slot < 32; slot++) {
		pci_bdf at = PCI_BDF(0, slot, 0);
		u16 type = (u16)pci_read(at, 2, 2);

		if (pci_read(at, 0, 2) == PCI_VIRTIO_VENDOR &&
			(type == BLK || type == NET || type == RNG))
			target_add(at, type);
	}
}

void guest_main(void)
{
	u64 end;

	while (arg_given("wait") && !(inb(0x3FD) & 1)) // for a byte at COM1
		guest_sleep(1);
	smp_start();
	targets_find();
	if (!check(count == arg_number("devices", count) && count, "%u devices to attack", count))
		return;
	end = deadline_ms(arg_number("seconds", 20) * 1000);
	while (!deadline_past(end) && !check_failures()) {
		struct target *t = &targets[random_below(count)];
		u32 kind = (u32)random_below(ARRAY_SIZE(kinds));

		target_start(t, (u32)random64());
		kinds[kind].attack(t, (u32)random_below(t->queues));
		recover(t, kinds[kind].name);
	}
	for (u32 i = 0; i < count; i++)
		check(targets[i].worked > 1, "device %x: %u resets, worked %u times",
			targets[i].type, targets[i].resets, targets[i].worked);
	check(!check_failures(), "%u attacks, %u asked for a reset", attacks, asked_for_reset);
}

// SPDX-License-Identifier: MIT
// Memory given back by virtio-balloon (virtio 1.2, section 5.5): what is reported reads as zeros, what is beside it stays,
// what is written after the answer is there, whatever other CPUs have cached. And drivers that give back what they use.
#include "guest.h"
#include "smp.h"
#include "virtio.h"

#define BALLOON   0x1045
#define REPORTING 0x20 // feature
#define INFLATE   0
#define REPORT    4
#define MSR_STEAL 0x4b564d03 // of the paravirtual leaf; bit 0: on
#define BLOCK     0x200000u
#define AREA      (8 * BLOCK)
#define PAGES     (BLOCK / PAGE_SIZE)
#define ANSWER_MS 20000

static struct virtio dev;
static struct virtq inflate, report;
static u8 *area;

static volatile u64 *word(u32 page)
{
	return (volatile u64 *)(area + (u64)page * PAGE_SIZE + 8);
}

static void start(void)
{
	static bool made;

	check_quiet(virtio_negotiate(&dev, REPORTING), "the device takes the features");
	if (!made) {
		made = virtq_make(&dev, &inflate, INFLATE, 64) &&
		       virtq_make(&dev, &report, REPORT, 64);
		check_quiet(made, "there are queues");
	} else {
		memset((void *)inflate.desc, 0, 3 * PAGE_SIZE);
		memset((void *)report.desc, 0, 3 * PAGE_SIZE);
		virtio_queue_at(&dev, INFLATE, inflate.size, (u64)inflate.desc, (u64)inflate.avail,
			(u64)inflate.used);
		virtio_queue_at(&dev, REPORT, report.size, (u64)report.desc, (u64)report.avail,
			(u64)report.used);
	}
	virtio_run(&dev);
}

// Offers one buffer and waits for it.
static bool give(struct virtq *q, u64 addr, u32 len, u16 flags, u32 ms)
{
	u16 before = q->used->idx;

	q->desc[0] = (struct virtq_desc){addr, len, flags, 0};
	virtq_offer(q, 0);
	return wait_until(q->used->idx != before, ms);
}

static bool give_block(u32 n)
{
	return give(&report, (u64)area + n * BLOCK, BLOCK, VIRTQ_WRITE, ANSWER_MS);
}

static void fill(u64 salt)
{
	for (u32 i = 0; i < AREA / PAGE_SIZE; i++)
		*word(i) = salt + i;
}

// Pages [from, to) of the area: zero, or what fill() put there.
static bool pages_are(u32 from, u32 to, u64 salt, bool zero)
{
	for (u32 i = from; i < to; i++)
		if (*word(i) != (zero ? 0 : salt + i))
			return false;
	return true;
}

static void reported_reads_as_zero(void)
{
	fill(1000);
	check(give_block(2), "a report is answered");
	check(pages_are(2 * PAGES, 3 * PAGES, 0, true), "what was reported reads as zeros");
	check(pages_are(0, 2 * PAGES, 1000, false) && pages_are(3 * PAGES, 8 * PAGES, 1000, false),
		"what lies beside it is as it was");
	fill(2000);
	check(pages_are(0, 8 * PAGES, 2000, false), "what is written then is there");
}

static void inflated_pages_go_singly(void)
{
	static u32 pfn[64];
	bool right = true;

	fill(3000);
	for (u32 i = 0; i < 64; i++)
		pfn[i] = (u32)(((u64)area + BLOCK) / PAGE_SIZE) + i * 3;
	check(give(&inflate, (u64)pfn, sizeof(pfn), 0, ANSWER_MS), "inflated pages are answered");
	for (u32 i = 0; i < 192; i++)
		right = right && *word(PAGES + i) == (i % 3 ? 3000 + PAGES + i : 0);
	check(right, "each third page is empty, the others are as they were");
	check(pages_are(PAGES + 192, 2 * PAGES, 3000, false), "so is the rest of the block");
	check(give_block(1) && pages_are(PAGES, 2 * PAGES, 0, true), "then all of it goes");
}

// ---------------------------------------------------------------- beside other CPUs

static volatile u64 owned; // blocks that the other CPU may write to, a bit each
static volatile bool go_on;
static volatile u32 lost, written;

// Writes to its blocks whenever it may, and finds what it wrote as long as it may: to few pages of each, which do not push
// each other out of a TLB.
static void writer(void *arg)
{
	u64 seen[8] = {0}, n = 1;

	(void)arg;
	while (go_on) {
		for (u32 b = 0; b < 8; b++) {
			if (!(owned >> b & 1)) {
				seen[b] = 0;
				continue;
			}
			for (u32 i = b * 16; i < b * 16 + 16; i += 4) {
				if (seen[b] && *word(b * PAGES + i) != seen[b])
					lost++;
				*word(b * PAGES + i) = n;
			}
			seen[b] = n++;
			written++;
		}
	}
}

// While the other CPU has all in its TLB one block after the other goes and comes back: nothing is lost of what is written
// after the answer.
static void nothing_is_lost(u32 rounds)
{
	if (smp_count() < 2)
		return;
	owned = 0xff;
	go_on = true;
	lost = written = 0;
	smp_run(1, writer, NULL);
	for (u32 i = 0; i < rounds; i++) {
		u32 b = (u32)random_below(8), before = written;

		owned &= ~BIT(b);
		if (!wait_until(written > before + 8, 5000) || !give_block(b))
			break;
		check_quiet(*word(b * PAGES + b * 16) == 0,
			"a block that was given back reads as zeros");
		before = written;
		owned |= BIT(b);
		check_quiet(wait_until(written > before + 16, 5000) && *word(b * PAGES + b * 16),
			"what the other CPU writes after the answer is seen here");
	}
	go_on = false;
	smp_wait();
	check(!lost && written > rounds, "the other CPU lost %u of %u rounds of writing", lost,
		written);
}

static void scribble(void *arg)
{
	(void)arg;
	while (go_on)
		*word((u32)random_below(AREA / PAGE_SIZE)) = 0x5a5a5a5a5a5a5a5aull;
}

// What is in use by another CPU all the time is given back: he finds zeros or what he wrote, and nobody else's.
static void in_use(u32 rounds)
{
	bool right = true;

	if (smp_count() < 2)
		return;
	go_on = true;
	smp_run(1, scribble, NULL);
	for (u32 i = 0; i < rounds && give_block(i % 8); i++)
		;
	go_on = false;
	smp_wait();
	for (u32 i = 0; i < AREA / PAGE_SIZE; i++)
		right = right &&
			(!*word(i) || *word(i) == 0x5a5a5a5a5a5a5a5aull || *word(i) < 0x100000);
	check(right, "a page in use holds what was written to it, or nothing");
}

// ---------------------------------------------------------------- givers of what they use

static void works_again(const char *after)
{
	start();
	fill(4000);
	check(give_block(5) && pages_are(5 * PAGES, 6 * PAGES, 0, true), "it works after %s",
		after);
}

static void own_rings(void)
{
	for (u32 i = 0; i < 6; i++) {
		u64 rings[] = {(u64)report.desc, (u64)report.avail, (u64)report.used,
			(u64)inflate.desc, (u64)inflate.avail, (u64)inflate.used};

		start();
		give(&report, ALIGN_DOWN(rings[i], PAGE_SIZE), PAGE_SIZE, VIRTQ_WRITE, 100);
		works_again("its own ring was given back");
	}
}

// The kernel writes to this page; it cannot let go of it before the guest does.
static void shared_page(void)
{
	wrmsr(MSR_STEAL, ((u64)area + BLOCK) | 1);
	check(!give(&report, (u64)area + BLOCK, BLOCK, VIRTQ_WRITE, 300),
		"a page that the kernel shares is not let go");
	wrmsr(MSR_STEAL, 0);
	check(wait_until(report.used->idx == report.avail->idx, ANSWER_MS),
		"until it is not shared");
}

static void nonsense(u32 n)
{
	for (u32 i = 0; i < n; i++) {
		u64 addr =
			random_below(2) ? random64() : memory_top() - random_below(BLOCK) + BLOCK;

		start();
		for (u32 j = 0; j < report.size; j++)
			report.desc[j] =
				(struct virtq_desc){addr + j * random_odd(), (u32)random_odd(),
					(u16)random_below(4), (u16)random_below(report.size + 2)};
		for (u32 j = 0; j < report.size; j++)
			if (report.desc[j].addr < memory_top()) // what lies there is needed
				report.desc[j].addr = memory_top();
		virtq_offer(&report, (u16)random_below(report.size));
		give(&inflate, memory_top() + random_below(1 << 20), (u32)random64(),
			(u16)random_below(4), 1);
	}
	works_again("nonsense");
}

void guest_main(void)
{
	pci_bdf at = pci_find(PCI_VIRTIO_VENDOR, BALLOON);
	u32 n = (u32)arg_number("n", 60);

	smp_start();
	if (!check(at && virtio_open(&dev, at), "there is a balloon"))
		return;
	area = (u8 *)ALIGN_UP((u64)memory_pages((AREA + BLOCK) / PAGE_SIZE), BLOCK);
	start();
	reported_reads_as_zero();
	inflated_pages_go_singly();
	nothing_is_lost(n);
	in_use(n);
	own_rings();
	shared_page();
	nonsense(n);
}

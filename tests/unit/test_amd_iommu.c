// SPDX-License-Identifier: MIT
// AMD-Vi over an IOMMU that the test plays: it walks the tables as the manual says, remembers what it found until it is told
// to forget it, and takes commands when the kernel waits for it.
//
// link: drivers/amd_iommu/amd_iommu.c drivers/amd_iommu/tables.c drivers/amd_iommu/commands.c
// link: drivers/amd_iommu/events.c drivers/amd_iommu/ivrs.c drivers/iommu.c net/bucket.c
// link: kernel/core/timer.c tests/unit/fake/arch.c
#include <stdarg.h>

#include "drivers/amd_iommu/amd_iommu.h"
#include "drivers/amd_iommu/amd_iommu_internal.h"
#include "drivers/iommu.h"
#include "drivers/pci.h"
#include "kernel/core/cmdline.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/timer.h"
#include "kernel/x86/acpi.h"
#include "kernel/x86/irq.h"
#include "kernel/x86/paging.h"
#include "lib/errno.h"
#include "lib/format.h"
#include "tests/unit/test.h"

#define RAM    (64 * MiB)
#define DISK   0x20u  // 00:04.0
#define CARD   0x28u  // 00:05.0
#define BEHIND 0x208u // 02:01.0, behind a bridge as CARD_2 is; both come as 02:00.0
#define CARD_2 0x210u
#define BRIDGE 0x200u
#define PAGE_A 0x1234u
#define CACHE  4096u

struct acpi_info acpi_info;

static u8 *ram;
static u64 ram_next, ram_end;
static u8 regs[R_SIZE] __attribute__((aligned(8)));
static bool dead, np_cache;
static u32 commands, waits, pages_commands, device_commands, all_commands;
static bool irqs_forgotten;
static char last_line[256];
static irq_fn *irq;
static void *irq_arg;

// What the IOMMU remembers: pages of domains that may be reached, and entries of devices.
static struct {
	u16 domain;
	u64 page;
} cache[CACHE];
static u32 cached;
static struct {
	bool known;
	u64 q0, q1, q2;
} device_cache[65536];

// ---------------------------------------------------------------- the kernel around it

void *kmem_alloc(size_t size, u16 owner)
{
	u64 at = ALIGN_UP(ram_next, PAGE_SIZE);

	(void)owner;
	if (at + size > ram_end)
		return NULL;
	ram_next = at + ALIGN_UP(size, PAGE_SIZE);
	memset(ram + at, 0, size);
	return ram + at;
}

void *mmio_map(hpa_t a, size_t size)
{
	return a.v == 0xFED80000 && size == R_SIZE ? regs : NULL;
}

u32 pci_read32(u16 address, u32 offset)
{
	CHECK_EQ(address, 0x18);
	CHECK_EQ(offset, 0x40);
	return (u32)(CAP_ID | CAP_FEATURES | (np_cache ? CAP_NP_CACHE : 0));
}

bool cmdline_is(const char *key, const char *value)
{
	(void)key;
	(void)value;
	return false;
}

int irq_alloc(struct pcpu *p, irq_fn *fn, void *arg, struct irq_message *out)
{
	(void)p;
	irq = fn;
	irq_arg = arg;
	*out = (struct irq_message){0};
	return 0x30;
}

int pci_irq_set(struct pci_function *f, u32 n, const struct irq_message *m)
{
	(void)m;
	CHECK_EQ(f->address, 0x18);
	return n ? -EINVAL : 0;
}

void log_line(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(last_line, sizeof(last_line), fmt, args);
	va_end(args);
	fake_log_lines++;
}

// ---------------------------------------------------------------- the IOMMU

static u64 reg(u32 at)
{
	u64 v;

	memcpy(&v, regs + at, 8);
	return v;
}

static void reg_set(u32 at, u64 v)
{
	memcpy(regs + at, &v, 8);
}

static u64 *at(u64 address)
{
	return hpa_to_va(hpa(address));
}

// 2.4.3: all pages whose number agrees with the address but for the ones at its end and the zero before them.
static void forget(u64 low, u64 high)
{
	u32 kept = 0;
	u64 page = high >> 12, mask = 0, ones = 0;

	while (high & PAGES_SIZE && page >> ones & 1)
		ones++;
	if (high & PAGES_SIZE)
		mask = ones >= 51 ? ~0ull : (2ull << ones) - 1;
	for (u32 i = 0; i < cached; i++)
		if (cache[i].domain != (u16)(low >> 32) ||
			(cache[i].page & ~mask) != (page & ~mask))
			cache[kept++] = cache[i];
	cached = kept;
}

static void command(u64 low, u64 high)
{
	commands++;
	switch (low >> 60) {
	case 1:
		CHECK(low & WAIT_STORE);
		*at(low & 0x000FFFFFFFFFFFF8ull) = high;
		waits++;
		break;
	case 2:
		CHECK_EQ(low & 0x0FFFFFFFFFFF0000ull, 0);
		device_cache[(u16)low].known = false;
		device_commands++;
		break;
	case 3:
		CHECK_EQ(low & 0x0FFF0000FFFFFFFFull, 0);
		CHECK_EQ(high & 0xFF8, 0);
		forget(low, high);
		pages_commands++;
		break;
	case 5:
		CHECK_EQ(low & 0x0FFFFFFFFFFF0000ull, 0);
		irqs_forgotten = true;
		break;
	case 8:
		CHECK_EQ((low << 4) | high, 0);
		cached = 0;
		for (u32 i = 0; i < 65536; i++)
			device_cache[i].known = false;
		all_commands++;
		break;
	default:
		CHECK(false);
	}
}

// The kernel waits: the IOMMU gets on, or time passes.
static void relax(void)
{
	const u64 on = CONTROL_ON | CONTROL_COMMANDS;
	u64 base = reg(R_COMMANDS) & 0x000FFFFFFFFFF000ull;

	fake_now += 1000000;
	if (dead || (reg(R_CONTROL) & on) != on)
		return;
	CHECK_EQ(reg(R_COMMANDS) >> 56, 8);
	while (reg(R_COMMAND_HEAD) != reg(R_COMMAND_TAIL)) {
		u64 *c = at(base + reg(R_COMMAND_HEAD));

		command(c[0], c[1]);
		reg_set(R_COMMAND_HEAD, (reg(R_COMMAND_HEAD) + 16) % 4096);
	}
}

static bool walk(u64 entry, u64 page)
{
	for (u32 level = entry >> 9 & 7; level; level = entry >> 9 & 7) {
		if (!(entry & 1) || (entry & IOPTE_RIGHTS) != IOPTE_RIGHTS)
			return false;
		entry = at(entry & IOPTE_ADDRESS)[page >> 9 * (level - 1) & 511];
		if (!entry)
			return false;
	}
	CHECK_EQ((entry & IOPTE_ADDRESS) >> 12, page);
	CHECK_EQ(entry & 0x07F0000000000000ull, 0); // reserved
	return entry & 1 && (entry & IOPTE_RIGHTS) == IOPTE_RIGHTS;
}

static void know(u16 requester)
{
	u64 *entry = at((reg(R_DEVICE_TABLE) & 0x000FFFFFFFFFF000ull) + requester * 32u);

	CHECK_EQ(reg(R_DEVICE_TABLE) & 0x1FF, 511);
	if (device_cache[requester].known)
		return;
	device_cache[requester].known = true;
	device_cache[requester].q0 = entry[0];
	device_cache[requester].q1 = entry[1];
	device_cache[requester].q2 = entry[2];
	CHECK_EQ(entry[0] & 0x80300000000000FCull, 0);
	CHECK_EQ(entry[3], 0);
}

// The APIC and the vector that a message with this data raises, 0: it is refused, ~0: it goes on as it is.
static u32 raises(u16 requester, u32 data)
{
	u64 q2;
	u32 entry;

	know(requester);
	q2 = device_cache[requester].q2;
	if (!(q2 & 1))
		return ~0u;
	if (q2 >> 60 != 2 || data >= 1u << (q2 >> 1 & 15))
		return 0;
	entry = ((u32 *)at(q2 & 0x000FFFFFFFFFFFC0ull))[data];
	CHECK_EQ(entry & 0xFF00007E, 0); // fixed, physical, nothing reserved
	return entry & 1 ? entry >> 8 : 0;
}

// May the requester read and write the page?
static bool reaches(u16 requester, u64 page)
{
	u16 domain;

	know(requester);
	if ((device_cache[requester].q0 & 3) != 3)
		return true; // not translated at all
	if (!(device_cache[requester].q0 >> 9 & 7))
		return (device_cache[requester].q0 & IOPTE_RIGHTS) != 0;
	domain = (u16)device_cache[requester].q1;
	for (u32 i = 0; i < cached; i++)
		if (cache[i].domain == domain && cache[i].page == page)
			return true;
	if (!walk(device_cache[requester].q0, page))
		return false;
	CHECK(cached < CACHE);
	cache[cached].domain = domain;
	cache[cached++].page = page;
	return true;
}

static void log_event(u32 first, u32 second, u64 address)
{
	u32 *e = (u32 *)at((reg(R_EVENTS) & 0x000FFFFFFFFFF000ull) + reg(R_EVENT_TAIL));

	e[0] = first;
	e[1] = second;
	memcpy(e + 2, &address, 8);
	reg_set(R_EVENT_TAIL, (reg(R_EVENT_TAIL) + 16) % 4096);
	reg_set(R_STATUS, reg(R_STATUS) | STATUS_EVENT);
}

// ---------------------------------------------------------------- tests

// One IOMMU for everything, but that bus 2 is behind a bridge, and bus 3 behind nothing.
static void set_up(bool np)
{
	static u8 table[100] = {[48] = 0x10,
		[50] = 52,
		[52] = 0x18,
		[54] = 0x40,
		[57] = 0,
		[58] = 0xD8,
		[59] = 0xFE,
		[72] = 3,
		[76] = 4,
		[77] = 0xFF,
		[78] = 1,
		[80] = 0x43,
		[82] = 2,
		[86] = 2,
		[88] = 4,
		[89] = 0xFF,
		[90] = 2,
		[92] = 72,
		[97] = 0xA0,
		[99] = 1};
	static bool done;

	np_cache = np;
	dead = false;
	if (!done) {
		fake_reset(1);
		ram = fake_ram(RAM);
		ram_next = MiB;
		ram_end = RAM;
		timer_init_pcpu(this_pcpu());
		fake_relax = relax;
		reg_set(R_FEATURES, FEATURE_ALL);
		acpi_info.ivrs = table;
		acpi_info.ioapic_count = 1;
		acpi_info.ivrs_size = sizeof(table);
		amd_iommu_init();
		done = true;
	}
	commands = waits = pages_commands = device_commands = 0;
	fake_log_lines = 0;
}

TEST(on_and_everything_is_blocked)
{
	set_up(false);
	CHECK_EQ(reg(R_CONTROL) & (CONTROL_ON | CONTROL_COMMANDS | CONTROL_EVENTS),
		CONTROL_ON | CONTROL_COMMANDS | CONTROL_EVENTS);
	CHECK_EQ(all_commands, 1);
	CHECK_EQ(reg(R_EVENTS) >> 56, 8);
	for (u32 i = 0; i < 65536; i += 7)
		CHECK(!reaches((u16)i, PAGE_A));
}

TEST(only_what_is_mapped)
{
	struct iommu_range r = {0}, u = {0};
	struct iommu_domain *disk, *card;

	set_up(false);
	disk = iommu_attach(DISK);
	card = iommu_attach(CARD);
	CHECK(disk && card && disk != card);
	CHECK(!reaches(DISK, PAGE_A) && !reaches(CARD, PAGE_A));
	CHECK(iommu_map(disk, hpa(PAGE_A * PAGE_SIZE + 100), 2 * PAGE_SIZE, &r));
	waits = 0;
	iommu_map_end(disk, &r);
	CHECK_EQ(waits, 0); // it does not remember what was not there
	CHECK(!reaches(DISK, PAGE_A - 1));
	for (u64 i = 0; i < 3; i++)
		CHECK(reaches(DISK, PAGE_A + i));
	CHECK(!reaches(DISK, PAGE_A + 3));
	CHECK(!reaches(CARD, PAGE_A) && !reaches(0x30, PAGE_A));
	iommu_unmap(disk, hpa(PAGE_A * PAGE_SIZE + 100), 2 * PAGE_SIZE, &u);
	CHECK(reaches(DISK, PAGE_A)); // what it remembers
	iommu_unmap_end(disk, &u);
	CHECK_EQ(waits, 1);
	for (u64 i = 0; i < 4; i++)
		CHECK(!reaches(DISK, PAGE_A + i));
	waits = 0;
	iommu_unmap_end(disk, &u); // nothing is left to be said
	CHECK_EQ(waits, 0);
}

TEST(mappings_are_counted)
{
	struct iommu_range r = {0};
	struct iommu_domain *d;

	set_up(false);
	d = iommu_attach(DISK);
	for (u32 i = 0; i < 63; i++)
		CHECK(iommu_map(d, hpa(PAGE_A * PAGE_SIZE), 1, &r));
	CHECK(!iommu_map(d, hpa((PAGE_A - 2) * PAGE_SIZE), 4 * PAGE_SIZE, &r)); // once too often
	iommu_unmap_end(d, &r);
	CHECK(!reaches(DISK, PAGE_A - 2) && !reaches(DISK, PAGE_A - 1));
	for (u32 i = 0; i < 63; i++) {
		CHECK(reaches(DISK, PAGE_A));
		iommu_unmap(d, hpa(PAGE_A * PAGE_SIZE), 1, &r);
		iommu_unmap_end(d, &r);
	}
	CHECK(!reaches(DISK, PAGE_A));
}

TEST(no_memory_for_tables)
{
	struct iommu_range r = {0};
	struct iommu_domain *d;
	u64 end = ram_end, page = 7ull << 27; // far from what has tables

	set_up(false);
	d = iommu_attach(DISK);
	ram_end = ram_next + PAGE_SIZE;
	CHECK(!iommu_map(d, hpa(page << PAGE_SHIFT), 1, &r));
	CHECK(!iommu_map(d, hpa(1ull << 48), 1, &r)); // no such page
	CHECK(!r.any);
	ram_end = end;
	CHECK(!reaches(DISK, page));
	CHECK(iommu_map(d, hpa(page << PAGE_SHIFT), 1, &r));
	CHECK(reaches(DISK, page));
	iommu_unmap(d, hpa(page << PAGE_SHIFT), 1, &r);
	iommu_unmap_end(d, &r);
	CHECK(!reaches(DISK, page));
}

// Across tables, and with all sizes and places of what is forgotten at once.
TEST(random_ranges)
{
	struct iommu_domain *disk, *card;
	struct iommu_range r = {0};
	u64 random = 1;

	set_up(false);
	disk = iommu_attach(DISK);
	card = iommu_attach(CARD);
	CHECK(iommu_map(card, hpa(0), 2 * PAGE_SIZE, &r));
	for (u32 i = 0; i < 2000; i++) {
		u64 first, n;

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		first = random >> 40 & 0xFFFFF;
		n = 1 + (random >> 33) % 40;
		r.any = false;
		CHECK(iommu_map(disk, hpa(first << PAGE_SHIFT), n << PAGE_SHIFT, &r));
		for (u64 k = 0; k < n; k++)
			CHECK(reaches(DISK, first + k));
		CHECK(!reaches(DISK, first + n) && reaches(CARD, 1));
		iommu_unmap(disk, hpa(first << PAGE_SHIFT), n << PAGE_SHIFT, &r);
		iommu_unmap_end(disk, &r);
		for (u64 k = 0; k < n; k++)
			CHECK(!reaches(DISK, first + k));
	}
	CHECK(cached <= 2); // nothing of the card was forgotten, all of the disk
}

TEST(what_was_not_there_may_be_remembered)
{
	struct iommu_range r = {0};
	struct iommu_domain *d;

	set_up(false);
	d = iommu_attach(DISK);
	((struct amd_domain *)(void *)d)->iommu->np_cache = true;
	CHECK(iommu_map(d, hpa(0x5000), 1, &r));
	iommu_map_end(d, &r);
	CHECK_EQ(pages_commands, 2 + 1); // two by attach
	((struct amd_domain *)(void *)d)->iommu->np_cache = false;
	iommu_unmap(d, hpa(0x5000), 1, &r);
	iommu_unmap_end(d, &r);
}

TEST(detached)
{
	struct iommu_range r = {0};
	struct iommu_domain *d;

	set_up(false);
	d = iommu_attach(DISK);
	CHECK(iommu_map(d, hpa(0x9000), 1, &r));
	CHECK(reaches(DISK, 9));
	iommu_detach(DISK);
	CHECK(!reaches(DISK, 9));
	iommu_detach(0x38); // which never had a domain
	CHECK(!reaches(0x38, 9));
	CHECK(iommu_attach(DISK) == d);
	CHECK(reaches(DISK, 9)); // it is still mapped
	iommu_unmap(d, hpa(0x9000), 1, &r);
	iommu_unmap_end(d, &r);
	CHECK(!reaches(DISK, 9));
}

TEST(behind_a_bridge)
{
	struct iommu_range r = {0};
	struct iommu_domain *one, *two;

	set_up(false);
	one = iommu_attach(BEHIND);
	two = iommu_attach(CARD_2);
	CHECK(one && one == two); // the IOMMU cannot tell one from the other
	CHECK(iommu_map(one, hpa(0x7000), 1, &r));
	CHECK(reaches(BRIDGE, 7) && reaches(BEHIND, 7));
	iommu_detach(BEHIND);
	CHECK(reaches(BRIDGE, 7) && !reaches(BEHIND, 7));
	iommu_detach(CARD_2);
	CHECK(!reaches(BRIDGE, 7));
	CHECK(!iommu_attach(0x300)); // no IOMMU is said to be there
}

// Apart from the I/O APIC and the IOMMU, a function raises what its driver asked for, at the APIC it asked for.
TEST(interrupts)
{
	struct irq_message m = {0xFEE03000, 0x45}, n = {0xFEE12000, 0x46};

	set_up(false);
	CHECK_EQ(raises(0xA0, 0x45), ~0u);
	CHECK_EQ(raises(0x18, 0x45), ~0u);
	CHECK_EQ(raises(0x40, 0), 0);
	CHECK_EQ(iommu_message(0x40, &m), 0); // behind no IOMMU, for all we know
	CHECK(m.address == 0xFEE03000 && m.data == 0x45);
	CHECK(iommu_attach(0x40) && iommu_attach(0x48));
	CHECK_EQ(raises(0x40, 0), 0);
	irqs_forgotten = false;
	CHECK_EQ(iommu_message(0x40, &m), 0);
	CHECK(irqs_forgotten);
	CHECK_EQ(iommu_message(0x40, &n), 0);
	CHECK(m.address == 0xFEE00000 && m.data == 0 && n.address == 0xFEE00000 && n.data == 1);
	CHECK_EQ(raises(0x40, m.data), 0x4503);
	CHECK_EQ(raises(0x40, n.data), 0x4612);
	for (u32 i = 2; i < 256; i++)
		CHECK_EQ(raises(0x40, i), 0);
	CHECK_EQ(raises(0x48, 0), 0); // the other function's
	for (u32 i = 2; i < 64; i++) {
		m = (struct irq_message){0xFEE00000, i};
		CHECK_EQ(iommu_message(0x40, &m), 0);
		CHECK_EQ(m.data, i);
	}
	CHECK_EQ(iommu_message(0x40, &m), -ENOSPC);
	iommu_detach(0x40);
	CHECK_EQ(raises(0x40, 0), 0);
	CHECK_EQ(raises(0x48, 0), 0);
	iommu_detach(0x48);
}

static void turn(void)
{
	irq(irq_arg);
	fake_now += 20000000;
	timer_expire();
}

TEST(faults_are_said)
{
	set_up(false);
	fake_now += 100000000000;
	log_event(DISK, EVENT_PAGE_FAULT << 28 | (u32)EVENT_WRITE | 1, 0x123456000);
	turn();
	CHECK_EQ(fake_log_lines, 1);
	CHECK(!strcmp(last_line, "iommu: 00:04.0 may not write to 0x123456000"));
	log_event(0x208, EVENT_PAGE_FAULT << 28, 0x1000);
	turn();
	CHECK(!strcmp(last_line, "iommu: 02:01.0 may not read from 0x1000"));
	log_event(0x208, EVENT_DEVICE_TABLE << 28, 0);
	turn();
	CHECK(!strcmp(last_line, "iommu: 02:01.0 is refused, cause 3, 0"));
	CHECK_EQ(reg(R_EVENT_HEAD), reg(R_EVENT_TAIL));
}

TEST(a_flood_of_faults)
{
	u32 lines;

	set_up(false);
	fake_now += 100000000000;
	for (u32 i = 0; i < 200; i++)
		log_event(DISK, EVENT_PAGE_FAULT << 28, i);
	turn();
	lines = fake_log_lines;
	CHECK(lines <= 10);
	CHECK(reg(R_EVENT_HEAD) != reg(R_EVENT_TAIL)); // not all at a look
	for (u32 i = 0; i < 4; i++) {
		fake_now += 20000000;
		timer_expire();
	}
	CHECK_EQ(reg(R_EVENT_HEAD), reg(R_EVENT_TAIL));
	CHECK(fake_log_lines <= 10);
	fake_now += 100000000000;
	log_event(DISK, EVENT_PAGE_FAULT << 28, 5);
	turn();
	CHECK(!strcmp(last_line, "iommu: 00:04.0 may not read from 0x5"));
	CHECK(fake_log_lines >= lines + 2); // and how many were not said
}

TEST(a_tail_from_nowhere)
{
	set_up(false);
	reg_set(R_EVENT_TAIL, 0xFFFFFFFFFFFFFFFFull);
	turn();
	for (u32 i = 0; i < 10; i++) {
		fake_now += 20000000;
		timer_expire();
	}
	CHECK(reg(R_EVENT_HEAD) < 4096);
	reg_set(R_EVENT_TAIL, reg(R_EVENT_HEAD));
}

TEST(no_answer)
{
	set_up(false);
	dead = true;
	CHECK(FAKE_PANICS(iommu_attach(DISK)));
}

TEST_MAIN()

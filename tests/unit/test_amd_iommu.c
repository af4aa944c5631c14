// SPDX-License-Identifier: MIT
// AMD-Vi where each device has a domain of its own.
//
// link: drivers/amd_iommu/amd_iommu.c drivers/amd_iommu/domains.c drivers/amd_iommu/tables.c
// link: drivers/amd_iommu/commands.c
// link: drivers/amd_iommu/events.c drivers/amd_iommu/ivrs.c drivers/iommu.c net/bucket.c
// link: kernel/core/timer.c tests/unit/fake/arch.c
#include "tests/unit/amd_iommu_fake.h"

static void set_up(bool np)
{
	static bool done;

	np_cache = np;
	dead = false;
	if (!done) {
		machine_make();
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

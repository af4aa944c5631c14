// SPDX-License-Identifier: MIT
// The real-time clock against its data sheet, its calendar against the C library's.
// link: kernel/vm/vrtc.c kernel/vm/vrtc_time.c kernel/core/timer.c tests/unit/fake/arch.c
#include <time.h>
#include "kernel/vm/vclock.h"
#include "kernel/vm/vrtc_time.h"
#include "tests/unit/irq_fake.h"

static struct vrtc *rtc = &vm.pc.rtc;

#define EPOCH 1700000000ull // Tue 2023-11-14 22:13:20 UTC

static void setup(void)
{
	pc_fake_reset();
	wall_base = EPOCH * NS_PER_SEC;
	vrtc_init(rtc, &vm);
	vrtc_reset(rtc);
}

static u8 get(u8 reg)
{
	vrtc_write(rtc, 0x70, reg);
	return vrtc_read(rtc, 0x71);
}

static void set(u8 reg, u8 value)
{
	vrtc_write(rtc, 0x70, reg);
	vrtc_write(rtc, 0x71, value);
}

TEST(reads_wall_clock)
{
	setup();
	CHECK_EQ(get(0), 0x20);
	CHECK_EQ(get(2), 0x13);
	CHECK_EQ(get(4), 0x22);
	CHECK_EQ(get(6), 3);
	CHECK_EQ(get(7), 0x14);
	CHECK_EQ(get(8), 0x11);
	CHECK_EQ(get(9), 0x23);
	CHECK_EQ(get(0x32), 0x20);
	CHECK_EQ(get(0x0d), 0x80);
	set(0x0b, 0x04); // binary, 12 hours
	CHECK_EQ(get(0), 20);
	CHECK_EQ(get(4), 0x80 | 10);
	CHECK_EQ(get(9), 23);
	CHECK_EQ(vrtc_read(rtc, 0x70), 0xff);
}

TEST(calendar_agrees_with_libc)
{
	u8 regs[VRTC_BYTES] = {0};

	srand(2);
	for (unsigned i = 0; i < 200000; i++) {
		time_t t = (time_t)((u64)rand() * 7 % 16000000000ull);
		struct tm tm;

		regs[0x0b] = (u8)(rand() & 6);
		gmtime_r(&t, &tm);
		vrtc_time_put(regs, (u64)t);
		CHECK_EQ(vrtc_time_get(regs), t);
		if (regs[0x0b] & 4) {
			CHECK_EQ(regs[0], tm.tm_sec);
			CHECK_EQ(regs[7], tm.tm_mday);
			CHECK_EQ(regs[8], tm.tm_mon + 1);
			CHECK_EQ(regs[6], tm.tm_wday + 1);
			CHECK_EQ(regs[9] + 100 * regs[0x32], tm.tm_year + 1900);
		}
	}
}

TEST(any_registers_give_a_time)
{
	u8 regs[VRTC_BYTES];

	srand(3);
	for (unsigned i = 0; i < 200000; i++) {
		for (unsigned j = 0; j < VRTC_BYTES; j++)
			regs[j] = (u8)rand();
		CHECK(vrtc_time_get(regs) < 18446744073ull);
		vrtc_next_alarm(regs, (u64)rand());
	}
}

TEST(setting_the_time)
{
	setup();
	set(0x0b, 0x82); // SET
	set(0, 0x59);
	set(2, 0x59);
	set(4, 0x23);
	set(7, 0x31);
	set(8, 0x12);
	set(9, 0x99);
	set(0x32, 0x19);
	run_to(5 * NS_PER_SEC);
	CHECK_EQ(get(0), 0x59); // stands still
	set(0x0b, 0x02);
	CHECK_EQ(get(4), 0x23);
	run_to(6 * NS_PER_SEC);
	CHECK_EQ(get(0), 0);
	CHECK_EQ(get(9), 0);
	CHECK_EQ(get(0x32), 0x20);
	CHECK_EQ(get(8), 1);
	vrtc_reset(rtc); // the guest's time outlives a reset
	CHECK_EQ(get(9), 0);
	set(2, 0x30); // without SET
	CHECK_EQ(get(2), 0x30);
	run_to(66 * NS_PER_SEC);
	CHECK_EQ(get(2), 0x31);
}

TEST(update_in_progress)
{
	setup();
	CHECK_EQ(get(0x0a), 0x26);
	run_to(NS_PER_SEC - 100000);
	CHECK_EQ(get(0x0a), 0xa6);
	run_to(NS_PER_SEC);
	CHECK_EQ(get(0x0a), 0x26);
	set(0x0a, 0xff);
	CHECK_EQ(get(0x0a), 0x7f);
}

TEST(memory_outlives_reset)
{
	setup();
	set(0x0f, 0x0a);
	set(0x7f, 0x55);
	vrtc_reset(rtc);
	CHECK_EQ(get(0x0f), 0x0a);
	CHECK_EQ(get(0xff), 0x55); // bit 7 of the index is not part of it
	set(0x0d, 0);
	CHECK_EQ(get(0x0d), 0x80);
}

TEST(nothing_enabled_no_timer)
{
	setup();
	CHECK(!timer_is_set(&rtc->timer));
	run_to(3 * NS_PER_SEC);
	CHECK_EQ(irq_rises[8], 0);
	CHECK_EQ(get(0x0c) & 0x50, 0x50); // flags come all the same
	CHECK_EQ(get(0x0c), 0);
}

TEST(update_interrupt)
{
	setup();
	set(0x0b, 0x12);
	run_to(10 * NS_PER_SEC);
	CHECK_EQ(irq_rises[8], 1); // not read, so not again
	CHECK(!timer_is_set(&rtc->timer));
	CHECK_EQ(get(0x0c) & 0x90, 0x90);
	CHECK(!irq_level[8]);
	run_to(10 * NS_PER_SEC + NS_PER_SEC / 2);
	CHECK_EQ(irq_rises[8], 1);
	run_to(11 * NS_PER_SEC + 1000);
	CHECK_EQ(irq_rises[8], 2);
}

TEST(periodic_interrupt)
{
	unsigned read = 0;

	setup();
	set(0x0a, 0x2a); // 64 Hz
	get(0x0c);
	set(0x0b, 0x42);
	for (u64 t = 0; t <= NS_PER_SEC; t += NS_PER_SEC / 1000) {
		run_to(t);
		if (irq_level[8]) {
			read++;
			CHECK_EQ(get(0x0c) & 0xc0, 0xc0);
		}
	}
	CHECK(read >= 63 && read <= 65);
	set(0x0b, 0x02);
	CHECK(!timer_is_set(&rtc->timer));
}

TEST(alarm_interrupt)
{
	setup();
	set(1, 0x25);
	set(3, 0x13);
	set(5, 0x22);
	get(0x0c);
	set(0x0b, 0x22);
	run_to(4 * NS_PER_SEC + NS_PER_SEC / 2);
	CHECK_EQ(irq_rises[8], 0);
	run_to(5 * NS_PER_SEC + 1000);
	CHECK_EQ(irq_rises[8], 1);
	CHECK_EQ(get(0x0c) & 0xa0, 0xa0);
	set(1, 0xff); // every second of any minute of 23 h
	set(3, 0xc0);
	set(5, 0x23);
	CHECK(timer_is_set(&rtc->timer));
	run_to(3000 * NS_PER_SEC);
	CHECK_EQ(irq_rises[8], 2);
	CHECK_EQ(get(2), 0x03); // 23:00:00 was 46:40 after the start
	get(0x0c);
	run_to(3001 * NS_PER_SEC + 1000);
	CHECK_EQ(irq_rises[8], 3);
}

TEST(alarm_that_never_comes)
{
	setup();
	set(1, 0x99);
	set(0x0b, 0x22);
	CHECK(!timer_is_set(&rtc->timer));
	run_to(100000 * NS_PER_SEC);
	CHECK_EQ(irq_rises[8], 0);
}

TEST(next_alarm_wraps_at_midnight)
{
	u8 regs[VRTC_BYTES] = {0};

	regs[0x0b] = 6;
	regs[5] = 5;
	CHECK_EQ(vrtc_next_alarm(regs, 5 * 3600), 86400 + 5 * 3600);
	CHECK_EQ(vrtc_next_alarm(regs, 5 * 3600 - 1), 5 * 3600);
	CHECK_EQ(vrtc_next_alarm(regs, 86399), 86400 + 5 * 3600);
}

TEST(destroy_leaves_no_timer)
{
	setup();
	set(0x0b, 0x72);
	CHECK(timer_is_set(&rtc->timer));
	vrtc_destroy(rtc);
	CHECK(!timer_is_set(&rtc->timer));
	get(0x0c);
	CHECK(!timer_is_set(&rtc->timer));
}

TEST(any_bytes_do_no_harm)
{
	setup();
	srand(4);
	for (unsigned i = 0; i < 100000; i++) {
		if (rand() & 1)
			set((u8)rand(), (u8)rand());
		else
			get((u8)rand());
		run_to(fake_now + (u64)(rand() % 3000000));
	}
	CHECK(irq_rises[8] > 10);
}

TEST_MAIN()

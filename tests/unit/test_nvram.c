// SPDX-License-Identifier: MIT
// A variable store before a disk that is slow, fails, or loses its power; and the guest's view of the chip.
// link: kernel/mono/nvram.c kernel/vm/vflash.c kernel/mono/nvram_disk.c devices/pflash.c lib/firmware.c storage/twin.c storage/twin_restore.c storage/crc32.c
// link: tests/unit/fake/arch.c
#include "devices/host.h"
#include "devices/pflash.h"
#include "drivers/block.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"
#include "kernel/mono/nvram.h"
#include "kernel/mono/nvram_disk.h"
#include "kernel/vm/vflash.h"
#include "kernel/vm/vm.h"
#include "lib/errno.h"
#include "tests/unit/firmware_build.h"
#include "tests/unit/test.h"

#define IMAGE (64 * KiB)
#define VARS  (16 * KiB)
#define FIRST 40u // sector at which the device begins

static u8 image[IMAGE];
static u8 platter[128 * KiB],
	safe[128 * KiB]; // what the disk says, and what would outlive a loss of power
static u8 *heap;
static size_t heap_used;
static struct block_disk disk = {.sectors = FIRST + sizeof(platter) / BLOCK_SECTOR};
static struct block_device device;
static const char *open_refusal;
static int opens, mapped, logs, flushes, stops;
static struct block_request *pending;
static int fail_next; // so many requests end with -EIO
static struct host_timer *timer;
static u8 vcpu_memory[sizeof(struct vcpu)];
static struct vm vm;
static struct bundle_vm config;

// ---------------------------------------------------------------- what it stands on

void *kmem_alloc(size_t size, u16 owner)
{
	void *p = heap + heap_used;

	(void)owner;
	heap_used += ALIGN_UP(size, PAGE_SIZE);
	memset(p, 0, size);
	return p;
}

void kmem_free(void *p, size_t size)
{
	memset(p, 0xdd, size);
}

struct block_device *block_find(const char *name)
{
	return strcmp(name, "vd0p1") == 0 ? &device : NULL;
}

const char *block_open(struct block_device *d, bool write)
{
	CHECK(d == &device && write);
	opens += !open_refusal;
	return open_refusal;
}

void block_close(struct block_device *d, bool write)
{
	CHECK(d == &device && write);
	opens--;
}

int block_read_now(struct block_disk *d, u64 sector, void *to, u32 bytes)
{
	CHECK(d == &disk && sector >= FIRST);
	if (fail_next) {
		fail_next--;
		return -EIO;
	}
	memcpy(to, platter + (sector - FIRST) * BLOCK_SECTOR, bytes);
	return 0;
}

int block_submit(struct block_device *d, struct block_request *r)
{
	CHECK(d == &device && !pending);
	CHECK(r->sector + r->count <= d->sectors);
	if (fail_next < 0)
		return -ENODEV;
	pending = r;
	return 0;
}

void block_commit(struct block_device *d)
{
	(void)d;
}

// The disk does what it was asked.
static bool disk_answers(void)
{
	struct block_request *r = pending;
	int err = fail_next > 0 ? -EIO : 0;

	if (!r)
		return false;
	pending = NULL;
	fail_next -= err != 0;
	if (!err && r->op == BLOCK_WRITE)
		memcpy(platter + r->sector * BLOCK_SECTOR, hpa_to_va(r->segments[0].at),
			r->count * BLOCK_SECTOR);
	if (!err && r->op == BLOCK_FLUSH) {
		memcpy(safe, platter, sizeof(safe));
		flushes++;
	}
	r->done(r, err);
	return true;
}

void host_timer_init(struct host *h, struct host_timer *t, void (*fn)(struct host_timer *))
{
	*t = (struct host_timer){.fn = fn, .host = h};
	timer = t;
}

void host_timer_set(struct host_timer *t, u64 delay_ns)
{
	CHECK(delay_ns);
	t->armed = true;
}

void host_timer_cancel(struct host_timer *t)
{
	t->armed = false;
}

void host_timer_destroy(struct host_timer *t)
{
	CHECK(t == timer);
}

static bool timer_fires(void)
{
	bool armed = timer->armed;

	timer->armed = false;
	if (armed)
		timer->fn(timer);
	return armed;
}

bool gmap_map_rom(struct gmap *g, u64 gpa, const void *rom, u64 size)
{
	CHECK(g == &vm.gmap && rom && gpa == 0x100000000ull - IMAGE && size == VARS);
	mapped++;
	return true;
}

void gmap_unmap_rom(struct gmap *g, u64 gpa, u64 size)
{
	CHECK(g == &vm.gmap && gpa == 0x100000000ull - IMAGE && size == VARS);
	mapped = 0;
}

void vcpu_post(struct vcpu *v, u64 events)
{
	CHECK(v == vm.vcpus[0] && events == VCPU_FLUSH);
}

void log_vm(struct vm *v, const char *fmt, ...)
{
	CHECK(v == &vm && fmt);
	logs++;
}

void vm_stop(struct vm *v, const char *fmt, ...)
{
	CHECK(v == &vm && fmt);
	stops++;
}

// ---------------------------------------------------------------- a life

static struct bundle_line lines[2];

static void setup(void)
{
	fake_reset(1);
	if (!heap)
		heap = fake_ram(16 * MiB);
	heap_used = 0;
	firmware_build(image, IMAGE, VARS);
	memset(platter, 0, sizeof(platter));
	memset(safe, 0, sizeof(safe));
	config = (struct bundle_vm){.kernel = {image, IMAGE}, .io_count = 2};
	static char key[] = "vars", value[] = "vd0p1", other[] = "disk", what[] = "f1 ro";
	lines[0] = (struct bundle_line){other, what};
	lines[1] = (struct bundle_line){key, value};
	memcpy(config.io, lines, sizeof(lines));
	vm = (struct vm){.config = &config, .index = 3, .vcpu_count = 1, .lock = SPINLOCK(LOCK_VM)};
	vm.vcpus[0] = (struct vcpu *)(void *)vcpu_memory;
	device = (struct block_device){
		.disk = &disk, .first = FIRST, .sectors = sizeof(platter) / BLOCK_SECTOR};
	strcpy(device.name, "vd0p1");
	open_refusal = NULL;
	opens = mapped = logs = flushes = fail_next = 0;
	pending = NULL;
	timer = NULL;
}

static struct pflash *start(void)
{
	const char *why = nvram_create(&vm);
	struct vflash *f;

	CHECK(!why);
	f = nvram_start(&vm);
	return f ? &f->chip : NULL;
}

static void program(struct pflash *chip, u64 at, u8 value)
{
	spin_lock(&vm.lock);
	pflash_write(chip, at, 1, 0x10);
	CHECK(!mapped);
	pflash_write(chip, at, 1, value);
	pflash_write(chip, at, 1, 0xff);
	CHECK(mapped);
	spin_unlock(&vm.lock);
}

// The VM ends: what the reaper does.
static bool end(enum vm_end how)
{
	bool quiet;
	unsigned tries = 0;

	vm.end = how;
	vm.finishable = 1;
	while (!(quiet = nvram_quiet(&vm)) && disk_answers() && tries++ < 20)
		CHECK(fake_cpu->work & WORK_REAP);
	if (quiet)
		nvram_destroy(&vm);
	vm.finishable = 0;
	return quiet;
}

static u8 byte_at(struct pflash *chip, u64 at)
{
	return (u8)pflash_read(chip, at, 1);
}

TEST(in_memory_for_the_life_of_the_vm)
{
	struct pflash *chip;
	struct vflash *f;

	setup();
	config.io_count = 1;
	chip = start();
	CHECK(chip && mapped);
	program(chip, 5000, 0x12);
	f = nvram_start(&vm); // a reset
	CHECK(&f->chip == chip && f->at == 0x100000000ull - IMAGE && f->size == VARS);
	CHECK_EQ(byte_at(chip, 5000), 0x12);
	CHECK(end(VM_END_POWEROFF));
	CHECK(!mapped && !pending);
	chip = start();
	CHECK_EQ(byte_at(chip, 5000), 0xff);
	CHECK(end(VM_END_STOPPED));
}

TEST(firmware_without_variables)
{
	const char *why;

	setup();
	firmware_build(image, IMAGE, 0);
	why = nvram_create(&vm);
	CHECK(why && strstr(why, "no variables"));
	config.io_count = 1;
	CHECK(!nvram_create(&vm));
	CHECK(!nvram_start(&vm));
	CHECK(nvram_quiet(&vm));
	nvram_destroy(&vm);
	image[0x33] ^= 1;
	why = nvram_create(&vm);
	CHECK(why && strstr(why, "damaged"));
	config.kernel.size = 20; // no firmware at all
	CHECK(!nvram_create(&vm));
}

TEST(kept_on_a_disk)
{
	struct pflash *chip;

	setup();
	chip = start();
	CHECK(opens == 1 && !timer->armed);
	program(chip, 5000, 0x12);
	CHECK(timer->armed && !pending);
	CHECK(timer_fires()); // there were changes since
	CHECK(!pending && timer_fires());
	while (disk_answers())
		;
	CHECK_EQ(flushes, 3); // the first header, the data, their header
	program(chip, 6000, 0x34);
	CHECK(end(VM_END_POWEROFF)); // at once, without waiting for the timer
	CHECK(opens == 0 && flushes == 5);
	chip = start();
	CHECK(byte_at(chip, 5000) == 0x12 && byte_at(chip, 6000) == 0x34);
	CHECK(end(VM_END_STOPPED));
	CHECK_EQ(flushes, 5); // nothing had changed
	CHECK_EQ(logs, 0);
}

TEST(always_written_while_it_changes)
{
	struct pflash *chip;
	unsigned rounds = 0;

	setup();
	chip = start();
	do {
		program(chip, 5000 + rounds, 1);
		timer_fires();
	} while (!pending && ++rounds < 100);
	CHECK(rounds > 5 && rounds < 30);
	CHECK(end(VM_END_STOPPED));
}

// The power goes after each step of the second and third generation.
TEST(power_lost)
{
	for (unsigned steps = 0; steps < 8; steps++) {
		struct pflash *chip;
		u8 first;

		setup();
		chip = start();
		program(chip, 5000, 0x12);
		CHECK(!nvram_quiet(&vm));
		while (disk_answers())
			;
		program(chip, 6000, 0x34);
		CHECK(!nvram_quiet(&vm));
		for (unsigned i = 0; i < steps; i++)
			disk_answers();
		program(chip, 7000, 0x56); // while it is written: belongs to the next
		for (unsigned i = 4; i < steps; i++)
			nvram_quiet(&vm), disk_answers();
		CHECK(end(VM_END_STOPPED));
		memcpy(platter, safe, sizeof(platter));
		chip = start();
		first = byte_at(chip, 5000);
		CHECK(first == 0x12 && byte_at(chip, 6000) == 0x34 && byte_at(chip, 7000) == 0x56);
		CHECK(end(VM_END_STOPPED));
	}
}

// The same, but what was not flushed is gone, and the VM with it.
TEST(power_lost_before_the_end)
{
	static u8 left[sizeof(safe)];

	for (unsigned steps = 0; steps <= 4; steps++) {
		struct pflash *chip;

		setup();
		chip = start();
		program(chip, 5000, 0x12);
		CHECK(!nvram_quiet(&vm));
		while (disk_answers())
			;
		program(chip, 6000, 0x34);
		CHECK(!nvram_quiet(&vm));
		for (unsigned i = 0; i < steps; i++)
			CHECK(disk_answers());
		memcpy(left, safe, sizeof(left));
		CHECK(end(VM_END_STOPPED));
		memcpy(platter, left, sizeof(platter));
		chip = start();
		CHECK_EQ(byte_at(chip, 5000), 0x12);
		CHECK_EQ(byte_at(chip, 6000), steps == 4 ? 0x34 : 0xff);
		CHECK(end(VM_END_STOPPED));
	}
}

TEST(another_life_in_memory)
{
	struct pflash *chip;

	setup();
	vm.runs_left = 1;
	chip = start();
	program(chip, 5000, 0x12);
	CHECK(end(VM_END_POWEROFF));
	CHECK_EQ(opens, 1); // it is kept: a disk can be read at start only
	memset(platter, 0, sizeof(platter));
	vm.runs_left = 0;
	chip = start();
	CHECK_EQ(byte_at(chip, 5000), 0x12);
	program(chip, 5001, 0x13);
	CHECK(end(VM_END_POWEROFF));
	CHECK_EQ(opens, 0);
}

TEST(disk_that_fails)
{
	struct pflash *chip;

	setup();
	chip = start();
	program(chip, 5000, 0x12);
	fail_next = 1;
	CHECK(end(VM_END_STOPPED)); // the VM's end is not held up
	CHECK_EQ(logs, 1);

	setup();
	chip = start();
	program(chip, 5000, 0x12);
	timer_fires(), timer_fires();
	fail_next = 1;
	CHECK(disk_answers() && !pending);
	program(chip, 5001, 0x13); // the next change tries again
	timer_fires(), timer_fires();
	while (disk_answers())
		;
	program(chip, 5002, 0x14);
	fail_next = -1; // the disk is gone
	CHECK(end(VM_END_STOPPED));
	CHECK_EQ(logs, 1);
	fail_next = 0;
	chip = start();
	CHECK(byte_at(chip, 5000) == 0x12 && byte_at(chip, 5001) == 0x13 &&
		byte_at(chip, 5002) == 0xff);
	CHECK(end(VM_END_STOPPED));
}

static void erase(struct pflash *chip, u64 at)
{
	spin_lock(&vm.lock);
	pflash_write(chip, at, 1, 0x20);
	pflash_write(chip, at, 1, 0xd0);
	pflash_write(chip, at, 1, 0xff);
	spin_unlock(&vm.lock);
}

// A guest that erases the headers finds the template after its reset.
TEST(spoiled_by_the_guest)
{
	struct pflash *chip;

	setup();
	chip = start();
	program(chip, 5000, 0x12);
	erase(chip, 0);
	CHECK_EQ(byte_at(chip, 0x28), 0xff);
	CHECK_EQ(byte_at(chip, 5000), 0x12);
	CHECK(!nvram_quiet(&vm));
	while (disk_answers())
		;
	CHECK(&nvram_start(&vm)->chip == chip);
	CHECK_EQ(logs, 1);
	CHECK(byte_at(chip, 0x28) == '_' && byte_at(chip, 5000) == 0xff);
	CHECK(timer->armed);
	CHECK(end(VM_END_STOPPED));
	chip = start();
	CHECK(byte_at(chip, 0x28) == '_');
	CHECK_EQ(logs, 1);
	CHECK(end(VM_END_STOPPED));
}

// The machine's power goes when the newest copy is of a moment at which the headers were erased: the one before counts.
TEST(power_lost_while_all_is_rewritten)
{
	struct pflash *chip;

	setup();
	chip = start();
	program(chip, 5000, 0x12);
	CHECK(!nvram_quiet(&vm));
	while (disk_answers())
		;
	erase(chip, 0);
	CHECK(end(VM_END_STOPPED));
	CHECK_EQ(flushes, 5);
	chip = start();
	CHECK_EQ(logs, 0);
	CHECK(byte_at(chip, 0x28) == '_' && byte_at(chip, 5000) == 0x12);
	program(chip, 5001, 0x13);
	CHECK(end(VM_END_STOPPED));
	chip = start();
	CHECK(byte_at(chip, 0x28) == '_' && byte_at(chip, 5001) == 0x13);
	CHECK(end(VM_END_STOPPED));
}

static bool refused(const char *what)
{
	const char *why = nvram_create(&vm);
	bool right = why && strstr(why, what) && opens == 0;

	nvram_destroy(&vm);
	return right;
}

TEST(refusals)
{
	static char missing[] = "vd7";

	setup();
	config.io[1].value = missing;
	CHECK(refused("no such disk"));
	setup();
	open_refusal = "it is in use";
	CHECK(refused("it is in use"));
	setup();
	device.sectors = 70;
	CHECK(refused("too small"));
	setup();
	fail_next = 1;
	CHECK(refused("cannot be read"));
	setup();
	platter[30000] = 1; // somebody's data
	CHECK(refused("something else"));
	CHECK_EQ(platter[30000], 1);
	setup();
	program(start(), 5000, 0x12);
	CHECK(end(VM_END_STOPPED));
	platter[9000] ^= 1;
	CHECK(refused("damaged"));
	platter[9000] ^= 1;
	firmware_build(image, IMAGE, VARS / 2);
	CHECK(refused("other firmware"));
}

TEST_MAIN()

// SPDX-License-Identifier: MIT
// The machine's disks by their names: the driver's, and a serial number that no other disk has.
// link: drivers/block_devices.c storage/gpt.c storage/crc32.c lib/format.c tests/unit/fake/arch.c
#include "drivers/block.h"
#include "kernel/core/frame.h"
#include "lib/errno.h"
#include "tests/unit/test.h"

static struct block_disk disks[4];

// Tables of partitions cannot be read.
void *kmem_alloc(size_t size, u16 owner)
{
	(void)size;
	(void)owner;
	return NULL;
}

void kmem_free(void *p, size_t size)
{
	(void)p;
	(void)size;
}

int block_submit(struct block_device *d, struct block_request *r)
{
	(void)d;
	(void)r;
	return -ENODEV;
}

void block_commit(struct block_device *d)
{
	(void)d;
}

bool block_look(void)
{
	return false;
}

void timer_run(u64 also)
{
	(void)also;
}

static void add(unsigned n, const char *name, const char *id)
{
	disks[n] = (struct block_disk){.sectors = 100, .limits = {.block_size = 512}};
	strcpy(disks[n].name, name);
	strcpy(disks[n].id, id);
	block_register(&disks[n]);
}

TEST(names)
{
	fake_reset(1);
	add(0, "nvme0n1", "db.img");
	add(1, "nvme1n1", "twice");
	add(2, "vd0", "twice");
	add(3, "sata0", "");
	CHECK(block_find("nvme0n1")->disk == &disks[0] && block_find("sata0")->disk == &disks[3]);
	CHECK(block_find("db.img")->disk == &disks[0]);
	CHECK(!block_find("twice")); // which of them?
	CHECK(!block_find("db.im") && !block_find("db.img2") && !block_find("nvme2n1"));
}

TEST_MAIN()

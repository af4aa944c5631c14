// SPDX-License-Identifier: MIT
// Commands to a SATA disk (AHCI 1.3.1, 5.5, 5.6.4 and 6.2). Reads and writes are queued in the disk, up to 32; any other
// command is alone, and all are where the disk has no queue. When one fails the port stops and is restarted. Which one
// it was is known for sure only of a command that was alone (neither the slot in PxCMD nor the disk's error log can be
// trusted everywhere): if there were several, each is done once more, alone.
#include "drivers/ahci/ahci_internal.h"
#include "drivers/dma.h"
#include "kernel/x86/port.h"
#include "lib/errno.h"
#include "lib/string.h"

#define TRIM_RANGE 65535ull // sectors

static struct ahci_port *of(struct block_queue *q)
{
	return container_of(q, struct ahci_port, queue);
}

static u32 get(const struct ahci_port *p, u32 reg)
{
	return mmio_read32(p->regs + reg);
}
static void set(const struct ahci_port *p, u32 reg, u32 v)
{
	mmio_write32(p->regs + reg, v);
}

// A register FIS to the device (Serial ATA 3.0, 10.3.4). A queued command has its count where others have features, and
// its tag, which is the slot, where others have the count (13.6.4).
void ahci_command(struct ahci_port *p, u32 slot, u8 command, u64 sector, u32 count, bool write)
{
	struct ahci_table *t = &p->tables[slot];
	u8 *f = t->fis;

	memset(f, 0, sizeof(t->fis));
	f[0] = 0x27;
	f[1] = 0x80; // a command
	f[2] = command;
	f[3] = command == ATA_TRIM;
	for (u32 i = 0; i < 3; i++) {
		f[4 + i] = (u8)(sector >> 8 * i);
		f[8 + i] = (u8)(sector >> (24 + 8 * i));
	}
	f[7] = 0x40; // by sector numbers
	if (command == ATA_READ_QUEUED || command == ATA_WRITE_QUEUED) {
		f[3] = (u8)count;
		f[11] = (u8)(count >> 8);
		f[12] = (u8)(slot << 3);
	} else {
		f[12] = (u8)count;
		f[13] = (u8)(count >> 8);
	}
	p->headers[slot] = (struct ahci_header){
		.flags = (u16)(FIS_WORDS | (write ? HEADER_WRITE : 0)), .table = dma_address(t)};
}

void ahci_add(struct ahci_port *p, u32 slot, u64 at, u32 len)
{
	u32 n = p->headers[slot].prdt_count++;

	p->tables[slot].prd[n] = (struct ahci_prd){.address = at, .len = len - 1};
}

static void add_data(struct ahci_port *p, const struct block_request *r)
{
	struct block_cursor cursor;
	struct block_segment s;

	block_cursor_start(&cursor, r);
	while (block_cursor_next(&cursor, &s))
		ahci_add(p, r->slot, s.at.v, s.len);
}

// One sector of up to 64 ranges; those of length 0 are none.
static void add_ranges(struct ahci_port *p, const struct block_request *r)
{
	u64 *range = p->ranges[r->slot], at = r->piece.sector, left = r->piece.sectors;

	memset(range, 0, BLOCK_SECTOR);
	for (u32 i = 0; i < 64 && left; i++) {
		u64 n = MIN(left, TRIM_RANGE);

		range[i] = at | n << 48;
		at += n;
		left -= n;
	}
	ahci_add(p, r->slot, dma_address(range), BLOCK_SECTOR);
}

static void fill(struct ahci_port *p, const struct block_request *r, bool queued)
{
	u32 scale = r->disk->limits.block_size / BLOCK_SECTOR;
	u64 sector = r->piece.sector / scale;
	u32 count = (u32)(r->piece.sectors / scale);

	switch (r->op) {
	case BLOCK_READ:
		ahci_command(p, r->slot, queued ? ATA_READ_QUEUED : ATA_READ, sector, count, false);
		add_data(p, r);
		break;
	case BLOCK_WRITE:
		ahci_command(
			p, r->slot, queued ? ATA_WRITE_QUEUED : ATA_WRITE, sector, count, true);
		add_data(p, r);
		break;
	case BLOCK_DISCARD:
		ahci_command(p, r->slot, ATA_TRIM, 0, 1, true);
		add_ranges(p, r);
		break;
	default:
		ahci_command(p, r->slot, ATA_FLUSH, 0, 0, false);
	}
}

// Queued commands and others may not be under way together (ACS-3, 4.15).
static int start(struct block_queue *q, struct block_request *r)
{
	struct ahci_port *p = of(q);
	bool data = r->op == BLOCK_READ || r->op == BLOCK_WRITE;
	bool queued = data && p->depth && !p->alone;
	u32 free = ~p->busy & (u32)(BIT(queued ? p->depth : 1) - 1);

	if (!free || (p->busy && !(queued && p->queued)))
		return -EAGAIN;
	r->slot = (u16)__builtin_ctz(free);
	p->busy |= 1u << r->slot;
	p->queued = queued;
	p->requests[r->slot] = r;
	fill(p, r, queued);
	if (queued)
		set(p, PORT_SACT, 1u << r->slot);
	set(p, PORT_CI, 1u << r->slot);
	return 0;
}

// Each command was told when it was started: a second write of the same bit would be one too many.
static void kick(struct block_queue *q)
{
	(void)q;
}

static void end(struct ahci_port *p, u32 slot, int err)
{
	struct block_request *r = p->requests[slot];

	p->requests[slot] = NULL;
	p->busy &= ~(1u << slot);
	if (p->alone)
		p->alone--;
	block_complete(&p->queue, r, err);
}

static void take_all(struct ahci_port *p)
{
	u32 over = p->busy & ~get(p, p->queued ? PORT_SACT : PORT_CI);

	for (u32 slot = 0; slot < p->slots; slot++)
		if (over >> slot & 1)
			end(p, slot, 0);
}

// The port has stopped at a command (6.2.2). One that was alone has failed; else all are given once more, each alone.
static void fail(struct ahci_port *p)
{
	u32 count = (u32)__builtin_popcount(p->busy);

	if (count == 1)
		end(p, (u32)__builtin_ctz(p->busy), -EIO);
	else
		p->alone = count;
	block_halt(&p->queue);
	block_restart(&p->block);
}

void ahci_port_interrupt(struct ahci_port *p)
{
	u32 causes;

	spin_lock(&p->queue.lock);
	causes = get(p, PORT_IS);
	set(p, PORT_IS, causes);
	if (!p->queue.stopped) {
		take_all(p);
		if (causes & IS_ERRORS)
			fail(p);
	}
	block_queue_end(&p->queue);
}

static bool expire(struct block_queue *q, struct block_request *r)
{
	struct ahci_port *p = of(q);

	if (r->expiries == 1) {
		take_all(p); // if only the interrupt was lost
		return true;
	}
	block_reset(&p->block, "a command is not answered");
	return false;
}

const struct block_driver ahci_driver = {.start = start,
	.kick = kick,
	.expire = expire,
	.recover = ahci_recover,
	.cut_off = ahci_cut_off};

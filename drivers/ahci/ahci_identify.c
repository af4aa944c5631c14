// SPDX-License-Identifier: MIT
// Asks a SATA disk who it is (ACS-3, 7.12).
#include "drivers/ahci/ahci_internal.h"
#include "drivers/dma.h"
#include "kernel/core/log.h"
#include "kernel/x86/port.h"
#include "kernel/x86/time.h"
#include "lib/string.h"

#define ANSWER_NS   10000000000ull
#define POLL_NS     50000ull
#define BYTES_MAX   (1 * MiB)
#define SECTORS_MAX BIT(48)
#define TRIM_MAX    (64 * 65535ull) // sectors: a sector full of ranges

// Words of the answer.
enum {
	ID_SERIAL = 10,
	ID_DEPTH = 75,
	ID_SATA = 76,
	ID_COMMANDS = 83,
	ID_SECTORS = 100,
	ID_SIZES = 106,
	ID_BLOCK = 117,
	ID_TRIM = 169,
};

static bool ask(struct ahci_port *p, u16 *words)
{
	u64 start = time_now();

	ahci_command(p, 0, ATA_IDENTIFY, 0, 0, false);
	ahci_add(p, 0, dma_address(words), BLOCK_SECTOR);
	mmio_write32(p->regs + PORT_CI, 1);
	while (mmio_read32(p->regs + PORT_CI) & 1) {
		if (mmio_read32(p->regs + PORT_IS) & IS_ERRORS)
			return false;
		if (time_to_ns(time_now() - start) > ANSWER_NS)
			return false;
		time_wait_ns(POLL_NS);
	}
	return true;
}

// Two characters a word, the first in its upper half; blanks around them are left out.
static void copy_serial(char *to, const u16 *words)
{
	size_t n = 0;

	for (u32 i = 0; i < 20; i++) {
		u8 c = (u8)(words[i / 2] >> (i % 2 ? 0 : 8));

		if (c != ' ' || n)
			to[n++] = c > ' ' && c < 127 && c != '"' ? (char)c : ' ';
	}
	while (n && to[n - 1] == ' ')
		n--;
	to[n] = 0;
}

static bool read_answer(struct ahci_port *p, const u16 *w)
{
	struct block_disk *d = &p->disk;
	u64 blocks = 0, block = BLOCK_SECTOR;
	bool sizes = (w[ID_SIZES] & 0xC000) == 0x4000, trim;

	memcpy(&blocks, w + ID_SECTORS, 8);
	if (sizes && w[ID_SIZES] & BIT(12))
		block = 2ull * (w[ID_BLOCK] | (u64)w[ID_BLOCK + 1] << 16);
	if (!(w[ID_COMMANDS] & BIT(10)) || !blocks || blocks > SECTORS_MAX ||
		block < BLOCK_SECTOR || block > PAGE_SIZE || (block & (block - 1)))
		return false;
	trim = w[ID_TRIM] & 1 && block == BLOCK_SECTOR;
	*d = (struct block_disk){.controller = &p->block,
		.sectors = blocks * (block / BLOCK_SECTOR),
		.limits = {.block_size = (u32)block,
			.physical_block = (u32)block << (sizes ? MIN(w[ID_SIZES] & 15, 8) : 0),
			.max_bytes = BYTES_MAX,
			.max_segments = AHCI_PRDS,
			.align = 2,
			.max_discard = trim ? TRIM_MAX : 0}};
	p->depth = w[ID_SATA] != 0xFFFF && w[ID_SATA] & BIT(8)
			   ? MIN((w[ID_DEPTH] & 31u) + 1, p->slots)
			   : 0;
	memcpy(d->name, p->block.name, sizeof(p->block.name));
	copy_serial(d->id, w + ID_SERIAL);
	return true;
}

bool ahci_identify(struct ahci_port *p)
{
	u16 *words = dma_alloc(p->block.domain, PAGE_SIZE);
	bool good = words && ask(p, words);

	if (!good) {
		log_line("%s: the disk does not say who it is", p->block.name);
		return false; // the page stays: the answer may still come
	}
	good = read_answer(p, words);
	if (!good)
		log_line("%s: its size or its blocks make no sense", p->block.name);
	dma_free(p->block.domain, words, PAGE_SIZE);
	return good;
}

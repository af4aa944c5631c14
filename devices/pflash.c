// SPDX-License-Identifier: MIT
// The flash's commands. Each write is one step of the table below; a step that does not fit ends the command with an error.
//
//	COMMAND  10h, 40h -> PROGRAM    any value: bytes are programmed               -> COMMAND
//	         20h      -> ERASE      D0h: the block is erased; else an error       -> COMMAND
//	         60h      -> LOCK       any value: nothing, as nothing can be locked  -> COMMAND
//	         E8h      -> COUNT -> FILL until all are there -> CONFIRM  D0h: they are programmed; else an error
//	         50h clears the status; 70h, 90h, 98h and FFh say what reads give; what is no command means FFh
#include "devices/pflash.h"

#include "lib/string.h"

#define CMD_RESET        0xffu
#define CMD_PROGRAM      0x10u
#define CMD_PROGRAM_TOO  0x40u
#define CMD_ERASE        0x20u
#define CMD_CLEAR_STATUS 0x50u
#define CMD_LOCK         0x60u
#define CMD_READ_STATUS  0x70u
#define CMD_READ_ID      0x90u
#define CMD_QUERY        0x98u
#define CMD_BUFFERED     0xe8u
#define CMD_CONFIRM      0xd0u

#define STATUS_READY    0x80u
#define STATUS_SEQUENCE 0x30u // erase and program error at once: an improper command sequence

#define ID_MANUFACTURER 0x89u // Intel
#define NOWHERE         (~0u)

// From the standard's offset 10h on: who the command set is Intel's, and no voltages or times worth knowing.
#define QUERY_START   0x10u
#define QUERY_SIZE    0x27u // log2 of the chip's bytes, rounded up
#define QUERY_BUFFER  0x2au // log2 of PFLASH_BUFFER
#define QUERY_REGIONS 0x2cu
#define QUERY_BLOCKS  0x2du // of the region: their number less one, 16 bits
#define QUERY_BLOCK   0x2fu // their size in units of 256 bytes, 16 bits
#define QUERY_PRIMARY 0x31u // Intel's own table
#define QUERY_END     0x36u

static void mode_set(struct pflash *f, enum pflash_mode mode)
{
	bool was = f->mode == PFLASH_ARRAY, is = mode == PFLASH_ARRAY;

	f->mode = mode;
	if (was != is)
		f->ops->readable(f, is);
}

void pflash_init(struct pflash *f, const struct pflash_ops *ops, u8 *data, u32 size)
{
	*f = (struct pflash){.ops = ops, .data = data, .size = size};
}

void pflash_reset(struct pflash *f)
{
	f->cycle = PFLASH_COMMAND;
	f->status = 0;
	mode_set(f, PFLASH_ARRAY);
}

static u8 query_byte(const struct pflash *f, u32 at)
{
	static const u8 identity[] = {'Q', 'R', 'Y', 1, 0, QUERY_PRIMARY};
	static const u8 primary[] = {'P', 'R', 'I', '1', '0'};
	u32 blocks = f->size / PFLASH_BLOCK - 1;
	u8 log = 0;

	if (at >= QUERY_START && at - QUERY_START < sizeof(identity))
		return identity[at - QUERY_START];
	if (at >= QUERY_PRIMARY && at < QUERY_END)
		return primary[at - QUERY_PRIMARY];
	switch (at) {
	case QUERY_SIZE:
		while (log < 31 && 1u << log < f->size)
			log++;
		return log;
	case QUERY_BUFFER:
		return 8;
	case QUERY_REGIONS:
		return 1;
	case QUERY_BLOCKS:
		return (u8)blocks;
	case QUERY_BLOCKS + 1:
		return (u8)(blocks >> 8);
	case QUERY_BLOCK:
		return PFLASH_BLOCK >> 8;
	default:
		return 0;
	}
}

static bool in_chip(const struct pflash *f, u64 offset, unsigned size)
{
	return offset < f->size && size <= f->size - offset;
}

u64 pflash_read(const struct pflash *f, u64 offset, unsigned size)
{
	u64 value = 0;

	if (!in_chip(f, offset, size))
		return ~0ull;
	switch (f->mode) {
	case PFLASH_ARRAY:
		memcpy(&value, f->data + offset, size);
		break;
	case PFLASH_STATUS:
		value = f->status;
		break;
	case PFLASH_ID:
		value = offset % PFLASH_BLOCK ? 0 : ID_MANUFACTURER;
		break;
	case PFLASH_QUERY:
		value = query_byte(f, (u32)offset & 0xff);
		break;
	}
	return value;
}

// ---------------------------------------------------------------- commands

static void sequence_error(struct pflash *f)
{
	f->status |= STATUS_READY | STATUS_SEQUENCE;
	f->cycle = PFLASH_COMMAND;
}

static void command_done(struct pflash *f)
{
	f->status |= STATUS_READY;
	f->cycle = PFLASH_COMMAND;
}

// Within the chip.
static void program(struct pflash *f, u32 offset, const u8 *bytes, u32 n)
{
	for (u32 i = 0; i < n; i++)
		f->data[offset + i] &= bytes[i];
	f->ops->changed(f, offset, n);
	command_done(f);
}

static void erase(struct pflash *f, u32 offset)
{
	offset -= offset % PFLASH_BLOCK;
	memset(f->data + offset, 0xff, PFLASH_BLOCK);
	f->ops->changed(f, offset, PFLASH_BLOCK);
	command_done(f);
}

// Into the buffer, which covers the part of the chip in which the first byte lies.
static void fill(struct pflash *f, u32 offset, const u8 *bytes, u32 n)
{
	if (f->start == NOWHERE)
		f->start = offset - offset % PFLASH_BUFFER;
	if (offset < f->start || offset + n - f->start > PFLASH_BUFFER || n > f->left) {
		sequence_error(f);
		return;
	}
	memcpy(f->buffer + (offset - f->start), bytes, n);
	f->left -= n;
	if (!f->left)
		f->cycle = PFLASH_CONFIRM;
}

static void begin(struct pflash *f, enum pflash_cycle cycle)
{
	f->cycle = cycle;
	mode_set(f, PFLASH_STATUS);
}

static void command(struct pflash *f, u8 value)
{
	switch (value) {
	case CMD_PROGRAM:
	case CMD_PROGRAM_TOO:
		begin(f, PFLASH_PROGRAM);
		break;
	case CMD_ERASE:
		begin(f, PFLASH_ERASE);
		break;
	case CMD_LOCK:
		begin(f, PFLASH_LOCK);
		break;
	case CMD_BUFFERED:
		f->status |= STATUS_READY; // the buffer is free
		begin(f, PFLASH_COUNT);
		break;
	case CMD_READ_STATUS:
		mode_set(f, PFLASH_STATUS);
		break;
	case CMD_READ_ID:
		mode_set(f, PFLASH_ID);
		break;
	case CMD_QUERY:
		mode_set(f, PFLASH_QUERY);
		break;
	case CMD_CLEAR_STATUS:
		f->status = 0;
		mode_set(f, PFLASH_ARRAY);
		break;
	default:
		mode_set(f, PFLASH_ARRAY);
	}
}

void pflash_write(struct pflash *f, u64 offset, unsigned size, u64 value)
{
	u8 bytes[8], first = (u8)value;
	u32 at = (u32)offset;

	if (!in_chip(f, offset, size) || size > sizeof(bytes))
		return;
	memcpy(bytes, &value, sizeof(bytes));
	switch (f->cycle) {
	case PFLASH_COMMAND:
		command(f, first);
		break;
	case PFLASH_PROGRAM:
		program(f, at, bytes, size);
		break;
	case PFLASH_ERASE:
		if (first == CMD_CONFIRM)
			erase(f, at);
		else
			sequence_error(f);
		break;
	case PFLASH_LOCK:
		command_done(f);
		break;
	case PFLASH_COUNT:
		f->left = first + 1u;
		f->start = NOWHERE;
		memset(f->buffer, 0xff, sizeof(f->buffer));
		f->cycle = PFLASH_FILL;
		break;
	case PFLASH_FILL:
		fill(f, at, bytes, size);
		break;
	case PFLASH_CONFIRM:
		if (first == CMD_CONFIRM)
			program(f, f->start, f->buffer, MIN(PFLASH_BUFFER, f->size - f->start));
		else
			sequence_error(f);
		break;
	}
}

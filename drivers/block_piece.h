// SPDX-License-Identifier: MIT
// The pieces of a request; between block.c and block_piece.c. With the queue's lock held.
#pragma once

#include "drivers/block.h"

#define BOUNCE_SIZE (64 * KiB) // of each queue

// Settles how much of the request the next command does, and fills the bounce buffer if it must be used. False:
// it must, and another request has it.
bool block_piece_choose(struct block_queue *q, struct block_request *r);

// The piece was not started after all, or is to be started again: lets go of the buffer.
void block_piece_drop(struct block_queue *q, struct block_request *r);

// The piece has ended: moves what was read, lets go of the buffer.
void block_piece_end(struct block_queue *q, struct block_request *r, bool good);

// Goes on behind the piece.
void block_piece_next(struct block_request *r);

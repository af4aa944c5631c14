// SPDX-License-Identifier: MIT
// The pair of 8259A interrupt controllers: requests, priorities, acknowledge, command words.

#include "kernel/vm/vpic.h"
#include "lib/string.h"

#define CASCADE 2u // the master's input that the slave drives

#define ICW1        0x10u
#define ICW1_IC4    0x01u
#define ICW1_SINGLE 0x02u
#define ICW1_LEVEL  0x08u
#define ICW4_AEOI   0x02u
#define ICW4_SFNM   0x10u

#define OCW3      0x08u
#define OCW3_RIS  0x01u
#define OCW3_RR   0x02u
#define OCW3_POLL 0x04u
#define OCW3_SMM  0x20u
#define OCW3_ESMM 0x40u

// Inputs that a PC lets be level triggered: not the timer, keyboard, cascade, RTC and coprocessor.
static const u8 elcr_mask[2] = {0xf8, 0xde};

static u8 level_inputs(const struct vpic_chip *c)
{
	return (u8)(c->elcr | (c->icw1 & ICW1_LEVEL ? 0xffu : 0u));
}

// Of a set of inputs the one with the highest priority; -1: the set is empty.
static int highest(const struct vpic_chip *c, unsigned set)
{
	for (unsigned i = 1; i <= 8; i++) {
		unsigned input = (c->lowest + i) & 7u;

		if (set >> input & 1)
			return (int)input;
	}
	return -1;
}

// Places below the highest priority: 0..7; 8 for none.
static unsigned priority(const struct vpic_chip *c, int input)
{
	return input < 0 ? 8u : ((unsigned)input - c->lowest - 1u) & 7u;
}

// The input that the chip asks service for, -1: none.
static int chip_request(const struct vpic_chip *c)
{
	unsigned serving = c->isr;
	int want = highest(c, c->irr & ~(unsigned)c->imr);

	if (c->icw_next)
		return -1;
	if (c->special_mask)
		serving &= ~(unsigned)c->imr;
	if (c->special_nested && want == (int)CASCADE)
		serving &= ~(
			1u
			<< CASCADE); // the slave may have something more urgent than what is served
	return priority(c, want) < priority(c, highest(c, serving)) ? want : -1;
}

static void chip_line(struct vpic_chip *c, unsigned input, bool level)
{
	u8 bit = (u8)(1u << input);
	bool rises = level && !(c->lines & bit);

	if (level)
		c->lines |= bit;
	else
		c->lines &= (u8)~bit;
	if (!level)
		c->irr &= (u8)~bit; // a request must stay until it is acknowledged
	else if (rises || (level_inputs(c) & bit))
		c->irr |= bit;
}

static void update(struct vpic *p)
{
	chip_line(&p->chip[0], CASCADE, chip_request(&p->chip[1]) >= 0);
	WRITE_ONCE(p->intr, chip_request(&p->chip[0]) >= 0);
}

// The chip's part of an interrupt acknowledge.
static void chip_serve(struct vpic_chip *c, unsigned input)
{
	u8 bit = (u8)(1u << input);

	if (!(level_inputs(c) & bit))
		c->irr &= (u8)~bit;
	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->rotate_auto)
		c->lowest = (u8)input;
}

void vpic_reset(struct vpic *p)
{
	memset(p, 0, sizeof(*p));
	for (unsigned i = 0; i < 2; i++) {
		p->chip[i].lowest = 7;
		p->chip[i].imr = 0xff; // silent until it is initialized
	}
}

void vpic_line_set(struct vpic *p, unsigned irq, bool level)
{
	if (irq >= 16 || irq == CASCADE)
		return;
	chip_line(&p->chip[irq >> 3], irq & 7u, level);
	update(p);
}

bool vpic_masked(const struct vpic *p, unsigned irq)
{
	if (irq < 8)
		return p->chip[0].imr >> irq & 1;
	return (p->chip[1].imr >> (irq & 7u) & 1) || (p->chip[0].imr >> CASCADE & 1);
}

// Serves the slave's request. Its INT falls during the acknowledge, so that the next request is a new edge.
static u8 slave_ack(struct vpic *p)
{
	struct vpic_chip *c = &p->chip[1];
	int input = chip_request(c);

	if (input >= 0)
		chip_serve(c, (unsigned)input);
	chip_line(&p->chip[0], CASCADE, false);
	return (u8)(c->base + (input >= 0 ? input : 7));
}

u8 vpic_ack(struct vpic *p)
{
	struct vpic_chip *c = &p->chip[0];
	int input = chip_request(c);
	u8 vector = (u8)(c->base + (input >= 0 ? input : 7));

	if (input >= 0)
		chip_serve(c, (unsigned)input);
	if (input == (int)CASCADE)
		vector = slave_ack(p);
	update(p);
	return vector;
}

// A read after the poll command: acknowledges as the processor would, and tells which input.
static u8 poll(struct vpic_chip *c)
{
	int input = chip_request(c);

	c->poll = false;
	if (input < 0)
		return 0;
	chip_serve(c, (unsigned)input);
	return (u8)(0x80 | input);
}

static u8 chip_read(struct vpic_chip *c, bool data)
{
	if (c->poll)
		return poll(c);
	if (data)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

static void write_icw1(struct vpic_chip *c, u8 value)
{
	c->icw1 = value;
	c->icw_next = 2;
	c->irr = c->lines & level_inputs(c); // edges seen so far are forgotten
	c->isr = 0;
	c->imr = 0;
	c->lowest = 7;
	c->special_mask = false;
	c->read_isr = false;
	c->poll = false;
	c->rotate_auto = false;
	c->auto_eoi = false;
	c->special_nested = false;
}

static void write_ocw2(struct vpic_chip *c, u8 value)
{
	unsigned command = value >> 5, input = value & 7u;
	bool rotate = command & 4, specific = command & 2, eoi = command & 1;
	int served;

	if (!eoi) {
		if (!specific)
			c->rotate_auto = rotate;
		else if (rotate)
			c->lowest = (u8)input; // set priority
		return;
	}
	served = specific ? (int)input
			  : highest(c, c->isr & (c->special_mask ? ~(unsigned)c->imr : 0xffu));
	if (served < 0)
		return;
	c->isr &= (u8) ~(1u << served);
	if (rotate)
		c->lowest = (u8)served;
}

static void write_ocw3(struct vpic_chip *c, u8 value)
{
	if (value & OCW3_POLL)
		c->poll = true;
	if (value & OCW3_RR)
		c->read_isr = value & OCW3_RIS;
	if (value & OCW3_ESMM)
		c->special_mask = value & OCW3_SMM;
}

static void write_command(struct vpic_chip *c, u8 value)
{
	if (value & ICW1)
		write_icw1(c, value);
	else if (value & OCW3)
		write_ocw3(c, value);
	else
		write_ocw2(c, value);
}

static void write_data(struct vpic_chip *c, u8 value)
{
	bool icw4 = c->icw1 & ICW1_IC4;

	switch (c->icw_next) {
	case 2:
		c->base = value & 0xf8u;
		c->icw_next = !(c->icw1 & ICW1_SINGLE) ? 3 : icw4 ? 4 : 0;
		break;
	case 3: // the wiring is fixed: the value tells the chip nothing new
		c->icw_next = icw4 ? 4 : 0;
		break;
	case 4:
		c->auto_eoi = value & ICW4_AEOI;
		c->special_nested = value & ICW4_SFNM;
		c->icw_next = 0;
		break;
	default:
		c->imr = value;
	}
}

static void write_elcr(struct vpic *p, unsigned chip, u8 value)
{
	struct vpic_chip *c = &p->chip[chip];

	c->elcr = value & elcr_mask[chip];
	c->irr |= c->lines & c->elcr;
}

u8 vpic_read(struct vpic *p, u16 port)
{
	u8 value;

	if ((port & ~1u) == VPIC_ELCR)
		return p->chip[port & 1].elcr;
	value = chip_read(&p->chip[port >> 7 & 1], port & 1);
	update(p);
	return value;
}

void vpic_write(struct vpic *p, u16 port, u8 value)
{
	struct vpic_chip *c = &p->chip[port >> 7 & 1];

	if ((port & ~1u) == VPIC_ELCR)
		write_elcr(p, port & 1, value);
	else if (port & 1)
		write_data(c, value);
	else
		write_command(c, value);
	update(p);
}

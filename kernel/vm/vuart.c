// SPDX-License-Identifier: MIT
// A 16550A UART: registers, FIFOs, and the one interrupt that they share.

#include "kernel/vm/vuart.h"
#include "kernel/vm/irq.h"
#include "kernel/vm/vm.h"

enum { RBR_THR = 0, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define IER_RX    0x01u
#define IER_THRE  0x02u
#define IER_LINE  0x04u
#define IER_MODEM 0x08u

#define IIR_NONE    0x01u
#define IIR_MODEM   0x00u
#define IIR_THRE    0x02u
#define IIR_RX      0x04u
#define IIR_LINE    0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFO    0xc0u

#define FCR_ENABLE   0x01u
#define FCR_CLEAR_RX 0x02u
#define FCR_CLEAR_TX 0x04u

#define LCR_DLAB 0x80u

#define MCR_DTR  0x01u
#define MCR_RTS  0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u // lets the interrupt out on a PC
#define MCR_LOOP 0x10u

#define LSR_DATA    0x01u
#define LSR_OVERRUN 0x02u
#define LSR_THRE    0x20u
#define LSR_IDLE    0x40u

#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI  0x40u
#define MSR_DCD 0x80u

static bool fifo_on(const struct vuart *u)
{
	return u->fcr & FCR_ENABLE;
}
static unsigned fifo_size(const struct vuart *u)
{
	return fifo_on(u) ? VUART_FIFO : 1;
}

static unsigned rx_trigger(const struct vuart *u)
{
	static const u8 levels[4] = {1, 4, 8, 14};

	return fifo_on(u) ? levels[u->fcr >> 6] : 1;
}

// The source with the highest priority, as IIR shows it.
static u8 interrupt_id(const struct vuart *u)
{
	if ((u->ier & IER_LINE) && u->lsr_errors)
		return IIR_LINE;
	if ((u->ier & IER_RX) && u->rx_count >= rx_trigger(u))
		return IIR_RX;
	if ((u->ier & IER_RX) && u->rx_count) // bytes take no time, so four of them have passed
		return IIR_TIMEOUT;
	if ((u->ier & IER_THRE) && u->thre_pending)
		return IIR_THRE;
	if ((u->ier & IER_MODEM) && u->msr_delta)
		return IIR_MODEM;
	return IIR_NONE;
}

static void update(struct vuart *u)
{
	bool level = interrupt_id(u) != IIR_NONE && (u->mcr & MCR_OUT2);

	if (level == u->level)
		return;
	u->level = level;
	vm_irq_set(u->vm, u->irq, level);
}

static void rx_push(struct vuart *u, u8 byte)
{
	if (u->rx_count >= fifo_size(u)) {
		u->lsr_errors |= LSR_OVERRUN;
		return;
	}
	u->rx[(u->rx_head + u->rx_count++) % VUART_FIFO] = byte;
}

static void rx_room(struct vuart *u)
{
	if (!u->refused)
		return;
	u->refused = false;
	vm_console_input_room(u->vm);
}

static u8 read_rbr(struct vuart *u)
{
	u8 byte = u->rx[u->rx_head];

	if (!u->rx_count)
		return 0;
	u->rx_head = (u8)((u->rx_head + 1) % VUART_FIFO);
	u->rx_count--;
	if (!u->rx_count)
		rx_room(u);
	return byte;
}

static void tx_flush(struct vuart *u)
{
	while (u->tx_count) {
		size_t run = MIN(u->tx_count, VUART_FIFO - u->tx_head);
		size_t taken = run; // nobody listens

		if (u->console)
			taken = vm_console_output(u->vm, &u->tx[u->tx_head], run);

		u->tx_head = (u8)((u->tx_head + taken) % VUART_FIFO);
		u->tx_count = (u8)(u->tx_count - taken);
		if (taken < run)
			return;
	}
	u->thre_pending = true;
}

static void write_thr(struct vuart *u, u8 byte)
{
	u->thre_pending = false;
	if (u->mcr & MCR_LOOP) {
		rx_push(u, byte);
		u->thre_pending = true;
		return;
	}
	if (u->tx_count < fifo_size(u))
		u->tx[(u->tx_head + u->tx_count++) % VUART_FIFO] = byte;
	tx_flush(u);
}

static void write_ier(struct vuart *u, u8 value)
{
	bool thre = (value & IER_THRE) && !(u->ier & IER_THRE);

	u->ier = value & 15u;
	if (thre && !u->tx_count)
		u->thre_pending = true;
}

static void write_fcr(struct vuart *u, u8 value)
{
	bool toggled = (value ^ u->fcr) & FCR_ENABLE;

	u->fcr = value & (FCR_ENABLE | 0xc0u);
	if (!(value & FCR_ENABLE))
		u->fcr = 0;
	if (toggled || (value & FCR_CLEAR_RX)) {
		u->rx_count = 0;
		rx_room(u);
	}
	if (toggled || (value & FCR_CLEAR_TX)) {
		u->tx_count = 0;
		u->thre_pending = true;
	}
}

static u8 read_iir(struct vuart *u)
{
	u8 id = interrupt_id(u);

	if (id == IIR_THRE)
		u->thre_pending = false;
	return (u8)(id | (fifo_on(u) ? IIR_FIFO : 0));
}

static u8 read_lsr(struct vuart *u)
{
	u8 value = (u8)(u->lsr_errors | (u->rx_count ? LSR_DATA : 0) |
			(u->tx_count ? 0 : LSR_THRE | LSR_IDLE));

	u->lsr_errors = 0;
	return value;
}

// Modem inputs: the other end is always ready; in loopback they are our own outputs.
static u8 modem_lines(const struct vuart *u)
{
	if (!(u->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (u8)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
		    (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static u8 read_msr(struct vuart *u)
{
	u8 value = (u8)(modem_lines(u) | u->msr_delta);

	u->msr_delta = 0;
	return value;
}

static void write_mcr(struct vuart *u, u8 value)
{
	u8 before = modem_lines(u), changed;

	u->mcr = value & 0x1fu;
	if (!(u->mcr & MCR_LOOP))
		rx_room(u); // input refused in loopback may come now
	changed = before ^ modem_lines(u);
	// The delta of RI is only its trailing edge.
	changed &= (u8) ~(modem_lines(u) & MSR_RI);
	u->msr_delta |= changed >> 4;
}

u8 vuart_read(struct vuart *u, unsigned reg)
{
	bool dlab = u->lcr & LCR_DLAB;
	u8 value;

	switch (reg) {
	case RBR_THR:
		value = dlab ? u->dll : read_rbr(u);
		break;
	case IER:
		value = dlab ? u->dlm : u->ier;
		break;
	case IIR_FCR:
		value = read_iir(u);
		break;
	case LCR:
		return u->lcr;
	case MCR:
		return u->mcr;
	case LSR:
		value = read_lsr(u);
		break;
	case MSR:
		value = read_msr(u);
		break;
	default:
		return u->scr;
	}
	update(u);
	return value;
}

void vuart_write(struct vuart *u, unsigned reg, u8 value)
{
	bool dlab = u->lcr & LCR_DLAB;

	switch (reg) {
	case RBR_THR:
		if (dlab)
			u->dll = value;
		else
			write_thr(u, value);
		break;
	case IER:
		if (dlab)
			u->dlm = value;
		else
			write_ier(u, value);
		break;
	case IIR_FCR:
		write_fcr(u, value);
		break;
	case LCR:
		u->lcr = value;
		break;
	case MCR:
		write_mcr(u, value);
		break;
	case SCR:
		u->scr = value;
		break;
	default: // LSR and MSR are for the factory
		break;
	}
	update(u);
}

size_t vuart_receive(struct vuart *u, const u8 *bytes, size_t n)
{
	size_t taken = 0;

	if (u->mcr & MCR_LOOP) {
		u->refused = n != 0; // the line is cut off
		return 0;
	}
	while (taken < n && u->rx_count < fifo_size(u))
		rx_push(u, bytes[taken++]);
	u->refused = taken < n;
	update(u);
	return taken;
}

void vuart_transmit(struct vuart *u)
{
	if (!u->tx_count)
		return;
	tx_flush(u);
	update(u);
}

void vuart_init(struct vuart *u, struct vm *vm, u8 irq, bool console)
{
	*u = (struct vuart){.vm = vm, .irq = irq, .console = console};
	vuart_reset(u);
}

void vuart_reset(struct vuart *u)
{
	bool refused = u->refused;

	if (u->level)
		vm_irq_set(u->vm, u->irq, false);
	*u = (struct vuart){.vm = u->vm, .irq = u->irq, .console = u->console, .dll = 12};
	if (refused)
		vm_console_input_room(u->vm);
}

size_t vuart_input(struct vm *vm, const u8 *bytes, size_t n)
{
	size_t taken = n;

	spin_lock(&vm->lock);
	for (unsigned i = 0; i < ARRAY_SIZE(vm->pc.uart); i++)
		if (vm->pc.uart[i].console)
			taken = vuart_receive(&vm->pc.uart[i], bytes, n);
	spin_unlock(&vm->lock);
	return taken;
}

void vuart_drain(struct vm *vm)
{
	spin_lock(&vm->lock);
	for (unsigned i = 0; i < ARRAY_SIZE(vm->pc.uart); i++)
		vuart_transmit(&vm->pc.uart[i]);
	spin_unlock(&vm->lock);
}

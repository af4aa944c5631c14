// SPDX-License-Identifier: MIT
// The console's input: frames or an escape key, and the kernel's keys.
#include "kernel/core/console.h"
#include "kernel/core/console_in.h"
#include "kernel/core/console_out.h"
#include "kernel/core/hw_console.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"
#include "abi/bundle.h"
#include "abi/console.h"

#define KEYS_MAX  16
#define ESCAPE    0x1d // Ctrl-]
#define INPUT_MAX 256  // bytes taken at one call
#define BATCH     64

struct key {
	char key;
	const char *help;
	void (*fn)(void);
};

static struct key keys[KEYS_MAX];
static unsigned key_count;

// Only the CPU that takes input uses what follows.
enum frame_state { FRAME_NONE, FRAME_CHANNEL, FRAME_LENGTH, FRAME_BODY };
static enum frame_state frame_state;
static u8 frame_channel, frame_left;
static bool escaped;

static u8 batch[BATCH]; // for VM batch_vm
static unsigned batch_count, batch_vm;

void console_key_register(char key, const char *help, void (*fn)(void))
{
	for (unsigned i = 0; i < key_count; i++)
		ASSERT(keys[i].key != key);
	ASSERT(key_count < KEYS_MAX);
	keys[key_count++] = (struct key){key, help, fn};
}

static void key_help(void)
{
	for (unsigned i = 0; i < key_count; i++)
		log_line("key %c: %s", keys[i].key, keys[i].help);
}

void console_in_init(void)
{
	console_key_register('?', "these keys", key_help);
	console_key_register('n', "attach the next VM", console_attach_next);
	console_key_register('l', "the log again, from the oldest line kept", log_show);
}

void console_key(char key)
{
	for (unsigned i = 0; i < key_count; i++) {
		if (keys[i].key == key) {
			keys[i].fn();
			return;
		}
	}
	key_help();
}

static void batch_flush(void)
{
	unsigned n = batch_count;

	batch_count = 0;
	if (n)
		vm_console_input(batch_vm, batch, n);
}

static void to_vm(unsigned index, u8 byte)
{
	if (index != batch_vm || batch_count == BATCH)
		batch_flush();
	batch_vm = index;
	batch[batch_count++] = byte;
}

static void to_key(u8 byte)
{
	batch_flush();
	if (byte > 0x20 && byte < 0x7f)
		console_key((char)byte);
}

static void frame_byte(u8 byte)
{
	if (frame_channel == CONSOLE_LOG)
		to_key(byte);
	else if (frame_channel == CONSOLE_EVENTS)
		vm_request(byte);
	else if (frame_channel >= CONSOLE_VM && frame_channel < CONSOLE_VM + BUNDLE_MAX_VMS)
		to_vm(frame_channel - CONSOLE_VM, byte);
	if (--frame_left == 0)
		frame_state = FRAME_NONE;
}

// Bytes outside of a frame are noise on the line.
static void take_frames(u8 byte)
{
	switch (frame_state) {
	case FRAME_NONE:
		frame_state = byte == CONSOLE_SOH ? FRAME_CHANNEL : FRAME_NONE;
		break;
	case FRAME_CHANNEL:
		frame_channel = byte;
		frame_state = FRAME_LENGTH;
		break;
	case FRAME_LENGTH:
		frame_left = byte;
		frame_state = byte ? FRAME_BODY : FRAME_NONE;
		break;
	case FRAME_BODY:
		frame_byte(byte);
		break;
	}
}

// The escape key twice gives it to the VM.
static void take_human(u8 byte)
{
	if (!escaped && byte == ESCAPE) {
		escaped = true;
		return;
	}
	if (escaped && byte != ESCAPE)
		to_key(byte);
	else
		to_vm(console_attached(), byte);
	escaped = false;
}

void console_input(void)
{
	int byte = -1;

	out_service();
	if (this_pcpu()->id != 0)
		return;
	for (unsigned n = 0; n < INPUT_MAX && (byte = serial_read()) >= 0; n++) {
		if (console_frames())
			take_frames((u8)byte);
		else
			take_human((u8)byte);
	}
	batch_flush();
	if (byte >= 0) // there may be more
		pcpu_post(this_pcpu(), WORK_CONSOLE);
}

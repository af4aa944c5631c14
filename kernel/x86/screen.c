// SPDX-License-Identifier: MIT
// The screen as a terminal that only prints: the PC's text mode, or pixels where the firmware has
// no text mode (UEFI). What stands on it is kept here, so that scrolling writes only what changes
// and never reads the slow video memory.
#include "kernel/x86/screen.h"
#include "kernel/core/hw_console.h"
#include "kernel/x86/arch.h"
#include "kernel/x86/boot.h"
#include "kernel/x86/font.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/port.h"
#include "lib/string.h"

#define COLUMNS     80u
#define ROWS        25u
#define TEXT_BASE   0xB8000ull
#define ATTRIBUTE   0x0700u
#define CELL_WIDTH  8u
#define CELL_HEIGHT 16u
#define INK         0xC8 // in each colour

static u8 *video;
static struct boot_framebuffer mode;
static u8 (*cells)[COLUMNS]; // ROWS of them
static u32 row, column;

static void draw_pixels(u32 r, u32 c, u8 ch)
{
	u32 step = mode.bits / 8;
	volatile u8 *line = video + (u64)r * CELL_HEIGHT * mode.pitch + (u64)c * CELL_WIDTH * step;

	for (u32 y = 0; y < CELL_HEIGHT; y++, line += mode.pitch) {
		u32 bits = font_row(ch, y / 2);

		for (u32 x = 0; x < CELL_WIDTH * step; x++)
			line[x] = bits >> (CELL_WIDTH - 1 - x / step) & 1 ? INK : 0;
	}
}

static void set_cell(u32 r, u32 c, u8 ch)
{
	if (cells[r][c] == ch)
		return;
	cells[r][c] = ch;
	if (mode.kind == BOOT_SCREEN_TEXT)
		((volatile u16 *)video)[r * COLUMNS + c] = (u16)(ATTRIBUTE | ch);
	else
		draw_pixels(r, c, ch);
}

static void new_line(void)
{
	column = 0;
	if (++row < ROWS)
		return;
	row = ROWS - 1;
	for (u32 r = 0; r < ROWS; r++)
		for (u32 c = 0; c < COLUMNS; c++)
			set_cell(r, c, r + 1 < ROWS ? cells[r + 1][c] : ' ');
}

static void put(char ch)
{
	if (ch == '\n') {
		new_line();
		return;
	}
	if (ch == '\r')
		return;
	if (column == COLUMNS)
		new_line();
	set_cell(row, column++, ch >= ' ' && ch <= '~' ? (u8)ch : '?');
}

void screen_write(const char *text, size_t n)
{
	if (!video)
		return;
	for (size_t i = 0; i < n; i++)
		put(text[i]);
}

// Only modes of true colour that hold all our cells; others stay dark.
static bool usable(const struct boot_framebuffer *s)
{
	return s->kind == BOOT_SCREEN_PIXELS && (s->bits == 32 || s->bits == 24) &&
	       s->width >= COLUMNS * CELL_WIDTH && s->height >= ROWS * CELL_HEIGHT &&
	       s->pitch / (s->bits / 8) >= s->width && s->pitch < 65536;
}

void screen_init(const struct boot_framebuffer *screen)
{
	mode = *screen;
	if (mode.kind == BOOT_SCREEN_TEXT) {
		video = mmio_map(hpa(TEXT_BASE), COLUMNS * ROWS * 2);
		port_out16(0x3D4, 0x200A); // no cursor
	} else if (usable(screen)) {
		video = mmio_map(mode.base, (size_t)mode.pitch * CELL_HEIGHT * ROWS);
	}
	if (!video)
		return;
	cells = hpa_to_va(boot_alloc(ROWS * COLUMNS));
	for (u32 r = 0; r < ROWS; r++)
		for (u32 c = 0; c < COLUMNS; c++)
			set_cell(r, c, ' ');
}

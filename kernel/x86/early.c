// SPDX-License-Identifier: MIT
// Weak stand-ins for the parts of kernel/core that this image may be linked without: log, frames, loop.
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/core/hw_console.h"
#include "kernel/core/log.h"
#include "kernel/core/model.h"
#include "kernel/core/timer.h"
#include "kernel/x86/boot.h"
#include "lib/string.h"

#define WEAK __attribute__((weak))

static struct boot_range free_ranges[16];
static u32 free_ranges_count;

WEAK void log_line(const char *fmt, ...)
{
	char text[200];
	va_list args;

	va_start(args, fmt);
	format_v(text, sizeof(text) - 1, fmt, args);
	va_end(args);
	text[MIN(strlen(text), sizeof(text) - 2) + 1] = 0;
	text[strlen(text)] = '\n';
	serial_write_sync(text, strlen(text));
	screen_write(text, strlen(text));
}

WEAK void console_panic_write(const char *text, size_t n)
{
	serial_write_sync(text, n);
}

WEAK void vm_console_input(unsigned index, const u8 *bytes, size_t n)
{
	(void)index;
	(void)bytes;
	(void)n;
}

WEAK void vm_console_room(unsigned index)
{
	(void)index;
}

WEAK size_t frame_bookkeeping_size(hpa_t end)
{
	return end.v ? PAGE_SIZE : 0;
}
WEAK void frame_init(hpa_t end, void *pool)
{
	(void)end;
	(void)pool;
}

WEAK void frame_add_range(hpa_t start, hpa_t end)
{
	if (free_ranges_count < ARRAY_SIZE(free_ranges))
		free_ranges[free_ranges_count++] = (struct boot_range){start.v, end.v, BOOT_RAM};
}

WEAK hpa_t frame_alloc(u16 owner, enum frame_type type, enum frame_order order)
{
	u64 size = PAGE_SIZE << order;

	(void)owner;
	(void)type;
	for (u32 i = 0; i < free_ranges_count; i++) {
		struct boot_range *r = &free_ranges[i];
		u64 at = ALIGN_UP(r->start, size);

		if (at < r->end && r->end - at >= size) {
			r->start = at + size;
			arch_zero(hpa_to_va(hpa(at)), size);
			return hpa(at);
		}
	}
	return HPA_NONE;
}

WEAK void *kmem_alloc(size_t size, u16 owner)
{
	hpa_t a = frame_alloc(owner, FRAME_KERNEL, size > PAGE_SIZE ? ORDER_2M : ORDER_4K);

	return hpa_is_none(a) ? NULL : hpa_to_va(a);
}

WEAK void timer_init_pcpu(struct pcpu *p)
{
	list_init(&p->timers);
}

WEAK _Noreturn void pcpu_loop(void)
{
	for (;;) {
		arch_idle();
		atomic_exchange(&this_pcpu()->work, 0);
	}
}

WEAK _Noreturn void mezz_main(const struct boot_info *info)
{
	log_line("mezzanine: the %s kernel, %u CPUs, boot bundle of %llu bytes at %#llx",
		model_name, pcpu_count, (unsigned long long)info->module_size,
		(unsigned long long)info->module.v);
	pcpu_loop();
}

// SPDX-License-Identifier: MIT
// From the entry code to guest_main: the boot loader's information, then the library's parts in order.
#include "guest.h"
#include "apic.h"
#include "smp.h"
#include "console.h"

#define LOADER_MAGIC 0x2BADB002

struct multiboot_info {
	u32 flags;
	u32 mem_lower, mem_upper; // KiB; mem_upper counts from 1 MiB
	u32 boot_device;
	u32 cmdline;
};

#define VEC_SLEEP 0xF1

static void tick(struct trap *t)
{
	(void)t;
	apic_eoi();
}

void guest_sleep(u64 seconds)
{
	u64 end = seconds ? deadline_ms(seconds * 1000) : 0;

	if (!seconds)
		return;
	apic_enable();
	trap_handle(VEC_SLEEP, tick);
	apic_write(APIC_TIMER_DIV, 0xB);
	apic_write(APIC_LVT_TIMER, VEC_SLEEP | APIC_PERIODIC);
	apic_write(APIC_TIMER_INIT, 100000000);
	while (!deadline_past(end))
		irq_wait();
	apic_write(APIC_TIMER_INIT, 0);
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
	irq_window();
	trap_handle(VEC_SLEEP, NULL);
	apic_write(APIC_SVR, SPURIOUS_VECTOR);
}

extern u32 boot_magic, boot_info;
void boot_main(void);

void boot_main(void)
{
	const struct multiboot_info *info = (const void *)(u64)boot_info;

	console_init();
	trap_init_cpu();
	outb(0x21, 0xFF); // firmware may have left the PICs open
	outb(0xA1, 0xFF);
	if (boot_magic != LOADER_MAGIC || !(info->flags & BIT(0)))
		print("not started by a Multiboot 1 loader: magic 0x%x flags 0x%x\n", boot_magic,
			info->flags);
	args_init(info->flags & BIT(2) ? (const char *)(u64)info->cmdline : "");
	memory_init(MiB + info->mem_upper * KiB);
	random_seed_cpu(arg_number("seed", 1));
	guest_sleep(arg_number("delay", 0));
	guest_main();
	guest_finish();
}

// SPDX-License-Identifier: MIT
// The start of the kernel, from the boot loader's hands to mezz_main.
#include "kernel/core/cmdline.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/sched.h"
#include "kernel/core/timer.h"
#include "kernel/core/spinlock.h"
#include "kernel/x86/arch_pcpu.h"
#include "kernel/x86/boot.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/hvm.h"
#include "kernel/x86/ioapic.h"
#include "kernel/x86/lapic.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/power.h"
#include "kernel/x86/rtc.h"
#include "kernel/x86/screen.h"
#include "kernel/x86/smp.h"
#include "kernel/x86/stack.h"
#include "kernel/x86/time.h"
#include "kernel/x86/trap.h"
#include "kernel/x86/uart.h"
#include "kernel/x86/xstate.h"

static struct boot_info boot_info;
struct acpi_info acpi_info;

// The boot CPU until it gets a page of its own, so that an early exception can be reported.
static struct pcpu early_pcpu;
static struct arch_pcpu early_arch;

bool boot_stack_used = true;

// By the linker.
extern char text_start[], boot_only_start[], image_end[];

static struct boot_image image_place(void)
{
	return (struct boot_image){
		.start = hpa((u64)text_start - KERNEL_BASE),
		.start_only = hpa((u64)boot_only_start - KERNEL_BASE),
		.end = hpa((u64)image_end - KERNEL_BASE),
	};
}

static void read_boot_info(u32 loader, hpa_t at)
{
	boot_info.module = HPA_NONE;
	if (!(loader == BOOT_PVH ? boot_read_pvh : boot_read_multiboot2)(&boot_info, at))
		panic("the boot loader's information makes no sense");
	boot_find_rsdp(&boot_info);
	cmdline_set(boot_info.cmdline);
}

static void log_boot_info(void)
{
	u64 ram = 0;

	for (u32 i = 0; i < boot_info.map_count; i++)
		if (boot_info.map[i].type == BOOT_RAM)
			ram += boot_info.map[i].end - boot_info.map[i].start;
	log_line("boot: by %s, %llu MiB of RAM, command line \"%s\"", boot_info.loader,
		(unsigned long long)(ram / MiB), boot_info.cmdline);
	if (boot_info.screen.kind == BOOT_SCREEN_PIXELS)
		log_line("boot: screen of %ux%u pixels, %u bits each, at %#llx",
			boot_info.screen.width, boot_info.screen.height, boot_info.screen.bits,
			(unsigned long long)boot_info.screen.base.v);
}

static void init_early_pcpu(void)
{
	early_pcpu.self = &early_pcpu;
	early_pcpu.arch = &early_arch;
	early_pcpu.timer_armed = ~0ull;
	for (u32 i = 0; i < IST_COUNT; i++)
		early_arch.tss.ist[i] = (u64)boot_stack_top - 1024; // no nesting this early
	idt_init();
	desc_load(&early_pcpu);
}

static u32 max_cpus(void)
{
	char text[8];
	u32 n = 0;

	if (!cmdline_get("cpus", text, sizeof(text)))
		return PCPU_MAX;
	for (const char *c = text; *c >= '0' && *c <= '9'; c++)
		n = n * 10 + (u32)(*c - '0');
	return n ? MIN(n, PCPU_MAX) : PCPU_MAX;
}

// On the boot CPU's own stack; the boot stack and the boot page tables are free memory now.
static void start_on_own_stack(void *arg)
{
	boot_stack_used = false;
	paging_unmap((u64)boot_only_start, (u64)(image_end - boot_only_start));
	boot_memory_release_start();
	idt_init_all();
	desc_load(arg);
	timer_init_pcpu(arg);
	xstate_init_cpu();
	irq_init(&acpi_info);
	time_init(&acpi_info);
	rtc_init();
	power_init(&acpi_info);
	if (irq_route_isa(4, VECTOR_SERIAL, lapic_id()))
		uart_enable_interrupt();
	sched_init();
	hvm_init();
	smp_start(&boot_info, &acpi_info, max_cpus());
	log_line("smp: %u CPUs run", pcpu_count);
	log_line("boot: image, page tables and bookkeeping of frames take %llu KiB",
		(unsigned long long)(boot_memory_used() / KiB));
	mezz_main(&boot_info);
}

static struct pcpu *create_boot_cpu(void)
{
	struct pcpu *p = arch_pcpu_create(0, lapic_id());

	if (!p)
		panic("no memory for the boot CPU");
	pcpus[0] = p;
	return p;
}

_Noreturn void kernel_main(u32 loader, u32 info)
{
	struct boot_image image = image_place();
	struct pcpu *p;

	uart_init();
	pic_silence();
	cpu_identify();
	if (cpu_info.hypervisor)
		spin_in_vm();
	cpu_protect();
	init_early_pcpu();
	read_boot_info(loader, hpa(info));
	boot_memory_init(&boot_info, &image);
	paging_init(&boot_info);
	screen_init(&boot_info.screen);
	log_boot_info();
	cpu_log_features();
	if (!acpi_read(&acpi_info, boot_info.rsdp, paging_map_firmware))
		log_line("acpi: no tables; one CPU, no power-off");
	lapic_init(acpi_info.lapic);
	lapic_init_cpu();
	boot_memory_handover();
	paging_use_frames();
	log_init();
	p = create_boot_cpu();
	stack_switch(p->arch->stack_top, start_on_own_stack, p);
}

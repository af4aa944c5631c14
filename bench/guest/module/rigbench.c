// SPDX-License-Identifier: MIT OR GPL-2.0
// The ring-0 part of the guest's benchmarks: reading /proc/rigbench runs them and gives lines "name median minimum"
// in TSC ticks per operation. The same module runs natively and under every hypervisor.
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/irq_work.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/sort.h>
#include <asm/apic.h>
#include <asm/cpufeature.h>
#include <asm/hypervisor.h>
#include <asm/msr.h>
#include <asm/processor.h>

static int iters = 500;
module_param(iters, int, 0444);
static int skip_ipi;
module_param(skip_ipi, int, 0444);

#define BATCHES 9

static int cmp(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;
	return x < y ? -1 : x > y;
}

// Interrupts stay off for one batch at a time, so batches are short.
static void run(struct seq_file *m, const char *name, int n, void (*op)(void))
{
	u64 d[BATCHES];
	unsigned long fl;
	int i, k;

	for (i = -1; i < BATCHES; i++) {
		u64 t;

		local_irq_save(fl);
		t = rdtsc_ordered();
		for (k = 0; k < n; k++)
			op();
		t = rdtsc_ordered() - t;
		local_irq_restore(fl);
		if (i >= 0)
			d[i] = t;
		cond_resched();
	}
	sort(d, BATCHES, sizeof(d[0]), cmp, NULL);
	seq_printf(m, "%s %llu.%03llu %llu.%03llu\n", name, d[BATCHES / 2] / n,
		d[BATCHES / 2] % n * 1000 / n, d[0] / n, d[0] % n * 1000 / n);
}

static void op_empty(void)
{
	barrier();
}
static void op_cpuid(void)
{
	cpuid_eax(0);
}
static void op_in80(void)
{
	inb(0x80);
}
static void op_in61(void)
{
	inb(0x61);
}
static void op_in3fd(void)
{
	inb(0x3fd);
}
static void op_out80(void)
{
	outb(0, 0x80);
}
static void op_rdtsc(void)
{
	rdtsc();
}

static u64 apicbase, gsbase;
static void op_rdmsr_apicbase(void)
{
	__rdmsr(MSR_IA32_APICBASE);
}
static void op_wrmsr_apicbase(void)
{
	native_write_msr(MSR_IA32_APICBASE, (u32)apicbase, (u32)(apicbase >> 32));
}
static void op_wrmsr_kgsbase(void)
{
	native_write_msr(MSR_KERNEL_GS_BASE, (u32)gsbase, (u32)(gsbase >> 32));
}
static void op_mov_cr3(void)
{
	unsigned long c;
	asm volatile("mov %%cr3,%0; mov %0,%%cr3" : "=r"(c) : : "memory");
}
static void op_mov_cr0(void)
{
	unsigned long c;
	asm volatile("mov %%cr0,%0; mov %0,%%cr0" : "=r"(c) : : "memory");
}

static void op_hyper_kvm(void)
{
	long r = 1; // KVM_HC_VAPIC_POLL_IRQ: returns at once
	asm volatile("vmmcall" : "+a"(r) : : "memory");
}

static void op_hyper_xen(void)
{
	long r = 17, a = 0, b = 0; // xen_version(XENVER_version): returns at once
	asm volatile("vmmcall"
		     : "+a"(r), "+D"(a), "+S"(b)
		     :
		     : "memory", "rdx", "r8", "r9", "r10", "r11");
}

// Self-IPI: from the request to the handler.
static u64 hit;
static void work_fn(struct irq_work *w)
{
	WRITE_ONCE(hit, rdtsc_ordered());
}
static DEFINE_IRQ_WORK(work, work_fn);

static void run_selfipi(struct seq_file *m, int n)
{
	u64 *d = kvmalloc_array(n, sizeof(u64), GFP_KERNEL);
	int i, k = 0;

	if (!d)
		return;
	for (i = 0; i < n; i++) {
		u64 t, lim;

		preempt_disable();
		WRITE_ONCE(hit, 0);
		t = rdtsc_ordered();
		irq_work_queue(&work);
		lim = t + 4000000000ull;
		while (!READ_ONCE(hit) && rdtsc() < lim)
			cpu_relax();
		preempt_enable();
		irq_work_sync(&work);
		if (READ_ONCE(hit))
			d[k++] = hit - t;
		cond_resched();
	}
	if (k) {
		sort(d, k, sizeof(d[0]), cmp, NULL);
		seq_printf(m, "exit_selfipi %llu %llu\n", d[k / 2], d[0]);
	}
	kvfree(d);
}

// Another CPU, asleep: interrupt it, let it run an empty function, wait.
static void nop_fn(void *p) {}

static void run_callipi(struct seq_file *m, int n)
{
	u64 *d = kvmalloc_array(n, sizeof(u64), GFP_KERNEL);
	int i, cpu = get_cpu(), other = cpumask_any_but(cpu_online_mask, cpu);

	put_cpu();
	if (d && other < nr_cpu_ids) {
		for (i = 0; i < n; i++) {
			u64 t = rdtsc_ordered();

			smp_call_function_single(other, nop_fn, NULL, 1);
			d[i] = rdtsc_ordered() - t;
			usleep_range(50, 100); // lets the other go back to sleep
		}
		sort(d, n, sizeof(d[0]), cmp, NULL);
		seq_printf(m, "ipi_call_idle %llu %llu\n", d[n / 2], d[0]);
	}
	kvfree(d);
}

static int show(struct seq_file *m, void *v)
{
	rdmsrl(MSR_IA32_APICBASE, apicbase);
	rdmsrl(MSR_KERNEL_GS_BASE, gsbase);
	// no exit expected
	run(m, "noexit_empty", iters * 4, op_empty);
	run(m, "noexit_wrmsr_kgsbase", iters * 4, op_wrmsr_kgsbase);
	run(m, "noexit_mov_cr3", iters, op_mov_cr3);
	run(m, "ring0_rdtsc", iters, op_rdtsc);
	run(m, "ring0_mov_cr0", iters, op_mov_cr0);
	// exits
	run(m, "exit_cpuid", iters, op_cpuid);
	run(m, "exit_in_80", iters, op_in80);
	run(m, "exit_in_61", iters, op_in61);
	run(m, "exit_in_3fd", iters, op_in3fd);
	run(m, "exit_out_80", iters, op_out80);
	run(m, "exit_rdmsr_apicbase", iters, op_rdmsr_apicbase);
	run(m, "exit_wrmsr_apicbase", iters, op_wrmsr_apicbase);
	if (hypervisor_is_type(X86_HYPER_KVM))
		run(m, "exit_hypercall", iters, op_hyper_kvm);
	else if (hypervisor_is_type(X86_HYPER_XEN_HVM))
		run(m, "exit_hypercall", iters, op_hyper_xen);
	run_selfipi(m, iters / 2);
	if (!skip_ipi)
		run_callipi(m, iters / 2);
	return 0;
}

static int __init rigbench_init(void)
{
	return proc_create_single("rigbench", 0444, NULL, show) ? 0 : -ENOMEM;
}

static void __exit rigbench_exit(void)
{
	remove_proc_entry("rigbench", NULL);
}

module_init(rigbench_init);
module_exit(rigbench_exit);
MODULE_DESCRIPTION("ring-0 exit-cost measurements");
MODULE_LICENSE("Dual MIT/GPL");

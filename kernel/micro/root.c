// SPDX-License-Identifier: MIT
// The root VM's making: what it has of the machine, and what of its own.
#include "kernel/micro/root.h"
#include "kernel/core/boot_info.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/micro/create.h"

static const struct boot_info *machine;
static struct vm *the_root;
static u32 first_cpu; // of vcpu 0; the others' follow

// A share of the processor for each vcpu, as each has a CPU of its own to compete for.
static struct sched_vm *shares;

static u64 root_rsdp(struct vm *vm)
{
	return root_acpi_write(vm, machine, root_acpi_place(vm), ROOT_ACPI_SIZE);
}

static const struct vm_machine root_machine = {
	.port_read = root_port_read,
	.port_write = root_port_write,
	.port_is_virtual = root_port_is_virtual,
	.port_exits = root_port_exits,
	.map_device = root_map_device,
	.pin_changed = root_pin_changed,
	.pin_ended = root_pin_ended,
	.logical_id_changed = root_logical_id_changed,
	.memory_map = root_memory_map,
	.rsdp = root_rsdp,
	.call = root_call,
};

void root_init(const struct boot_info *info)
{
	machine = info;
	root_iommu_init();
}

struct vm *root_vm(void)
{
	return the_root;
}

// All CPUs that run VMs, which have to have APIC ids one after the other.
static const char *choose_cpus(struct vm *vm)
{
	while (sched_barred >> first_cpu & 1)
		first_cpu++;
	vm->vcpu_count = MIN(pcpu_count - first_cpu, (u32)BUNDLE_MAX_VCPUS);
	vm->apic_first = pcpus[first_cpu]->apic_id;
	for (u32 i = 0; i < vm->vcpu_count; i++)
		if (pcpus[first_cpu + i]->apic_id != vm->apic_first + i || vm->apic_first + i > 254)
			return "the root VM needs CPUs with APIC ids one after the other, below 255";
	return NULL;
}

const char *root_create(struct vm *vm)
{
	const char *why = choose_cpus(vm);

	why = why ? why : root_memory_take(vm, machine);
	why = why ? why : root_iommu_allow(vm);
	why = why ? why : create_init();
	if (why)
		return why;
	vm->machine = &root_machine;
	the_root = vm;
	root_irq_init(vm, first_cpu);
	return NULL;
}

const char *root_pin(struct vm *vm)
{
	shares = kmem_alloc(vm->vcpu_count * sizeof(*shares), vm->id);
	if (!shares)
		return "out of memory";
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		sched_vm_init(&shares[i], vm->config->weight, 0, BIT(first_cpu + i));
		sched_vcpu_init(&vm->vcpus[i]->sched, &shares[i]);
	}
	return NULL;
}

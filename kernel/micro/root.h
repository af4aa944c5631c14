// SPDX-License-Identifier: MIT
// The root VM: it owns the machine's devices. Its RAM is where the machine has it (gpa = hpa), so that devices reach it; its
// vcpu runs on the CPU of the same APIC id, so that their interrupts reach it with the vector that it gave them.
#pragma once

#include "kernel/vm/vm.h"

struct boot_info;

// What the machine has, as the boot loader told it; stays.
void root_init(const struct boot_info *info);

// model_root_create.
const char *root_create(struct vm *vm);

// The root VM; NULL: there is none.
struct vm *root_vm(void);

// Its vcpus are there: each gets its CPU. NULL, or why not.
const char *root_pin(struct vm *vm);

// ---- root_memory.c

// Takes the VM's memory out of the free memory, lowest first, and maps nothing yet. NULL, or why not.
const char *root_memory_take(struct vm *vm, const struct boot_info *info);
unsigned root_memory_map(const struct vm *vm, struct memory_entry *map, unsigned max);
bool root_map_device(struct vm *vm, u64 gpa);
#define ROOT_ACPI_SIZE (64 * KiB)
s64 root_call_ram(struct vcpu *v, u64 at, gpa_t buffer, u64 room); // MEZZ_CALL_RAM
u64 root_acpi_place(
	const struct vm *vm); // where so many bytes of its memory are reserved for tables

// ---- root_iommu.c
void root_iommu_init(void); // from now on devices reach nothing, where there is an IOMMU

// Its devices reach its memory; NULL, or why not.
const char *root_iommu_allow(const struct vm *vm);

// Other memory, for a time, whole pages. False: out of memory. What is lent is reached after root_iommu_lent; what is taken back is
// not any more after root_iommu_taken_back.
bool root_iommu_lend(u64 at, u64 size);
void root_iommu_lent(void);
void root_iommu_take_back(u64 at, u64 size);
void root_iommu_taken_back(void);

// ---- root_irq.c
void root_irq_init(struct vm *vm, u32 first_cpu); // vcpu 0's
void root_pin_changed(struct vm *vm, unsigned pin);
void root_pin_ended(struct vm *vm, unsigned pin);
void root_logical_id_changed(struct vcpu *v);

// ---- root_call.c
s64 root_call(struct vcpu *v, u64 nr, const u64 a[4]); // vm_machine.call

// Gives the root VM what fits of a structure, in a buffer whole in one page; how much that was, or an error.
s64 root_give(struct vcpu *v, const void *from, size_t size, gpa_t buffer, u64 room);

// Takes a structure of just that size from it. 0, -EINVAL: another size, or -EFAULT.
s64 root_take(struct vcpu *v, void *to, size_t size, gpa_t buffer, u64 room);

// A page of its memory, which stays; NULL: it is none.
void *root_page(struct vcpu *v, gpa_t page);

// ---- root_port.c
u32 root_port_read(struct vm *vm, u16 port, unsigned size);
void root_port_write(struct vm *vm, u16 port, unsigned size, u32 value);
bool root_port_is_virtual(u16 port);
bool root_port_exits(u16 port);

// ---- root_acpi.c
// Writes what the VM is to see of the machine's tables to [start, start + size), of its memory; the address of their root
// pointer, 0: there are none.
u64 root_acpi_write(const struct vm *vm, const struct boot_info *info, u64 start, u64 size);

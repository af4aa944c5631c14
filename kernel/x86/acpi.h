// SPDX-License-Identifier: MIT
// The firmware's ACPI tables, read with suspicion: no length, count or address in them is believed.
#pragma once

#include "lib/addr.h"

#define ACPI_MAX_CPUS    64
#define ACPI_MAX_IOAPICS 8
#define ACPI_MAX_ECAMS   4
#define ACPI_NO_SLEEP    0xFF

struct acpi_register { // a "generic address"
	u8 space;      // 0: memory, 1: ports, 2: PCI configuration
	u64 address;   // 0: not there
};

struct acpi_info {
	u32 cpu_count; // usable ones
	u32 cpus_left_out;
	u32 cpus[ACPI_MAX_CPUS]; // APIC ids
	hpa_t lapic;

	u32 ioapic_count;
	struct {
		u32 id;
		hpa_t base;
		u32 gsi; // of its first input
	} ioapics[ACPI_MAX_IOAPICS];
	struct {
		u32 gsi;
		bool active_low;
		bool level;
	} isa[16];

	u32 ecam_count;
	struct {
		hpa_t base;
		u16 segment;
		u8 first_bus, last_bus;
	} ecams[ACPI_MAX_ECAMS];

	const u8 *ivrs; // AMD's table of IOMMUs, whole, with a good checksum; NULL: there is none
	u32 ivrs_size;

	struct acpi_register pm1a_control, pm1b_control;
	struct acpi_register pm_timer;
	bool pm_timer_32; // it has 32 bits, not 24
	u32 smi_command;  // port, 0: none
	u8 acpi_enable;   // written there to switch ACPI on
	struct acpi_register reset;
	u8 reset_value;
	u8 s5_a, s5_b; // sleep types that power off; ACPI_NO_SLEEP: not found
};

// Gives a readable view of `size` bytes at physical address a, or NULL.
typedef const void *acpi_map_fn(hpa_t a, size_t size);

// Reads all tables that the root pointer (36 bytes, a copy) leads to. False when the pointer or the
// root table is no good; info then holds the defaults of a PC (no CPUs, APIC at its usual place).
bool acpi_read(struct acpi_info *info, const u8 rsdp[36], acpi_map_fn *map);

// The addresses of the tables that the root table names, those with a good header and checksum; how many.
u32 acpi_list(u64 *tables, u32 max, const u8 rsdp[36], acpi_map_fn *map);

// What start.c read of this machine.
extern struct acpi_info acpi_info;

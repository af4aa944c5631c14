// SPDX-License-Identifier: MIT
// An IOMMU that a test plays: it walks the tables as the manual says, remembers what it found until it is told to forget it,
// and takes commands when the kernel waits for it.
#pragma once

#include <stdarg.h>

#include "drivers/amd_iommu/amd_iommu.h"
#include "drivers/amd_iommu/amd_iommu_internal.h"
#include "drivers/iommu.h"
#include "drivers/pci.h"
#include "drivers/pci_port.h"
#include "kernel/core/cmdline.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/timer.h"
#include "kernel/x86/acpi.h"
#include "kernel/x86/irq.h"
#include "kernel/x86/paging.h"
#include "lib/errno.h"
#include "lib/format.h"
#include "tests/unit/test.h"

#define RAM    (64 * MiB)
#define DISK   0x20u  // 00:04.0
#define CARD   0x28u  // 00:05.0
#define BEHIND 0x208u // 02:01.0, behind a bridge as CARD_2 is; both come as 02:00.0
#define CARD_2 0x210u
#define BRIDGE 0x200u
#define PAGE_A 0x1234u
#define CACHE  4096u

struct acpi_info acpi_info;

static u8 *ram;
static u64 ram_next, ram_end;
static u8 regs[R_SIZE] __attribute__((aligned(8)));
static bool dead, np_cache;
static u32 commands, waits, pages_commands, device_commands, all_commands;
static bool irqs_forgotten;
static char last_line[256];
static irq_fn *irq;
static void *irq_arg;

// What the IOMMU remembers: pages of domains that may be reached, and entries of devices.
static struct {
	u16 domain;
	u64 page;
} cache[CACHE];
static u32 cached;
static struct {
	bool known;
	u64 q0, q1, q2;
} device_cache[65536];

// ---------------------------------------------------------------- the kernel around it

void *kmem_alloc(size_t size, u16 owner)
{
	u64 at = ALIGN_UP(ram_next, PAGE_SIZE);

	(void)owner;
	if (at + size > ram_end)
		return NULL;
	ram_next = at + ALIGN_UP(size, PAGE_SIZE);
	memset(ram + at, 0, size);
	return ram + at;
}

void *mmio_map(hpa_t a, size_t size)
{
	return a.v == 0xFED80000 && size == R_SIZE ? regs : NULL;
}

u32 pci_port_read32(u16 address, u32 offset)
{
	CHECK_EQ(address, 0x18);
	CHECK_EQ(offset, 0x40);
	return (u32)(CAP_ID | CAP_FEATURES | (np_cache ? CAP_NP_CACHE : 0));
}

bool cmdline_is(const char *key, const char *value)
{
	(void)key;
	(void)value;
	return false;
}

int irq_alloc(struct pcpu *p, irq_fn *fn, void *arg, struct irq_message *out)
{
	(void)p;
	irq = fn;
	irq_arg = arg;
	*out = (struct irq_message){0};
	return 0x30;
}

int pci_irq_set(struct pci_function *f, u32 n, const struct irq_message *m)
{
	(void)m;
	CHECK_EQ(f->address, 0x18);
	return n ? -EINVAL : 0;
}

void log_line(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(last_line, sizeof(last_line), fmt, args);
	va_end(args);
	fake_log_lines++;
}

// ---------------------------------------------------------------- the IOMMU

static u64 reg(u32 at)
{
	u64 v;

	memcpy(&v, regs + at, 8);
	return v;
}

static void reg_set(u32 at, u64 v)
{
	memcpy(regs + at, &v, 8);
}

static u64 *at(u64 address)
{
	return hpa_to_va(hpa(address));
}

// 2.4.3: all pages whose number agrees with the address but for the ones at its end and the zero before them.
static void forget(u64 low, u64 high)
{
	u32 kept = 0;
	u64 page = high >> 12, mask = 0, ones = 0;

	while (high & PAGES_SIZE && page >> ones & 1)
		ones++;
	if (high & PAGES_SIZE)
		mask = ones >= 51 ? ~0ull : (2ull << ones) - 1;
	for (u32 i = 0; i < cached; i++)
		if (cache[i].domain != (u16)(low >> 32) ||
			(cache[i].page & ~mask) != (page & ~mask))
			cache[kept++] = cache[i];
	cached = kept;
}

static void command(u64 low, u64 high)
{
	commands++;
	switch (low >> 60) {
	case 1:
		CHECK(low & WAIT_STORE);
		*at(low & 0x000FFFFFFFFFFFF8ull) = high;
		waits++;
		break;
	case 2:
		CHECK_EQ(low & 0x0FFFFFFFFFFF0000ull, 0);
		device_cache[(u16)low].known = false;
		device_commands++;
		break;
	case 3:
		CHECK_EQ(low & 0x0FFF0000FFFFFFFFull, 0);
		CHECK_EQ(high & 0xFF8, 0);
		forget(low, high);
		pages_commands++;
		break;
	case 5:
		CHECK_EQ(low & 0x0FFFFFFFFFFF0000ull, 0);
		irqs_forgotten = true;
		break;
	case 8:
		CHECK_EQ((low << 4) | high, 0);
		cached = 0;
		for (u32 i = 0; i < 65536; i++)
			device_cache[i].known = false;
		all_commands++;
		break;
	default:
		CHECK(false);
	}
}

// The kernel waits: the IOMMU gets on, or time passes.
static void relax(void)
{
	const u64 on = CONTROL_ON | CONTROL_COMMANDS;
	u64 base = reg(R_COMMANDS) & 0x000FFFFFFFFFF000ull;

	fake_now += 1000000;
	if (dead || (reg(R_CONTROL) & on) != on)
		return;
	CHECK_EQ(reg(R_COMMANDS) >> 56, 8);
	while (reg(R_COMMAND_HEAD) != reg(R_COMMAND_TAIL)) {
		u64 *c = at(base + reg(R_COMMAND_HEAD));

		command(c[0], c[1]);
		reg_set(R_COMMAND_HEAD, (reg(R_COMMAND_HEAD) + 16) % 4096);
	}
}

static bool walk(u64 entry, u64 page)
{
	for (u32 level = entry >> 9 & 7; level; level = entry >> 9 & 7) {
		if (!(entry & 1) || (entry & IOPTE_RIGHTS) != IOPTE_RIGHTS)
			return false;
		entry = at(entry & IOPTE_ADDRESS)[page >> 9 * (level - 1) & 511];
		if (!entry)
			return false;
	}
	CHECK_EQ((entry & IOPTE_ADDRESS) >> 12, page);
	CHECK_EQ(entry & 0x07F0000000000000ull, 0); // reserved
	return entry & 1 && (entry & IOPTE_RIGHTS) == IOPTE_RIGHTS;
}

static void know(u16 requester)
{
	u64 *entry = at((reg(R_DEVICE_TABLE) & 0x000FFFFFFFFFF000ull) + requester * 32u);

	CHECK_EQ(reg(R_DEVICE_TABLE) & 0x1FF, 511);
	if (device_cache[requester].known)
		return;
	device_cache[requester].known = true;
	device_cache[requester].q0 = entry[0];
	device_cache[requester].q1 = entry[1];
	device_cache[requester].q2 = entry[2];
	CHECK_EQ(entry[0] & 0x80300000000000FCull, 0);
	CHECK_EQ(entry[3], 0);
}

// The APIC and the vector that a message with this data raises, 0: it is refused, ~0: it goes on as it is.
static u32 raises(u16 requester, u32 data)
{
	u64 q2;
	u32 entry;

	know(requester);
	q2 = device_cache[requester].q2;
	if (!(q2 & 1))
		return ~0u;
	if (q2 >> 60 != 2 || data >= 1u << (q2 >> 1 & 15))
		return 0;
	entry = ((u32 *)at(q2 & 0x000FFFFFFFFFFFC0ull))[data];
	CHECK_EQ(entry & 0xFF00007E, 0); // fixed, physical, nothing reserved
	return entry & 1 ? entry >> 8 : 0;
}

// May the requester read and write the page?
static bool reaches(u16 requester, u64 page)
{
	u16 domain;

	know(requester);
	if ((device_cache[requester].q0 & 3) != 3)
		return true; // not translated at all
	if (!(device_cache[requester].q0 >> 9 & 7))
		return (device_cache[requester].q0 & IOPTE_RIGHTS) != 0;
	domain = (u16)device_cache[requester].q1;
	for (u32 i = 0; i < cached; i++)
		if (cache[i].domain == domain && cache[i].page == page)
			return true;
	if (!walk(device_cache[requester].q0, page))
		return false;
	CHECK(cached < CACHE);
	cache[cached].domain = domain;
	cache[cached++].page = page;
	return true;
}

__attribute__((unused)) static void log_event(u32 first, u32 second, u64 address)
{
	u32 *e = (u32 *)at((reg(R_EVENTS) & 0x000FFFFFFFFFF000ull) + reg(R_EVENT_TAIL));

	e[0] = first;
	e[1] = second;
	memcpy(e + 2, &address, 8);
	reg_set(R_EVENT_TAIL, (reg(R_EVENT_TAIL) + 16) % 4096);
	reg_set(R_STATUS, reg(R_STATUS) | STATUS_EVENT);
}

// ---------------------------------------------------------------- the machine

// One IOMMU for everything, but that bus 2 is behind a bridge, and bus 3 behind nothing.
static u8 table[100] = {[48] = 0x10,
	[50] = 52,
	[52] = 0x18,
	[54] = 0x40,
	[57] = 0,
	[58] = 0xD8,
	[59] = 0xFE,
	[72] = 3,
	[76] = 4,
	[77] = 0xFF,
	[78] = 1,
	[80] = 0x43,
	[82] = 2,
	[86] = 2,
	[88] = 4,
	[89] = 0xFF,
	[90] = 2,
	[92] = 72,
	[97] = 0xA0,
	[99] = 1};

// Before the IOMMU is switched on, once.
static void machine_make(void)
{
	fake_reset(1);
	ram = fake_ram(RAM);
	ram_next = MiB;
	ram_end = RAM;
	timer_init_pcpu(this_pcpu());
	fake_relax = relax;
	reg_set(R_FEATURES, FEATURE_ALL);
	acpi_info.ivrs = table;
	acpi_info.ioapic_count = 1;
	acpi_info.ivrs_size = sizeof(table);
}

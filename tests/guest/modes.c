// SPDX-License-Identifier: MIT
// Long, compatibility, protected, 32-bit paging, PAE and real mode, and back: each must give the same
// CPUID, port and MMIO values; the trip is made many times.
#include "guest.h"
#include "smp.h"
#include "modes.h"

struct seen {
	u32 ebx, port, mmio, visits;
};

extern u8 modes_real[], modes_real_end[], modes_real_seen[];
extern u64 boot_gdt[], boot_pds[];
void modes_trip(void);

struct seen modes_seen[MODES];
u32 modes_pd32[1024] __attribute__((aligned(4096)));
u64 modes_pdpt[4] __attribute__((aligned(32)));

static const char *const names[MODES] = {"long mode", "compatibility mode", "protected mode",
	"32-bit paging", "PAE paging", "segment with a base", "real mode", "protected mode again",
	"long mode again"};

static void prepare(void)
{
	for (u32 i = 0; i < 1024; i++)
		modes_pd32[i] = i << 22 | (i < 0x300 ? 0x87 : 0x9F);
	for (u32 i = 0; i < 4; i++)
		modes_pdpt[i] = ((u64)boot_pds + i * PAGE_SIZE) | 1;
	boot_gdt[SEL_FREE / 8] = 0xFECF93E000000FFF; // base 0xFEE00000, limit 16 MiB - 1
	memcpy((void *)MODES_REAL_AT, modes_real, (size_t)(modes_real_end - modes_real));
}

static void check_round(u32 ebx, u32 port, u32 mmio)
{
	const struct seen *real = (const struct seen *)modes_real_seen;

	wait_until(inb(0x3FD) == port, 1000); // what was printed is out
	modes_trip();
	for (u32 i = 0; i < MODES; i++) {
		const struct seen *s = &modes_seen[i];

		check_quiet(s->ebx == ebx, "%s: CPUID gives 0x%x, not 0x%x", names[i], s->ebx, ebx);
		check_quiet(
			s->port == port, "%s: port gives 0x%x, not 0x%x", names[i], s->port, port);
		check_quiet(
			s->mmio == mmio, "%s: MMIO gives 0x%x, not 0x%x", names[i], s->mmio, mmio);
	}
	check_quiet(real->ebx == ebx && real->port == port,
		"real mode after an interrupt: 0x%x 0x%x", real->ebx, real->port);
	check_quiet((u16)real->mmio == *(u16 *)MiB, "real mode at FFFF:0010: 0x%x", real->mmio);
	memset((void *)real, 0, 12);
}

void guest_main(void)
{
	u32 rounds = (u32)arg_number("rounds", 20);
	u32 ebx = cpuid(0, 0).b, port = 0x60, mmio = *(volatile u32 *)0xFEE00030;

	prepare();
	check(mmio != 0xFFFFFFFF && mmio != 0, "the APIC's version is 0x%x", mmio);
	for (u32 i = 0; i < rounds; i++)
		check_round(ebx, port, mmio);
	trap_init_cpu();
	for (u32 i = 0; i < MODES; i++)
		check(modes_seen[i].visits == rounds, "%s %u times", names[i],
			modes_seen[i].visits);
}

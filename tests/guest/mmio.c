// SPDX-License-Identifier: MIT
// Random accesses of every form, width and alignment to holes, APICs, ECAM and BARs; faults are taken.
#include "guest.h"
#include "apic.h"
#include "console.h"
#include "forms.h"
#include "pci.h"

struct region {
	const char *name;
	u64 base, size;
	u32 survived, faults;
};

static struct region regions[16];
static u32 regions_count, strange;

static void add(const char *name, u64 base, u64 size)
{
	map_mmio(base, size);
	regions[regions_count++] = (struct region){.name = name, .base = base, .size = size};
}

static void find_regions(void)
{
	pci_bdf console = pci_find(PCI_VIRTIO_VENDOR, PCI_VIRTIO_CONSOLE);
	u64 base, size;
	bool wide;

	add("VGA hole", 0xA0000, 0x20000);
	add("above RAM", ALIGN_UP(memory_top(), 2 * MiB) + 16 * MiB, 64 * MiB);
	add("PCI window", 0xC0000000, 0x20000000);
	add("local APIC", APIC_DEFAULT, 0x1000);
	add("IOAPIC", IOAPIC_DEFAULT, 0x1000);
	add("around the APICs", 0xFE000000, 0x2000000);
	add("above 4 GiB", 64 * GiB, 4 * MiB);
	add("top of what can be mapped", BIT(39) - 4 * MiB, 4 * MiB);
	if (pci_ecam_buses())
		add("ECAM", (u64)pci_ecam(0), 0x100000);
	if (!console)
		return;
	pci_write(console, 4, 2, 6);
	for (u32 i = 0; i < 6; i++)
		if (pci_bar(console, i, &base, &size, &wide)) {
			add("virtio BAR", base, size);
			i += wide;
		}
}

// What would rightly end the guest: an INIT to itself by ICR, and the page taken away.
static bool deadly(const struct form *f, u64 at)
{
	u64 end = at + (f->width > 8 ? 4096 : 4096 / 8); // strings go on

	return f->writes && at < APIC_DEFAULT + 0x310 && end + 0x1000 > APIC_DEFAULT + 0x300;
}

struct access {
	const struct form *f;
	u64 at;
	struct form_regs r;
};

static void run(void *arg)
{
	struct access *a = arg;

	form_enter(a->f->code, (volatile void *)a->at, &a->r);
}

static void one_access(struct region *r)
{
	u32 forms = (u32)(forms_end - forms_exact);
	struct access a = {.f = &forms_exact[random_below(forms)]};
	u64 offset = random_below(r->size);
	int fault;

	if (random64() & 1)
		offset &= ~7ull;
	if (random_below(8) == 0)
		offset = (offset | 0xFFF) - random_below(8); // crosses a page
	a.at = r->base + offset;
	a.r = (struct form_regs){.a = random64(),
		.c = random64(),
		.d = random64(),
		.s = random64(),
		.flags = 2 | (random64() & 0x8D5)};
	if (deadly(a.f, a.at))
		return;
	fault = try_call(run, &a);
	__asm__ volatile("cld; fninit");
	write_cr0(read_cr0() & ~CR0_TS);
	if (fault == NO_FAULT)
		r->survived++;
	else
		r->faults++;
	if (fault == VEC_DF || fault == VEC_MC)
		strange++;
}

static void in_peace(void)
{
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
	apic_write(APIC_TIMER_INIT, 0x1234567);
	check(apic_read(APIC_TIMER_INIT) == 0x1234567, "the APIC still answers");
	ioapic_write(IOAPIC_REDIR + 2, REDIR_MASKED | 0x55);
	check(ioapic_read(IOAPIC_REDIR + 2) == (REDIR_MASKED | 0x55), "the IOAPIC still answers");
	check(pci_read(0, 0, 4) != 0xFFFFFFFF, "the host bridge still answers");
}

void guest_main(void)
{
	u64 n = arg_number("n", 3000);

	find_regions();
	for (u32 i = 0; i < regions_count; i++) {
		for (u64 j = 0; j < n; j++)
			one_access(&regions[i]);
		print("%s at 0x%lx: %u done, %u faults\n", regions[i].name, regions[i].base,
			regions[i].survived, regions[i].faults);
		check(regions[i].survived, "%s takes accesses", regions[i].name);
	}
	check(!strange, "no double fault or machine check (%u)", strange);
	in_peace();
}

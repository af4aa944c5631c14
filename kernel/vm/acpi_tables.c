// SPDX-License-Identifier: MIT
// The guest's ACPI tables: RSDP, RSDT, XSDT, FADT, FACS, MADT, MCFG and the compiled DSDT.
//
// They also keep a guest from looking for what is not there (no 8042, no VGA): each look is an exit.
// Source: ACPI specification 6.4, chapter 5; PCI Firmware Specification 3.2, section 4.1.2 (MCFG).

#include "kernel/vm/acpi_tables.h"
#include "kernel/vm/vm.h"
#include "kernel/vm/vrtc_time.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "dsdt_aml.h"

#define OEM_ID       "MEZZ  "
#define OEM_TABLE_ID "MEZZPC  "
#define CREATOR_ID   "MEZZ"

#define GAS_IO 1u

#define FADT_WBINVD          BIT(0)
#define FADT_PROC_C1         BIT(2)
#define FADT_NO_SLEEP_BUTTON BIT(5) // no fixed one; the fixed power button is there (bit 4 clear)
#define FADT_RTC_NOT_FIXED   BIT(6)
#define FADT_TIMER_32        BIT(8)
#define FADT_RESET_REGISTER  BIT(10)
#define FADT_HEADLESS        BIT(12)

#define BOOT_LEGACY_DEVICES BIT(0)
#define BOOT_NO_VGA         BIT(2)
#define BOOT_NO_ASPM        BIT(4)

#define MADT_PCAT       1u // a pair of 8259s is there
#define MADT_LAPIC      0u
#define MADT_IOAPIC     1u
#define MADT_OVERRIDE   2u
#define MADT_LAPIC_NMI  4u
#define INTI_LEVEL_HIGH 0x000du

// Of a processor's entry: it is there; it is a place where one could be.
enum { CPU_ENABLED = 1, CPU_ONLINE_CAPABLE = 2 };

struct acpi_header {
	u8 signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	u8 oem_id[6];
	u8 oem_table_id[8];
	u32 oem_revision;
	u8 creator_id[4];
	u32 creator_revision;
} __attribute__((packed));

struct acpi_rsdp {
	u8 signature[8];
	u8 checksum; // of the first 20 bytes
	u8 oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 checksum_all;
	u8 reserved[3];
} __attribute__((packed));

struct acpi_gas {
	u8 space;
	u8 width;
	u8 offset;
	u8 access;
	u64 address;
} __attribute__((packed));

struct acpi_fadt {
	struct acpi_header header;
	u32 facs, dsdt;
	u8 reserved1, profile;
	u16 sci_irq;
	u32 smi_command;
	u8 acpi_enable, acpi_disable, s4bios, pstate;
	u32 pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
	u8 pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length;
	u8 gpe0_length, gpe1_length, gpe1_base, cst_control;
	u16 c2_latency, c3_latency, flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alarm, month_alarm, century;
	u16 boot_arch;
	u8 reserved2;
	u32 flags;
	struct acpi_gas reset;
	u8 reset_value;
	u16 arm_boot;
	u8 minor;
	u64 x_facs, x_dsdt;
	struct acpi_gas x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control;
	struct acpi_gas x_pm_timer, x_gpe0, x_gpe1, sleep_control, sleep_status;
	u64 hypervisor;
} __attribute__((packed));

struct acpi_facs {
	u8 signature[4];
	u32 length;
	u32 hardware_signature, waking_vector, global_lock, flags;
	u64 x_waking_vector;
	u8 version;
	u8 reserved[31];
} __attribute__((packed));

struct acpi_madt {
	struct acpi_header header;
	u32 lapic;
	u32 flags;
	struct {
		u8 type, length, uid, apic_id;
		u32 flags;
	} __attribute__((packed))
	cpu[BUNDLE_MAX_VCPUS]; // cut to the number of vcpus, then the tail follows
} __attribute__((packed));

struct acpi_madt_tail {
	struct {
		u8 type, length, id, reserved;
		u32 address, gsi_base;
	} __attribute__((packed)) ioapic;
	struct {
		u8 type, length, bus, irq;
		u32 gsi;
		u16 flags;
	} __attribute__((packed)) override[2];
	struct {
		u8 type, length, uid;
		u16 flags;
		u8 lint;
	} __attribute__((packed)) nmi;
} __attribute__((packed));

struct acpi_mcfg {
	struct acpi_header header;
	u64 reserved;
	u64 base;
	u16 segment;
	u8 bus_first, bus_last;
	u32 reserved2;
} __attribute__((packed));

_Static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 6.4, table 5.3");
_Static_assert(sizeof(struct acpi_fadt) == 276, "ACPI 6.4, table 5.9");
_Static_assert(sizeof(struct acpi_facs) == 64, "ACPI 6.4, table 5.12");
_Static_assert(sizeof(struct acpi_mcfg) == 60, "PCI Firmware 3.2, table 4-3");

// Where the next table goes; all lie one behind the other in the BIOS area.
struct writer {
	struct vm *vm;
	u64 next;
	bool failed;
};

static u8 checksum(const void *data, size_t size)
{
	const u8 *bytes = data;
	u8 sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = (u8)(sum + bytes[i]);
	return (u8)-sum;
}

// Writes bytes as they are and returns their address; 64 bytes of alignment suit every table (the FACS needs them).
static u32 put(struct writer *w, const void *data, size_t size)
{
	u64 at = w->next;

	if (size > GPA_BIOS_END - at || !guest_write(w->vm, gpa(at), data, size)) {
		w->failed = true;
		return 0;
	}
	w->next = MIN(ALIGN_UP(at + size, 64), GPA_BIOS_END);
	return (u32)at;
}

static void header_fill(struct acpi_header *h, const char *signature, u8 revision, size_t size)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->signature, signature, 4);
	h->length = (u32)size;
	h->revision = revision;
	memcpy(h->oem_id, OEM_ID, 6);
	memcpy(h->oem_table_id, OEM_TABLE_ID, 8);
	h->oem_revision = 1;
	memcpy(h->creator_id, CREATOR_ID, 4);
	h->creator_revision = 1;
}

// Writes a table that begins with a filled header.
static u32 put_table(struct writer *w, void *table)
{
	struct acpi_header *h = table;

	h->checksum = 0;
	h->checksum = checksum(table, h->length);
	return put(w, table, h->length);
}

static struct acpi_gas io_register(u16 port, u8 bits)
{
	u8 access = bits == 8 ? 1 : bits == 16 ? 2 : 3;

	return (struct acpi_gas){.space = GAS_IO, .width = bits, .access = access, .address = port};
}

static u32 put_facs(struct writer *w)
{
	struct acpi_facs f = {.signature = {'F', 'A', 'C', 'S'}, .length = sizeof(f), .version = 2};

	return put(w, &f, sizeof(f));
}

static u32 put_fadt(struct writer *w, u32 facs, u32 dsdt)
{
	struct acpi_fadt f;

	memset(&f, 0, sizeof(f));
	header_fill(&f.header, "FACP", 6, sizeof(f));
	f.minor = 4;
	f.facs = facs;
	f.dsdt = dsdt;
	f.x_dsdt = dsdt;
	f.sci_irq = VPM_SCI_IRQ;
	f.pm1a_event = VPM_PORT;
	f.pm1a_control = VPM_PORT_CNT;
	f.pm_timer = VPM_PORT_TMR;
	f.pm1_event_length = 4;
	f.pm1_control_length = 2;
	f.pm_timer_length = 4;
	f.x_pm1a_event = io_register(VPM_PORT, 32);
	f.x_pm1a_event.access = 2; // two registers of 16 bits
	f.x_pm1a_control = io_register(VPM_PORT_CNT, 16);
	f.x_pm_timer = io_register(VPM_PORT_TMR, 32);
	f.c2_latency = 0xffff; // above 100 and 1000: no C2, no C3
	f.c3_latency = 0xffff;
	f.century = VRTC_CENTURY;
	f.boot_arch = BOOT_LEGACY_DEVICES | BOOT_NO_VGA | BOOT_NO_ASPM; // 8042 (bit 1): absent
	f.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLEEP_BUTTON | FADT_RTC_NOT_FIXED |
		  FADT_TIMER_32 | FADT_RESET_REGISTER | FADT_HEADLESS;
	f.reset = io_register(PC_PORT_RESET, 8);
	f.reset_value = PC_RESET_VALUE;
	return put_table(w, &f);
}

// A VM with one vcpu, and with disks or cards, has a place for a second: Linux then gives its disks more than one queue,
// and puts no I/O scheduler with a thread of its own between a request and a disk that has more than one.
static u32 put_madt(struct writer *w)
{
	struct acpi_madt m;
	struct acpi_madt_tail tail = {
		.ioapic = {MADT_IOAPIC, sizeof(tail.ioapic), 0, 0, (u32)GPA_IOAPIC, 0},
		.override =
			{
				{MADT_OVERRIDE, sizeof(tail.override[0]), 0, VPIT_IRQ, 2, 0},
				{MADT_OVERRIDE, sizeof(tail.override[0]), 0, VPM_SCI_IRQ,
					VPM_SCI_IRQ, INTI_LEVEL_HIGH},
			},
		.nmi = {MADT_LAPIC_NMI, sizeof(tail.nmi), 0xff, 0, 1}, // LINT1 of all
	};
	u8 bytes[sizeof(m) + sizeof(tail)];
	u32 cpus = MIN(w->vm->vcpu_count, BUNDLE_MAX_VCPUS);
	u32 places = MAX(cpus, w->vm->config->io_count ? 2u : 0u);
	size_t head = offsetof(struct acpi_madt, cpu) + places * sizeof(m.cpu[0]);

	header_fill(&m.header, "APIC", 4, head + sizeof(tail));
	m.lapic = (u32)GPA_LAPIC;
	m.flags = MADT_PCAT;
	for (u32 i = 0; i < places; i++) {
		m.cpu[i].type = MADT_LAPIC;
		m.cpu[i].length = sizeof(m.cpu[i]);
		m.cpu[i].uid = m.cpu[i].apic_id = (u8)i;
		m.cpu[i].flags = i < cpus ? CPU_ENABLED : CPU_ONLINE_CAPABLE;
	}
	memcpy(bytes, &m, head);
	memcpy(bytes + head, &tail, sizeof(tail));
	return put_table(w, bytes);
}

static u32 put_mcfg(struct writer *w)
{
	struct acpi_mcfg m;

	memset(&m, 0, sizeof(m));
	header_fill(&m.header, "MCFG", 1, sizeof(m));
	m.base = GPA_ECAM;
	return put_table(w, &m);
}

#define ROOTS 3

static u32 put_rsdt(struct writer *w, const u32 *tables)
{
	struct {
		struct acpi_header header;
		u32 table[ROOTS];
	} __attribute__((packed)) r;

	header_fill(&r.header, "RSDT", 1, sizeof(r));
	memcpy(r.table, tables, sizeof(r.table));
	return put_table(w, &r);
}

static u32 put_xsdt(struct writer *w, const u32 *tables)
{
	struct {
		struct acpi_header header;
		u64 table[ROOTS];
	} __attribute__((packed)) x;

	header_fill(&x.header, "XSDT", 1, sizeof(x));
	for (unsigned i = 0; i < ROOTS; i++)
		x.table[i] = tables[i];
	return put_table(w, &x);
}

static void rsdp_fill(struct acpi_rsdp *r, u32 rsdt, u32 xsdt)
{
	memset(r, 0, sizeof(*r));
	memcpy(r->signature, "RSD PTR ", 8);
	memcpy(r->oem_id, OEM_ID, 6);
	r->revision = 2;
	r->rsdt = rsdt;
	r->length = sizeof(*r);
	r->xsdt = xsdt;
	r->checksum = checksum(r, 20);
	r->checksum_all = checksum(r, sizeof(*r));
}

int acpi_tables_write(struct vm *vm, gpa_t *rsdp)
{
	struct writer w = {
		.vm = vm, .next = GPA_BIOS + 64}; // the RSDP comes first and is written last
	struct acpi_rsdp r;
	u32 tables[ROOTS], facs, dsdt, rsdt;

	facs = put_facs(&w);
	dsdt = put(&w, dsdt_aml, sizeof(dsdt_aml));
	tables[0] = put_fadt(&w, facs, dsdt);
	tables[1] = put_madt(&w);
	tables[2] = put_mcfg(&w);
	rsdt = put_rsdt(&w, tables);
	rsdp_fill(&r, rsdt, put_xsdt(&w, tables));
	*rsdp = gpa(GPA_BIOS);
	if (w.failed || !guest_write(vm, *rsdp, &r, sizeof(r)))
		return -EFAULT;
	return 0;
}

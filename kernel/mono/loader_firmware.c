// SPDX-License-Identifier: MIT
// Starts a VM from firmware, UEFI or BIOS: the image below 4 GiB, the parts of a Q35 that it looks for, and the reset vector.
//
// The end of a BIOS is also at its old place below 1 MiB, where ACPI's tables were until it was told of them. The image is RAM, but for the variables it may begin with, which are a flash chip (nvram.h).
#include "devices/fw_cfg_acpi.h"
#include "kernel/core/frame.h"
#include "kernel/core/model.h"
#include "kernel/mono/firmware.h"
#include "kernel/mono/lpc.h"
#include "kernel/mono/nvram.h"
#include "kernel/vm/acpi_tables.h"
#include "kernel/vm/loader_parts.h"
#include "lib/errno.h"
#include "lib/firmware.h"
#include "lib/string.h"

#define FOUR_GIB     0x100000000ull
#define MEMORY_MIN   (64 * MiB)
#define HOST_BRIDGE  0x29c0u     // 82G33, of Q35
#define SUBSYSTEM    0x11001af4u // by which a BIOS knows a machine with fw_cfg
#define TABLES_MAX   (8 * KiB)
#define E820_ENTRIES 2u
#define CMOS_LOW     0x34u // RAM above 16 MiB in units of 64 KiB, 16 bits
#define CMOS_HIGH    0x5bu // RAM above 4 GiB in units of 64 KiB, 24 bits

// What the firmware is told, and the bridge that tells it.
struct firmware {
	struct lpc lpc;
	struct {
		u64 start, size;
		u32 type;
	} __attribute__((packed)) e820[E820_ENTRIES];
	u16 serial; // for a BIOS: the port that is its screen, and the RSDP
	u8 rsdp[FW_ACPI_RSDP_BYTES];
	u8 script[FW_ACPI_SCRIPT_MAX];
	u8 tables[TABLES_MAX];
};

_Static_assert(GPA_RAM_LOW_MAX <= LPC_ECAM, "the firmware's ECAM lies behind low RAM");

// By the VM's index; made at its first start.
static struct firmware *firmwares[BUNDLE_MAX_VMS];

static u32 tell_memory(const struct vm *vm, struct firmware *f)
{
	unsigned n = 0;

	f->e820[n].start = 0;
	f->e820[n].size = vm->ram_low;
	f->e820[n++].type = MEMORY_RAM;
	if (vm->ram_high) {
		f->e820[n].start = GPA_RAM_HIGH;
		f->e820[n].size = vm->ram_high;
		f->e820[n++].type = MEMORY_RAM;
	}
	return n * (u32)sizeof(f->e820[0]);
}

// The same in CMOS memory, which this firmware reads first.
static void tell_cmos(struct vm *vm)
{
	u64 low = (vm->ram_low - 16 * MiB) >> 16, high = vm->ram_high >> 16;

	memcpy(&vm->pc.rtc.cmos[CMOS_LOW], &low, 2);
	memcpy(&vm->pc.rtc.cmos[CMOS_HIGH], &high, 3);
}

// A BIOS without a graphics card shows what it and its guests say on a serial port.
static void tell_bios(struct fw_cfg *cfg, struct firmware *f)
{
	f->serial = VUART_COM1;
	fw_cfg_add(cfg, "etc/sercon-port", &f->serial, sizeof(f->serial));
	fw_cfg_add(cfg, FW_ACPI_RSDP, f->rsdp, sizeof(f->rsdp));
}

static int tell(struct load *l, struct firmware *f, bool bios)
{
	struct vm *vm = l->vm;
	struct fw_cfg *cfg = &f->lpc.fw_cfg;
	u32 script;

	if (!guest_read(vm, gpa(GPA_BIOS), f->tables, sizeof(f->tables)))
		return load_fail(l, "its ACPI tables cannot be read");
	script = fw_acpi_convert(
		f->tables, sizeof(f->tables), GPA_BIOS, bios ? f->rsdp : NULL, f->script);
	if (!script)
		return load_fail(l, "its ACPI tables do not suit firmware");
	fw_cfg_init(cfg, (u16)vm->vcpu_count);
	fw_cfg_add(cfg, FW_ACPI_TABLES, f->tables, sizeof(f->tables));
	fw_cfg_add(cfg, FW_ACPI_SCRIPT, f->script, script);
	fw_cfg_add(cfg, "etc/e820", f->e820, tell_memory(vm, f));
	fw_cfg_add(cfg, "opt/ovmf/X-PciMmio64Mb", "0", 1); // BARs lie below 4 GiB
	if (bios)
		tell_bios(cfg, f);
	tell_cmos(vm);
	return 0;
}

// Puts the Q35's bridges on the bus; the second time they are there.
static void add_bridges(struct vm *vm, struct firmware *f, struct pflash *flash, u64 flash_at)
{
	const u16 device = HOST_BRIDGE;
	const u32 subsystem = SUBSYSTEM;

	spin_lock(&vm->lock);
	f->lpc.bus = &vm->pc.pci;
	f->lpc.flash = flash;
	f->lpc.flash_at = flash_at;
	memcpy(&vm->pc.pci.bridge[PCI_DEVICE_ID], &device, 2);
	memcpy(&vm->pc.pci.bridge[PCI_SUBSYSTEM_VENDOR], &subsystem, 4);
	if (vpci_add(&vm->pc.pci, LPC_SLOT, &lpc_ops, &f->lpc) == 0)
		vpci_reset(&vm->pc.pci);
	spin_unlock(&vm->lock);
}

// Its code is RAM, behind the chip with its variables.
static int load_image(struct load *l, struct firmware *f)
{
	u64 start = FOUR_GIB - l->kernel.size;
	u32 vars;
	struct pflash *flash = nvram_start(l->vm, &start, &vars);

	add_bridges(l->vm, f, flash, start);
	start += vars;
	if (!gmap_is_ram(&l->vm->gmap, start))
		gmap_add_ram(&l->vm->gmap, start, FOUR_GIB);
	return load_copy(l, start, l->kernel.data + vars, l->kernel.size - vars);
}

int model_load(struct load *l)
{
	struct vm *vm = l->vm;
	struct firmware *f = firmwares[vm->index];
	bool bios = firmware_is_bios(l->kernel.data, l->kernel.size);
	u64 low = GPA_BIOS_END - GPA_BIOS;
	int err;

	if (!bios && !firmware_is(l->kernel.data, l->kernel.size))
		return -ENOEXEC;
	if (vm->ram_low < MEMORY_MIN)
		return load_fail(l, "its firmware needs 64 MiB of memory");
	if (!f)
		f = firmwares[vm->index] = kmem_alloc(sizeof(*f), vm->id);
	if (!f) {
		l->why = "out of memory";
		return -ENOMEM;
	}
	err = load_image(l, f);
	err = err ? err : tell(l, f, bios);
	if (!err && bios)
		err = load_copy(l, GPA_BIOS, l->kernel.data + l->kernel.size - low, low);
	return err;
}

void firmware_destroy(struct vm *vm)
{
	struct firmware *f = firmwares[vm->index];

	if (!f)
		return;
	firmwares[vm->index] = NULL;
	kmem_free(f, sizeof(*f));
}

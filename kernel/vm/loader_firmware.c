// SPDX-License-Identifier: MIT
// Starts a VM from firmware, UEFI or BIOS: the image below 4 GiB, the parts of a Q35 that it looks for, and the reset vector.
//
// The end of a BIOS is also at its old place below 1 MiB, where ACPI's tables were until it was told of them. The image is RAM, but for the variables it may begin with, which are a flash chip (vflash.h).
#include "kernel/core/model.h"
#include "kernel/vm/loader_parts.h"
#include "kernel/vm/lpc.h"
#include "lib/errno.h"
#include "lib/firmware.h"
#include "lib/string.h"

#define FOUR_GIB    0x100000000ull
#define MEMORY_MIN  (64 * MiB)
#define HOST_BRIDGE 0x29c0u     // 82G33, of Q35
#define SUBSYSTEM   0x11001af4u // by which a BIOS knows a machine with fw_cfg
#define CMOS_LOW    0x34u       // RAM above 16 MiB in units of 64 KiB, 16 bits
#define CMOS_HIGH   0x5bu       // RAM above 4 GiB in units of 64 KiB, 24 bits

_Static_assert(GPA_RAM_LOW_MAX <= LPC_ECAM, "the firmware's ECAM lies behind low RAM");

// What fw_cfg tells of memory, in CMOS, where this firmware looks first.
static void tell_cmos(struct vm *vm)
{
	u64 low = (vm->ram_low - 16 * MiB) >> 16, high = vm->ram_high >> 16;

	memcpy(&vm->pc.rtc.cmos[CMOS_LOW], &low, 2);
	memcpy(&vm->pc.rtc.cmos[CMOS_HIGH], &high, 3);
}

// Puts the Q35's bridges on the bus; the second time they are there.
static void add_bridges(struct vm *vm, struct lpc *lpc)
{
	const u16 device = HOST_BRIDGE;
	const u32 subsystem = SUBSYSTEM;

	spin_lock(&vm->lock);
	lpc->bus = &vm->pc.pci;
	memcpy(&vm->pc.pci.bridge[PCI_DEVICE_ID], &device, 2);
	memcpy(&vm->pc.pci.bridge[PCI_SUBSYSTEM_VENDOR], &subsystem, 4);
	if (vpci_add(&vm->pc.pci, LPC_SLOT, &lpc_ops, lpc) == 0)
		vpci_reset(&vm->pc.pci);
	spin_unlock(&vm->lock);
}

int load_firmware(struct load *l)
{
	struct vm *vm = l->vm;
	const u8 *data = l->kernel.data;
	u64 size = l->kernel.size, start = FOUR_GIB - size, vars;
	bool bios = firmware_is_bios(data, size);
	const u64 low = GPA_BIOS_END - GPA_BIOS;
	struct lpc *lpc;
	int err;

	if (vm->machine || (!bios && !firmware_is(data, size)))
		return -ENOEXEC;
	if (vm->ram_low < MEMORY_MIN)
		return load_fail(l, "its firmware needs 64 MiB of memory");
	lpc = model_firmware(l, bios);
	if (!lpc)
		return -EINVAL;
	add_bridges(vm, lpc);
	tell_cmos(vm);
	vars = lpc->flash ? lpc->flash->size : 0;
	if (!gmap_is_ram(&vm->gmap, start + vars))
		gmap_add_ram(&vm->gmap, start + vars, FOUR_GIB);
	err = load_copy(l, start + vars, data + vars, size - vars);
	return err || !bios ? err : load_copy(l, GPA_BIOS, data + size - low, low);
}

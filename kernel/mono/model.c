// SPDX-License-Identifier: MIT
// The mono model: the parts that only it has.
#include "kernel/core/model.h"
#include "drivers/ahci/ahci.h"
#include "drivers/amd_iommu/amd_iommu.h"
#include "drivers/block.h"
#include "drivers/e1000e/e1000e.h"
#include "drivers/net.h"
#include "drivers/nvme/nvme.h"
#include "drivers/pci.h"
#include "drivers/virtio/virtio_disk.h"
#include "drivers/virtio/virtio_nic.h"
#include "kernel/core/log.h"
#include "kernel/x86/cpu.h"
#include "kernel/mono/balloon.h"
#include "kernel/mono/guest_wait.h"
#include "kernel/mono/disks.h"
#include "kernel/mono/disktest.h"
#include "kernel/mono/firmware.h"
#include "kernel/mono/nics.h"
#include "kernel/mono/nvram.h"
#include "kernel/mono/reachtest.h"
#include "kernel/mono/rng.h"

const char *const model_name = "mono";

void model_init(const struct boot_info *info)
{
	(void)info;
	log_line("model: mono, I/O is the kernel's");
	log_line("pci: %u functions", pci_scan());
	amd_iommu_init();
	nvme_init();
	virtio_disk_init();
	e1000e_init();
	virtio_nic_init();
	ahci_init();
	disktest_run();
	reachtest_run();
	nics_init();
	rng_init();
}

const char *model_root_create(struct vm *vm)
{
	(void)vm;
	return "the mono model has no root VM: its kernel drives the devices";
}

const char *model_vm_create(struct vm *vm)
{
	const char *why = disks_create(vm);

	why = why ? why : nvram_create(vm);
	why = why ? why : nics_create(vm);
	why = why ? why : rng_create(vm);
	return why ? why : balloon_create(vm);
}

bool model_vm_quiet(struct vm *vm)
{
	bool quiet = disks_quiet(vm);

	return nvram_quiet(vm) && quiet;
}

void model_vm_destroy(struct vm *vm)
{
	nics_destroy(vm);
	disks_destroy(vm);
	rng_destroy(vm);
	balloon_destroy(vm);
	firmware_destroy(vm);
	nvram_destroy(vm);
}

// PAUSE makes QEMU take its big lock, for which its devices then wait (docs/emulator.md).
bool model_idle(void)
{
	bool net = net_devices_idle(), again = block_look() || net;

	if (again && !cpu_info.emulated)
		cpu_relax();
	return again;
}

void model_vm_gone(unsigned index)
{
	(void)index;
}

u64 model_promised(void)
{
	return 0;
}

void model_work(void)
{
	balloon_work();
	net_devices_work();
	block_look();
	nics_work();
	guest_wait_work();
}

// SPDX-License-Identifier: MIT
// The I/O and MSR permission maps (APM vol. 2, 15.10 and 15.11), one of each for all VMs, and one for the ports of a VM that
// has the machine's.
#include "kernel/core/frame.h"
#include "kernel/core/pcpu.h"
#include "kernel/vm/vm.h"
#include "kernel/x86/svm/svm.h"
#include "lib/errno.h"
#include "lib/string.h"

#define IOPM_SIZE  (3 * PAGE_SIZE) // 64 Ki ports and the bytes a wide access may reach past them
#define MSRPM_SIZE (2 * PAGE_SIZE)

u64 svm_iopm_pa, svm_msrpm_pa;
static u64 machine_iopm_pa;

// What a guest owns: switched by VMLOAD and VMSAVE, so no access needs to exit.
static const u32 msr_owned[] = {
	0xc0000081, // STAR
	0xc0000082, // LSTAR
	0xc0000083, // CSTAR
	0xc0000084, // SFMASK
	0xc0000100, // FS_BASE
	0xc0000101, // GS_BASE
	0xc0000102, // KERNEL_GS_BASE
	0x174,      // SYSENTER_CS
	0x175,      // SYSENTER_ESP
	0x176,      // SYSENTER_EIP
};

static void msrpm_allow(u8 *map, u32 msr)
{
	u32 base = msr < 0x2000 ? 0 : msr - 0xc0000000 < 0x2000 ? 0x800 : 0x1000;
	u32 bit = (msr & 0x1fff) * 2;

	map[base + bit / 8] &= (u8) ~(3u << (bit % 8));
}

int svm_maps_init(void)
{
	u8 *iopm = kmem_alloc(IOPM_SIZE, FRAME_OWNER_KERNEL);
	u8 *msrpm = kmem_alloc(MSRPM_SIZE, FRAME_OWNER_KERNEL);

	if (!iopm || !msrpm)
		return -ENOMEM;
	memset(iopm, 0xff, IOPM_SIZE);
	memset(msrpm, 0xff, MSRPM_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(msr_owned); i++)
		msrpm_allow(msrpm, msr_owned[i]);
	svm_iopm_pa = va_to_hpa(iopm).v;
	svm_msrpm_pa = va_to_hpa(msrpm).v;
	return 0;
}

// Ports beyond FFFFh, which a wide access may reach, exit.
u64 svm_iopm(const struct vm *vm)
{
	u8 *iopm;

	if (!vm->machine)
		return svm_iopm_pa;
	if (machine_iopm_pa)
		return machine_iopm_pa;
	iopm = kmem_alloc(IOPM_SIZE, FRAME_OWNER_KERNEL);
	if (!iopm)
		return svm_iopm_pa; // every access exits then
	memset(iopm + 0x10000 / 8, 0xff, IOPM_SIZE - 0x10000 / 8);
	for (u32 port = 0; port < 0x10000; port++)
		if (vm->machine->port_exits((u16)port))
			iopm[port / 8] |= (u8)(1u << port % 8);
	machine_iopm_pa = va_to_hpa(iopm).v;
	return machine_iopm_pa;
}

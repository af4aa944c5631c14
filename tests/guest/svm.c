// SPDX-License-Identifier: MIT
// Instructions of virtualization and system management that a guest does not have: each must be #UD.
#include "guest.h"

#define INSTRUCTION(name, text)                                                                    \
	static void name(void *arg)                                                                \
	{                                                                                          \
		u64 a = (u64)arg, c = 0, d = 0;                                                    \
		__asm__ volatile(text : "+a"(a), "+c"(c), "+d"(d) : : "rbx", "memory");            \
	}

INSTRUCTION(vmrun, ".byte 0x0F, 0x01, 0xD8")
INSTRUCTION(vmload, ".byte 0x0F, 0x01, 0xDA")
INSTRUCTION(vmsave, ".byte 0x0F, 0x01, 0xDB")
INSTRUCTION(stgi, ".byte 0x0F, 0x01, 0xDC")
INSTRUCTION(clgi, ".byte 0x0F, 0x01, 0xDD")
INSTRUCTION(skinit, ".byte 0x0F, 0x01, 0xDE")
INSTRUCTION(invlpga, ".byte 0x0F, 0x01, 0xDF")
INSTRUCTION(rsm, ".byte 0x0F, 0xAA")
INSTRUCTION(vmxoff, ".byte 0x0F, 0x01, 0xC4")
INSTRUCTION(vmlaunch, ".byte 0x0F, 0x01, 0xC2")
INSTRUCTION(vmread, "vmread %%rax, %%rcx")
INSTRUCTION(getsec, ".byte 0x0F, 0x37")
INSTRUCTION(monitor, ".byte 0x0F, 0x01, 0xC8")
INSTRUCTION(mwait, ".byte 0x0F, 0x01, 0xC9")

struct instruction {
	const char *name;
	void (*fn)(void *);
	bool svm;     // an instruction of SVM
	bool address; // the processor looks at the address in RAX before the hypervisor does
};

static const struct instruction instructions[] = {
	{"VMRUN", vmrun, true, true},
	{"VMLOAD", vmload, true, true},
	{"VMSAVE", vmsave, true, true},
	{"STGI", stgi, true, false},
	{"CLGI", clgi, true, false},
	{"SKINIT", skinit, true, false},
	{"INVLPGA", invlpga, true, false},
	{"RSM", rsm, false, false},
	{"VMXOFF", vmxoff, false, false},
	{"VMLAUNCH", vmlaunch, false, false},
	{"VMREAD", vmread, false, false},
	{"GETSEC", getsec, false, false},
	{"MONITOR", monitor, false, false},
	{"MWAIT", mwait, false, false},
};

static void rdpmc(void *arg)
{
	u32 a, d;

	__asm__ volatile("rdpmc" : "=a"(a), "=d"(d) : "c"((u32)(u64)arg));
}

void guest_main(void)
{
	void *page = memory_pages(1);
	u64 v;

	for (u32 i = 0; i < ARRAY_SIZE(instructions); i++) {
		const struct instruction *p = &instructions[i];
		int fault = try_call(p->fn, page);

		if (!p->svm && arg_given("qemu")) // knows some of them
			continue;
		check(fault == VEC_UD, "%s is #UD (%d)", p->name, fault);
		fault = try_call(p->fn, (void *)random_odd());
		check_quiet(fault == VEC_UD || (fault == VEC_GP && p->address),
			"%s with a random address: %d", p->name, fault);
	}
	check(try_wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME) == VEC_GP || arg_given("qemu"),
		"EFER.SVME is #GP");
	check(try_call(vmrun, page) == VEC_UD, "VMRUN still is #UD");
	check(try_rdmsr(0xC0010117, &v) == VEC_GP || v == 0, "VM_HSAVE_PA shows nothing");
	check(try_rdmsr(0xC0010114, &v) == VEC_GP || (v & BIT(4)) || arg_given("qemu"),
		"VM_CR says SVM is disabled");
	for (u64 i = 0; i < 64; i++) {
		int fault = try_call(rdpmc, (void *)(i < 16 ? i : random_odd()));

		check_quiet(fault == NO_FAULT || fault == VEC_GP || fault == VEC_UD, "RDPMC: %d",
			fault);
	}
}

// SPDX-License-Identifier: MIT
// What the root VM may ask of the kernel of Mezzanine (model micro).
//
// A hypercall is VMMCALL (AMD) or VMCALL (Intel) in ring 0 and 64-bit mode, with its number in RAX and up to four arguments in
// RBX, RCX, RDX and RSI; RAX is the result: 0 or more, or an error number of Linux, negated. A buffer is whole in one page of
// the root VM's memory, by its guest-physical address. Only the root VM may call these; for others they do not exist (-ENOSYS
// of KVM, -1000). Whether they are there is told by CPUID: leaf 0x40000100 has the signature "MezzanineHV", leaf 0x40000101
// in EBX the version below for the root VM, 0 for others.
//
// The same structures go through /dev/mezz (abi/dev_mezz.h). Numbers are little-endian; texts end with a zero byte.
#pragma once

#include "lib/types.h"

#define MEZZ_ABI_VERSION 3

enum mezz_call {
	// (0, 0, buffer, size): fills a struct mezz_host, as much of it as has room. Returns how much that is.
	MEZZ_CALL_HOST = 0x4d5a0000,

	// (n, 0, buffer, size): fills a struct mezz_vm about the VM with the least id that is at least n; likewise. -ENOENT: there
	// is none.
	MEZZ_CALL_VM,

	// (id, enum mezz_vm_op): 0; -ENOENT: no such VM; -EPERM: not with the root VM; -EINVAL: no such operation.
	MEZZ_CALL_VM_DO,

	// (position, 0, buffer, size): fills a struct mezz_log with text of the kernel's log from that position on. Returns the
	// number of bytes of text; 0: there is no more now.
	MEZZ_CALL_LOG,

	// ---- virtual devices of other VMs, whose back-ends are processes of the root VM (docs/backends.md). A device is named
	// by MEZZ_DEVICE_OF(id, slot). -ENOENT: no such VM, or no such device.

	// (id, n, buffer, size): the n-th line of the VM's definition about disks and network cards (abi/bundle.h), a text.
	// Returns its length. -ENOENT: there is none.
	MEZZ_CALL_VM_LINE,

	// (id | n << 32, offset, buffer, size): reads the file of the boot bundle that the n-th line names as a disk's image.
	// Returns how much it read, 0 at the end. -ENOENT: the line names none.
	MEZZ_CALL_VM_FILE,

	// (id, 0, buffer, size): takes a struct mezz_device: the VM has this device from now on. -EBUSY: the VM does not wait
	// (MEZZ_VM_WAITING), or there is something in the slot; -EINVAL: no such device.
	MEZZ_CALL_DEVICE_ADD,

	// (device, 0, buffer, size): fills a struct mezz_device_state. Returns how much that is.
	MEZZ_CALL_DEVICE_STATE,

	// (device, set of queues): an interrupt for each of them. MEZZ_BELL_STATE stands for the configuration's.
	MEZZ_CALL_DEVICE_INTERRUPT,

	// (device, enum mezz_device_op).
	MEZZ_CALL_DEVICE_DO,

	// (device, 0, buffer, size): takes the bytes that the driver reads as the device's configuration from now on, and
	// tells it so. -EINVAL: not as many as at first.
	MEZZ_CALL_DEVICE_CONFIG,

	// ---- consoles of other VMs. -EPERM: not of the root VM.

	// (id, position, buffer, size): fills a struct mezz_log with what the VM's console said from that position on; the last
	// 16 KiB are kept. Returns the number of bytes of text; 0: there is no more now.
	MEZZ_CALL_CONSOLE_READ,

	// (id, 0, buffer, size): types for the VM. Returns how many bytes were taken, which may be none: the guest is late.
	MEZZ_CALL_CONSOLE_WRITE,

	MEZZ_CALL_END,

	// ---- of the root VM's kernel, not for programs

	// (0, 0, page, 4096): the kernel sets bits of VMs in this struct mezz_events, and sends the interrupt that is the result,
	// a GSI, edge-triggered.
	MEZZ_CALL_EVENTS = 0x4d5a0080,

	// (id, 0, page, 4096): the VM has a back-end, which looks at this struct mezz_bells. Returns a number that no other VM
	// had or will have until the machine starts again. -EBUSY: it has one.
	MEZZ_CALL_ATTACH,

	// (id): the back-end has gone: it touches nothing of the VM any more, nor does a device for it.
	MEZZ_CALL_DETACH,

	// (id, gpa): lets the root VM, and its devices, reach the VM's memory there, until the VM ends. Returns its address in the
	// root VM, of a block of 2 MiB if MEZZ_MAP_BLOCK is set, else of a page. -EFAULT: not RAM; -EBUSY: no back-end is
	// attached; -ENOMEM.
	MEZZ_CALL_MAP,

	// (address, 0, buffer, size): fills a struct mezz_range with the RAM around an address that MEZZ_CALL_MAP gave.
	MEZZ_CALL_RAM,

	// (size): there will be a bundle (abi/bundle.h) of so many bytes, up to MEZZ_BUNDLE_MAX. Returns its handle, which no other
	// one had or will have. -EINVAL: no such size; -ENOMEM: there is not so much free; -ENOSPC: there are as many VMs and
	// bundles as there can be. These four calls are made by one processor at a time; -EBUSY else.
	MEZZ_CALL_BUNDLE_BEGIN,

	// (handle, offset, buffer, size): its next bytes, which begin at offset. Returns 0. -ENOENT: no such bundle; -EINVAL: not
	// the next ones; -ENOMEM.
	MEZZ_CALL_BUNDLE_WRITE,

	// (handle): it will not be used. -ENOENT: it is none, or is a VM's.
	MEZZ_CALL_BUNDLE_DROP,

	// (handle, 0, buffer, size): makes the VM of the bundle, which has one, not the root VM, with `repeat 0`. The bundle is the
	// VM's from now on. Returns the VM's id: it waits (MEZZ_VM_WAITING), even if it has no devices. Else the bundle is
	// gone, and what is wrong is in the buffer: a line of text without a newline. -EINVAL: the bundle; -EEXIST: its VM's name
	// is another's; -ENOMEM.
	MEZZ_CALL_VM_CREATE,
};

#define MEZZ_BUNDLE_MAX  (1ull << 30)
#define MEZZ_MESSAGE_MAX 128u // bytes of MEZZ_CALL_VM_CREATE's text, with a zero byte behind it

#define MEZZ_MAP_BLOCK           1ull
#define MEZZ_DEVICE_OF(id, slot) ((u64)(slot) << 32 | (id))

enum mezz_vm_op {
	MEZZ_VM_SHUTDOWN, // presses its power button; a guest that does not listen (yet) does not remember it
	MEZZ_VM_STOP,  // at once, whatever it does; one that is being reset does not start again
	MEZZ_VM_PAUSE, // its vcpus run no more until MEZZ_VM_RESUME; its clocks go on
	MEZZ_VM_RESUME,
	MEZZ_VM_START, // it waits, and its devices are there: it begins to run. -EBUSY: it does already
};

#define MEZZ_NAME_SIZE 32u

struct mezz_host {
	char model[16]; // "micro"
	u32 cpus;       // that the machine has
	u32 vm_cpus;    // of them run VMs
	u32 vms;
	u32 reserved;
	u64 memory, free_memory, kernel_memory; // bytes
	u64 uptime;                             // ns
	u64 idle;                               // ns, of all CPUs that run VMs together
};

enum mezz_vm_state {
	MEZZ_VM_RUNNING,
	MEZZ_VM_PAUSED,
	MEZZ_VM_ENDING,
	MEZZ_VM_WAITING, // for its devices, which its back-end adds, and MEZZ_VM_START
};

#define MEZZ_CAUSES 24u

struct mezz_vm {
	char name[MEZZ_NAME_SIZE];
	u32 id;    // this VM's; others may get it after its end
	u32 state; // enum mezz_vm_state
	u32 is_root;
	u32 vcpus;
	u32 weight;         // of processor time
	u32 cap;            // percent of a CPU; 0: none
	u64 memory;         // bytes that it may use
	u64 populated;      // of them it has touched
	u64 overhead;       // bytes that it takes beside its memory
	u64 processor_time; // ns, of all vcpus
	u64 steal_time;     // ns that they could have run and waited
	u64 exits;
	u32 has_backend; // one is attached
	u32 causes;      // how many of the next are filled
	struct {
		char name[16];
		u64 count;
	} cause[MEZZ_CAUSES];
};
_Static_assert(sizeof(struct mezz_vm) <= 4096, "a page");

#define MEZZ_LOG_TEXT 4000u

struct mezz_log {
	u64 position; // of what comes after this text; what was asked for may have been dropped
	u32 size, reserved;
	char text[MEZZ_LOG_TEXT]; // not ended by a zero byte
};
_Static_assert(sizeof(struct mezz_log) <= 4096, "a page");

// ---- virtual devices

#define MEZZ_SLOTS         32u // of a VM's PCI bus
#define MEZZ_QUEUES        32u // of a device at most
#define MEZZ_CONFIG_SIZE   64u // bytes of a device's configuration at most
#define MEZZ_MAX_VMS       256u
#define MEZZ_STATE_VERSION 1u

// What the kernel has to know of a virtio device: what its driver is told.
struct mezz_device {
	u16 slot;       // of the VM's PCI bus: 2 to 31
	u16 type;       // as the virtio standard numbers them
	u16 queues;     // 1 to MEZZ_QUEUES
	u16 queue_size; // of each at most: a power of two, up to 256
	u64 features; // beside those of rings, which all have (indirect descriptors, event index, version 1)
	u32 pci_class; // class, subclass, interface
	u32 config_size;
	u8 config[MEZZ_CONFIG_SIZE];
};
_Static_assert(sizeof(struct mezz_device) == 88, "no holes");

// As the driver has set it. The indices of queues are not here: they are the back-end's.
struct mezz_device_state {
	u32 version;  // MEZZ_STATE_VERSION
	u32 resets;   // how often the driver has reset the device
	u64 accepted; // features
	u8 status;    // of the virtio standard
	u8 running;   // the driver is ready, and the device may reach memory
	u8 resetting; // the driver waits for MEZZ_DEVICE_RESET_DONE
	u8 reserved;
	u32 queues;
	struct {
		u64 desc, driver, device; // guest-physical, of the three arrays
		u16 size, enabled;
		u32 reserved;
	} queue[MEZZ_QUEUES];
};
_Static_assert(sizeof(struct mezz_device_state) == 24 + 32 * MEZZ_QUEUES, "no holes");

enum mezz_device_op {
	MEZZ_DEVICE_RESET_DONE, // it has nothing in flight, and has forgotten everything
	MEZZ_DEVICE_BROKEN,     // its driver has to reset it (DEVICE_NEEDS_RESET)
};

// The bells of a VM's devices, in a page of the root VM. The kernel sets bits; the back-end takes them (exchange with 0) and
// then looks. After it was attached it looks at everything.
struct mezz_bells {
	u64 device[MEZZ_SLOTS]; // a bit for each queue, and MEZZ_BELL_STATE
	u64 vm;                 // MEZZ_BELL_END
};
#define MEZZ_BELL_STATE (1ull << 63) // the device's state has changed
#define MEZZ_BELL_END   1ull         // the VM has ended: the back-end shall go

// VMs that have a new bell, by id.
struct mezz_events {
	u64 vm[MEZZ_MAX_VMS / 64];
};

struct mezz_range {
	u64 start, end;
};

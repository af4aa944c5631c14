// SPDX-License-Identifier: MIT
// The boot bundle: what `mezz bundle` writes and the kernel reads.
//
// A cpio archive (newc, "070701"). Its first member is BUNDLE_CONFIG, a text; the other members are
// the files that the text names. A file that several VMs use is stored once. The text is lines of a
// key, one space, and the value up to the end of the line; nothing is optional in their order:
//
//	mezzanine-bundle 1
//	vm NAME                 [a-z0-9-]{1,31}, unique; begins a VM
//	root                    instead, first of all and once: begins the root VM, whose name this is
//	memory BYTES            decimal, a multiple of 1 MiB
//	vcpus N                 1..64; the root VM has no such line: it has one for each CPU
//	kernel MEMBER
//	initrd MEMBER           optional
//	module MEMBER ARGS      any number (Multiboot 1); ARGS may be empty
//	cmdline TEXT            may be empty
//	weight N                1..10000
//	cap PERCENT             optional; percent of one CPU
//	affinity HEX            optional; mask of the CPUs it may run on
//	disk MEMBER MODE        any number of disk, nic, vars and balloon; MODE is rw, ro or snapshot
//	disk device NAME MODE   a disk or partition of the machine, its PARTUUID, or a disk's serial number; MODE is rw or ro
//	nic SWITCH VLAN MAC STORM RATE [UPLINK [follow]]
//	                        SWITCH is like NAME; VLAN 0..4094, or trunk, or trunk:N,N,... of these; MAC as
//	                        12:34:56:78:9a:bc; STORM in frames a second, RATE in bytes a second, both
//	                        decimal, 0: no limit; UPLINK is the machine's network card that the switch has as
//	                        a port, such as eth0; follow: the card's link is that of the uplink
//	vars NAME               at most one; a disk or partition, or its PARTUUID, that keeps the firmware's variables
//	balloon off             the VM has no virtio-balloon; without this line it has one
//	balloon BYTES           the balloon takes so much from the start; decimal, less than the memory
//	repeat N                0: run once; N: started N times again after a power-off
//	debug_exit 0|1
//	end                     ends a VM
#pragma once

#define BUNDLE_CONFIG     "mezzanine.conf"
#define BUNDLE_MAGIC_LINE "mezzanine-bundle 1"

#define BUNDLE_MAX_VMS        64
#define BUNDLE_MAX_VCPUS      64
#define BUNDLE_MAX_MODULES    8
#define BUNDLE_MAX_IO         18 // disk, nic, vars and balloon lines of a VM
#define BUNDLE_MAX_DISKS      8
#define BUNDLE_MAX_NICS       8
#define BUNDLE_MAX_SWITCHES   16
#define BUNDLE_UPLINK_MAX     15   // characters of a network card's name
#define BUNDLE_MAX_TRUNK      64   // VLANs in a trunk's list
#define BUNDLE_DEVICE_MAX     36   // characters of a device's name or PARTUUID
#define BUNDLE_NAME_MAX       31   // characters of a VM's name
#define BUNDLE_CMDLINE_MAX    2047 // characters of a command line
#define BUNDLE_WEIGHT_DEFAULT 256

# SPDX-License-Identifier: MIT
"""What the devices of the root VM reach: its memory, and behind an IOMMU nothing else. QEMU's `edu` (docs/specs/edu.txt there) copies
2 KiB between memory and a buffer of its own to any address, and the root VM's user is the one who tells it to."""
import re

from machine import Failure, Machine, RootVM, debian

KERNEL = 0x200000      # where Mezzanine's code is
OTHERS = 0x70000000    # memory of nobody: the machine has 2 GiB, and VMs begin below
XSDT = int.from_bytes(b'XSDT', 'little')
EDU = '-device edu,dma_mask=0xffffffff'

# The script's words: `get A` copies from A into the device, `put A` from the device to A.
SCRIPT = r"""
d=$(dirname $(grep -l 0x11e8 /sys/bus/pci/devices/*/device))
echo 1 >$d/enable
printf '\006' | dd of=$d/config bs=1 seek=4 conv=notrunc 2>/dev/null
r=$(cut -d' ' -f1 $d/resource | head -n 1)
reg() { devmem $((r + $1)) 64 $2; }
go() { reg 0x80 $1; reg 0x88 $2; reg 0x90 2048; reg 0x98 $3; while [ $(($(devmem $((r + 0x98)) 64) & 1)) = 1 ]; do :; done; }
get() { go $1 0x40000 1; }
put() { go 0x40000 $1 3; }
first() { devmem $1 64; }
own=$(sed -n 's/ : ACPI Tables//p' /proc/iomem | head -n 1)
tables=0x${own%-*} end=0x${own#*-}
place=$((end - 4095))
get $tables; put $place; echo "DMA copied $(first $place)"
put OTHERS; echo "DMA put"
get KERNEL; put $place; echo "DMA kernel $(first $place)"
"""


def type_script(machine):
    """Line by line: what is typed is kept in a small buffer until the shell reads it."""
    lines = SCRIPT.replace('OTHERS', hex(OTHERS)).replace('KERNEL', hex(KERNEL)).strip().split('\n')
    for n, line in enumerate(lines, 1):
        machine.type('root', f'{line}; echo "DMA line" {n}\n')
        machine.expect('root', f'^DMA line {n}\\b')


def quadword(machine, address):
    return int(re.search(r'^[0-9a-f]+: 0x([0-9a-f]{16})', machine.ask(f'xp /1gx {address:#x}'), re.M)[1], 16)


def dma(iommu):
    def test(build, model, folder):
        vms = [RootVM('shell', words='iomem=relaxed'), debian('web', 'work', words='mezz.rounds=5')]
        machine = Machine(folder, build, model, vms, ['--memory', '2GiB', '--qemu-args', f'{EDU} {"-device amd-iommu" if iommu else ""}'], 120)
        try:
            machine.expect('root', '^root ready: ')
            before = quadword(machine, OTHERS)
            type_script(machine)
            after, kernel = quadword(machine, OTHERS), quadword(machine, KERNEL)
            machine.wait_event('web', 'poweroff')
            machine.type('root', 'poweroff -f\n')
            status = machine.finish()
        finally:
            machine.stop()
        log = machine.log('root').decode(errors='replace')
        copied, read = (int(x, 16) for x in re.search(r'^DMA copied (0x\S+).*^DMA kernel (0x\S+)', log, re.S | re.M).groups())
        if status or machine.ends('root') != ['poweroff'] or 'WORK end 5 ok, 0 bad' not in machine.log('web').decode(errors='replace'):
            raise Failure(f'mezz returned {status}; root: {machine.ends("root")}, web: {machine.ends("web")}')
        if copied & 0xffffffff != XSDT:
            raise Failure(f'the device has not copied the first of the ACPI tables: {copied:#x}')
        if (after != before) == iommu:
            raise Failure(f'others\' memory: {before:#x} before, {after:#x} after, with{"" if iommu else "out"} IOMMU')
        if not kernel or (read == kernel) == iommu:
            raise Failure(f'memory of the kernel: {kernel:#x}, read {read:#x}, with{"" if iommu else "out"} IOMMU')
    return test

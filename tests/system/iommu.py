# SPDX-License-Identifier: MIT
"""The mono kernel on a machine with AMD's IOMMU: drivers and VMs work as without it, and what is not mapped is not reached."""
import re

import disks
from machine import Failure, Machine, debian

IOMMU = '-device amd-iommu '
ON = re.compile(r'iommu: AMD-Vi at 0x[0-9a-f]+ \(\S+\) is on')
LINE = re.compile(r'reachtest: \S+, ([^:]+): ([^,]+), write \S+, read \S+')

MAPPED = {'mapped': 'the pattern came back', 'mapped again': 'the pattern came back'}
BLOCKED = {'written from memory that is not mapped': 'something else came',
           'read to memory that is not mapped': 'memory is untouched'}
REACHED = dict.fromkeys(BLOCKED, 'the pattern came back')


def reaches(device, wanted, words='', said=''):
    """The test of the disk's driver in all its phases, then the test of what its controller reaches."""
    def test(build, _, folder):
        path, name = disks.scratch(folder), disks.works_on(device)
        try:
            log, phases = disks.run(build, folder, f'{IOMMU}-drive if=none,id=d0,format=raw,file={path} {device}',
                                    f'disktest={name},write reachtest={name} {words}', 180)
        finally:
            path.unlink()
        disks.all_right(phases, 9 if name == 'sata0' else 10)
        seen = dict(LINE.findall(log))
        if seen != {**MAPPED, **wanted}:
            raise Failure(f'what reached what: {seen}')
        if not re.search(said, log) if said else not ON.search(log):
            raise Failure(f'the log does not say "{said or ON.pattern}"')
    return test


def stalled(device):
    """Time-outs, resets and the end of a controller leave nothing mapped that the kernel would miss or count twice."""
    return disks.stalled(f'{device} {IOMMU}')


def vm(build, _, folder):
    """A VM with a disk and a network card of the machine, both behind the IOMMU: it reads its disk and reaches its uplink."""
    path = disks.scratch(folder)
    qemu = (f'{IOMMU}-drive if=none,id=d0,format=raw,file={path} -device nvme,drive=d0,serial=web '
            '-netdev user,id=n0 -device virtio-net-pci,disable-legacy=on,iommu_platform=on,netdev=n0')
    web = debian('web', words='mezz.ip=10.0.2.15/24', nics='[{switch: lan}]', disks='[{device: nvme0n1}]')
    machine = Machine(folder, build, 'mono', [web], ['--qemu-args', qemu], 180, uplink='eth0')
    try:
        machine.expect('web', '^web ready: ', 90)
        machine.type('web', 'dd if=/dev/urandom of=/tmp/a bs=64k count=64 2>/dev/null; '
                     'dd if=/tmp/a of=/dev/vda bs=64k oflag=direct conv=fsync 2>/dev/null; echo 3 > /proc/sys/vm/drop_caches; '
                     'dd if=/dev/vda bs=64k count=64 iflag=direct 2>/dev/null | cmp - /tmp/a && echo SAME-$?\n')
        machine.expect('web', '^SAME-0', 60)
        machine.type('web', 'ping -q -c 3 10.0.2.2\n')
        machine.expect('web', '3 packets transmitted, 3 packets received, 0% packet loss', 40)
        machine.type('web', 'poweroff -f\n')
        status = machine.finish()
        log = machine.log('mezzanine').decode(errors='replace')
        if status or machine.ends('web') != ['poweroff'] or not ON.search(log) or 'past the IOMMU' in log:
            raise Failure(f'mezz returned {status}: {machine.ends("web")}')
        machine.check_frames(kept=8)  # tables of the IOMMU
    finally:
        machine.stop()
        path.unlink()

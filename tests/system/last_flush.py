# SPDX-License-Identifier: MIT
"""A VM writes to a disk of the machine, flushes nothing, and dies: the kernel flushes for it, before it says that it is gone."""
from pathlib import Path

import nbd
from blackout import LOAD, NAMES
from machine import Failure, Machine, debian
from scripts import ask, off, ready

SIZE = 4 << 20
WRITE = 'dd if=/bin/busybox of=/dev/vda bs=4096 count=256 oflag=direct 2>/dev/null; echo written $((6*7))'


def done_for_the_guest(device):
    def test(build, _, folder):
        disk = nbd.Disk(bytes(SIZE), 1)
        server = nbd.Server(disk)
        name = next(n for d, n in NAMES.items() if device.startswith(d))
        drive = f'-drive if=none,id=d0,format=raw,file=nbd://127.0.0.1:{server.port} -device {device},drive=d0'
        vms = [debian('web', words='panic=1 reboot=t', disks=f'[{{device: {name}}}]'), debian('db')]
        machine = Machine(folder, build, 'mono', vms, ['--qemu-args', drive], 120)
        try:
            for vm in vms:
                ready(machine, vm.name)
            ask(machine, 'web', LOAD, 'loaded 42')
            ask(machine, 'web', WRITE, 'written 42')
            if not disk.pending:
                raise Failure('the guest flushed what it wrote: this test proves nothing')
            machine.type('web', 'echo c >/proc/sysrq-trigger\n')
            machine.wait_event('web', 'stopped', seconds=30)
            wanted = Path('/bin/busybox').read_bytes()[:256 * 4096]
            if disk.pending or disk.safe[:len(wanted)] != wanted:
                raise Failure(f'{len(disk.pending)} writes are not on stable storage after {disk.flushes} flushes')
            off(machine, 'db')
            if machine.finish() != 3:
                raise Failure(f'mezz returned {machine.process.returncode}')
            machine.check_frames()
        finally:
            machine.stop()
            server.close()
    return test

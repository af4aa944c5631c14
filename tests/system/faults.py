# SPDX-License-Identifier: MIT
"""Faults of disks below two VMs: errors, stalls and slowness reach the VM whose disk it is, as an error or a pause, and no other."""
import json
import re
import socket
import time

from disks import scratch
from machine import Failure, Machine, debian, with_root

# How QEMU is told of two such disks of the machine, and what they are called by mono's kernel. Linux, under micro, may find them in
# any order: there CONFIG names them by their serial numbers.
KINDS = {'nvme': ('nvme,serial={1},drive={0}', ('nvme0n1', 'nvme1n1')),
         'sata': ('ide-hd,bus=ide.{2},serial={1},drive={0}', ('sata0', 'sata1')),
         'virtio': ('virtio-blk-pci,request-merging=off,serial={1},drive={0}', ('vd0', 'vd1'))}

PLAIN = 'if=none,id=d0,format=raw,file={}'
# Reads of sector 20000, writes of sector 24000 and all flushes fail.
FAULTY = ('if=none,id=d0,driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={},'
          'file.inject-error.0.event=none,file.inject-error.0.iotype=read,file.inject-error.0.sector=20000,'
          'file.inject-error.1.event=none,file.inject-error.1.iotype=write,file.inject-error.1.sector=24000,'
          'file.inject-error.2.event=none,file.inject-error.2.iotype=flush')
SLOW = 'if=none,id=d0,driver=null-co,size=67108864,read-zeroes=on,latency-ns=100000000'  # {}: it has no file

READ = 'dd if=/dev/vda of=/dev/null bs={} skip={} count={} iflag=direct 2>/dev/null; echo DONE-$?\n'
WRITE = 'dd if=/dev/zero of=/dev/vda bs={} seek={} count={} oflag=direct {} 2>/dev/null; echo DONE-$?\n'


class Pair:
    """web on the disk d0, db on another one; both answer on their consoles."""

    def __init__(self, machine, monitor, names):
        self.machine, self.monitor, self.asked = machine, monitor, {'web': 0, 'db': 0}
        self.first, self.second = (name.split('n1')[0] for name in names)

    def start(self, vm, command):
        self.machine.type(vm, command)
        self.asked[vm] += 1

    def finished(self, vm):
        return len(re.findall(rb'^DONE-\d', self.machine.log(vm), re.M)) >= self.asked[vm]

    def went_well(self, vm, seconds=90):
        return self.machine.expect(vm, r'^DONE-(\d+)', seconds, count=self.asked[vm]).group(1) == b'0'

    def read(self, vm, size, skip, count):
        self.start(vm, READ.format(size, skip, count))
        return self.went_well(vm)

    def write(self, vm, size, seek, count, flush=False):
        self.start(vm, WRITE.format(size, seek, count, 'conv=fsync' if flush else ''))
        return self.went_well(vm)

    def other_works(self):
        must(self.read('db', 65536, 0, 512), 'the other disk cannot be read')
        must(self.write('db', 65536, 0, 64, flush=True), 'the other disk cannot be written')

    def throttle(self, bytes_a_second):
        """Of the disk d0; 0: as fast as it can."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(str(self.monitor))
            f = s.makefile('rw')
            f.readline()
            limits = dict.fromkeys(('bps_rd', 'bps_wr', 'iops', 'iops_rd', 'iops_wr'), 0)
            for what, how in (('qmp_capabilities', {}),
                              ('block_set_io_throttle', {'device': 'd0', 'bps': bytes_a_second, **limits})):
                f.write(json.dumps({'execute': what, 'arguments': how}) + '\n')
                f.flush()
                answer = json.loads(f.readline())
                while 'event' in answer:
                    answer = json.loads(f.readline())
                must('return' in answer, f'the emulator refuses {what}: {answer}')

    def said(self, disk):
        """What the kernel's log says of a disk since the VMs run."""
        log = self.machine.log('mezzanine').decode(errors='replace')
        return re.findall(rf'{disk}: (reset: .*|works again|given up: .*)', log)


def must(good, what):
    if not good:
        raise Failure(what)


def two_vms(kind, drive, script, words='', ends=None):
    """A machine with two such disks, the first on what `drive` describes for a file; then script(pair)."""
    def test(build, model, folder):
        path, other = scratch(folder), folder.parent.resolve() / f'{folder.name}-db.raw'
        monitor = folder.parent.resolve() / f'{folder.name}.qmp'
        other.write_bytes(bytes(64 << 20))
        device, names = KINDS[kind]
        qemu = (f'-drive {drive.format(path)} -device {device.format("d0", "web", 0)} '
                f'-drive if=none,id=d1,format=raw,file={other} -device {device.format("d1", "db", 1)} '
                f'-qmp unix:{monitor},server=on,wait=off')
        disks = names if model == 'mono' else ('web', 'db')
        vms = [debian(vm, disks=f'[{{device: {disk}, mode: rw}}]') for vm, disk in zip(('web', 'db'), disks)]
        machine = Machine(folder, build, model, with_root(model, vms),
                          ['--memory', '2GiB', '--qemu-args', qemu, '--kernel-args', words], 240)
        try:
            for vm in ('web', 'db'):
                machine.expect(vm, f'^{vm} ready: ', 120)
            script(Pair(machine, monitor, names))
            for vm in ('web', 'db'):
                if not machine.events(vm, ('poweroff', 'stopped')):
                    machine.type(vm, 'poweroff -f\n')
            machine.finish()
            for vm in ('web', 'db'):
                wanted = (ends or {}).get(vm, 'poweroff')
                must(any(e.startswith(wanted) for e in machine.ends(vm)), f'{vm}: {machine.ends(vm)}, not {wanted}')
            machine.check_frames()
        finally:
            machine.stop()
            path.unlink()
            other.unlink()
    return test


def errors(p):
    """Sector 20000 lies in block 2500 of 4 KiB, 24000 in block 3000. An error the disk reports is no reason for a reset."""
    for block, good in ((2499, True), (2500, False), (2501, True)):
        must(p.read('web', 4096, block, 1) == good, f'read of block {block}: {"an error" if good else "no error"}')
    for block, good in ((2999, True), (3000, False), (3001, True), (2500, True)):
        must(p.write('web', 4096, block, 1) == good, f'write of block {block}: {"an error" if good else "no error"}')
    must(not p.write('web', 4096, 0, 1, flush=True), 'a flush that failed below was none in the VM')
    p.other_works()
    must(p.read('web', 65536, 0, 100), 'the disk cannot be read after its errors')
    must(not p.said(p.first) and not p.said(p.second), f'a controller was reset: {p.said(p.first)}')


def stall(p):
    """Shorter than the time-out it is a pause; longer an error, and a reset, after which the disk works."""
    must(p.read('web', 65536, 0, 100), 'the disk cannot be read at first')
    p.throttle(1000)
    p.start('web', READ.format(65536, 0, 4))
    time.sleep(1.5)
    must(not p.finished('web'), 'there was no pause')
    p.throttle(0)
    must(p.went_well('web'), 'a pause shorter than the time-out was an error')
    must(not p.said(p.first), f'a pause led to a reset: {p.said(p.first)}')
    p.throttle(1000)
    p.start('web', READ.format(65536, 0, 4))
    p.other_works()
    must(not p.went_well('web'), 'a request that the disk did not answer was no error')
    p.machine.until(lambda: 'works again' in p.said(p.first), 'recovery of the controller', 60)
    p.throttle(0)
    must(p.read('web', 65536, 0, 100), 'the disk cannot be read after all')
    must(p.write('web', 65536, 0, 10, flush=True), 'the disk cannot be written after all')
    p.other_works()
    must(not p.said(p.second), 'the other controller was reset, too')


def death(p):
    """Ends while the disk owes it answers."""
    p.throttle(1000)
    p.machine.type('web', 'for i in 1 2 3 4; do dd if=/dev/vda of=/dev/null bs=64k count=9 skip=$((i * 99)) iflag=direct & done; '
                   'sleep 0.5; poweroff -f\n')
    p.machine.wait_event('web', 'poweroff', seconds=60)
    p.other_works()


def slow(p):
    """Each request takes a tenth of a second: no error, no reset, and nobody else waits for it."""
    start = time.monotonic()
    p.start('web', READ.format(4096, 0, 40))
    p.other_works()
    must(time.monotonic() - start < 40, 'the other disk was slow, too')  # its 576 requests would take 58 s
    must(p.went_well('web') and time.monotonic() - start > 4, 'the slow disk was not slow')
    must(not p.said(p.first), f'a slow controller was reset: {p.said(p.first)}')

# SPDX-License-Identifier: MIT
"""The machine's own disks under the mono kernel: its drivers by the word `disktest`, with and without faults below."""
import json
import re
import socket

from machine import Failure, Machine, debian, tiny

SIZE = 256 << 20
SEED = 0x9E3779B97F4A7C15
SECTOR = 512
LINE = re.compile(r'disktest: \S+, ([^:]+): (\d+) done, (\d+) errors, (\d+) wrong')


def scratch(folder):
    path = folder.parent / f'{folder.name}.raw'
    with open(path, 'wb') as f:
        f.truncate(SIZE)
    return path.resolve()


def run(build, folder, qemu, words, seconds=120):
    """Boots with a disk and a word; what each phase of the test said: name -> (done, errors, wrong)."""
    machine = Machine(folder, build, 'mono', [tiny('web', 'hello')],
                      ['--qemu-args', qemu, '--kernel-args', words], seconds)
    try:
        status = machine.finish()
    finally:
        machine.stop()
    log = machine.log('mezzanine').decode(errors='replace')
    if status or 'exit 0' not in machine.ends('web'):
        raise Failure(f'mezz returned {status}; the VM beside the test: {machine.ends("web")}')
    if not re.search(r'disktest: \S+: end', log):
        raise Failure('the test of the disk did not come to its end')
    return log, {m[1]: tuple(int(n) for n in m.groups()[1:]) for m in LINE.finditer(log)}


def all_right(phases, count):
    if len(phases) != count:
        raise Failure(f'{len(phases)} phases instead of {count}')
    for name, (done, errors, wrong) in phases.items():
        if not done or errors or wrong:
            raise Failure(f'{name}: {done} done, {errors} errors, {wrong} wrong')


def works(device, count=10):
    """All phases, writing too; then the file below is read: each sector must hold its number."""
    def test(build, _, folder):
        path = scratch(folder)
        try:
            _, phases = run(build, folder, f'-drive if=none,id=d0,format=raw,file={path} {device}',
                            f'disktest={works_on(device)},write')
            all_right(phases, count)
            data = path.read_bytes()
            for sector in range(8192, 131072):
                wanted = (sector * SEED & (1 << 64) - 1).to_bytes(8, 'little')
                if data[sector * SECTOR:sector * SECTOR + 8] != wanted:
                    raise Failure(f'sector {sector} of the file below does not hold what was written')
        finally:
            path.unlink()
    return test


def without_addresses(build, _, folder):
    """The firmware gave the controller's registers no address: the kernel does, beside those of another function."""
    path = scratch(folder)
    try:
        log, phases = run(build, folder, f'-drive if=none,id=d0,format=raw,file={path} -device nvme,drive=d0,serial=a,addr=3 -device e1000e,addr=4',
                          'disktest=nvme0n1 pci_forget=00:03.0')
    finally:
        path.unlink()
    all_right(phases, 5)
    if not re.search(r'pci: 00:03\.0: BAR 0 had no usable address and gets 0x[0-9a-f]+$', log, re.M):
        raise Failure('the controller was given no address')


def works_on(device):
    return {'nvme': 'nvme0n1', 'virt': 'vd0', 'ide-': 'sata0'}[device.split()[1][:4]]


def one_bad_sector(device):
    """Who reads the bad sector gets an error, the other requests are right."""
    def test(build, _, folder):
        path = scratch(folder)
        drive = (f'-drive if=none,id=d0,driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={path},'
                 'file.inject-error.0.event=read_aio,file.inject-error.0.errno=5,file.inject-error.0.sector=20000')
        try:
            log, phases = run(build, folder, f'{drive} {device}', f'disktest={works_on(device)}')
        finally:
            path.unlink()
        if phases['read 128 KiB'][1] != 1:
            raise Failure(f'{phases["read 128 KiB"][1]} requests failed, where one reads the bad sector')
        if ': reset: ' in log:
            raise Failure('an error that the disk reports must not lead to a reset')
    return test


def stalled(device):
    """A disk that answers once a second: what is late fails, the controller is reset and in the end given up."""
    def test(build, _, folder):
        path = scratch(folder)
        drive = (f'-drive if=none,id=d0,format=raw,file={path},throttling.iops-total=1,throttling.iops-total-max=300,'
                 'throttling.iops-total-max-length=1')
        try:
            log, phases = run(build, folder, f'{drive} {device}', f'disktest={works_on(device)} disk_timeout=1')
        finally:
            path.unlink()
        if log.count('works again') < 3 or 'given up' not in log:
            raise Failure('no resets, or no end of them')
        done, errors, wrong = phases['read 128 KiB']
        if not errors or errors == done or wrong:
            raise Failure(f'{done} done, {errors} errors, {wrong} wrong: some were to fail, some not')
    return test


# ---- disks of the machine under VMs

READ = 'dd if=/dev/vda of=/dev/null bs={} skip={} count={} iflag=direct 2>/dev/null; echo READ-$?\n'


def with_disk(name, device, **keys):
    return debian(name, disks=f'[{{device: {device}, mode: rw}}]', **keys)


def qmp(path, command, **arguments):
    """One command for QEMU's monitor."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(str(path))
        f = s.makefile('rw')
        f.readline()
        for what, with_what in (('qmp_capabilities', {}), (command, arguments)):
            f.write(json.dumps({'execute': what, 'arguments': with_what}) + '\n')
            f.flush()
            answer = json.loads(f.readline())
            while 'event' in answer:
                answer = json.loads(f.readline())
            if 'return' not in answer:
                raise Failure(f'the emulator refuses {what}: {answer}')


def throttle(path, bytes_a_second):
    """Of the disk d0; 0: as fast as it can."""
    qmp(path, 'block_set_io_throttle', id='q0', bps=bytes_a_second, bps_rd=0, bps_wr=0, iops=0, iops_rd=0, iops_wr=0)


def read(machine, vm, size, skip, count, n):
    """The n-th read of the VM: whether it went well."""
    machine.type(vm, READ.format(size, skip, count))
    return machine.expect(vm, r'^READ-(\d+)', 60, count=n).group(1) == b'0'


def must(good, what):
    if not good:
        raise Failure(what)


def two_vms(drive, script, words='', ends=None):
    """web on the disk d0, which `drive` describes for a file, db on another that works; then script(machine, monitor)."""
    def test(build, _, folder):
        path, monitor = scratch(folder), folder.parent / f'{folder.name}.qmp'
        other = folder.parent / f'{folder.name}-db.raw'
        other.write_bytes(bytes(64 << 20))
        qemu = (f'{drive.format(path)} -device nvme,drive=d0,serial=web,id=q0 '
                f'-drive if=none,id=d1,format=raw,file={other.resolve()} -device nvme,drive=d1,serial=db '
                f'-qmp unix:{monitor.resolve()},server=on,wait=off')
        machine = Machine(folder, build, 'mono', [with_disk('web', 'nvme0n1'), with_disk('db', 'nvme1n1')],
                          ['--qemu-args', qemu, '--kernel-args', words], 150)
        try:
            for vm in ('web', 'db'):
                machine.expect(vm, f'^{vm} ready: ', 90)
            script(machine, monitor)
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


def bad_sector_script(machine, _):
    """Sector 20000 lies in block 2500 of 4 KiB."""
    must(read(machine, 'web', 4096, 2499, 1, 1), 'the block before the bad one cannot be read')
    must(not read(machine, 'web', 4096, 2500, 1, 2), 'the bad block was read')
    must(read(machine, 'web', 4096, 2501, 1, 3), 'the block behind the bad one cannot be read')
    must(read(machine, 'db', 65536, 0, 1024, 1), 'the other disk cannot be read')


def stall_script(machine, monitor):
    must(read(machine, 'web', 65536, 0, 100, 1), 'the disk cannot be read at first')
    throttle(monitor, 1000)
    machine.type('web', READ.format(65536, 0, 4))
    must(read(machine, 'db', 65536, 0, 1024, 1), 'the other disk cannot be read meanwhile')
    failed = machine.expect('web', r'^READ-(\d+)', 60, count=2).group(1) != b'0'
    must(failed, 'a request that the disk did not answer was no error')
    machine.expect('mezzanine', r'nvme0: works again', 10)
    throttle(monitor, 0)
    must(read(machine, 'web', 65536, 0, 100, 3), 'the disk cannot be read after all')
    must(read(machine, 'db', 65536, 0, 1024, 2), 'the other disk cannot be read afterwards')
    must(b'nvme1: ' not in machine.log('mezzanine').split(b'web: ')[-1], 'the other controller was reset, too')


def death_script(machine, monitor):
    """Ends while the disk owes it answers."""
    throttle(monitor, 1000)
    machine.type('web', 'for i in 1 2 3 4; do dd if=/dev/vda of=/dev/null bs=64k count=9 skip=$((i * 99)) iflag=direct & done; '
                 'sleep 0.5; poweroff -f\n')
    machine.wait_event('web', 'poweroff', seconds=60)
    must(read(machine, 'db', 65536, 0, 1024, 1), 'the other disk cannot be read')


PLAIN = '-drive if=none,id=d0,format=raw,file={}'
BAD_SECTOR = ('-drive if=none,id=d0,driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={},'
              'file.inject-error.0.event=read_aio,file.inject-error.0.errno=5,file.inject-error.0.sector=20000')

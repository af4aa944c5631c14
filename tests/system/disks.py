# SPDX-License-Identifier: MIT
"""The machine's own disks under the mono kernel: its drivers by the word `disktest`, with and without faults below."""
import re

from machine import Failure, Machine, tiny

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


BAD = (20000, 33333, 70007, 90001, 111111, 125000)
READS = (('read 128 KiB', 256, 512, False), ('read 12 KiB at an odd sector', 24, 4000, True), ('read 4 KiB through the buffer', 8, 1000, True),
         ('read 4 KiB, one at a time', 8, 4000, True), ('read 4 KiB, 32 at a time', 8, 20000, True))


def requests_of_bad_sectors():
    """For each phase that reads, how many of its requests cover a bad sector: the phases of kernel/mono/disktest.c, with their numbers by chance."""
    area, number, counts = 131072, 0, {}
    for name, sectors, count, by_chance in READS:
        counts[name] = 0
        for i in range(count):
            at = i * sectors
            if by_chance:
                number = (number * 6364136223846793005 + 1442695040888963407) % 2 ** 64
                at = (number >> 20) % (area - sectors)
            counts[name] += any(at <= bad < at + sectors for bad in BAD)
    return counts


def bad_sectors(device):
    """Who reads a bad sector gets an error, and nobody else, however many requests are under way together."""
    def test(build, _, folder):
        path = scratch(folder)
        drive = f'-drive if=none,id=d0,driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={path}'
        for i, sector in enumerate(BAD):
            drive += f',file.inject-error.{i}.event=read_aio,file.inject-error.{i}.errno=5,file.inject-error.{i}.sector={sector}'
        try:
            log, phases = run(build, folder, f'{drive} {device}', f'disktest={works_on(device)}')
        finally:
            path.unlink()
        errors = {name: phase[1] for name, phase in phases.items()}
        if errors != requests_of_bad_sectors():
            raise Failure(f'requests that failed: {errors}, those that read a bad sector: {requests_of_bad_sectors()}')
        if ': reset: ' in log:
            raise Failure('an error that the disk reports must not lead to a reset')
    return test


def stalled(device, answers=1):
    """A disk with so many answers a second: what is late fails, the controller is reset and in the end given up."""
    def test(build, _, folder):
        path = scratch(folder)
        drive = (f'-drive if=none,id=d0,format=raw,file={path},throttling.iops-total={answers},throttling.iops-total-max=300,'
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

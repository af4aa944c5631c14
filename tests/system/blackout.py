# SPDX-License-Identifier: MIT
"""Losses of power: a Debian VM writes numbered blocks and files (pattern.c) while the emulated machine is killed, and the disk
below forgets what was not flushed (nbd.py). What a completed flush covered must be there, whole; the file system clean."""
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import time
import zlib
from pathlib import Path

import nbd
from machine import Failure, Machine, RootVM, debian
from scripts import ask, ready

AREA = 32 << 20  # the file system lies before it
WORKERS, FILERS, BATCH, STRIPE, LONGEST, SLOTS = 4, 2, 8, 32, 4, 4  # as in pattern.c
BLOCK, SECTOR = 4096, 512
BLOCKS = BATCH * STRIPE  # of a worker
SIZE = AREA + WORKERS * BLOCKS * BLOCK
STEP = 1_000_000  # numbers of one life of the machine
NAMES = {'nvme': 'nvme0n1', 'ide-hd': 'sata0', 'virtio-blk-pci': 'vd0'}
MASK = (1 << 64) - 1


# ---------------------------------------------------------------- what the guest writes

def numbers(seed, worker):
    """What pattern.c's random32 gives."""
    state = (seed * 64 + worker + 1) * 0x9E3779B97F4A7C15 & MASK | 1
    while True:
        state ^= state >> 12
        state = (state ^ state << 25) & MASK
        state ^= state >> 27
        yield (state * 0x2545F4914F6CDD1D & MASK) >> 32


def writes(seed, worker, base, last):
    """Of a worker's writes up to a number and a while longer: the block and the number of each, in their order."""
    draw, number = numbers(seed, worker), base
    while number < last + 64:
        written = []
        for i in range(1 + next(draw) % BATCH):
            blocks = 1 + next(draw) % LONGEST
            first = i * STRIPE + next(draw) % (STRIPE - LONGEST + 1)
            number += 1
            yield from ((first + k, number) for k in range(blocks))
            written += range(first, first + blocks)
        next(draw)  # whether it flushes
        next(draw)  # which block it reads


def sector_of(data, worker, block, index):
    """The number of a sector as pattern.c makes it; 0: never written; None: it is none."""
    if not any(data):
        return 0
    magic, crc, by, number, where, place = struct.unpack_from('<6I', data)
    good = (magic, by, where, place) == (0x7A7A656D, worker, block, index) and crc == zlib.crc32(data[8:])
    return number if good else None


def block_of(data, worker, block):
    return [sector_of(data[i * SECTOR:(i + 1) * SECTOR], worker, block, i) for i in range(BLOCK // SECTOR)]


# ---------------------------------------------------------------- what must be there

def check_raw(image, before, seed, base, worker, flushed):
    """Each block: what the flush covered last in all sectors, or in any of them what was written later."""
    covered, later = {}, {}
    for block, number in writes(seed, worker, base, flushed):
        if number <= flushed:
            covered[block] = number
        else:
            later.setdefault(block, set()).add(number)
    for block in range(BLOCKS):
        at = AREA + (worker * BLOCKS + block) * BLOCK
        seen = block_of(image[at:at + BLOCK], worker, block)
        old = [covered[block]] * 8 if block in covered else block_of(before[at:at + BLOCK], worker, block)
        for i, number in enumerate(seen):
            if number != old[i] and number not in later.get(block, ()):
                raise Failure(f'lost or torn: worker {worker}, block {block}, sector {i} holds {number} instead of '
                              f'{old[i]}; flushed up to {flushed}')
    return len(covered)


def blocks_of(path, worker, first=0):
    """The numbers of a file's blocks; None for one that is not whole."""
    data = path.read_bytes()
    whole = [block_of(data[i:i + BLOCK], worker, first + i // BLOCK) for i in range(0, len(data), BLOCK)]
    return [b[0] if len(set(b)) == 1 else None for b in whole]


def check_slots(folder, before, worker, base, flushed):
    """Each name has the newest file that was safe, or one that came later; whole in any case."""
    for slot in range(SLOTS):
        path = folder / str(worker) / str(slot)
        newest = flushed - (flushed - slot) % SLOTS
        if newest <= base:
            newest = before.get((worker, slot), 0)
        seen = blocks_of(path, worker) if path.exists() else [0]
        if len(set(seen)) != 1 or seen[0] is None or seen[0] < newest:
            raise Failure(f'file {slot} of worker {worker} holds {seen} instead of {newest} or later')
        before[worker, slot] = seen[0]


def check_log(folder, worker, base, appended):
    wanted = list(range(base + 1, appended + 1))
    path = folder / str(worker) / 'log'
    seen = blocks_of(path, worker)[:len(wanted)] if wanted and path.exists() else []
    if seen != wanted:
        raise Failure(f'the log of worker {worker} does not hold {base + 1} to {appended}: {seen[-3:]}')


def run_tool(*command, good=(0,)):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in good:
        raise Failure(f'{Path(command[0]).name} {command[1]}: {done.returncode}: {(done.stdout + done.stderr)[-300:]}')
    return done.stdout


def check_files(folder, image, before, base, records):
    """The journal is replayed on a copy; then the file system is clean, and the files are what they must be."""
    copy, out = folder / 'ext4.img', folder / 'files'
    copy.write_bytes(image[:AREA])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    run_tool('/sbin/e2fsck', '-E', 'journal_only', '-y', copy, good=(0, 1))
    said = run_tool('/sbin/e2fsck', '-p', copy, good=(0, 1))
    odd = [line for line in said.splitlines() if not re.search(r'clean|[Oo]rphan|recovering journal', line)]
    if odd:
        raise Failure(f'the file system needs more than its journal: {odd[0]}')
    run_tool('/sbin/e2fsck', '-fn', copy)
    run_tool('/sbin/debugfs', '-R', f'rdump / {out}', copy)
    for worker in range(WORKERS, WORKERS + FILERS):
        check_slots(out, before, worker, base, records.get(('F', worker), base))
        check_log(out, worker, base, records.get(('A', worker), base))
    copy.unlink()
    shutil.rmtree(out)


# ---------------------------------------------------------------- a life of the machine, and its end

def records_of(log):
    """The last number that was said to be safe, of each kind and worker."""
    records = {}
    for what, worker, number in re.findall(rb'^([RFA]) (\d+) (\d+)$', log, re.M):
        records[what.decode(), int(worker)] = int(number)
    return records


def make_extra(folder):
    """What the guest needs beside its initrd: the program, as one more archive."""
    tree = folder / 'tree'
    (tree / 'bin').mkdir(parents=True, exist_ok=True)
    source = Path(__file__).with_name('pattern.c')
    run_tool('cc', '-std=gnu17', '-O1', '-static', '-Wall', '-Wextra', '-Werror', '-o', tree / 'bin' / 'pattern', source)
    run_tool('strip', tree / 'bin' / 'pattern')
    return subprocess.run(['cpio', '-o', '-H', 'newc', '-R', '0:0', '--quiet'], input=b'bin/pattern\n', cwd=tree,
                          capture_output=True, check=True).stdout


def make_disk(folder):
    """An empty file system, and room behind it."""
    path = folder / 'new.img'
    path.write_bytes(bytes(AREA))
    run_tool('/sbin/mke2fs', '-q', '-F', '-t', 'ext4', '-b', '4096', path)
    image = path.read_bytes() + bytes(SIZE - AREA)
    path.unlink()
    return image


def kill(machine):
    """The emulator dies at once, as a machine without power."""
    mezz = machine.process.pid
    children = Path(f'/proc/{mezz}/task/{mezz}/children').read_text(encoding='ascii').split()
    if len(children) != 1:
        raise Failure(f'mezz has the children {children}, not one emulator')
    os.kill(int(children[0]), signal.SIGKILL)


LOAD = 'for m in $(cat /etc/modules.disk); do insmod $m 2>/dev/null; done; mkdir -p /mnt; echo loaded $((6*7))'


def live(build, folder, device, disk, initrd, chance, seed, base, model='mono', during=None, root=None, options=()):
    """Boots, writes, is killed, after during(machine) has done its worst. What was said to be safe until then."""
    server = nbd.Server(disk)
    name = next(n for d, n in NAMES.items() if device.startswith(d))
    drive = f'-drive if=none,id=d0,format=raw,file=nbd://127.0.0.1:{server.port} -device {device},drive=d0'
    vm = debian('web', vcpus=2, disks=f'[{{device: {name}, mode: rw}}]')
    vm.keys['initrd'] = initrd
    roots = [root or RootVM('shell')] if model == 'micro' else []
    machine = Machine(folder / 'machine', build, model, [*roots, vm], ['--memory', '2GiB', *options, '--qemu-args', drive], 400 if during else 120)
    unfinished = []
    try:
        ready(machine, 'web')
        ask(machine, 'web', LOAD, 'loaded 42')
        machine.type('web', f'mount -t ext4 /dev/vda /mnt && pattern /dev/vda {AREA} /mnt {seed} {base}\n')
        if disk.lies:
            machine.expect('web', '^R 0 ', 60, count=3)
        elif chance.random() < 0.9:  # else while it mounts, and replays the journal
            machine.expect('web', '^[RF] ', 60)
        if during:
            during(machine)
        time.sleep(chance.uniform(0, 2.5))
        kill(machine)
        machine.process.wait(30)
        log = machine.log('web')
        if b'PATTERN BAD' in log or machine.bad_words():
            raise Failure((re.search(b'PATTERN BAD.*', log) or [b''])[0].decode() or machine.bad_words())
        return records_of(log)
    finally:
        machine.stop()
        unfinished += server.close()
        disk.lose_power(unfinished)


def lives(build, folder, device, count, seed, lies=False, model='mono', during=None, **machine):
    """So many lives of one disk, each ended by a loss of power; what was checked in all."""
    chance, initrd = random.Random(seed), folder.resolve() / 'initrd'
    initrd.write_bytes((build / 'debian/cloud/initrd').read_bytes() + make_extra(folder))
    image, files, said = make_disk(folder), {}, []
    for life in range(count):
        base, guests_seed = STEP * life, chance.getrandbits(32)
        disk = nbd.Disk(image, chance.getrandbits(32), lies, whole=AREA)  # ext4's superblock of two sectors must not be torn
        records = live(build, folder, device, disk, initrd, chance, guests_seed, base, model, during, **machine)
        after, safe = bytes(disk.safe), 0
        for worker in range(WORKERS):
            safe += check_raw(after, image, guests_seed, base, worker, records.get(('R', worker), base))
        check_files(folder, after, files, base, records)
        image = after
        said.append(f'life {life}: {safe} blocks and {sum(k[0] == "F" for k in records)} workers\' files safe by '
                    f'{disk.flushes} flushes, {disk.lost} sectors lost, up to {records}')
        (folder / 'said').write_text(f'seed {seed}, {device}\n' + '\n'.join(said) + '\n', encoding='ascii')
    initrd.unlink()
    return said


def survives(device, count=2):
    def test(build, _, folder, seed):
        said = lives(build, folder, device, count, seed)
        if all(': 0 blocks' in line for line in said):
            raise Failure(f'nothing was flushed in {count} lives: {said}')
    return test


def liar_is_found(build, _, folder, seed):
    """A disk that answers flushes and keeps nothing: the check must see it, or it is worth nothing."""
    try:
        lives(build, folder, 'nvme,serial=liar', 1, seed, lies=True)
    except Failure as e:
        if re.match('lost or torn|file |the log|e2fsck|the file system', str(e)):
            return
        raise
    raise Failure('a disk that forgets what it flushed was not found out')

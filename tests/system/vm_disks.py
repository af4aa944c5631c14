# SPDX-License-Identifier: MIT
"""Disks of VMs: an unmodified Linux mounts, writes, reads back and is refused; what it wrote is looked at from outside."""
import hashlib
import random
import re
import subprocess

from machine import Failure, Machine, debian, with_root

CHECKS = ('ext4', 'read-only', 'raw 512', 'raw 4096', 'raw 1048576', 'discard', 'discard-ro', 'random')
NUMBERS = b''.join(b'%d\n' % (10**14 + 10**6 + n) for n in range(131072))  # what the guest writes to a file


def make_images(folder):
    """Beside the folder: ext4 with a greeting, half-random, empty. Returns their paths by what they are for."""
    paths = {name: (folder.parent / f'{folder.name}-{name}.img').resolve() for name in ('ext4', 'ro', 'raw')}
    tree = folder.parent / f'{folder.name}-tree'
    tree.mkdir(parents=True, exist_ok=True)
    (tree / 'greeting').write_text('hello from the image\n')
    paths['ext4'].write_bytes(bytes(32 << 20))
    subprocess.run(['/sbin/mke2fs', '-q', '-F', '-t', 'ext4', '-d', tree, paths['ext4']], check=True)
    paths['ro'].write_bytes(random.Random(1).randbytes(1 << 20) + bytes(1 << 20))
    paths['raw'].write_bytes(bytes(16 << 20))
    return paths


def run(build, model, folder, disks, options=(), **keys):
    """A VM with these disks that does its checks; the machine after its end, and the status of mezz."""
    machine = Machine(folder, build, model, with_root(model, [debian('web', 'disks', disks=f"[{', '.join(disks)}]", **keys)]),
                      ['--memory', '2GiB', *options], 240)
    try:
        return machine, machine.finish()
    finally:
        machine.stop()


def judge(machine, status, paths, sizes, times=1):
    log = machine.log('web').decode(errors='replace')
    if status or log.count('DISK end') != times:
        raise Failure(f'mezz returned {status}; {log.count("DISK end")} of {times} runs came to their end')
    if 'DISK BAD' in log or machine.bad_words():
        raise Failure(re.search('DISK BAD.*', log)[0] if 'DISK BAD' in log else machine.bad_words())
    for check in CHECKS:
        if log.count(f'DISK ok {check}\n') != times:
            raise Failure(f'the check "{check}" was not done')
    if f'DISK sum {hashlib.md5(paths["ro"].read_bytes()).hexdigest()}' not in log:
        raise Failure('the read-only disk holds something else than its image')
    for disk, (size, read_only) in sizes.items():
        if not re.search(rf'^DISK {disk} \S+ 2 queues, {size // 512} sectors, ro {read_only}, write back$', log, re.M):
            raise Failure(f'{disk} is not as configured')
    machine.check_frames()
    return log


def images(build, model, folder):
    """All three modes, in two lives of a VM: what was written to rw is there in the second, a snapshot begins anew."""
    paths = make_images(folder)
    disks = [f"{{image: {paths['ext4']}, format: raw, mode: rw}}", f"{{image: {paths['ro']}, mode: ro}}",
             f"{{image: {paths['raw']}, mode: snapshot}}"]
    machine, status = run(build, model, folder, disks, vcpus=2, repeat=1)
    log = judge(machine, status, paths, {'vda': (32 << 20, 0), 'vdb': (2 << 20, 1), 'vdc': (16 << 20, 0)}, times=2)
    for what, count in (('old numbers', 1), ('vdc is empty', 2)):
        if log.count(f'DISK {what}') != count:
            raise Failure(f'"{what}" {log.count(what)} times in two lives, expected {count}')
    for serial in ('disk0', 'disk1', 'disk2'):
        if f' {serial} 2 queues' not in log:
            raise Failure(f'no disk says that it is {serial}')


def device(image):
    """A disk of the machine, ext4 on NVMe: afterwards it is clean and holds what the guest wrote."""
    def test(build, model, folder):
        paths = make_images(folder)
        disks = ['{device: nvme0n1}', f"{{image: {paths['ro']}, mode: ro}}", f"{{image: {paths['raw']}, mode: snapshot}}"]
        drive = f"-drive if=none,id=d0,format=raw,file={paths['ext4']} -device nvme,drive=d0,serial=scratch"
        machine, status = run(build, model, folder, disks, ['--qemu-args', drive], vcpus=2, image=image, memory='256MiB')
        judge(machine, status, paths, {'vda': (32 << 20, 0)})
        fsck = subprocess.run(['/sbin/e2fsck', '-fn', paths['ext4']], capture_output=True, text=True, check=False)
        if fsck.returncode:
            raise Failure(f'the file system is not clean: {fsck.stdout[-300:]}')
        seen = subprocess.run(['/sbin/debugfs', '-R', 'cat numbers', paths['ext4']], capture_output=True, check=True)
        if seen.stdout != NUMBERS:
            raise Failure('the file on the disk does not hold what the guest wrote')
    return test


def refused(build, model, folder):
    """micro has no disks for VMs without a root VM: it says so, and nothing else happens."""
    paths = make_images(folder)
    machine = Machine(folder, build, model, [debian('web', 'disks', disks=f"[{{image: {paths['raw']}}}]")], [], 60)
    try:
        status = machine.finish()
    finally:
        machine.stop()
    if status != 3 or not any('cannot start: disks' in e for e in machine.ends('web')):
        raise Failure(f'mezz returned {status}: {machine.ends("web")}')

# SPDX-License-Identifier: MIT
"""A VM that mistreats its disks, its network card and its random generator (tests/guest/ringstorm.c), beside two Debian VMs
that work with theirs: one partition of the same disk, the same switch. They must not notice."""
import re
import subprocess

import scripts
from machine import Failure, Machine, debian, tiny, with_root

SECONDS = 30
PART = 16 << 20  # bytes of a partition
FIRST, SECOND = 1 << 20, (1 << 20) + PART + (1 << 20)  # where they begin
NIC = "[{switch: lan, mac: '52:54:00:00:00:0%d'}]"

# One round: what was written to the disk is read again, and what came over the network is as it was sent.
WORK = ('i=0; while [ ! -e /tmp/stop ]; do i=$((i+1)); yes number $i | head -c 1048576 >/tmp/x; '
        'dd if=/tmp/x of=/dev/vda bs=64k oflag=direct conv=fsync 2>/dev/null; '
        'dd if=/dev/vda bs=64k count=16 iflag=direct 2>/dev/null | cmp -s - /tmp/x || echo IO BAD $i disk; '
        'wget -q -O /tmp/got http://10.0.0.2/file; cmp -s /tmp/got /tmp/want || echo IO BAD $i net; '
        'echo IO $i ok; done; echo IO end $((6*7))')
FILE = 'mkdir -p /tmp; yes mezzanine | head -c 1048576 >/tmp/{}; '


def make_disk(path):
    """Two partitions with a gap between and behind them that must stay as it is."""
    path.write_bytes(bytes(40 << 20))
    table = ''.join(f'start={at // 512}, size={PART // 512}\n' for at in (FIRST, SECOND))
    subprocess.run(['/sbin/sfdisk', '-q', path], input='label: gpt\n' + table, text=True, check=True, capture_output=True)
    return path.read_bytes()


def check_gaps(before, after):
    for start, end in ((0, FIRST), (FIRST + PART, SECOND), (SECOND + PART, len(before))):
        if before[start:end] != after[start:end]:
            raise Failure(f'something was written between {start} and {end}, outside of the partitions')
    if before[SECOND:SECOND + PART] == after[SECOND:SECOND + PART]:
        raise Failure('the hostile VM has written nothing to its own partition')


def rounds(m):
    return len(set(re.findall(rb'^IO (\d+) ok$', m.log('web'), re.M)))


def script(m):
    """Work before, while and after the attacks; the kernel, the switch and the disk are as before."""
    scripts.ready(m, 'db')
    scripts.ask(m, 'db', FILE.format('file') + 'httpd -p 80 -h /tmp; echo serves $((6*7))', 'serves 42', 60)
    scripts.ready(m, 'web')
    scripts.ask(m, 'web', FILE.format('want') + 'echo made $((6*7))', 'made 42', 60)
    m.type('web', f'({WORK}) &\n')
    m.until(lambda: rounds(m) >= 2, 'work before the attacks', 60)
    before = rounds(m)
    m.type('bad', 'go')
    m.until(lambda: m.ends('bad'), 'end of the attacks', 150 + SECONDS)
    during, done = rounds(m) - before, rounds(m)
    m.until(lambda: rounds(m) >= done + 2, 'work after the attacks', 60)
    m.type('web', 'touch /tmp/stop\n')
    m.expect('web', '^IO end 42', 60)
    scripts.off(m, 'web', 'db')
    return during


def test(build, model, folder, seed):
    path = folder.parent.resolve() / f'{folder.name}.raw'
    before = make_disk(path)
    image = folder.parent.resolve() / f'{folder.name}-image.raw'
    image.write_bytes(bytes(4 << 20))
    vms = [debian('web', words='mezz.ip=10.0.0.1/24', nics=NIC % 1, disks='[{device: nvme0n1p1}]'),
           debian('db', words='mezz.ip=10.0.0.2/24', nics=NIC % 2),
           tiny('bad', 'ringstorm', cmdline=f'seed={seed} devices=4 seconds={SECONDS} wait', vcpus=2, nics=NIC % 3,
                disks=f'[{{device: nvme0n1p2}}, {{image: {image}, mode: snapshot}}]')]
    qemu = f'-drive if=none,id=d0,format=raw,file={path} -device nvme,drive=d0,serial=shared'
    machine = Machine(folder, build, model, with_root(model, vms), ['--cpus', '2', '--memory', '2GiB', '--qemu-args', qemu], 360)
    try:
        machine_script(machine)
        check_gaps(before, path.read_bytes())
    finally:
        machine.stop()
        path.unlink()
        image.unlink()


def machine_script(machine):
    during = script(machine)
    status = machine.finish()
    log = machine.log('bad')
    if status or machine.ends('bad') != ['exit 0'] or not re.search(rb'^[1-9]\d* passed, 0 failed$', log, re.M):
        raise Failure(f'mezz returned {status}; the hostile VM: {machine.ends("bad")}: {log[-300:]}')
    bad = re.search(rb'^IO BAD \d.*', machine.log('web'), re.M)
    if bad or machine.bad_words():
        raise Failure(bad.group().decode() if bad else machine.bad_words())
    if during < 2:
        raise Failure(f'only {during} rounds of work during the attacks')
    machine.check_frames()

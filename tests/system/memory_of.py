# SPDX-License-Identifier: MIT
"""Memory that a VM does not need comes back to the machine while it runs, and what it holds stays right."""
import hashlib
import random
import re
import time

from machine import Machine, debian
from networks_of import LINE
from scripts import ask, check, off, ready

MIB = 1 << 20
FRAMES = MIB // 4096  # of a MiB
FILL = 200  # MiB that the guest touches
NET = "mezz.ip=10.0.0.%d/24"


def free_frames(m):
    """By the kernel's own word."""
    pattern = rb'^.*memory: (\d+) of \d+ frames free'
    count = len(re.findall(pattern, m.log('mezzanine'), re.M))
    m.key('m')
    return int(m.expect('mezzanine', pattern.decode(), 20, count + 1).group(1))


def free_above(m, wanted, seconds):
    """Waits until so many frames are free, and returns how many were."""
    end = time.monotonic() + seconds
    while True:
        free = free_frames(m)
        if free >= wanted or time.monotonic() > end:
            check(free >= wanted, f'{free} frames are free, expected {wanted} after {seconds} s')
            return free
        time.sleep(1)


def fill(m, name, word):
    """The guest writes a file of FILL MiB into its memory and reads it back."""
    line = f'{word}\n'.encode()
    total = hashlib.md5((line * (MIB // len(line) + 1))[:MIB] * FILL).hexdigest()
    ask(m, name, f'yes {word} | head -c {MIB} >/tmp/one; for i in $(seq {FILL}); do cat /tmp/one; done >/tmp/fill; '
        'md5sum </tmp/fill', f'{total}  -', 240)


def traffic(m, disk_sum):
    """The disk is read past the cache, and a file goes over the switch, again and again; each time its sum is looked at."""
    block = hashlib.md5((LINE * (MIB // len(LINE) + 1))[:MIB]).hexdigest()
    ask(m, 'web', f'yes mezzanine | head -c {MIB} >/tmp/block; httpd -p 80 -h /tmp; echo serves $((6*7))', 'serves 42', 30)
    m.type('web', 'while [ ! -e /tmp/stop ]; do s=$(dd if=/dev/vda bs=256k iflag=direct 2>/dev/null | md5sum); '
           f'[ "$s" = "{disk_sum}  -" ] || echo wrong $((6*7)) $s; echo >>/tmp/read; done &\n')
    m.type('db', 'while [ ! -e /tmp/stop ]; do s=$(wget -q -O - http://10.0.0.1/block | md5sum); '
           f'[ "$s" = "{block}  -" ] || echo wrong $((6*7)) $s; echo >>/tmp/got; done &\n')


def rounds(m, name, file):
    before = len(re.findall(rb'^rounds \d+$', m.log(name), re.M))
    m.type(name, f'echo rounds $(wc -l </tmp/{file})\n')
    return int(m.expect(name, r'^rounds (\d+)$', 20, before + 1).group(1))


def gives_back(m, disk_sum):
    for name in ('web', 'db'):
        ready(m, name)
    traffic(m, disk_sum)
    for word in ('first', 'second'):
        empty = free_frames(m)
        fill(m, 'web', word)
        full = free_frames(m)
        check(empty - full > FILL // 2 * FRAMES, f'filling took {empty - full} frames only')
        ask(m, 'web', f'rm /tmp/fill; echo freed {word}', f'freed {word}')
        free_above(m, full + (empty - full) * 2 // 3, 60)  # what Linux has in pieces below 2 MiB it does not report
    done = rounds(m, 'web', 'read'), rounds(m, 'db', 'got')
    check(min(done) >= 3, f'the disk was read and the file fetched {done} times only')
    for name in ('db', 'web'):  # a Linux that sends while it powers off may hang (CAVEATS.md)
        ask(m, name, 'touch /tmp/stop; wait; echo stopped $((6*7))', 'stopped 42', 60)
    off(m, 'web', 'db')


def beside_traffic(vcpus):
    """A Debian VM fills memory and frees it, twice, while it reads a disk of the machine and serves a file."""
    def test(build, model, folder):
        image = (folder.parent / f'{folder.name}-disk.img').resolve()
        content = random.Random(2).randbytes(16 * MIB)
        image.write_bytes(content)
        drive = f'-drive if=none,id=d0,format=raw,file={image} -device nvme,drive=d0,serial=scratch'
        vms = [debian('web', words=NET % 1, memory='512MiB', vcpus=vcpus, nics='[{switch: lan}]', disks='[{device: nvme0n1}]'),
               debian('db', words=NET % 2, nics='[{switch: lan}]')]
        m = Machine(folder, build, model, vms, ['--cpus', str(vcpus), '--qemu-args', drive], 500)
        try:
            gives_back(m, hashlib.md5(content).hexdigest())
            status = m.finish()
            check(status == 0 and not m.bad_words(), f'mezz returned {status}: {m.bad_words()}')
            check(b'wrong 42' not in m.log('web') + m.log('db'), 'something was read wrong')
            m.check_frames()
        finally:
            m.stop()
    return test


def balloon_of(m, name):
    """MiB in the balloon, as the guest's kernel counts them."""
    before = len(re.findall(rb'^balloon -?\d+$', m.log(name), re.M))
    m.type(name, 'set $(grep balloon_[id] /proc/vmstat); echo balloon $((($2 - $4) / 256))\n')
    return int(m.expect(name, r'^balloon (-?\d+)$', 20, before + 1).group(1))


def target(m):
    """A balloon of 64 MiB is full soon, also after a reboot; a VM that has none has all its memory."""
    for boot in (1, 2):
        ready(m, 'web', boot)
        end = time.monotonic() + 60
        while balloon_of(m, 'web') != 64:
            check(time.monotonic() < end, 'the balloon is not full')
            time.sleep(0.5)
        if boot == 1:
            m.type('web', 'reboot -f\n')
            m.wait_event('web', 'reboot', seconds=30)
    ready(m, 'db')
    ask(m, 'db', 'echo $(ls /sys/bus/virtio/drivers/virtio_balloon | grep -c virtio) balloons', '0 balloons')
    off(m, 'web', 'db')

# SPDX-License-Identifier: MIT
"""The root VM of the micro kernel: an unmodified Debian kernel drives the machine's disks and network cards by its own drivers."""
import re

from machine import Failure, Machine, RootVM, debian

SIZE = 16 << 20
DISKS = {  # as Linux names them: the device below
    'nvme0n1': '-device nvme,drive=nvme0n1,serial=nvme',
    'sda': '-device ide-hd,drive=sda,bus=ide.0',
    'vda': '-device virtio-blk-pci,drive=vda',
}
CARDS = {'e1000e': 'e1000e', 'virtio_net': 'virtio-net-pci', 'e1000': 'e1000'}  # Linux's driver: the device; the last has no messages


def scratch(folder):
    paths = {}
    for name in DISKS:
        paths[name] = (folder.parent / f'{folder.name}-{name}.raw').resolve()
        with open(paths[name], 'wb') as f:
            f.truncate(SIZE)
    return paths


def devices(paths, iommu):
    words = ['-device amd-iommu'] if iommu else []
    words += [f'-drive if=none,id={name},format=raw,file={path} {DISKS[name]}' for name, path in paths.items()]
    words += [f'-netdev user,id=n{n},net=10.0.{n}.0/24 -device {card},netdev=n{n},mac=52:54:00:00:00:0{n}'
              for n, card in enumerate(CARDS.values(), 2)]  # the guest knows the network by the card's address
    return ['--qemu-args', ' '.join(words)]


def judge(log, cpus):
    if 'MACHINE BAD' in log:
        raise Failure(re.search('MACHINE BAD.*', log)[0])
    for disk in DISKS:
        if f'MACHINE ok disk {disk}\n' not in log:
            raise Failure(f'the root VM has not written to {disk} and read it back')
    for card in CARDS:
        if f'MACHINE ok card {card}\n' not in log:
            raise Failure(f'the root VM has not reached its gateway through {card}')
    found = re.search(r'root ready: \S+, (\d+) cpus', log)
    if not found or int(found[1]) != cpus:
        raise Failure(f'the root VM has {found[1] if found else "no"} CPUs, expected {cpus}')


def owns(cpus, iommu):
    """Beside a VM that works, on the CPUs that it has, too. What was written is in the files below."""
    def test(build, model, folder):
        paths = scratch(folder)
        machine = Machine(folder, build, model, [RootVM(), debian('web', 'work', words='mezz.rounds=5')],
                          ['--cpus', str(cpus), '--memory', '2GiB', *devices(paths, iommu)], 200)
        try:
            machine.expect('root', 'MACHINE end')
            machine.wait_event('web', 'poweroff')
            machine.attach('root')
            machine.send(b'poweroff -f\n')
            status = machine.finish()
        finally:
            machine.stop()
        log = machine.log('root').decode(errors='replace')
        if status or machine.ends('root') != ['poweroff'] or machine.bad_words():
            raise Failure(f'mezz returned {status}; root: {machine.ends("root")} {machine.bad_words()}')
        if 'WORK end 5 ok, 0 bad' not in machine.log('web').decode(errors='replace'):
            raise Failure('the VM beside it did not do its work')
        judge(log, cpus)
        for path in paths.values():
            if not any(path.read_bytes()):
                raise Failure(f'{path.name} is empty')
            path.unlink()
    return test


def refused(build, model, folder):
    """The mono kernel has its own drivers."""
    machine = Machine(folder, build, model, [RootVM(), debian('web', 'poweroff')], [], 60)
    try:
        status = machine.finish()
    finally:
        machine.stop()
    if status != 3 or 'mono model has no root VM' not in machine.ends('root')[0] or machine.ends('web') != ['poweroff']:
        raise Failure(f'mezz returned {status}; root: {machine.ends("root")}, web: {machine.ends("web")}')

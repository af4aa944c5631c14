# SPDX-License-Identifier: MIT
"""The system tests, one entry each. What a test does while the machine runs is a function of scripts.py."""
import math
from dataclasses import dataclass, field
from typing import Callable, Optional

import api
import backends_of
import blackout
import create
import disks
import faults
import firmware
import fuzz_backend
import hostile
import hostile_io
import iommu
import memory_of
import last_flush
import networks_of
import package
import root
import root_debian
import root_dma
import root_tool
import scripts
import servers
import uplinks
import vm_disks
from machine import debian, tiny

BOTH, MICRO, MONO = 'micro mono', 'micro', 'mono'

# Why a test runs under one model only: keywords for Test.
OWN_DRIVERS = {'models': MONO, 'why': "mono's own drivers; with micro Linux drives the devices (root-1, root-2, vm-disk-device)"}
DISK_TIMEOUT = {'models': MONO, 'why': "a disk's time-out is that of mono's drivers; with micro it is Linux's, 30 s and more"}
ROOT = {'models': MICRO, 'why': 'mono has no root VM'}
ONE_CODE = {'models': MICRO, 'why': 'code that both models have in common, and that knows no model'}
OWN_IOMMU = {'models': MONO, 'why': 'mono confines each device by itself; with micro all of them together: root-dma-iommu'}
BLACKOUT = {'models': MONO, 'why': 'with micro backend-killed and mezzd-killed end so'}
FLUSH = {'models': MONO, 'why': "mono's promise; with micro what a VM wrote is Linux's when the VM dies"}
BALLOON = {'models': MONO, 'why': 'only mono gives a balloon yet (CAVEATS.md)'}


@dataclass
class Test:
    """By default every VM powers itself off, mezz returns 0 and no frame is lost."""
    name: str
    vms: list
    models: str = BOTH
    why: str = ''  # under one model only: the reason
    options: list = field(default_factory=list)  # for mezz run
    script: Optional[Callable] = None  # with the machine while it runs
    after: Optional[Callable] = None  # with the machine after its end
    alone: Optional[Callable] = None  # instead of a machine: with the build's folder, the model and a folder for logs
    seeded: bool = False  # `alone` gets a seed, too
    ends: dict = field(default_factory=dict)  # VM: what becomes of it, in order, as regular expressions
    status: int = 0  # of mezz
    crashes: bool = False  # a guest's kernel is meant to complain
    root: bool = True  # under micro, VMs with disks or network cards have a root VM beside them
    timeout: float = 120
    quiet: bool = False  # it measures time, or wants to see much done in little: nothing else runs meanwhile
    groups: str = ''

    def __post_init__(self):
        if (self.models == BOTH) == bool(self.why):
            raise ValueError(f'{self.name}: a test under one model only has a reason, and no other has one')


def cpus(n):
    return ['--cpus', str(n)]


def cpu(model):
    return ['--cpu', model]


def boots():
    """Every way of starting the kernel, and machines of several sizes."""
    for how in ('bios', 'uefi'):
        yield Test(f'boot-{how}', [debian('web', 'poweroff'), debian('db', 'poweroff')],
                   options=['--boot', how], after=scripts.all_ready, timeout=120, groups='boot')
    for n in (1, 2, 4):
        yield Test(f'cpus-{n}', [debian('web', 'poweroff', vcpus=2), debian('db', 'poweroff', vcpus=1)],
                   options=cpus(n), after=scripts.all_ready, groups='boot')
    for name, model in (('xsave', 'EPYC,+svm,+npt'), ('no-xsave', 'EPYC,+svm,+npt,-xsave'), ('max', 'max')):
        yield Test(f'cpu-{name}', [debian('web', vcpus=2)], options=cpu(model),
                   script=scripts.look_at_avx(name != 'no-xsave'), groups='boot')


def kernels():
    """Each of Debian's kernels, alone, on 1 and 4 vcpus, twice through a reboot."""
    for image, models in (('cloud', BOTH), ('amd64', BOTH), ('rt', BOTH)):
        for n in (1, 4):
            yield Test(f'{image}-{n}', [debian('web', image=image, vcpus=n, memory='256MiB')], models=models,
                       script=scripts.reboot_then_off(n), ends={'web': ['reboot', 'poweroff']},
                       timeout=120, groups='kernels')


def ends():
    """Power-off, reboot, crash, triple fault and debug exit are told apart."""
    yield Test('end-poweroff', [tiny('web', 'poweroff')], groups='ends')
    yield Test('end-reboot', [tiny('web', 'reset', 'by=1')], ends={'web': ['reboot', 'exit 0']}, groups='ends')
    yield Test('end-exit', [tiny('web', 'hello', 'code=7')], ends={'web': ['exit 7']},
               after=scripts.says('web: exit 7'), groups='ends')
    yield Test('end-triple-fault', [tiny('web', 'triplefault')], status=3, ends={'web': ['stopped triple fault.*']},
               after=scripts.says('web: stopped: triple fault'), groups='ends')
    yield Test('end-panic', [debian('web', 'crash', words='panic=1 reboot=t')], status=3, crashes=True,
               ends={'web': ['stopped triple fault.*']}, after=scripts.crashed, groups='ends')
    yield Test('end-panic-reboot', [debian('web', 'crash', words='panic=1'), debian('db')], crashes=True, status=130,
               script=scripts.crash_and_come_again, groups='ends')
    yield Test('end-busy', [tiny('web', 'triplefault', 'busy=1 cpu=2', vcpus=4),
                            debian('db', 'work', words='mezz.rounds=10')],
               status=3, ends={'web': ['stopped triple fault.*']}, after=scripts.work_was_right('db'), groups='ends')
    yield Test('end-timeout', [debian('web')], status=124, options=['--timeout', '6'], **ONE_CODE, groups='ends')


def power():
    """VMs are asked to power off, and stopped when they do not."""
    yield Test('power-button', [debian('web', vcpus=2), debian('db', repeat=3)], options=cpus(2), script=scripts.power_button,
               after=scripts.button_was_seen, groups='ends')
    yield Test('power-force', [debian('web', 'spin', words='mezz.seconds=600'), debian('db', repeat=3)], script=scripts.stopped_by_force,
               after=scripts.says('web: stopped: by request'), status=130, groups='ends')


def main_job():
    """What `make run` does."""
    yield Test('servers', [], alone=servers.survive, groups='servers')


def many():
    """Several VMs."""
    yield Test('two-cpus', [debian('web', vcpus=2), debian('db', vcpus=2)], options=cpus(2),
               script=scripts.answer_and_off, timeout=90, groups='many')
    yield Test('eight', [debian(f'vm{i}', 'poweroff', memory='128MiB', vcpus=1 + i % 2) for i in range(8)],
               after=scripts.all_ready, timeout=150, groups='many')
    yield Test('cycles', [debian('db', 'work', words='mezz.rounds=100'), tiny('web', 'hello', repeat=199)],
               options=cpus(2),
               ends={'web': ['exit 0'] * 200}, after=scripts.worked_beside('db', 'web'), timeout=400, groups='many')
    yield Test('no-memory', [debian('web', 'poweroff'), debian('db', 'poweroff', memory='600MiB')], status=3,
               options=['--memory', '512MiB'], ends={'db': ['stopped cannot start: not enough free memory']},
               groups='many')


def sched():
    """Shares of processor time."""
    spin = 'mezz.seconds=600'  # longer than any test
    yield Test('shares', [debian(f'w{w}', 'spin', words=spin, memory='128MiB', weight=w) for w in (100, 200, 400)],
               options=cpus(1), script=scripts.shares({'w100': 1, 'w200': 2, 'w400': 4}), status=130, timeout=240, **ONE_CODE,
               quiet=True, groups='sched')
    yield Test('cap', [debian('web', 'spin', words=spin, memory='128MiB', cap=50),
                       debian('db', 'spin', words=spin, memory='128MiB')],
               options=cpus(2), script=scripts.capped('web', 50), status=130, timeout=240, **ONE_CODE, quiet=True, groups='sched')
    yield Test('affinity', [debian('web', 'spin', words='mezz.seconds=8', vcpus=2, affinity='[1]')],
               options=cpus(2), script=scripts.stays_on('web', 1), **ONE_CODE, quiet=True, groups='sched')
    yield Test('latency', [debian('web'), debian('db', 'spin', words=spin, vcpus=4)], options=cpus(2),
               script=scripts.answers_in_time('web', 'db'), status=130, timeout=240, quiet=True, groups='sched')


def inside():
    """What the kernel shows of itself, and what it uses."""
    yield Test('keys', [debian('web'), debian('db')], options=['--kernel-args', 'trace=3ff'],
               script=scripts.debug_keys, timeout=150, groups='inside')
    yield Test('flood', [debian('web'), debian('db')], script=scripts.flood('web', 'db'), timeout=150, groups='inside')
    yield Test('memory-use', [debian('web', 'poweroff', vcpus=4)], options=['--memory', '2GiB'],
               after=scripts.memory_limits, groups='inside')
    yield Test('panic', [tiny('web', 'hello')], options=['--qemu-args', '-initrd BUILD/mezz'], status=4,
               after=scripts.panic_tells, models=BOTH, groups='inside')


NVME = '-device nvme,drive=d0,serial=scratch'

VIRTIO = '-device virtio-blk-pci,drive=d0,request-merging=off'  # else neighbours share an error

SATA = '-device ide-hd,drive=d0,serial=scratch'


def native_disks():
    """The mono kernel's own drivers."""
    yield Test('disk-nvme', [], alone=disks.works(NVME), **OWN_DRIVERS, groups='disks')
    yield Test('disk-nvme-error', [], alone=disks.bad_sectors(NVME), **OWN_DRIVERS, groups='disks')
    yield Test('disk-nvme-stall', [], alone=disks.stalled(NVME), **OWN_DRIVERS, groups='disks')
    yield Test('disk-no-address', [], alone=disks.without_addresses, **OWN_DRIVERS, groups='disks')
    yield Test('disk-virtio', [], alone=disks.works(VIRTIO), **OWN_DRIVERS, groups='disks')
    yield Test('disk-virtio-stall', [], alone=disks.stalled(VIRTIO), **OWN_DRIVERS, groups='disks')
    yield Test('disk-virtio-error', [], alone=disks.bad_sectors(VIRTIO), **OWN_DRIVERS, groups='disks')
    yield Test('disk-sata', [], alone=disks.works(SATA, count=9), **OWN_DRIVERS, groups='disks')  # zeroes are not offered
    yield Test('disk-sata-error', [], alone=disks.bad_sectors(SATA), **OWN_DRIVERS, groups='disks')
    yield Test('disk-sata-stall', [], alone=disks.stalled(SATA, answers=3), **OWN_DRIVERS, groups='disks')


def faulty_disks():
    """What VMs see of a disk that fails, and what others see of it: nothing."""
    for kind in faults.KINDS:
        yield Test(f'vm-disk-error-{kind}', [], alone=faults.two_vms(kind, faults.FAULTY, faults.errors), groups='disks')
        yield Test(f'vm-disk-stall-{kind}', [], alone=faults.two_vms(kind, faults.PLAIN, faults.stall, 'disk_timeout=6'),
                   **DISK_TIMEOUT, groups='disks')
    yield Test('vm-disk-death', [], alone=faults.two_vms('nvme', faults.PLAIN, faults.death, 'disk_timeout=1'), **DISK_TIMEOUT,
               groups='disks')
    yield Test('vm-disk-slow', [], alone=faults.two_vms('nvme', faults.SLOW, faults.slow), **DISK_TIMEOUT, quiet=True, groups='disks')


def iommus():
    """AMD's IOMMU in the machine. The last two show that the test of what is reached can fail."""
    virtio = '-device virtio-blk-pci,drive=d0,disable-legacy=on'
    for name, device in (('nvme', NVME), ('sata', SATA), ('virtio', f'{virtio},iommu_platform=on')):
        yield Test(f'iommu-{name}', [], alone=iommu.reaches(device, iommu.BLOCKED), **OWN_IOMMU, groups='iommu')
    yield Test('iommu-nvme-stall', [], alone=iommu.stalled(NVME), **OWN_IOMMU, groups='iommu')
    for name, device in (('e1000e', 'e1000e'), ('virtio-net', 'virtio-net-pci,disable-legacy=on,iommu_platform=on')):
        yield Test(f'iommu-{name}', [], alone=uplinks.works(name, f'amd-iommu -device {device}'), **OWN_IOMMU, groups='iommu')
    yield Test('iommu-vm', [], alone=iommu.vm, **OWN_IOMMU, groups='iommu')
    yield Test('iommu-off', [], alone=iommu.reaches(NVME, iommu.REACHED, 'iommu=off', 'iommu: off'), **OWN_IOMMU, groups='iommu')
    yield Test('iommu-past', [], alone=iommu.reaches(virtio, iommu.REACHED, said='its DMA goes past the IOMMU'), **OWN_IOMMU,
               groups='iommu')


def blackouts():
    """The emulated machine is killed while a VM writes: `--repeat 17 blackout` is a hundred times."""
    for name, device in (('nvme', 'nvme,serial=scratch'), ('sata', 'ide-hd'), ('virtio', 'virtio-blk-pci')):
        yield Test(f'blackout-{name}', [], alone=blackout.survives(device), seeded=True, **BLACKOUT, groups='blackout')
    yield Test('blackout-liar', [], alone=blackout.liar_is_found, seeded=True, **BLACKOUT)


def firmwares():
    """A disk as its owner left it."""
    yield Test('firmware-disk', [], alone=firmware.boots_again, groups='firmware')
    yield Test('firmware-bios', [], alone=firmware.bios_boots_again, groups='firmware')
    yield Test('firmware-vars', [], alone=firmware.keeps_variables, groups='firmware')
    yield Test('firmware-hammered', [], alone=firmware.hammered, groups='firmware hostile')
    yield Test('firmware-vars-refused', [], alone=firmware.refused, groups='firmware')


def networks():
    """VMs on a virtual switch: they reach each other, a file arrives whole, another VLAN hears nothing."""
    def vms(words='', vcpus=1):
        return [debian(name, words=f'mezz.ip=10.0.0.{i}/24 {words}'.strip(), vcpus=vcpus, nics=f'[{{switch: lan, vlan: {vlan}}}]')
                for i, (name, vlan) in enumerate((('web', 10), ('db', 10), ('spy', 20)), 1)]
    for n in (1, 2):
        yield Test(f'net-{n}', vms(vcpus=n), options=cpus(n), script=networks_of.talk, timeout=240, groups='net')
        yield Test(f'net-plain-{n}', vms('mezz.net=plain'), options=cpus(n), script=networks_of.talk,
                   timeout=240, groups='net')
    yield Test('net-trunk', [debian(name, words=f'mezz.ip=10.0.0.{i}/24', nics=f'[{{switch: lan{keys}}}]')
                             for i, (name, keys) in enumerate((('plain', ''), ('some', ', trunk: [0, 10]'), ('tagged', ', trunk: [10, 20]')), 1)],
               options=cpus(1), script=networks_of.trunk, timeout=240, groups='net')
    yield Test('net-reboot', vms()[:2], options=cpus(1), script=networks_of.reboot,
               ends={'web': ['reboot', 'poweroff']}, timeout=240, groups='net')
    lan = "[{switch: lan, vlan: 10, mac: '52:54:00:00:00:0%d'}]"
    yield Test('net-flood', [debian('web', words='mezz.ip=10.0.0.1/24', nics=lan % 1),
                             debian('db', words='mezz.ip=10.0.0.2/24', nics=lan % 2),
                             tiny('flood', 'netflood', 'to=0x525400000001 seconds=20 delay=15', nics=lan % 3)],
               models=MONO, why="what is dropped is read in the log of mono's switch; for micro test_backend_card looks", options=cpus(1),
               script=networks_of.flood, ends={'flood': ['exit 0']}, timeout=240, quiet=True, groups='net')
    yield Test('net-flood-costs', [debian('work', 'spin', words='mezz.seconds=600'), tiny('flood', 'netflood', 'to=0x525400000001 seconds=600 delay=25', nics=lan % 3),
                                   debian('web', words='mezz.ip=10.0.0.1/24', nics=lan % 1)],
               models=MONO, why='with micro the flood is served by the root VM, whose time is its own', options=cpus(1), script=networks_of.flood_costs, status=130, timeout=240, quiet=True, groups='net')
    yield Test('net-hostile', [debian('web', words='mezz.ip=10.0.0.1/24', nics=lan % 1),
                               debian('db', words='mezz.ip=10.0.0.2/24', nics=lan % 2),
                               tiny('bad', 'virtq', 'device=0x1041 delay=15', vcpus=2, nics=lan % 3)],
               options=cpus(1), script=networks_of.hostile, ends={'bad': ['exit 0']}, timeout=240, groups='net')
    yield Test('net-micro', [vms()[0], tiny('db', 'hello')], **ROOT, root=False, status=3,
               ends={'db': ['exit 0'], 'web': ['stopped cannot start: disks and network cards need a root VM.*']}, groups='net')


def native_cards():
    """Network cards of the machine as uplinks."""
    for name, device in (('e1000e', 'e1000e'), ('virtio-net', 'virtio-net-pci,disable-legacy=on')):
        for n in (1, 2):
            yield Test(f'uplink-{name}-{n}', [], alone=uplinks.works(name, device, n), **OWN_DRIVERS, groups='net')
        yield Test(f'uplink-link-{name}', [], alone=uplinks.link(name, device), **OWN_DRIVERS, groups='net')
    yield Test('uplink-missing', [], alone=uplinks.missing, **OWN_DRIVERS, groups='net')


def flushes():
    """What a VM that dies had written is flushed for it."""
    for name, device in (('nvme', 'nvme,serial=flush'), ('sata', 'ide-hd'), ('virtio', 'virtio-blk-pci')):
        yield Test(f'flush-{name}', [], alone=last_flush.done_for_the_guest(device), **FLUSH, groups='disks')


def disks_of_vms():
    """Virtual disks: images of the bundle, and disks of the machine."""
    yield Test('vm-disks', [], alone=vm_disks.images, groups='disks')
    yield Test('vm-disk-device', [], alone=vm_disks.device('cloud'), groups='disks')
    yield Test('vm-disk-device-amd64', [], alone=vm_disks.device('amd64'), groups='disks')
    yield Test('vm-disks-refused', [], alone=vm_disks.refused, **ROOT, groups='disks')


def roots():
    """The root VM of micro, with its own drivers for the machine's devices."""
    yield Test('root-1', [], alone=root.owns(1, iommu=False), **ROOT, groups='root')
    yield Test('root-2', [], alone=root.owns(2, iommu=True), **ROOT, groups='root')
    yield Test('root-dma-iommu', [], alone=root_dma.dma(True), **ROOT, groups='root')
    yield Test('root-dma', [], alone=root_dma.dma(False), **ROOT, groups='root')  # the other one can fail
    yield Test('root-tool', [], alone=root_tool.test, **ROOT, groups='root')
    yield Test('create', [], alone=create.test, **ROOT, groups='root')
    yield Test('api', [], alone=api.test, **ROOT, groups='root')
    yield Test('root-debian', [], alone=root_debian.test, **ROOT, groups='root')
    yield Test('package', [], alone=package.test, **ROOT, groups='root')
    yield Test('root-mono', [], alone=root.refused, models=MONO, why='micro has one', groups='root')


def backends():
    """Back-ends in the root VM, and mezzd, killed at any moment: `--repeat 5 backend-killed` is a hundred times."""
    yield Test('backend-killed', [], alone=backends_of.killed('mezz-backend', 20), seeded=True, **ROOT, quiet=True, groups='root')
    yield Test('fuzz-backend', [], alone=fuzz_backend.test, seeded=True, **ROOT, groups='root')
    yield Test('mezzd-killed', [], alone=backends_of.killed('mezzd', 10), seeded=True, **ROOT, quiet=True, groups='root')


def memory():
    """What a guest frees comes back."""
    for n in (1, 2):
        yield Test(f'balloon-{n}', [], alone=memory_of.beside_traffic(n), **BALLOON, quiet=True, groups='memory')
    for n in (1, 2):
        yield Test(f'balloon-hostile-{n}', [tiny('bad', 'balloon', vcpus=n, memory='64MiB'),
                                            debian('work', 'work', words='mezz.rounds=10')],
                   **BALLOON, options=cpus(n), ends={'bad': ['exit 0']}, after=scripts.work_was_right('work'),
                   timeout=300, groups='memory')
    yield Test('balloon-target', [debian('web', memory='256MiB', balloon='64MiB'), debian('db', balloon='false')],
               **BALLOON, options=cpus(1), script=memory_of.target, ends={'web': ['reboot', 'poweroff']}, timeout=240,
               groups='memory')
    yield Test('balloon-micro', [debian('web', balloon='64MiB'), tiny('db', 'hello')], models=MICRO, why='with mono it is none', status=3,
               ends={'db': ['exit 0'], 'web': ['stopped cannot start: .*only mono gives a balloon']}, groups='memory')


def programs():
    """What needs no machine."""
    yield Test('image-size', [], alone=scripts.image_size, groups='programs')
    yield Test('bad-configs', [], alone=scripts.bad_configs, **ONE_CODE, groups='programs')
    yield Test('examples', [], alone=scripts.examples_are_good, **ONE_CODE, groups='programs')
    yield Test('gdb', [], alone=scripts.gdb_stops, groups='programs')


def attacks():
    """The hostile tiny guests, some at a time, beside a Linux VM whose work is checked."""
    guests = hostile.declared()
    parts = 4
    size = math.ceil(len(guests) / parts)
    for i in range(parts):
        some = guests[i * size:(i + 1) * size]
        yield Test(f'hostile-{i + 1}', [debian('work', 'work', words='mezz.rounds=0'), *hostile.vms(some)],
                   options=cpus(2),
                   script=hostile.script(some), status=130, timeout=300, quiet=True, groups='hostile')
    yield Test('hostile-io', [], alone=hostile_io.test, seeded=True, quiet=True, groups='hostile')


TESTS = [*programs(), *native_disks(), *faulty_disks(), *disks_of_vms(), *flushes(), *blackouts(), *iommus(), *firmwares(), *boots(), *kernels(), *ends(), *power(), *main_job(), *roots(), *backends(), *many(), *sched(), *inside(), *networks(),
         *native_cards(), *memory(), *attacks()]

for one in TESTS:  # each can be named alone
    if any(one.name in other.groups.split() for other in TESTS if other.name != one.name):
        raise ValueError(f'{one.name} is the name of a test and of a group')

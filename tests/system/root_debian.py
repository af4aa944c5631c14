# SPDX-License-Identifier: MIT
"""A whole Debian server as root VM: the disk of `db` (tools/server-images) as its packages left it, on an NVMe controller, with a network
card, both behind the IOMMU. It starts to its login prompt and powers off when somebody presses the machine's button."""
import json
import re
import subprocess

from machine import Failure, Machine, RootVM, debian


def partition_of(image):
    """Where the file system begins, in bytes."""
    table = json.loads(subprocess.run(['sfdisk', '-J', image], check=True, capture_output=True, text=True).stdout)
    return table['partitiontable']['partitions'][-1]['start'] * table['partitiontable'].get('sectorsize', 512)


def take_kernel(image, files):
    """What its boot loader would load, out of the disk, as the files by their names; and the file system's UUID."""
    place = f'{image}?offset={partition_of(image)}'

    def debugfs(words):
        return subprocess.run(['debugfs', '-R', words, place], check=True, capture_output=True, text=True).stdout
    names = re.findall(r'/((?:vmlinuz|initrd\.img)-[^/]+)/', debugfs('ls -p /boot'))
    for name in names:
        debugfs(f'dump /boot/{name} {files[name.split("-")[0]]}')
    return re.search(r'Filesystem UUID: +(\S+)', debugfs('stats -h'))[1]


def test(build, model, folder):
    image = (build / 'servers' / 'db.img').resolve()
    files = {name: (folder.parent / f'{folder.name}-{name}').resolve() for name in ('vmlinuz', 'initrd.img')}
    uuid = take_kernel(image, files)
    root = RootVM(memory='640MiB')
    root.keys.update(kernel=files['vmlinuz'], initrd=files['initrd.img'], cmdline=f'console=ttyS0 root=UUID={uuid} ro')
    qemu = (f'-device amd-iommu -drive if=none,id=d0,format=raw,snapshot=on,file={image} -device nvme,drive=d0,serial=root '
            '-netdev user,id=n0 -device virtio-net-pci,disable-legacy=on,iommu_platform=on,netdev=n0')
    machine = Machine(folder, build, model, [root, debian('web', 'work', words='mezz.rounds=0')],
                      ['--cpus', '2', '--memory', '2GiB', '--qemu-args', qemu], 400)
    try:
        machine.expect('root', r'\| +True \| +10\.0\.2\.15 ', 300)  # its network card got an address
        machine.expect('root', 'debian login: ', 300)
        machine.expect('root', r'Cloud-init v\. \S+ finished', 300)
        machine.expect('web', r'^WORK \d+ ok')
        machine.ask('system_powerdown')
        status = machine.finish()
    finally:
        machine.stop()
    log = machine.log('root').decode(errors='replace')
    if status != 3 or machine.ends('web') != ['stopped the root VM has ended'] or machine.ends('root') != ['poweroff'] or machine.bad_words() or 'Reached target' not in log:
        raise Failure(f'mezz returned {status}; root: {machine.ends("root")} {machine.bad_words()}, web: {machine.ends("web")}')
    if 'WORK BAD' in machine.log('web').decode(errors='replace'):
        raise Failure('the VM beside it did wrong work')
    for path in files.values():
        path.unlink()

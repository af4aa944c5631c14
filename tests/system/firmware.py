# SPDX-License-Identifier: MIT
"""A VM without a kernel in CONFIG: Debian's UEFI firmware finds GRUB on its disk, and GRUB Debian's kernel."""
import subprocess

from machine import VM, Failure, Machine

GRUB = '/usr/lib/grub/x86_64-efi/monolithic/grubx64.efi'
MENU = """linux /vmlinuz console=hvc0 quiet mezz.name=web mezz.do=shell
initrd /initrd
boot
"""


def make_disk(path, kernel):
    """A file system as firmware reads it, with a boot loader, its menu, a kernel and an initrd."""
    menu = path.with_suffix('.cfg')
    menu.write_text(MENU, encoding='ascii')
    with open(path, 'wb') as f:
        f.truncate(64 << 20)
    tools = (['mformat', '-i', path, '-F', '::'], ['mmd', '-i', path, '::/EFI', '::/EFI/BOOT', '::/EFI/debian'],
             ['mcopy', '-i', path, GRUB, '::/EFI/BOOT/BOOTX64.EFI'],
             ['mcopy', '-i', path, menu, '::/EFI/debian/grub.cfg'],
             ['mcopy', '-i', path, kernel / 'vmlinuz', '::/vmlinuz'], ['mcopy', '-i', path, kernel / 'initrd', '::/initrd'])
    try:
        for command in tools:
            subprocess.run(command, check=True, capture_output=True)
    except subprocess.CalledProcessError as e:
        raise Failure(f'{e.cmd[0]}: {e.stderr.decode(errors="replace")}') from e
    finally:
        menu.unlink()


def boots_again(build, model, folder):
    """From the disk to a shell on both vcpus, a reboot through the firmware, a shell again, power-off."""
    disk = folder.parent.resolve() / f'{folder.name}.raw'
    make_disk(disk, build.resolve() / 'debian' / 'cloud')
    vm = VM('web', memory='256MiB', vcpus=2, disks=f'[{{image: {disk}, mode: snapshot}}]')
    machine = Machine(folder, build, model, [vm], ['--cpus', '1'], 240)
    try:
        for n, word in ((1, 'reboot -f'), (2, 'poweroff -f')):
            machine.expect('web', r'^web ready: .* 2 cpus', count=n)
            machine.expect('web', r'web# ', count=n)
            machine.type('web', f'{word}\r')
        status = machine.finish()
    finally:
        machine.stop()
        disk.unlink()
    if status or machine.ends('web') != ['reboot', 'poweroff']:
        raise Failure(f'mezz returned {status}; the VM: {machine.ends("web")}')
    if machine.bad_words():
        raise Failure(machine.bad_words())
    machine.check_frames()

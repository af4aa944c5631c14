# SPDX-License-Identifier: MIT
"""A VM without a kernel in CONFIG: Debian's UEFI firmware, or BIOS, finds GRUB on its disk, and GRUB Debian's kernel."""
import pathlib
import shutil
import struct
import subprocess
import uuid

from machine import VM, Failure, Machine, debian, with_root

BIOS = '/usr/share/seabios/bios-256k.bin'
GRUB = '/usr/lib/grub/x86_64-efi/monolithic/grubx64.efi'
MENU = """linux /vmlinuz console=hvc0 quiet mezz.name=web mezz.do=shell mezz.from=$cmdpath
initrd /initrd{more}
boot
"""
# The commands for the first block of the chip, 4 MiB below 4 GiB.
ERASE = 'devmem 0xffc00000 8 0x20; devmem 0xffc00000 8 0xd0;'
START = 2048  # sector of the partition
PARTITION = uuid.UUID('5d1c9a36-0a3e-4c57-9f0b-2b6a4d1e7c88')
SIZE = 64 << 20  # of the file system
HERE = pathlib.Path(__file__).resolve().parent
RESETS = 12  # as in hammer.S

# In the guest. The variables' files are named by the UEFI specification's GUID for what it defines; ours has one of its own.
SCRIPT = """insmod /more/efivarfs.ko 2>/dev/null
mount -t efivarfs efivarfs /sys/firmware/efi/efivars 2>/dev/null
cd /sys/firmware/efi/efivars
g=8be4df61-93ca-11d2-aa0d-00e098032b8c own=b3a8c4c2-7d0e-4a2c-9f3f-0b7c1d2e5a61
case $1 in
write)
	cat /more/entry >Boot0042-$g
	cat /more/order >BootOrder-$g
	cat /more/value >Mezzanine-$own
	;;
esac
echo "EFI $(tail -c +5 Mezzanine-$own), first $(tail -c +5 BootOrder-$g | hexdump -n 2 -e '1/2 "%04x"') from $(sed 's/.*mezz.from=//' /proc/cmdline)"
"""


def call(*command, **keys):
    try:
        subprocess.run(command, check=True, capture_output=True, **keys)
    except subprocess.CalledProcessError as e:
        raise Failure(f'{e.cmd[0]}: {e.stderr.decode(errors="replace")}') from e


def boot_entry():
    """A Boot#### variable's file: attributes, then EFI_LOAD_OPTION (UEFI 2.10, 3.1.3): GRUB in Debian's folder."""
    def name(text):
        return (text + '\0').encode('utf-16-le')
    file = name('\\EFI\\debian\\grubx64.efi')
    path = struct.pack('<BBHIQQ16sBB', 4, 1, 42, 1, START, SIZE // 512, PARTITION.bytes_le, 2, 2)
    path += struct.pack('<BBH', 4, 4, 4 + len(file)) + file + struct.pack('<BBH', 0x7f, 0xff, 4)
    return struct.pack('<IIH', 7, 1, len(path)) + name('debian') + path


def make_more(path, kernel):
    """A second initrd: efivarfs, a boot entry, what the guest does with them."""
    tree = path.parent / f'{path.name}.tree'
    (tree / 'more').mkdir(parents=True, exist_ok=True)
    module = next((kernel / 'root').glob('lib/modules/*/kernel/fs/efivarfs/efivarfs.ko'))
    shutil.copy(module, tree / 'more')
    (tree / 'more/entry').write_bytes(boot_entry())
    (tree / 'more/order').write_bytes(struct.pack('<IH', 7, 0x42))
    (tree / 'more/value').write_bytes(struct.pack('<I', 7) + b'one')
    (tree / 'more/efi').write_text(SCRIPT)
    names = '\n'.join(str(f.relative_to(tree)) for f in sorted(tree.rglob('*')))
    with open(path, 'wb') as out:
        subprocess.run(['cpio', '-o', '-H', 'newc', '--quiet'], cwd=tree, input=names.encode(), stdout=out, check=True)
    shutil.rmtree(tree)


def make_disk(path, kernel, more=None):
    """A file system as firmware reads it, with a boot loader, its menu, a kernel and an initrd. With a second initrd it is the
    partition of a disk, and the boot loader is in Debian's folder, too."""
    menu = path.with_suffix('.cfg')
    menu.write_text(MENU.format(more=' /more' if more else ''), encoding='ascii')
    volume = f'{path}@@{START * 512}' if more else str(path)
    with open(path, 'wb') as f:
        f.truncate(SIZE + (2 * START * 512 if more else 0))
    if more:
        table = f'label: gpt\nstart={START}, size={SIZE // 512}, type=uefi, uuid={PARTITION}\n'
        call('/sbin/sfdisk', '-q', path, input=table.encode())
    call('mformat', '-i', volume, '-F', '-T', str(SIZE // 512), '::')
    call('mmd', '-i', volume, '::/EFI', '::/EFI/BOOT', '::/EFI/debian')
    files = {'EFI/BOOT/BOOTX64.EFI': GRUB, 'EFI/debian/grub.cfg': menu, 'vmlinuz': kernel / 'vmlinuz', 'initrd': kernel / 'initrd'}
    if more:
        files |= {'more': more, 'EFI/debian/grubx64.efi': GRUB}
    for name, source in files.items():
        call('mcopy', '-i', volume, source, f'::/{name}')
    menu.unlink()


def make_bios_disk(path, kernel):
    """A disk as `grub-install` for BIOS leaves it: boot code in the MBR, GRUB behind it, an active partition."""
    menu, core = path.with_suffix('.cfg'), path.with_suffix('.core')
    menu.write_text('set root=(hd0,msdos1)\n' + MENU.format(more=''), encoding='ascii')
    call('grub-mkimage', '-O', 'i386-pc', '-o', core, '-p', '(hd0,msdos1)/grub', '-c', menu, 'biosdisk', 'part_msdos', 'fat', 'linux', 'boot')
    with open(path, 'wb') as f:
        f.truncate(SIZE + START * 512)
    call('/sbin/sfdisk', '-q', path, input=f'label: dos\nstart={START}, type=c, bootable\n'.encode())
    with open(path, 'r+b') as f:
        f.write(pathlib.Path('/usr/lib/grub/i386-pc/boot.img').read_bytes()[:440])
        f.seek(512)
        f.write(core.read_bytes())
    volume = f'{path}@@{START * 512}'
    call('mformat', '-i', volume, '-F', '-T', str(SIZE // 512), '::')
    for name in ('vmlinuz', 'initrd'):
        call('mcopy', '-i', volume, kernel / name, f'::/{name}')
    menu.unlink()
    core.unlink()


def boots_again(build, model, folder):
    """From the disk to a shell on both vcpus, a reboot through the firmware, a shell again, power-off."""
    disk = folder.parent.resolve() / f'{folder.name}.raw'
    make_disk(disk, build.resolve() / 'debian' / 'cloud')
    twice(build, model, folder, disk)


def bios_boots_again(build, model, folder):
    """The same by Debian's SeaBIOS; what it and GRUB say comes once, on the serial port."""
    disk = folder.parent.resolve() / f'{folder.name}.raw'
    make_bios_disk(disk, build.resolve() / 'debian' / 'cloud')
    machine = twice(build, model, folder, disk, firmware=BIOS)
    log = machine.log('web')
    for word in (b'Booting from Hard Disk', b'GRUB loading'):
        if log.count(word) != 2:
            raise Failure(f'"{word.decode()}" {log.count(word)} times in two boots')


def twice(build, model, folder, disk, **keys):
    vm = VM('web', memory='256MiB', vcpus=2, disks=f'[{{image: {disk}, mode: snapshot}}]', **keys)
    machine = Machine(folder, build, model, with_root(model, [vm]), ['--cpus', '1'], 480)
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
    return machine


def make_store(path):
    """A disk of the machine with a partition of zeros for the variables, and one behind it that is nobody's to touch."""
    with open(path, 'wb') as f:
        f.truncate(8 << 20)
    call('/sbin/sfdisk', '-q', path, input=b'label: gpt\nstart=2048, size=4096\nstart=6144, size=6144\n')
    with open(path, 'r+b') as f:
        f.seek(6144 * 512)
        f.write(b'\xa5' * (6144 * 512))


def power_up(build, model, folder, disk, store, script, **keys):
    """A run of the machine in which the script talks to the VM."""
    vm = VM('web', memory='256MiB', disks=f'[{{image: {disk}, mode: snapshot}}]', firmware_vars='{device: nvme0n1p1}', **keys)
    drive = f'-drive if=none,id=d0,format=raw,file={store} -device nvme,drive=d0,serial=store'
    machine = Machine(folder, build, model, with_root(model, [vm]), ['--cpus', '1', '--qemu-args', drive], 480)
    try:
        script(machine)
        status = machine.finish()
    finally:
        machine.stop()
    if status or machine.bad_words():
        raise Failure(f'mezz returned {status}; {machine.ends("web")}, {machine.bad_words()}')
    machine.check_frames()


def say(machine, count, words, expected):
    """In the count-th boot: tells the guest's script what to do, and reads what the variables are."""
    machine.expect('web', r'web# ', count=2 * count - 1)
    machine.type('web', f'sh /more/efi {words}\r')
    found = machine.expect('web', r'^EFI (.*)$', count=count)[1].decode()
    machine.expect('web', r'web# ', count=2 * count)
    if found != expected:
        raise Failure(f'the variables are "{found}", expected "{expected}"')


def keeps_variables(build, model, folder):
    """A guest writes a variable, and a boot entry which it makes the only one. It finds both, and was booted by the entry, after a
    reboot, after a power-off, and after the machine's. Then it erases the chip's headers, and starts as at first."""
    kernel, base = build.resolve() / 'debian' / 'cloud', folder.parent.resolve() / folder.name
    disk, store, more = (base.with_suffix(end) for end in ('.raw', '.store', '.more'))
    make_more(more, kernel)
    make_disk(disk, kernel, more)
    make_store(store)
    first, later = 'one, first 0042 from (hd0,gpt1)/EFI/BOOT', 'one, first 0042 from (hd0,gpt1)/EFI/debian'

    def install(machine):
        say(machine, 1, 'write', first)
        machine.type('web', 'reboot -f\r')
        say(machine, 2, 'show', later)
        machine.type('web', 'poweroff -f\r')
        say(machine, 3, 'show', later)
        machine.type('web', 'poweroff -f\r')

    def look(machine):
        say(machine, 1, 'show', later)
        machine.type('web', f'{ERASE} reboot -f\r')
        machine.expect('web', r'web# ', count=3)
        machine.expect('mezzanine', "web: its firmware's variables are damaged: they begin anew")
        machine.type('web', 'cat /proc/cmdline\r')
        machine.expect('web', r'mezz.from=\(hd0,gpt1\)/EFI/BOOT')
        machine.type('web', 'poweroff -f\r')
    try:
        power_up(build, model, folder, disk, store, install, repeat=1)
        power_up(build, model, folder, disk, store, look)
        if store.read_bytes()[6144 * 512:12288 * 512] != b'\xa5' * (6144 * 512):
            raise Failure('what lies behind the partition was written')
    finally:
        for path in (disk, store, more):
            path.unlink(missing_ok=True)


def refused(build, model, folder):
    """A partition that holds something else is left alone; its VM does not start, the other does."""
    base = folder.parent.resolve() / folder.name
    disk, store = base.with_suffix('.raw'), base.with_suffix('.store')
    disk.write_bytes(bytes(1 << 20))
    make_store(store)
    before = store.read_bytes()
    vm = VM('web', memory='128MiB', disks=f'[{{image: {disk}, mode: snapshot}}]', firmware_vars='{device: nvme0n1p2}')
    drive = f'-drive if=none,id=d0,format=raw,file={store} -device nvme,drive=d0,serial=store'
    machine = Machine(folder, build, model, with_root(model, [vm, debian('db', 'poweroff')]), ['--cpus', '1', '--qemu-args', drive], 120)
    try:
        if model == 'micro':  # the VM waits for a back-end
            machine.expect('root', 'web: .* holds something else')
            machine.wait_event('db', 'poweroff')
        else:
            status = machine.finish()
        after = store.read_bytes()
    finally:
        machine.stop()
        disk.unlink()
        store.unlink()
    if before != after:
        raise Failure('the partition was written')
    if model == 'micro':
        return
    if status != 3 or machine.ends('db') != ['poweroff'] or not any('holds something else' in e for e in machine.ends('web')):
        raise Failure(f'mezz returned {status}: {machine.ends("web")}, {machine.ends("db")}')
    machine.check_frames()


def volume(size, guid=bytes(16)):
    """A firmware volume's header (PI 1.7, volume 3, 3.2.1), whose 16-bit words add up to 0."""
    head = bytearray(struct.pack('<16s16sQ4sIHHHBBIIII', bytes(16), guid, size, b'_FVH', 0, 72, 0, 0, 0, 2, size // 4096, 4096, 0, 0))
    struct.pack_into('<H', head, 50, -sum(struct.unpack('<36H', head)) & 0xffff)
    return head


def make_hammer(path):
    """The firmware of hammer.S: a good store of variables, and code."""
    program = path.with_suffix('.bin')
    call('gcc', '-m32', '-nostdlib', '-static', '-Wl,--build-id=none,-Ttext=0xffff0000,--oformat=binary,-e,0xffff8000', '-o', program,
         HERE / 'hammer.S')
    image = bytearray(program.read_bytes())
    if len(image) != 1 << 16:
        raise Failure(f'the firmware has {len(image)} bytes')
    image[:0x4000] = b'\xff' * 0x4000
    head = volume(0x4000, uuid.UUID('fff12b8d-7696-4c8b-a985-2747075b4f50').bytes_le)
    image[:len(head)] = head
    image[len(head) + 20:len(head) + 22] = b'\x5a\xfe'  # formatted, healthy
    image[0x4000:0x4000 + 72] = volume(0xc000)
    path.write_bytes(image)
    program.unlink()


def hammered(build, model, folder):
    """Two vcpus use fw_cfg and the flash chip in ways that nobody means, over resets; what the chip holds is kept on a disk meanwhile. The
    VM beside it does its work."""
    base = folder.parent.resolve() / folder.name
    image, disk, store = base.with_suffix('.fd'), base.with_suffix('.raw'), base.with_suffix('.store')
    make_hammer(image)
    disk.write_bytes(bytes(1 << 20))
    make_store(store)
    drive = f'-drive if=none,id=d0,format=raw,file={store} -device nvme,drive=d0,serial=store'
    vm = VM('bad', memory='64MiB', vcpus=2, firmware=image, disks=f'[{{image: {disk}, mode: snapshot}}]', firmware_vars='{device: nvme0n1p1}')
    machine = Machine(folder, build, model, with_root(model, [vm, debian('work', 'work', words='mezz.rounds=5')]),
                      ['--cpus', '2', '--qemu-args', drive], 300)
    try:
        status = machine.finish()
        behind = store.read_bytes()[6144 * 512:12288 * 512]
    finally:
        machine.stop()
        for path in (image, disk, store):
            path.unlink(missing_ok=True)
    if status or machine.ends('bad') != ['reboot'] * RESETS + ['poweroff'] or machine.bad_words():
        raise Failure(f'mezz returned {status}; {machine.ends("bad")}, {machine.bad_words()}')
    if 'WORK end 5 ok, 0 bad' not in machine.log('work').decode(errors='replace'):
        raise Failure('the VM beside it did not do its work')
    if behind != b'\xa5' * len(behind):
        raise Failure('what lies behind the partition was written')
    machine.check_frames()

# SPDX-License-Identifier: MIT
"""The Debian package: installed with dpkg in a Debian 12, it makes that Debian the root VM at the next start; removed there, the next
start is Debian as it was. The machine boots its disk by BIOS and GRUB, as any other does."""
import os
import pathlib
import re
import select
import subprocess
import time

from machine import Failure, Hang

HERE = pathlib.Path(__file__).resolve().parent
QEMU = ['-machine', 'q35', '-accel', 'tcg', '-cpu', 'EPYC,+svm,+npt', '-m', '2G', '-display', 'none', '-monitor', 'none', '-serial', 'stdio',
        '-nic', 'none', '-device', 'nvme,drive=d0,serial=host,bootindex=1']
PROMPT = r'root@host:~# $'
BOOT = 300  # seconds, on a busy host


class Host:
    """The emulated machine with one disk; its serial line."""

    def __init__(self, disk, log):
        self.text, self.seen, self.log = b'', 0, open(log, 'wb')
        drive = f'if=none,id=d0,format=raw,cache=unsafe,discard=ignore,file={disk}'
        self.process = subprocess.Popen([os.environ.get('MEZZ_QEMU', 'qemu-system-x86_64'), *QEMU, '-drive', drive],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)

    def read(self, seconds):
        if select.select([self.process.stdout], [], [], seconds)[0]:
            data = os.read(self.process.stdout.fileno(), 65536)
            self.log.write(data)
            self.log.flush()
            self.text += data.replace(b'\r', b'')
            return bool(data)
        return True

    def expect(self, pattern, seconds=BOOT):
        """The next match behind the last one."""
        end = time.monotonic() + seconds
        while True:
            found = re.compile(pattern.encode(), re.M).search(self.text, self.seen)
            if found:
                self.seen = found.end()
                return found
            if not self.read(0.5):
                raise Failure(f'the emulator ended before "{pattern}"')
            if time.monotonic() > end:
                raise Hang(f'no "{pattern}" after {seconds} s')

    def log_in(self):
        """The shell that the console has begun becomes one that says nothing of its own."""
        self.expect(PROMPT)
        self.process.stdin.write(b'stty -echo; exec env PS1= LC_ALL=C TERM=dumb sh\n')
        time.sleep(0.5)
        self.run('true')

    def run(self, command, seconds=BOOT):
        """What a command says; it has to succeed."""
        start = len(self.text)
        self.process.stdin.write(f'{command}; s=$?; echo; echo "=$s="\n'.encode())
        end = self.expect(r'^=(\d+)=$', seconds)
        said = self.text[start:end.start()].decode(errors='replace')
        if end[1] != b'0':
            raise Failure(f'"{command}" failed: {said.strip()[-300:]}')
        return said

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def install(build, folder):
    """In a folder, natively: the module is compiled by DKMS, the disk made; the package purged again leaves nothing."""
    package = max(build.glob('mezzanine_*_amd64.deb'))
    command = [HERE / 'package-install', (build / 'debian-host.tar').resolve(), package, folder]
    with open(folder / 'install.log', 'wb') as log:
        status = subprocess.run(([] if os.geteuid() == 0 else ['sudo']) + command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    if status:
        raise Failure(f'the package cannot be installed: {(folder / "install.log").read_text(errors="replace").strip()[-300:]}')
    if ': installed' not in (folder / 'dkms').read_text():
        raise Failure('DKMS has not installed the module')
    for name in ('list', 'cfg'):
        before, after = ((folder / f'{when}.{name}').read_text().splitlines() for when in ('before', 'after'))
        changed = sorted(set(before) ^ set(after))
        if before != after:
            raise Failure(f'{len(changed)} lines of {name} differ after the package was removed: {changed[:3]}')
    menu = (folder / 'with.cfg').read_text()
    if "'mezzanine'" not in menu or not re.search(r'set default="mezzanine"', menu):
        raise Failure('the menu has no entry for Mezzanine, or it is not the default')


def in_mezzanine(host):
    """Debian is the root VM, mezzd runs, the command works."""
    host.expect('Mezzanine, micro model', 120)
    host.log_in()
    answer = host.run('mezz host info && mezz vm list && systemctl is-active mezzd && uname -r', 60)
    if not re.search(r'model +micro', answer) or not re.search(r'root +running', answer) or not re.search(r'^active$', answer, re.M):
        raise Failure(f'in the root VM: {answer}')


def as_before(host, log_from):
    """Debian without a hypervisor of ours, and without anything of the package but its configuration, as dpkg keeps it."""
    host.log_in()
    if b'Mezzanine' in host.text[log_from:]:
        raise Failure('the machine started Mezzanine though it was removed')
    for command in ('ls /dev/mezz', 'modinfo mezz', 'grep -E "multiboot2|menuentry.*mezz|default=.mezz" /boot/grub/grub.cfg', 'dmesg | grep "Hypervisor detected"'):
        host.run(f'! {{ {command}; }}', 60)
    left = host.run('find / -xdev -name "*mezz*" ! -path "/etc/*" ! -path "/var/lib/dpkg/*" ! -path "/var/lib/systemd/*" ! -path "/var/log/*"', 120)
    if left.strip():
        raise Failure(f'left behind: {left.split()[:5]}')


def test(build, _, folder):
    folder = folder.resolve()
    for old in folder.iterdir():
        old.unlink()
    started = time.monotonic()

    def note(what):
        with open(folder / 'seconds', 'a', encoding='ascii') as f:
            f.write(f'{time.monotonic() - started:.0f} {what}\n')
    install(build.resolve(), folder)
    note('installed')
    host = Host(folder / 'disk.raw', folder / 'host.log')
    try:
        in_mezzanine(host)
        note('root VM')
        host.run('dpkg --remove mezzanine')
        note('removed')
        removed = len(host.text)
        host.process.stdin.write(b'reboot\n')
        as_before(host, removed)
        note('as before')
    finally:
        host.stop()
        (folder / 'disk.raw').unlink()

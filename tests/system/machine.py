# SPDX-License-Identifier: MIT
"""One `mezz run` under test: what its VMs say, what is typed for them, and what its events tell afterwards."""
import pathlib
import re
import socket
import subprocess
import time

BAD_WORDS = re.compile(rb'WORK BAD.*|Kernel panic - .*|BUG: .*|Oops: .*|rcu: INFO: .*stall.*|watchdog: BUG.*')
ENDS = ('poweroff', 'exit', 'stopped')


EXAMINATION = 15  # seconds from a test's end, when nothing came, to the machine's


class Failure(Exception):
    """The machine did not do what the test expects; the text says what."""


class Hang(Failure):
    """What was waited for did not come."""


class VM:
    """A VM of a test: the keys of CONFIG, as keyword arguments; names with - for those with _."""

    def __init__(self, name, **keys):
        self.name = name
        self.keys = {'memory': '192MiB', 'vcpus': 1, **keys}

    def yaml(self, build):
        text = f'  - name: {self.name}\n'
        for key, value in self.keys.items():
            text += f"    {key}: {str(value).replace('BUILD', str(build))}\n"
        return text


def debian(name, do='shell', image='cloud', words='', **keys):
    """A VM with one of Debian's kernels and the initrd of ours, told what to do (tools/guest-init)."""
    return VM(name, kernel=f'BUILD/debian/{image}/vmlinuz', initrd=f'BUILD/debian/{image}/initrd',
              cmdline=f'console=hvc0 quiet mezz.name={name} mezz.do={do} {words}'.strip(), **keys)


class RootVM(VM):
    """The root VM, with Debian's standard kernel, the drivers for the machine's devices, the module and the command `mezz`; the first of a test's VMs."""

    def __init__(self, do='machine', words='', memory='512MiB'):
        super().__init__('root')
        self.keys = {'memory': memory, 'kernel': 'BUILD/debian/amd64/vmlinuz', 'initrd': 'BUILD/root/initrd',
                     'cmdline': f'console=ttyS0 quiet mezz.name=root mezz.do={do} {words}'.strip()}

    def yaml(self, build):
        return 'root:\n' + super().yaml(build).split('\n', 1)[1].replace('    ', '  ')


def with_root(model, vms):
    """Under micro, VMs with disks and network cards have a root VM beside them, which serves them and ends when they have."""
    needed = any(key in vm.keys for vm in vms for key in ('disks', 'nics')) and not any(isinstance(vm, RootVM) for vm in vms)
    return [RootVM('serve'), *vms] if model == 'micro' and needed else list(vms)


def tiny(name, guest, words='', **keys):
    """A VM with one of the tiny guests of tests/guest."""
    return VM(name, **{'memory': '32MiB', 'kernel': f'BUILD/guests/{guest}.elf', 'debug_exit': 'true',
                       'cmdline': f'seed=1 {words}'.strip(), **keys})


class Event:
    """A line of events.log: seconds since the start, what, which VM, and the rest."""

    def __init__(self, line):
        words = line.split(' ', 3) + ['', '', '']
        self.time, self.what, self.vm, self.rest = float(words[0]), words[1], words[2], words[3]

    def __str__(self):
        return f'{self.what} {self.rest}'.strip()


class Machine:
    """A run underway. Its logs are in `folder`: mezzanine.log, events.log, NAME.log and run.out."""

    def __init__(self, folder, build, model, vms, options, timeout, uplink=None):
        self.folder, self.vms, self.model, self.kernel_answers = pathlib.Path(folder), vms, model, None
        self.started = time.monotonic()
        self.deadline = self.started + timeout
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.iterdir():
            old.unlink()
        config = self.folder / 'config.yaml'
        lan = f'{{name: lan, uplink: {uplink}}}' if uplink else '{name: lan}'
        switches = f'switches: [{lan}]\n' if any('nics' in vm.keys for vm in vms) else ''
        roots = [vm for vm in vms if isinstance(vm, RootVM)]
        others = ''.join(vm.yaml(build.resolve()) for vm in vms if vm not in roots)
        config.write_text(switches + ''.join(vm.yaml(build.resolve()) for vm in roots) + ('vms:\n' + others if others else ''),
                          encoding='utf-8')
        self.monitor = self.folder / 'monitor'
        self.command = [str(build / 'mezz'), 'run', '--model', model, '--log', str(self.folder),
                        '--qemu-args', f'-monitor unix:{self.monitor},server=on,wait=off',
                        '--timeout', str(int(timeout) + EXAMINATION), *options, str(config)]
        with open(self.folder / 'run.out', 'wb') as out:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=out,
                                            stderr=subprocess.STDOUT, bufsize=0)

    # ---- what was said

    def log(self, name):
        """All that NAME.log holds so far; `mezzanine` is the kernel's, `run.out` what the user sees."""
        path = self.folder / (name if '.' in name else f'{name}.log')
        return path.read_bytes().replace(b'\r', b'') if path.exists() else b''

    def events(self, vm=None, kinds=None):
        lines = self.log('events').decode(errors='replace').split('\n')[:-1]
        events = [Event(line) for line in lines if line]
        return [e for e in events if (vm is None or e.vm == vm) and (kinds is None or e.what in kinds)]

    def ends(self, vm):
        """What became of a VM, in order: `reboot`, `poweroff`, `exit 0`, `stopped: cause`."""
        return [str(e) for e in self.events(vm, ENDS + ('reboot',))]

    def over(self):
        return self.process.poll() is not None

    # ---- waiting

    def until(self, done, what, seconds=None):
        """Waits until done() gives something that is true, and returns it."""
        end = self.deadline if seconds is None else min(self.deadline, time.monotonic() + seconds)
        while True:
            over = self.over()
            value = done()
            if value:
                return value
            if over:
                raise Failure(f'the run ended (status {self.process.returncode}) before {what}')
            if time.monotonic() > end:
                waited = time.monotonic() - self.started
                self.examine()
                raise Hang(f'no {what} after {waited:.0f} s')
            time.sleep(0.02)

    def expect(self, name, pattern, seconds=None, count=1):
        """Waits for the count-th place in NAME's log that matches; returns the match."""
        regex = re.compile(pattern.encode(), re.M)

        def find():
            found = list(regex.finditer(self.log(name)))
            return found[count - 1] if len(found) >= count else None
        return self.until(find, f'"{pattern}" from {name}', seconds)

    def wait_event(self, vm, kind, count=1, seconds=None):
        self.until(lambda: len(self.events(vm, (kind,))) >= count, f'{kind} of {vm}', seconds)

    # ---- typing

    def send(self, data):
        try:
            self.process.stdin.write(data)
        except (BrokenPipeError, ValueError) as e:
            raise Failure('the run, or what is typed, has ended') from e

    def attach(self, name):
        """Makes NAME the one that gets what is typed; `kernel` for the kernel's keys."""
        def attached():
            seen = re.findall(rb'\[mezz: attached to ([^;]*);', self.log('run.out'))
            return (len(seen), seen[-1].decode()) if seen else (0, self.vms[0].name)
        wanted = 'mezzanine' if name == 'kernel' else name
        for _ in range(len(self.vms) + 1):
            count, now = attached()
            if now == wanted:
                return
            self.send(b'\x1dk' if name == 'kernel' else b'\x1dn')
            self.until(lambda c=count: attached()[0] > c, 'answer to the key', 60)
        raise Failure(f'{name} cannot be attached')

    def type(self, name, text):
        self.attach(name)
        self.send(text.encode())

    def key(self, key):
        """A debug key of the kernel; what it shows is in the log `mezzanine`."""
        self.type('kernel', key)

    def examine(self):
        """When something does not come, once: the kernel's account of its VMs goes into its log, the CPUs' registers into cpus.log."""
        if self.kernel_answers is not None:
            return
        self.kernel_answers, before = False, len(self.log('mezzanine'))
        self.deadline = max(self.deadline, time.monotonic() + EXAMINATION / 2)
        try:
            self.key('v')
            self.until(lambda: len(self.log('mezzanine')) > before, 'answer of the kernel', 3)
            self.kernel_answers = True
            self.key('t')
            time.sleep(0.5)
            self.key('T')
            time.sleep(2)
        except Failure:
            pass
        if not self.over():
            self.note_registers()

    def note_registers(self, times=3):
        """Adds the registers of all physical CPUs to cpus.log, several times: where they are, and whether they move."""
        with open(self.folder / 'cpus.log', 'ab') as out, socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.monitor))
            s.settimeout(1)
            for _ in range(times):
                try:
                    s.sendall(b'info registers -a\n')
                    while data := s.recv(65536):
                        out.write(data)
                except socket.timeout:
                    continue
                except OSError:
                    return  # the emulator's time was up

    def ask(self, command):
        """What QEMU's monitor answers."""
        text = b''
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.monitor))
            s.settimeout(10)
            s.sendall(command.encode() + b'\n')
            while text.count(b'(qemu)') < 2:  # it asks before, and after its answer
                data = s.recv(65536)
                if not data:
                    raise Failure('the monitor is gone')
                text += data
        return text.decode(errors='replace')

    # ---- the end

    def finish(self):
        """Waits for the end; the exit status of mezz."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            return self.process.wait(max(1, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.examine()
        try:
            return self.process.wait(2 * EXAMINATION)
        except subprocess.TimeoutExpired as e:
            raise Failure('mezz did not end, not even after its --timeout') from e

    def stop(self):
        if not self.over():
            self.process.kill()  # the emulator dies with mezz
            self.process.wait()

    # ---- what must be true at every end

    def bad_words(self):
        """The first sign in any VM's log that its kernel or its work went wrong; None when there is none."""
        for vm in self.vms:
            found = BAD_WORDS.search(self.log(vm.name))
            if found:
                return f'{vm.name}: {found.group().decode(errors="replace")}'
        return None

    def vm(self, name):
        return next(vm for vm in self.vms if vm.name == name)

    def check_frames(self, kept=None):
        """After the last VM is gone the machine has as many free frames as before the first came, but for those kept."""
        frames = [tuple(map(int, e.rest.split())) for e in self.events(kinds=('frames',))]
        if not frames:
            raise Failure('no event tells of frames')
        before, after = max(f[0] for f in frames), frames[-1][1]
        if kept is None:  # tables for memory that the root VM was lent
            kept = 32 if any(isinstance(vm, RootVM) for vm in self.vms) else 0
        if not 0 <= before - after <= kept:
            raise Failure(f'{before} frames were free before the first VM, {after} after the last')

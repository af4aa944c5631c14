# SPDX-License-Identifier: MIT
"""What the system tests do with a machine that runs, and what they look for when it has ended."""
import pathlib
import re
import signal
import statistics
import subprocess
import time

from machine import Failure

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / 'examples'


def check(condition, text):
    if not condition:
        raise Failure(text)


# ---------------------------------------------------------------- talking to shells

def ready(m, name, count=1, seconds=None):
    """Waits for the VM's shell, and for the prompt behind which it reads."""
    m.expect(name, rf'^{name} ready: ', seconds, count)
    m.expect(name, rf'{name}# ', 20, count)


def ask(m, name, command, answer, seconds=20):
    """Types a command; its answer must come as a line of its own."""
    count = len(re.findall(rf'^{answer}$'.encode(), m.log(name), re.M))
    m.type(name, command + '\n')
    return m.expect(name, rf'^{answer}$', seconds, count + 1)


def off(m, *names):
    for name in names:
        m.type(name, 'poweroff -f\n')
        m.wait_event(name, 'poweroff', seconds=20)


def all_ready(m):
    """Each VM said that it is up, with as many CPUs as it was given."""
    for vm in m.vms:
        n = vm.keys['vcpus']
        check(re.search(rf'^{vm.name} ready: .* {n} cpus'.encode(), m.log(vm.name), re.M),
              f'{vm.name} did not say that it is ready with {n} CPUs')


def answer_and_off(m):
    """Each VM answers on its console, also after the other has answered."""
    for vm in m.vms:
        ready(m, vm.name)
    for factor in (6, 7):
        for vm in m.vms:
            ask(m, vm.name, f'echo {vm.name} says $(({factor}*7))', f'{vm.name} says {factor * 7}')
    off(m, *[vm.name for vm in m.vms])


def reboot_then_off(n):
    def script(m):
        name = m.vms[0].name
        for boot in (1, 2):
            ready(m, name, boot)
            ask(m, name, 'nproc', str(n))
            if boot == 1:
                m.type(name, 'reboot -f\n')
                m.wait_event(name, 'reboot', seconds=20)
        off(m, name)
    return script


def look_at_avx(there):
    """The guest has AVX exactly when the machine has XSAVE, and goes on with it."""
    def script(m):
        ready(m, 'web')
        ask(m, 'web', 'echo avx $(grep -c -w avx /proc/cpuinfo)', f'avx {2 if there else 0}')
        ask(m, 'web', 'yes mezzanine | head -c 1048576 | sha256sum | cmp -s - /etc/work.sha256; echo sum',
            'sum')
        ask(m, 'web', '[ "$(yes mezzanine | head -c 1048576 | sha256sum)" = "$(cat /etc/work.sha256)  -" ] && '
            'echo sum is $((1+1))', 'sum is 2')
        off(m, 'web')
    return script


def leave(m):
    """The key that ends the machine; mezz then returns 130."""
    m.send(b'\x1dq')


# ---------------------------------------------------------------- ends

def says(text):
    def after(m):
        check(text.encode() in m.log('run.out'), f'mezz did not print "{text}"')
    return after


def press_until_off(m, name):
    """A guest that does not listen yet (its driver is loaded while it is used) forgets that its button was pressed."""
    m.attach(name)
    for _ in range(10):
        if m.events(name, ('poweroff',)):
            return
        m.send(b'\x1db')
        time.sleep(2)
    raise Failure(f'{name} did not power off at its button')


def power_button(m):
    """The key presses one VM's button and the other goes on; the signal asks all, and then none starts again."""
    for vm in m.vms:
        ready(m, vm.name)
    press_until_off(m, 'web')
    ask(m, 'db', 'echo db says $((6*7))', 'db says 42')
    m.process.send_signal(signal.SIGINT)


def button_was_seen(m):
    for vm in m.vms:
        check(f'{vm.name}: power button'.encode() in m.log(vm.name), f'{vm.name} did not see its power button')
    check(len(m.events('db', ('start',))) == 1, 'db was started again')


def stopped_by_force(m):
    """A VM that does not listen goes at the second signal."""
    m.expect('web', '^SPIN ')
    ready(m, 'db')
    m.process.send_signal(signal.SIGINT)
    m.wait_event('db', 'poweroff', seconds=20)
    m.process.send_signal(signal.SIGINT)
    m.wait_event('web', 'stopped', seconds=10)


def crashed(m):
    check(b'Kernel panic' in m.log('web'), "the guest's kernel did not panic")
    says('web: stopped: triple fault')(m)


def crash_and_come_again(m):
    """A crash with panic=1 resets the VM, which is a reboot; the other VM answers meanwhile."""
    ready(m, 'db')
    m.wait_event('web', 'reboot', count=2)
    check(b'Kernel panic' in m.log('web'), "the guest's kernel did not panic")
    ask(m, 'db', 'echo db says $((6*7))', 'db says 42')
    leave(m)


def work_was_right(name):
    def after(m):
        check(re.search(rb'^WORK end \d+ ok, 0 bad$', m.log(name), re.M), f"{name}'s work did not end well")
    return after


def worked_beside(worker, other):
    """The worker did work all the time the other came and went: before its first end and after its last."""
    def after(m):
        work_was_right(worker)(m)
        last = m.events(other, ('exit',))[-1].time
        check(m.events(worker, ('poweroff',))[-1].time > last, f'{worker} ended before {other}: more rounds')
    return after


# ---------------------------------------------------------------- processor time

def used(m, key_count):
    """What the kernel's account says now: its clock in s, and ms of processor time of each VM."""
    before = len(re.findall(rb'processor \d+ ms', m.log('mezzanine')))
    m.key('v')
    m.until(lambda: len(re.findall(rb'processor \d+ ms', m.log('mezzanine'))) >= before + key_count,
            'account of the kernel', 10)
    found = re.findall(rb'^\[ *([\d.]+)\] ([a-z0-9-]+): processor (\d+) ms', m.log('mezzanine'), re.M)
    last = found[before:before + key_count]
    return float(last[0][0]), {name.decode(): int(ms) for _, name, ms in last}


def window(m, names, seconds=11, spinning=None):
    """Processor time in ms that each VM got while all of them, or those named, spun, and the time in ms."""
    for name in spinning or names:
        m.expect(name, '^SPIN ')
    time.sleep(2)
    t0, before = used(m, len(names))
    time.sleep(seconds)
    t1, after = used(m, len(names))
    return {name: after[name] - before[name] for name in names}, (t1 - t0) * 1000


def spin_points(m, name):
    """What a VM's first busy loop had counted by which second."""
    return {int(e): int(n) for e, n in re.findall(rb'^SPIN 0 (\d+) (\d+)$', m.log(name), re.M)}


def spin_shares(m, names):
    """Of the work of all VMs that of each, second by second while all of them worked: the median, as the host may be away for some."""
    points = {name: spin_points(m, name) for name in names}
    start, end = max(min(p) for p in points.values()), min(max(p) for p in points.values())
    check(end - start >= 10, f'the VMs worked together for {end - start} s only')

    def at(name, second):
        return points[name][max(s for s in points[name] if s <= second)]
    works = [{name: at(name, s + 1) - at(name, s) for name in names} for s in range(start, end)]
    return {name: statistics.median(w[name] / max(1, sum(w.values())) for w in works) for name in names}


def shares(weights):
    def script(m):
        got, _ = window(m, list(weights))
        total, weight = sum(got.values()), sum(weights.values())
        text = ', '.join(f'{name} {100 * ms / total:.1f} %' for name, ms in got.items())
        for name, ms in got.items():
            share = ms / total * weight / weights[name]
            check(0.97 <= share <= 1.03, f'shares of processor time are {text}: {name} got {share:.3f} of its own')
        for name, work in spin_shares(m, list(weights)).items():
            share = work * weight / weights[name]
            check(0.75 <= share <= 1.25, f'{name} did {share:.3f} of the work that its weight says ({text}): '
                  + '; '.join(f'{n} {spin_points(m, n)}' for n in weights))
        leave(m)
    return script


def capped(name, percent):
    def script(m):
        got, ms = window(m, [vm.name for vm in m.vms])
        share = 100 * got[name] / ms
        # Never more; less only by what a busy host takes away from the emulated machine.
        check(0.9 <= share / percent <= 1.03, f'{name} got {share:.1f} % of a CPU instead of {percent} %')
        others = [100 * got[vm.name] / ms for vm in m.vms if vm.name != name]
        check(min(others) > 80, f'a VM without a cap got {min(others):.1f} % of a CPU of its own')
        leave(m)
    return script


def stays_on(name, number):
    def script(m):
        m.expect(name, '^SPIN ')
        for i in range(5):
            m.key('v')
            time.sleep(0.3)
        seen = re.findall(rb'vcpu \d+: running on CPU (\d+)', m.log('mezzanine'))
        check(len(seen) >= 3 and set(seen) == {str(number).encode()}, f'vcpus were seen running on CPUs {set(seen)}')
    return script


def answers_in_time(name, spinner):
    """A shell answers while four vcpus spin on two CPUs."""
    def script(m):
        ready(m, name)
        m.expect(spinner, '^SPIN 3 ')
        times = []
        m.attach(name)
        for i in range(20):
            start = time.monotonic()
            ask(m, name, f'echo answer $(({i}+100))', f'answer {i + 100}')
            times.append(time.monotonic() - start)
        check(statistics.median(times) < 0.15 and max(times) < 1.0,
              f'answers took {statistics.median(times):.3f} s, {max(times):.3f} s at most')
        leave(m)
    return script


# ---------------------------------------------------------------- the kernel seen from outside

def show_log_again(m):
    """The log from its first line; the key is for nothing while the trace is still being shown."""
    for _ in range(30):
        m.key('l')
        time.sleep(2)
        if m.log('mezzanine').count(b'] boot: by PVH') > 1:
            return
    raise Failure('the log was not shown again')


def debug_keys(m):
    for vm in m.vms:
        ready(m, vm.name)
    m.key('?')
    m.expect('mezzanine', 'key v: ', 10)
    m.key('v')
    m.expect('mezzanine', r'web: exits \d+: .*cpuid \d+', 10)
    m.expect('mezzanine', r'vcpu 0: \w+ on CPU \d', 10)
    m.key('m')
    m.expect('mezzanine', r'CPU 1: idle \d+ ms', 10)
    m.key('t')  # the trace is on from the start: off
    m.key('t')
    ask(m, 'web', 'echo traced $((6*7))', 'traced 42')
    m.key('T')
    m.expect('mezzanine', r'trace: \d+ ', 10)
    show_log_again(m)
    off(m, *[vm.name for vm in m.vms])
    decoded = subprocess.run([m.command[0], 'trace', str(m.folder / 'mezzanine.log')], capture_output=True, check=False)
    check(decoded.returncode == 0, f'mezz trace returned {decoded.returncode}: {decoded.stderr[:200]}')
    lines = decoded.stdout.decode()
    for word in ('enter', 'exit'):
        check(word in lines, f'the decoded trace has no {word}')


def flood(name, other):
    """More typed than any buffer holds: both VMs live on, and what is typed later arrives."""
    def script(m):
        ready(m, name)
        ready(m, other)
        m.type(name, 'stty -echo; sleep 5; sed /^stop$/q >/dev/null; stty sane; echo awake $((1+1))\n')
        for _ in range(1000):
            m.send(b'x' * 99 + b'\n')
        ask(m, other, 'echo other says $((6*7))', 'other says 42', 60)
        for _ in range(20):
            m.type(name, '\nstop\n')
            time.sleep(0.5)
            if b'\nawake 2' in m.log(name):
                break
        ask(m, name, 'echo alive $((1+1))', 'alive 2')
        off(m, name, other)
    return script


def memory_limits(m):
    log = m.log('mezzanine').decode(errors='replace')
    kernel = [int(n) for n in re.findall(r'kernel memory: (\d+) KiB', log)]
    check(kernel and max(kernel) <= 4096, f'kernel memory is {kernel} KiB, at most 4096 are wanted')
    for vm in m.vms:
        other = [int(n) for n in re.findall(rf'{vm.name}: .* other (\d+) KiB', log)]
        check(other and max(other) <= 256, f'{vm.name} needs {other} KiB besides RAM and tables, 256 are allowed')


def panic_tells(m):
    """A panic says why, and how the kernel came there, with names."""
    check(any(e.what == 'panic' for e in m.events()), 'there was no event of a panic')
    log = m.log('mezzanine').decode(errors='replace')
    check('PANIC on CPU' in log, 'no panic in the log')
    for name in ('mezz_main', 'start_on_own_stack'):
        check(re.search(rf'^ +#\d+ [0-9a-f]{{16}} {name}\+0x', log, re.M), f'{name} is not in the backtrace')


# ---------------------------------------------------------------- without a machine

def image_size(build, model, folder):
    """What of the kernel is loaded into memory (SPECIFICATION.md)."""
    out = subprocess.run(['readelf', '-lW', build / f'mezzanine-{model}.elf'], capture_output=True, check=True, text=True)
    segments = re.findall(r'^ +LOAD +\S+ \S+ \S+ 0x([0-9a-f]+) 0x([0-9a-f]+)', out.stdout, re.M)
    loaded = sum(int(size, 16) for _, size in segments)
    (folder / 'size').write_text(f'{loaded} bytes loaded\n{out.stdout}')
    check(segments, 'readelf shows no segments')
    limit = {'micro': 192, 'mono': 512}[model] * 1024
    check(loaded <= limit, f'{loaded} bytes are loaded, at most {limit} are wanted')


BAD = {
    'vms:\n  - name: web\n    memory: 64MiB\n    vcpus: 1\n    kernel: k\n    memroy: 3\n': '6',
    'vms:\n  - name: web\n    memory: 64MiB\n    vcpus: 65\n    kernel: k\n': '4',
    'vms:\n  - name: web\n    memory: 65K\n    vcpus: 1\n    kernel: k\n': '3',
    'vms:\n  - name: Web\n    memory: 64MiB\n    vcpus: 1\n    kernel: k\n': '2',
    'vms:\n  - name: web\n    memory: 64MiB\n    vcpus: 1\n    kernel: none\n': '5',
    'vms:\n  - [\n': '',
    'vms: 3\n': '1',
    '': '',
}


def bad_configs(build, _, folder):
    """One line with file, line and what was expected; status 2."""
    (folder / 'k').write_bytes(b'a kernel')
    for text, line in BAD.items():
        path = folder / 'bad.yaml'
        path.write_text(text)
        for command in (['run'], ['bundle', '-o', str(folder / 'x')], ['iso', '-o', str(folder / 'x')]):
            done = subprocess.run([build / 'mezz', *command, path], capture_output=True, check=False, text=True,
                                  stdin=subprocess.DEVNULL, timeout=60)
            said = done.stderr.strip()
            check(done.returncode == 2, f'{command[0]}: status {done.returncode} for {text!r}: {said}')
            check('\n' not in said and f'bad.yaml:{line}' in said and 'expected' in said,
                  f'{command[0]} says {said!r} about {text!r}')
    check(not (folder / 'x').exists(), 'a bundle was left of a wrong configuration')


def examples_are_good(build, _, folder):
    for path in sorted(EXAMPLES.glob('*.yaml')):
        done = subprocess.run([build / 'mezz', 'run', '--dry-run', path], capture_output=True, check=False, text=True)
        check(done.returncode == 0, f'{path.name}: {done.stderr.strip()}')
    check(len(list(EXAMPLES.glob('*.yaml'))) > 1, 'there are no examples')
    (folder / 'done').touch()


def gdb_stops(build, model, folder):
    """make gdb stops at the kernel's entry, with its name and its source."""
    done = subprocess.run([EXAMPLES.parent / 'tools/gdb', build, model, EXAMPLES / 'two-vms.yaml', '-batch', '-ex', 'bt'],
                          capture_output=True, check=False, text=True, stdin=subprocess.DEVNULL, timeout=120)
    (folder / 'gdb.log').write_text(done.stdout + done.stderr)
    check(re.search(r'^#0 +kernel_start \(\) at kernel/x86/boot\.S:\d+', done.stdout, re.M),
          f'gdb did not stop at kernel_start: {done.stdout[-300:]} {done.stderr[-300:]}')

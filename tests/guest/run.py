#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the tiny guests that guests.cfg declares, as VMs of Mezzanine or on plain QEMU, and judges them."""
import argparse
import configparser
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
DEFAULTS = {
    'file': '', 'memory': '32MiB', 'vcpus': '1', 'cmdline': '', 'timeout': '30',
    'expect': 'exit 0', 'groups': 'functional', 'qemu': '',
}
NEIGHBOUR = 'neighbour'
IDLE = 'the neighbour had done no work when the guests ended: raise --delay'
ENDS = ('exit', 'stopped', 'poweroff')
WORK = re.compile(rb'WORK (\d+) ok')


class Failure(Exception):
    """A guest did not do what its declaration says; the text tells what."""


class Guest:
    """One run of one section, with one number of vcpus."""

    def __init__(self, section, vcpus, args):
        self.name = section.name if len(section['vcpus'].split()) == 1 else f'{section.name}-{vcpus}'
        self.vm = self.name.replace('_', '-')
        self.section = section.name
        self.vcpus = vcpus
        self.elf = args.build / 'guests' / f"{section['file'] or section.name}.elf"
        self.memory = section['memory']
        self.cmdline = f"{section['cmdline']} seed={args.seed}".strip()
        self.timeout = float(section['timeout']) * args.slow
        self.expect = [e.strip() for e in section['expect'].split(',')]
        self.groups = section['groups'].split()
        self.qemu = section['qemu']


def declared(args):
    """The guests of guests.cfg that the options select."""
    config = configparser.ConfigParser(interpolation=None, default_section='defaults')
    config.read_dict({'defaults': DEFAULTS})
    with open(HERE / 'guests.cfg', encoding='utf-8') as f:
        config.read_file(f)
    guests = []
    for name in config.sections():
        unknown = set(config[name]) - set(DEFAULTS)
        if unknown:
            sys.exit(f'guests.cfg: [{name}]: unknown key {sorted(unknown)[0]}')
        guests += [Guest(config[name], int(n), args) for n in config[name]['vcpus'].split()]
    if args.only:
        unknown = set(args.only) - {g.section for g in guests} - {g.name for g in guests}
        if unknown:
            sys.exit(f'no such guest: {sorted(unknown)[0]}')
        guests = [g for g in guests if g.name in args.only or g.section in args.only]
    if args.group:
        guests = [g for g in guests if set(args.group) & set(g.groups)]
    return guests


def same_event(seen, wanted):
    return any(seen.startswith(w) if w.startswith('stopped') else seen == w
               for w in map(str.strip, wanted.split('|')))


def judge(seen, wanted, log):
    """Raises Failure unless the VM did what was wanted of it and its own checks passed."""
    if len(seen) != len(wanted) or not all(map(same_event, seen, wanted)):
        raise Failure(f"expected {', '.join(wanted)}; seen {', '.join(seen) or 'nothing'}")
    if seen[-1] == 'exit 0' and not re.search(rb'(?m)^[1-9]\d* passed, 0 failed\r?$', log):
        raise Failure('it ended with code 0, but its log shows no summary without failures')


def read(path):
    return path.read_bytes() if path.exists() else b''


def yaml_vm(name, keys):
    lines = [f'  - name: {name}'] + [f'    {k}: {v}' for k, v in keys.items() if v != '']
    return '\n'.join(lines) + '\n'


def write_config(guests, folder, delay, args):
    """CONFIG for the guests, with the neighbour if one was asked for; returns its path."""
    path = folder / 'config.yaml'
    text = 'vms:\n'
    for guest in guests:
        text += yaml_vm(guest.vm, {
            'memory': guest.memory, 'vcpus': guest.vcpus, 'kernel': guest.elf.resolve(),
            'cmdline': guest.cmdline + (f' delay={delay}' if args.beside else ''),
            'debug_exit': 'true'})
    if args.beside:
        text += yaml_vm(NEIGHBOUR, {
            'memory': args.neighbour_memory, 'vcpus': args.neighbour_vcpus,
            'kernel': args.kernel.resolve(), 'initrd': args.initrd.resolve(),
            'cmdline': args.neighbour_cmdline})
    path.write_text(text, encoding='utf-8')
    return path


class Run:
    """A `mezz run` underway; its events.log says what the VMs do (abi/console.h)."""

    def __init__(self, command, folder):
        self.log = folder / 'events.log'
        with open(folder / 'run.out', 'wb') as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT)

    def all_events(self):
        """All complete lines so far, each without its time, in fields."""
        lines = read(self.log).decode(errors='replace').split('\n')[:-1]
        return [fields[1:] for fields in map(str.split, lines) if len(fields) > 1]

    def events(self, vm):
        """What a VM did: without its starts and its frames, as guests.cfg names it."""
        return [' '.join(e[:1] + e[2:]) for e in self.all_events()
                if e[0] in ENDS + ('reboot',) and e[1:2] == [vm]]

    def panicked(self):
        return any(e[0] == 'panic' for e in self.all_events())

    def late_cpu(self):
        """Has a CPU come up only when the kernel had gone on without it?"""
        log = read(self.log.parent / 'mezzanine.log')
        return -1 < log.find(b'] smp: ') < log.find(b'no VM runs on CPU 0')

    def lost_frames(self):
        """What the kernel did not get back of VMs that are gone, in frames."""
        return sum(int(e[2]) - int(e[3]) for e in self.all_events() if e[0] == 'frames')

    def ended(self, vm):
        return any(e.startswith(ENDS) for e in self.events(vm))

    def wait(self, seconds, done=lambda: False):
        """Waits for the process or for done(); whether one of them came in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                return True
            if done():
                return True
            time.sleep(0.05)
        return False

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()  # the emulator dies with mezz
            self.process.wait()


def work_done(log):
    return len(set(WORK.findall(read(log))))


def watch_neighbour(run, guests, limit, folder, args):
    """The neighbour worked before the guests ended and goes on after; its work was right all the time."""
    log = folder / f'{NEIGHBOUR}.log'
    run.wait(limit, lambda: all(run.ended(g.vm) for g in guests))
    before = work_done(log)
    if not before:
        return IDLE
    run.wait(args.after, lambda: work_done(log) >= before + 3 or b'WORK BAD' in read(log))
    if b'WORK BAD' in read(log):
        return "the neighbour's work went wrong"
    if work_done(log) < before + 3 or run.ended(NEIGHBOUR):
        return f'the neighbour stopped working: {work_done(log)} pieces done'
    return ''


def judge_guest(run, guest, folder):
    """What was wrong with one guest; nothing: ''."""
    seen = run.events(guest.vm)
    if not run.ended(guest.vm) and run.process.returncode != 0: # the time was over
        seen.append('endless')
    try:
        judge(seen, guest.expect, read(folder / f'{guest.vm}.log'))
    except Failure as e:
        return str(e)
    return ''


def judge_run(run, guests, args):
    """What was wrong with the run as a whole."""
    if run.panicked() or run.process.returncode == 4:
        return 'the kernel panicked'
    if args.beside:
        return ''
    seen = run.events(guests[0].vm)
    wanted = 3 if seen and seen[-1].startswith('stopped') else 0 if run.ended(guests[0].vm) else 124
    if run.process.returncode != wanted:
        return f'mezz run returned {run.process.returncode} instead of {wanted}'
    if run.late_cpu():
        return 'VMs were made before all CPUs were up'
    if run.lost_frames():
        return f'the kernel lost {run.lost_frames()} frames'
    return ''


def run_on_mezzanine(guests, model, folder, delay, args):
    """Runs the guests side by side; for each what was wrong."""
    config = write_config(guests, folder, delay, args)
    limit = int(max(g.timeout for g in guests) * (1 if len(guests) == 1 else 2)) + 1
    if args.beside:
        limit += delay
    command = [str(args.build / 'mezz'), 'run', '--model', model, '--log', str(folder), '--timeout',
               str(limit + (args.after if args.beside else 0))] + args.mezz_args + [str(config)]
    run = Run(command, folder)
    wrong = ''
    try:
        if args.beside:
            wrong = watch_neighbour(run, guests, limit, folder, args)
        elif not run.wait(limit + 30):
            wrong = 'mezz run itself did not end'
    finally:
        run.stop()
    wrong = judge_run(run, guests, args) or wrong
    return [judge_guest(run, g, folder) or wrong for g in guests]


def mib(text):
    number, unit = re.fullmatch(r'(\d+)(MiB|GiB)', text).groups()
    return int(number) * (1024 if unit == 'GiB' else 1)


def run_on_qemu(guest, folder, args):
    """On a plain machine only codes of exits and power-offs can be told; a reboot shows in the result after it."""
    command = ['qemu-system-x86_64', '-cpu', args.cpu, '-m', str(mib(guest.memory)), '-smp', str(guest.vcpus),
               '-kernel', str(guest.elf), '-append', guest.cmdline + ' qemu', '-nodefaults', '-display', 'none',
               '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-serial', f"file:{folder / guest.vm}.log"]
    command += shlex.split(guest.qemu)
    with open(folder / 'run.out', 'wb') as out:
        try:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                    timeout=guest.timeout, check=False).returncode
        except subprocess.TimeoutExpired:
            return f'no end after {guest.timeout:.0f} s'
    seen = f'exit {status >> 1}' if status & 1 else 'poweroff'
    try:
        judge([seen], guest.expect[-1:], read(folder / f'{guest.vm}.log'))
    except Failure as e:
        return str(e)
    return ''


def report(guest, model, seconds, reason, log):
    """One line, and the first checks that failed."""
    reason = f': {reason} (see {os.path.relpath(log)})' if reason else ''
    print(f"{'FAIL' if reason else 'ok  '} {model} {guest.name} ({seconds:.1f} s){reason}", flush=True)
    if reason:
        failures = re.findall(rb'(?m)^(?:FAIL: |unexpected ).*$', read(log))
        for line in failures[:10]:
            print('     ', line.decode(errors='replace').rstrip('\r'), flush=True)


def run_batch(guests, model, args):
    """Runs some guests side by side and prints their lines; returns how many passed."""
    beside = 'beside-' if args.beside else ''
    folder = args.log / model / (beside + guests[0].name)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob('*.log'):
        old.unlink()
    start = time.monotonic()
    if model == 'qemu':
        reasons = [run_on_qemu(guests[0], folder, args)]
    else:
        reasons = run_on_mezzanine(guests, model, folder, args.delay, args)
        if IDLE in reasons: # a slow host
            reasons = run_on_mezzanine(guests, model, folder, 3 * args.delay, args)
    for guest, reason in zip(guests, reasons):
        report(guest, model, time.monotonic() - start, reason, folder / f'{guest.vm}.log')
    return reasons.count('')


def parse():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--model', choices=['micro', 'mono', 'both'], default='both')
    p.add_argument('--group', action='append', help='only guests of this group (may be repeated)')
    p.add_argument('--only', action='append', metavar='NAME', help='only this guest (may be repeated)')
    p.add_argument('--qemu', action='store_true', help='on plain QEMU instead of Mezzanine')
    p.add_argument('--cpu', default='EPYC', help="plain QEMU's CPU model (%(default)s)")
    p.add_argument('--beside', action='store_true', help='with a Linux VM beside each that does checked work')
    p.add_argument('--kernel', type=pathlib.Path, help="the neighbour's kernel (BUILD/debian/cloud/vmlinuz)")
    p.add_argument('--initrd', type=pathlib.Path, help="the neighbour's initrd (BUILD/debian/cloud/initrd)")
    p.add_argument('--neighbour-cmdline', default='console=hvc0 mezz.do=work mezz.rounds=0')
    p.add_argument('--neighbour-memory', default='256MiB')
    p.add_argument('--neighbour-vcpus', type=int, default=1)
    p.add_argument('--batch', type=int, default=4, metavar='N', help='so many beside one neighbour (%(default)s)')
    p.add_argument('--delay', type=int, default=15, help='seconds that a guest waits for the neighbour (%(default)s)')
    p.add_argument('--after', type=int, default=30, help='seconds the neighbour has to show work after it (%(default)s)')
    p.add_argument('--build', type=pathlib.Path, default=HERE.parents[1] / 'build')
    p.add_argument('--log', type=pathlib.Path, help='folder for logs (BUILD/guests/log)')
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--slow', type=float, default=1.0, help='factor for all time-outs')
    p.add_argument('--list', action='store_true', help='only say what would run')
    p.add_argument('--mezz-args', type=shlex.split, default=[], help="more options for `mezz run`, in one string")
    args = p.parse_args()
    args.log = args.log or args.build / 'guests' / 'log'
    cloud = args.build / 'debian' / 'cloud' # as tools/guest-images leaves them
    args.kernel = args.kernel or cloud / 'vmlinuz'
    args.initrd = args.initrd or cloud / 'initrd'
    if args.beside and not (args.kernel.exists() and args.initrd.exists()):
        p.error(f'--beside needs {args.kernel} and {args.initrd}')
    return args


def main():
    args = parse()
    if args.qemu:
        models = ['qemu']
    else:
        models = ['micro', 'mono'] if args.model == 'both' else [args.model]
    passed = total = 0
    for model in models:
        guests = [g for g in declared(args) if model != 'qemu' or g.qemu != 'no']
        total += len(guests)
        if args.list:
            for guest in guests:
                print(model, guest.name, ' '.join(guest.groups))
            continue
        size = args.batch if args.beside else 1
        for i in range(0, len(guests), size):
            passed += run_batch(guests[i:i + size], model, args)
    if not args.list:
        print(f'{passed} passed, {total - passed} failed')
    return 0 if args.list or (total and passed == total) else 1


if __name__ == '__main__':
    sys.exit(main())

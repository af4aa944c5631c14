#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots the real kernel in an emulated machine and judges what it does; table.py says which tests there are.

--repeat N NAME measures how often a test fails: each failure is kept with its logs and its kind."""
import argparse
import collections
import os
import pathlib
import re
import shlex
import shutil
import sys
import time

import lanes
import table
from machine import Failure, Hang, Machine, with_root

HERE = pathlib.Path(__file__).resolve().parent


def judge(test, machine, status):
    """After the run: the status, what became of each VM, and that nothing is left behind."""
    panics = [e for e in machine.events() if e.what == 'panic']
    if panics and test.status != 4:
        raise Failure(f'the kernel panicked: {panics[0].vm} {panics[0].rest}')
    if status != test.status:
        raise Failure(f'mezz returned {status} instead of {test.status}')
    for vm in machine.vms:
        seen, wanted = machine.ends(vm.name), test.ends.get(vm.name, ['poweroff'])
        if test.status not in (4, 124, 130) and not (
                len(seen) == len(wanted) and all(re.fullmatch(w, s) for w, s in zip(wanted, seen))):
            raise Failure(f"{vm.name}: expected {', '.join(wanted)}; seen {', '.join(seen[-5:]) or 'nothing'}")
    if not test.crashes and machine.bad_words():
        raise Failure(machine.bad_words())
    if test.status in (0, 3):
        machine.check_frames()
    if test.after:
        test.after(machine)


def run_once(test, model, folder, args, seed):
    """The failure's text, or None; and its kind (who died)."""
    if test.alone:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            test.alone(args.build, model, folder, *([seed] if test.seeded else []))
            return None, None
        except Failure as e:
            return str(e), 'no machine'
    timeout = test.timeout * args.slow
    options = [o.replace('BUILD', str(args.build.resolve())) for o in test.options]
    vms = with_root(model, test.vms) if test.root else test.vms
    if len(vms) > len(test.vms):
        options, timeout = ['--memory', '2GiB', *options], timeout * 2
    machine = Machine(folder, args.build, model, vms, [*options, *args.mezz_args], timeout)
    try:
        if test.script:
            test.script(machine)
        judge(test, machine, machine.finish())
        return None, None
    except Failure as e:
        return str(e), kind_of_failure(machine, e)
    finally:
        machine.stop()


def kind_of_failure(machine, failure):
    """Who died: the emulator, the hypervisor, a guest; or who hangs."""
    out = machine.log('run.out')
    if re.search(rb'emulator (died|ended|was killed)|qemu.*(abort|assert)', out, re.I):
        return 'emulator died'
    if any(e.what == 'panic' for e in machine.events()) or b'PANIC' in machine.log('mezzanine'):
        return 'hypervisor died'
    if any(e.what == 'stopped' for e in machine.events()) or machine.bad_words():
        return 'guest died'
    if not machine.over() and not isinstance(failure, Hang):
        return 'wrong answer'
    if machine.over():
        return 'wrong end' if machine.process.returncode != 124 else 'hang'
    return 'guest hangs, the hypervisor answers' if machine.kernel_answers else 'hypervisor hangs'


def models_of(test, args):
    return [m for m in test.models.split() if args.model in ('both', m)]


def selected(args):
    names = {t.name for t in table.TESTS}
    for name in args.names:
        if name not in names and not any(name in t.groups.split() for t in table.TESTS):
            sys.exit(f'no such test or group: {name}')
    return [t for t in table.TESTS
            if not args.names or t.name in args.names or set(args.names) & set(t.groups.split())]


def run_all(args):
    tests = [(test, model) for test in selected(args) for model in models_of(test, args)]
    if args.jobs > 1 and len(tests) > 1:
        return lanes.run_all(args, tests)
    passed = 0
    for test, model in tests:
        start = time.monotonic()
        folder = args.log / model / test.name
        problem, kind = run_once(test, model, folder, args, args.seed)
        took = time.monotonic() - start
        if problem:
            print(f'FAIL {model} {test.name} ({took:.1f} s): {problem} [{kind}; {folder}]', flush=True)
        else:
            passed += 1
            print(f'ok   {model} {test.name} ({took:.1f} s)', flush=True)
    return passed, len(tests) - passed


def repeat(args):
    """Runs the tests again and again, keeps the logs of what failed, counts by kind."""
    kinds, total = collections.Counter(), 0
    for test in selected(args):
        for model in models_of(test, args):
            bad = 0
            for i in range(1, args.repeat + 1):
                folder = args.log / model / f'{test.name}-repeat'
                problem, kind = run_once(test, model, folder, args, args.seed + i - 1)
                total += 1
                if problem:
                    bad += 1
                    kinds[kind] += 1
                    kept = args.log / model / f'{test.name}-failed-{i}'
                    shutil.rmtree(kept, ignore_errors=True)
                    shutil.copytree(folder, kept, ignore=lambda at, names: [n for n in names if (pathlib.Path(at) / n).is_socket()])
                    print(f'FAIL {model} {test.name} run {i}: {problem} [{kind}; {kept}]', flush=True)
                if i % 10 == 0:
                    print(f'     {model} {test.name}: {i} runs, {bad} failed', flush=True)
    for kind, n in kinds.most_common():
        print(f'{n} of {total}: {kind}')
    return total - sum(kinds.values()), sum(kinds.values())


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('names', nargs='*', metavar='NAME', help='tests or groups; by default all')
    p.add_argument('--model', choices=['micro', 'mono', 'both'], default='both')
    p.add_argument('--build', type=pathlib.Path, default=HERE.parents[1] / 'build')
    p.add_argument('--log', type=pathlib.Path, help='folder for logs (BUILD/system)')
    p.add_argument('--slow', type=float, default=1.0, help='factor for all time-outs')
    p.add_argument('--jobs', type=int, default=os.cpu_count(), metavar='N',
                   help='run so many tests at a time (as many as there are CPUs), but those that measure time')
    p.add_argument('--repeat', type=int, metavar='N', help='run each test N times and count how it fails')
    p.add_argument('--seed', type=int, default=1, help='of tests that have one; --repeat counts on from it')
    p.add_argument('--mezz-args', type=shlex.split, default=[], help='more options for `mezz run`, in one string')
    p.add_argument('--list', action='store_true', help='only say what would run')
    args = p.parse_args()
    args.log = args.log or args.build / 'system'
    return args


def main():
    args = parse()
    if args.list:
        for test in selected(args):
            print(f'{test.name:24} {test.models:12} {test.groups:10} {test.why}'.rstrip())
        return 0
    passed, failed = repeat(args) if args.repeat else run_all(args)
    print(f'{passed} passed, {failed} failed')
    return 0 if passed and not failed else 1


if __name__ == '__main__':
    sys.exit(main())

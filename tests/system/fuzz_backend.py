# SPDX-License-Identifier: MIT
"""A hostile back-end (mezz_fuzz.c) beside a VM that writes: its VM may come to harm, and nobody else does. `--repeat N` takes other seeds."""
import json
import re
import shutil

import create
from backends_of import goes_on
from blackout import lives
from machine import Failure, RootVM, tiny
from root_tool import Shell, check

SOURCES = ('tests/system/mezz_fuzz.c', 'tests/system/mezz_fuzz_acts.c', 'tests/system/mezz_fuzz_memory.c', 'common/device.c', 'common/util.c')
LIVES, CALLS = 6, 36000  # CALLS is for all of them together
SLACK = 128 << 10  # the kernel's own
# mezzd starts a back-end for each VM that has disks; that of `bad` is the fuzzer, which does not let it in.
BACKEND = '#!/bin/busybox sh\n[ "$1" != bad ] || exec sleep 1000\nexec /bin/mezz-backend-real "$1"\n'
COMPLAINTS = 'WARNING:|BUG|Oops|general protection|Bad page|Bad rss|Call Trace|UBSAN|INFO:.*(task|stall)|mezz: '
# What must not succeed, whoever tries it: to be a back-end beside another, to make a VM of nonsense, a device for a VM that runs.
NEVER = {'attach', 'open', 'create', 'add'}
# What is refused only now and then, or never.
ALWAYS = {'scribble', 'unmap', 'map-state', 'map-huge', 'fork', 'replace-events', 'any-ioctl'}


def make_initrd(build, folder):
    tree = folder / 'tree'
    shutil.rmtree(tree, ignore_errors=True)
    create.make_program(tree, 'mezz_fuzz', *SOURCES)
    create.make_program(tree, 'create', *create.SOURCES)
    (folder / 'image').write_bytes(bytes(1 << 20))
    disk = f'[{{image: {folder.resolve()}/image, mode: rw}}]'
    create.make_bundle(build, folder, 'bad', tiny('bad', 'restless', memory='64MiB', disks=disk))
    create.make_bundle(build, folder, 'fresh', tiny('fresh', 'restless', 'rounds=20', disks=disk))
    create.make_bundle(build, folder, 'tiny', tiny('tiny', 'hello'))
    (tree / 'bin/mezz-backend').write_text(BACKEND, encoding='ascii')
    (tree / 'bin/mezz-backend').chmod(0o755)
    create.run_tool('strip', '-o', tree / 'bin/mezz-backend-real', build / 'mezz-backend')
    return create.pack_initrd(build, folder)


def account(shell):
    """Bytes that are free or a VM's: what is missing later, nobody has."""
    vms = json.loads(shell.run('mezz vm list -o json'))
    used = sum(vm['overhead_bytes'] + (0 if vm['root'] else vm['populated_bytes']) for vm in vms)
    return json.loads(shell.run('mezz host info -o json'))['free_bytes'] + used


def check_counts(text):
    """Each act must have come through and have been refused, else nothing is proved."""
    for name, ok, errors in re.findall(r'^act (\S+) ok (\d+)(.*)$', text, re.M):
        check(int(ok) > 0 or name in NEVER or name == 'any-ioctl', f'no {name} succeeded')
        check(int(ok) == 0 or name not in NEVER, f'{ok} times {name} succeeded')
        check(errors or name in ALWAYS, f'no {name} was refused')


def play(shell, seed, folder):
    text = shell.run(f'mezz_fuzz play /bad {seed} {LIVES} {CALLS} web', seconds=300)
    (folder / 'fuzz').write_text(text, encoding='utf-8')
    check(not re.search('^BAD', text, re.M), text)
    check(re.search('^played$', text, re.M), f'the fuzzer did not come to its end: {text}')
    check_counts(text)


def others_are_well(shell, machine):
    """The VM that writes goes on; mezzd finds a new VM and serves its devices; the kernels complain of nothing."""
    goes_on(machine)
    shell.says('mezz vm list', r'^\d+ +web +running ')
    vm = create.make(shell, '/fresh')
    machine.wait_event('fresh', 'exit', seconds=60)
    check(machine.ends('fresh') == ['exit 0'], f'VM {vm}, fresh: {machine.ends("fresh")}')
    seen = shell.run(f'dmesg | grep -E "{COMPLAINTS}"', status=1)
    check(not seen, f'the root VM\'s kernel: {seen}')
    panics = [str(e) for e in machine.events(kinds=('panic',))]
    check(not panics and not machine.bad_words(), f'{panics} {machine.bad_words()}')


def test(build, model, folder, seed):
    files = folder.parent / f'{folder.name}-files'
    files.mkdir(parents=True, exist_ok=True)
    root = RootVM('shell')
    root.keys['initrd'] = make_initrd(build, files)

    def during(machine):
        shell = Shell(machine)
        shell.says('create many /tiny 2', '^made and ended 2$')
        shell.says('mezz_fuzz held /bad', '^held ok$')
        shell.run('dmesg -c >/dev/null')
        before = account(shell)
        play(shell, seed, folder)
        check('reboot' in machine.ends('bad'), f'bad never started again: {machine.ends("bad")}')
        others_are_well(shell, machine)
        after = account(shell)
        with open(folder / 'fuzz', 'a', encoding='utf-8') as out:
            out.write(f'{before} bytes were free or a VM\'s before, {after} after\n')
        check(after > before - SLACK, f'{before} bytes were free or a VM\'s before, {after} after')
    said = lives(build, folder, 'nvme,serial=fuzz', 1, seed, model=model, during=during, root=root, options=['--cpus', '3'])
    if ': 0 blocks' in said[0]:
        raise Failure(f'nothing was flushed: {said}')
    shutil.rmtree(files)

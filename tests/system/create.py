# SPDX-License-Identifier: MIT
"""VMs that the root VM makes while the machine runs (create.c): a Debian VM whose console is read and typed to, bad bundles, and hundreds
that come and go; afterwards their memory is free again."""
import hashlib
import json
import random
import re
import shutil
import subprocess
from pathlib import Path

from blackout import run_tool
from machine import Machine, RootVM, debian, tiny
from root_tool import Shell, check

SOURCES = ('tests/system/create.c', 'common/device.c', 'common/util.c')
IMAGE = random.Random(1).randbytes(3 << 20)
SLACK = 1 << 20  # of the root VM's own: tables for what it touches meanwhile


def make_bundle(build, folder, name, *vms):
    config = folder / f'{name}.yaml'
    config.write_text('vms:\n' + ''.join(vm.yaml(build.resolve()) for vm in vms), encoding='utf-8')
    run_tool(build / 'mezz', 'bundle', '-o', folder / 'tree' / name, config)


def make_program(tree, name, *sources):
    """A program of C for the root VM."""
    top = Path(__file__).resolve().parents[2]
    (tree / 'bin').mkdir(parents=True, exist_ok=True)
    run_tool('cc', '-std=gnu17', '-O1', '-static', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-I', top, '-o', tree / 'bin' / name,
             *(top / source for source in sources))
    run_tool('strip', tree / 'bin' / name)


def pack_initrd(build, folder):
    """That of root VMs, and behind it what is in the folder's tree."""
    tree, initrd = folder / 'tree', folder / 'initrd'
    names = ''.join(f'{p.relative_to(tree)}\n' for p in sorted(tree.rglob('*')))
    more = subprocess.run(['cpio', '-o', '-H', 'newc', '-R', '0:0', '--quiet'], input=names.encode(), cwd=tree, capture_output=True, check=True)
    initrd.write_bytes((build / 'root/initrd').read_bytes() + more.stdout)
    shutil.rmtree(tree)
    return initrd.resolve()


def make_initrd(build, folder):
    """With the program and the bundles."""
    tree = folder / 'tree'
    shutil.rmtree(tree, ignore_errors=True)
    make_program(tree, 'create', *SOURCES)
    (folder / 'image').write_bytes(IMAGE)
    make_bundle(build, folder, 'debian', debian('made', disks=f'[{{image: {folder.resolve()}/image, mode: ro}}]'))
    make_bundle(build, folder, 'tiny', tiny('tiny', 'hello'))
    make_bundle(build, folder, 'two', tiny('one', 'hello'), tiny('two', 'hello'))
    make_bundle(build, folder, 'huge', tiny('huge', 'hello', memory='64GiB'))
    return pack_initrd(build, folder)


def free(shell):
    return json.loads(shell.run('mezz host info -o json'))['free_bytes']


def make(shell, path):
    text = shell.run(f'create make {path}')
    found = re.search(r'^made (\d+)$', text, re.M)
    check(found, f'no VM was made of {path}: {text}')
    return found[1]


def lives(shell):
    """mezzd finds the VM and starts it with a back-end; it is heard, typed to, reboots from its bundle, and is stopped."""
    vm = make(shell, '/debian')
    shell.says('create make /debian', '^error File exists: there is a VM of this name$')
    shell.says(f'create watch {vm} "made# " 1', '^seen$')
    shell.says(f'create type {vm} "sha256sum /dev/vda\n"', '^typed$')
    shell.says(f'create watch {vm} {hashlib.sha256(IMAGE).hexdigest()} 1', '^seen$')
    shell.says(f'create type {vm} "reboot -f\n"', '^typed$')
    shell.says(f'create watch {vm} "made ready: " 2', '^seen$')
    shell.run('mezz vm stop --force made')
    shell.run(f'create gone {vm}')


def has_no_devices(shell):
    """It waits until it is started, and ends by itself."""
    vm = make(shell, '/tiny')
    shell.says('mezz vm list', rf'^{vm} +tiny +waiting ')
    shell.run(f'create start {vm}')
    shell.run(f'create gone {vm}')


def refuses(shell):
    shell.says('create make /two', '^error Invalid argument: one VM was expected$')
    shell.says('create make /huge', '^error Cannot allocate memory: not enough free memory$')
    shell.says('create make /bin/create', r'^error Invalid argument: an archive \(cpio, newc\) with mezzanine.conf of at most 4 MiB was expected$')
    shell.says('create make /tiny 3000', r'^error Invalid argument: .*\w')
    check(len(json.loads(shell.run('mezz vm list -o json'))) == 1, 'there is a VM of a bad bundle')


def test(build, model, folder):
    folder.mkdir(parents=True, exist_ok=True)
    files = folder.parent / f'{folder.name}-files'
    files.mkdir(exist_ok=True)
    root = RootVM('shell')
    root.keys['initrd'] = make_initrd(build, files)
    machine = Machine(folder, build, model, [root], ['--cpus', '2', '--memory', '2GiB'], 240)
    try:
        machine.expect('root', '^root ready: ')
        shell = Shell(machine)
        shell.says('create many /tiny 2', '^made and ended 2$')
        before = free(shell)
        lives(shell)
        has_no_devices(shell)
        refuses(shell)
        shell.says('create many /tiny 200', '^made and ended 200$')
        after = free(shell)
        check(after > before - SLACK, f'{before} bytes were free before the VMs, {after} after')
        machine.type('root', 'poweroff -f\n')
        machine.finish()
    finally:
        machine.stop()
    check(machine.ends('made') == ['reboot', 'stopped by request'], f'made: {machine.ends("made")}')
    check('exit 0' in machine.ends('tiny'), f'tiny: {machine.ends("tiny")[:3]}')
    check(machine.ends('root') == ['poweroff'] and not machine.bad_words(), f'root: {machine.ends("root")} {machine.bad_words()}')
    shutil.rmtree(files)

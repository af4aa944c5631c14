# SPDX-License-Identifier: MIT
"""VMs that `mezz` in the root VM defines, starts, types to, stops and deletes, by mezzd: one without disks, and one whose back-end serves
its disk; mezzd is killed while they run."""
import json
import shutil
import subprocess
from pathlib import Path

from blackout import run_tool
from machine import Machine, RootVM, debian
from root_tool import Shell, check


def make_initrd(build, folder):
    """That of root VMs, and behind it what the VMs are made of."""
    tree = folder / 'tree'
    shutil.rmtree(tree, ignore_errors=True)
    cloud = tree / 'vms/debian/cloud'
    cloud.mkdir(parents=True)
    for name in ('vmlinuz', 'initrd'):
        shutil.copy(build / 'debian/cloud' / name, cloud / name)
    (tree / 'vms/disk').write_bytes(b'\0' * 65536)
    vms = [debian('plain'), debian('made', disks='[{image: BUILD/disk, mode: ro}]')]
    (tree / 'vms/vms.yaml').write_text('vms:\n' + ''.join(vm.yaml(Path('/vms')) for vm in vms), encoding='utf-8')
    names = ''.join(f'{p.relative_to(tree)}\n' for p in sorted(tree.rglob('*')))
    more = subprocess.run(['cpio', '-o', '-H', 'newc', '-R', '0:0', '--quiet'], input=names.encode(), cwd=tree, capture_output=True, check=True)
    initrd = folder / 'initrd'
    initrd.write_bytes((build / 'root/initrd').read_bytes() + more.stdout)
    shutil.rmtree(tree)
    return initrd.resolve()


def states(shell):
    return {vm['name']: vm['state'] for vm in json.loads(shell.run('mezz vm list -o json'))}


def says(shell, name, text):
    shell.run(f'n=0; until mezz vm console --once {name} | grep -q "{text}"; do n=$((n+1)); [ $n -lt 80 ] || exit; sleep 1; done')


def answers(shell):
    """mezzd has come up."""
    shell.run('n=0; until [ -S /run/mezz/mezzd.sock ] || [ $n -ge 300 ]; do n=$((n+1)); sleep 0.2; done; [ $n -lt 300 ]')


def lives(shell):
    answers(shell)
    shell.run('mezz vm create /vms/vms.yaml')
    shell.says('mezz vm list', '^- +plain +off ')
    shell.says('mezz vm create /vms/vms.yaml', '^mezz: plain is defined already$', 1)
    shell.run('mezz vm start plain made')
    check(states(shell) == {'root': 'running', 'plain': 'running', 'made': 'running'}, f'{states(shell)}')
    for name in ('plain', 'made'):
        says(shell, name, f'{name}# ')
    shell.run("printf 'echo said $((6*7))\\n' | timeout 8 mezz vm console plain >/run/seen; grep -q 'said 42' /run/seen")
    shell.run('killall -9 mezzd; rm /run/mezz/mezzd.sock')
    answers(shell)
    check(states(shell) == {'root': 'running', 'plain': 'running', 'made': 'running'}, f'{states(shell)}')
    shell.says('mezz vm delete made', '^mezz: made runs: expected to be stopped first$', 1)
    shell.run('mezz vm stop made')
    shell.run('mezz vm stop --force plain')
    check(states(shell) == {'root': 'running', 'plain': 'off', 'made': 'off'}, f'{states(shell)}')
    shell.run('mezz vm delete plain made')
    check(states(shell) == {'root': 'running'}, f'{states(shell)}')


def test(build, model, folder):
    folder.mkdir(parents=True, exist_ok=True)
    files = folder.parent / f'{folder.name}-files'
    files.mkdir(exist_ok=True)
    root = RootVM('shell', memory='640MiB')
    root.keys['initrd'] = make_initrd(build, files)
    machine = Machine(folder, build, model, [root], ['--cpus', '2', '--memory', '2GiB'], 240)
    try:
        machine.expect('root', '^root ready: ')
        lives(Shell(machine))
        machine.type('root', 'poweroff -f\n')
        machine.finish()
    finally:
        machine.stop()
    check(machine.ends('plain') == ['stopped by request'] and machine.ends('made') == ['poweroff'],
          f'plain: {machine.ends("plain")}, made: {machine.ends("made")}')
    check(machine.ends('root') == ['poweroff'] and not machine.bad_words(), f'root: {machine.ends("root")} {machine.bad_words()}')
    shutil.rmtree(files)

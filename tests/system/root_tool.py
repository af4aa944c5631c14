# SPDX-License-Identifier: MIT
"""`mezz` in the root VM: it shows the VMs of the machine, pauses and stops them, and tells what is wrong."""
import json
import re

from machine import Failure, Machine, RootVM, debian


class Shell:
    """Commands typed to the root VM, one after the other."""

    def __init__(self, machine):
        self.machine, self.n = machine, 0

    def run(self, words, status=0, seconds=90):
        """What the command printed, on either output."""
        self.n += 1
        n = self.n
        self.machine.type('root', f'echo "<""{n}"; {words} 2>&1; echo ">{n} $?"\n')
        found = self.machine.expect('root', rf'^<{n}\r?\n((?:.*\r?\n)*?)(.*)>{n} (\d+)\r?$', seconds)
        text = (found[1] + found[2]).decode(errors='replace').replace('\r', '')
        if int(found[3]) != status:
            raise Failure(f'`{words}` ended with {int(found[3])} instead of {status}: {text}')
        return text

    def says(self, words, wanted, status=0):
        text = self.run(words, status)
        if not re.search(wanted, text, re.M):
            raise Failure(f'`{words}` does not say "{wanted}": {text}')

    def vm(self, name):
        return json.loads(self.run(f'mezz vm info -o json {name}'))


def check(condition, text):
    if not condition:
        raise Failure(text)


def shows(shell):
    vms = {vm['name']: vm for vm in json.loads(shell.run('mezz vm list -o json'))}
    check(set(vms) == {'root', 'web', 'idle'}, f'VMs in the list: {sorted(vms)}')
    check(vms['root']['root'] and not vms['web']['root'], 'which is the root VM is wrong')
    check(vms['root']['memory_bytes'] == 512 << 20 and vms['web']['vcpus'] == 2, f'{vms["root"]} {vms["web"]}')
    check(0 < vms['web']['populated_bytes'] <= vms['web']['memory_bytes'], f'{vms["web"]}')
    host = json.loads(shell.run('mezz host info -o json'))
    check(host['model'] == 'micro' and host['vms'] == 3 and 0 < host['free_bytes'] < host['memory_bytes'], f'{host}')
    shell.says('mezz vm list', r'^\d+ +web +running +2 +192 MiB ')
    shell.says('mezz vm info web', r'^  cpuid +\d+$')
    shell.says('mezz host info', '^model +micro$')
    shell.says('mezz log', 'model: micro')
    shell.says('mezz top -n 1 -d 2', r'^\d+ +web +running +[1-9]\d*\.\d')  # it works all the time


def pauses(shell, machine):
    shell.run('mezz vm pause web')
    before = shell.vm('web')
    check(before['state'] == 'paused', f'{before["state"]} after a pause')
    rounds = len(re.findall(rb'^WORK \d+ ok', machine.log('web'), re.M))
    shell.run('sleep 3')
    after = shell.vm('web')
    check(after['processor_ns'] - before['processor_ns'] < 100e6, 'a paused VM uses the processor')
    check(len(re.findall(rb'^WORK \d+ ok', machine.log('web'), re.M)) <= rounds + 1, 'a paused VM works')
    shell.run('mezz vm pause web')  # twice is once
    shell.run('mezz vm resume web')
    check(shell.vm('web')['state'] == 'running', 'not running after it was resumed')
    machine.expect('web', r'^WORK \d+ ok', 60, count=rounds + 3)


def refuses(shell):
    shell.says('mezz vm stop nobody', "^mezz: no VM 'nobody' runs; `mezz vm list` shows those that do$", 1)
    shell.says('mezz vm pause root', '^mezz: root is the root VM', 1)
    shell.says('mezz vm stop --timeout x web', 'expected seconds', 2)
    shell.says('mezz vm jump web', 'expected list, info, create, start, stop, pause, resume, restart, delete or console', 2)
    shell.says('mezz vm list -o xml', 'expected json or text', 2)


def stops(shell, machine):
    shell.says('mezz vm stop --timeout 1 web', '^mezz: web still runs after 1 s; --force stops it at once$', 1)  # it does not listen
    shell.run('mezz vm stop idle')
    machine.wait_event('idle', 'poweroff')
    shell.run('mezz vm pause web')
    shell.run('mezz vm stop --force web')
    machine.wait_event('web', 'stopped')
    check(set(vm['name'] for vm in json.loads(shell.run('mezz vm list -o json'))) == {'root'}, 'VMs that have ended are in the list')


def test(build, model, folder):
    vms = [RootVM('shell'), debian('web', 'work', words='mezz.rounds=0', vcpus=2), debian('idle')]
    machine = Machine(folder, build, model, vms, ['--cpus', '2', '--memory', '2GiB'], 240)
    try:
        machine.expect('root', '^root ready: ')
        machine.expect('web', '^WORK 2 ok')
        machine.expect('idle', '^idle ready: ')
        shell = Shell(machine)
        shows(shell)
        pauses(shell, machine)
        refuses(shell)
        stops(shell, machine)
        machine.type('root', 'poweroff -f\n')
        status = machine.finish()
    finally:
        machine.stop()
    check(status == 3 and machine.ends('web') == ['stopped by request'] and machine.ends('idle') == ['poweroff'],
          f'mezz returned {status}; web: {machine.ends("web")}, idle: {machine.ends("idle")}')
    check(machine.ends('root') == ['poweroff'] and not machine.bad_words(), f'root: {machine.ends("root")} {machine.bad_words()}')

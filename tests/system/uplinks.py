# SPDX-License-Identifier: MIT
"""A VM on a switch whose uplink is a network card of the emulated machine, reached from outside."""
import hashlib
import json
import re
import socket
import time
import urllib.request

from machine import Failure, Machine, debian
from networks_of import SIZE, SUM, serve
from scripts import ask, check, off, ready


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(('127.0.0.1', 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Monitor:
    """QEMU's control socket, for one command after the other."""

    def __init__(self, port):
        self.file = socket.create_connection(('127.0.0.1', port), 10).makefile('rw')
        self.file.readline()
        self.run('qmp_capabilities')

    def run(self, command, **arguments):
        self.file.write(json.dumps({'execute': command, 'arguments': arguments}) + '\n')
        self.file.flush()
        for line in self.file:
            answer = json.loads(line)
            if 'error' in answer:
                raise Failure(f'QEMU refuses {command}: {answer["error"]}')
            if 'return' in answer:
                return
        raise Failure(f'QEMU does not answer {command}')


def fetch(port, pause):
    """Reads the VM's file; pause() is called when some of it has come. Its MD5 sum."""
    md5 = hashlib.md5()
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/file', timeout=60) as answer:
        md5.update(answer.read(1 << 16))
        pause()
        while part := answer.read(1 << 16):
            md5.update(part)
    return md5.hexdigest()


def use(m, port, monitor):
    """The file arrives whole from outside, also when the link is down for a while in its midst."""
    def pause():
        monitor.run('set_link', name='card', up=False)
        m.expect('mezzanine', 'eth0: link down', 10)
        ask(m, 'web', 'ping -q -c 2 -W 1 10.0.2.2', '2 packets transmitted, 0 packets received, 100% packet loss', 40)
        monitor.run('set_link', name='card', up=True)
        m.expect('mezzanine', 'eth0: link up', 10)

    ready(m, 'web')
    ask(m, 'web', 'ping -q -c 3 10.0.2.2', '3 packets transmitted, 3 packets received, 0% packet loss', 40)
    serve(m, 'web')
    start = time.monotonic()
    for what, between in (('', lambda: None), (' over a link that was down', pause)):
        check(fetch(port, between) == SUM, f'another file arrived{what}')
        (m.folder / 'seconds').write_text(f'{SIZE} bytes{what}: {time.monotonic() - start:.1f} s since the start\n')
    m.key('s')
    card = m.expect('mezzanine', r'card eth0: link up, sent (\d+) packets (\d+) bytes, .*; no room \d+, bad 0, resets 0$', 10)
    check(int(card.group(2)) > 2 * SIZE, f'the card counted {card.group(0)}')
    off(m, 'web')


def see(m, monitor):
    """The uplink goes down and comes up: web, whose card follows it, sees that at once; db does not, and both reach the outside again."""
    def carrier(name, value):
        ask(m, name, f'for i in $(seq 50); do [ $(cat /sys/class/net/eth0/carrier) = {value} ] && break; sleep 0.1; done; '
            f'echo carrier of {name} is $(cat /sys/class/net/eth0/carrier)', f'carrier of {name} is {value}', 30)

    for name in ('web', 'db'):
        ready(m, name)
    for n in (1, 2):
        for name in ('web', 'db'):
            carrier(name, 1)
            ask(m, name, f'ping -q -c {n} 10.0.2.2', f'{n} packets transmitted, {n} packets received, 0% packet loss', 40)
        monitor.run('set_link', name='card', up=False)
        m.expect('mezzanine', 'eth0: link down', 10, n)
        carrier('web', 0)
        carrier('db', 1)
        ask(m, 'db', f'ping -q -c {n} -W 1 10.0.2.2', f'{n} packets transmitted, 0 packets received, 100% packet loss', 40)
        monitor.run('set_link', name='card', up=True)
        m.expect('mezzanine', 'eth0: link up', 10, n)
        for name in ('web', 'db'):
            carrier(name, 1)
            ask(m, name, f'ping -q -c {n + 2} 10.0.2.2', f'{n + 2} packets transmitted, {n + 2} packets received, 0% packet loss', 40)
    off(m, 'web', 'db')


def machine_with(kind, device, vms, script, cpus, forward=''):
    """Runs the script with a machine that has such a card, its link controlled by `monitor`."""
    def test(build, _, folder):
        port, qmp = free_ports(2)
        args = (f'-netdev user,id=n0{forward.format(port=port)} -device {device},netdev=n0,id=card '
                f'-qmp tcp:127.0.0.1:{qmp},server=on,wait=off')
        machine = Machine(folder, build, 'mono', vms, ['--cpus', str(cpus), '--qemu-args', args], 240, uplink='eth0')
        try:
            machine.expect('mezzanine', rf'eth0: {kind}, MAC 52:54:00:12:34:56, link up', 60)
            script(machine, port, Monitor(qmp))
            status = machine.finish()
            ends = {vm.name: machine.ends(vm.name) for vm in vms}
            if status or any(e != ['poweroff'] for e in ends.values()) or machine.bad_words():
                raise Failure(f'mezz returned {status}: {ends} {machine.bad_words() or ""}')
            machine.check_frames()
        except OSError as e:
            raise Failure(f'the file did not arrive: {e}') from e
        finally:
            machine.stop()
    return test


def link(kind, device, cpus=1):
    vms = [debian('web', words='mezz.ip=10.0.2.15/24', nics='[{switch: lan, link: uplink}]'),
           debian('db', words='mezz.ip=10.0.2.16/24', nics='[{switch: lan}]')]
    return machine_with(kind, device, vms, lambda m, _, monitor: see(m, monitor), cpus)


def works(kind, device, cpus=1):
    vms = [debian('web', words='mezz.ip=10.0.2.15/24', nics='[{switch: lan}]')]
    return machine_with(kind, device, vms, use, cpus, ',hostfwd=tcp:127.0.0.1:{port}-:80')


def missing(build, _, folder):
    """A switch with the uplink that the machine has not: the VM is refused, with the reason."""
    machine = Machine(folder, build, 'mono', [debian('web', nics='[{switch: lan}]')], [], 60, uplink='eth0')
    try:
        status = machine.finish()
        if status != 3 or not re.search('the machine has no such network card', str(machine.ends('web'))):
            raise Failure(f'mezz returned {status}: {machine.ends("web")}')
    finally:
        machine.stop()

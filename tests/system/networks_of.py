# SPDX-License-Identifier: MIT
"""What the system tests do with VMs on a virtual switch."""
import hashlib
import re

from scripts import ask, check, leave, off, ready, window

BLOCK, BLOCKS = 1 << 20, 8  # of the file that is moved
SIZE = BLOCK * BLOCKS
LINE = b'mezzanine\n'
SUM = hashlib.md5((LINE * (BLOCK // len(LINE) + 1))[:BLOCK] * BLOCKS).hexdigest()


def seconds_of(m, name, command, answer, seconds):
    """Types a command that ends with this answer; how long it took, by the VM's own clock."""
    before = len(re.findall(rb'^took \d+$', m.log(name), re.M))
    ask(m, name, f't=$(cut -d. -f1 /proc/uptime); {command}; echo took $(($(cut -d. -f1 /proc/uptime) - t))', answer, seconds)
    return int(m.expect(name, r'^took (\d+)$', 10, before + 1).group(1))


def serve(m, server):
    ask(m, server, f'yes mezzanine | head -c {BLOCK} >/tmp/block; for i in $(seq {BLOCKS}); do cat /tmp/block; done >/tmp/file; '
        'httpd -p 80 -h /tmp; echo serves $((6*7))', 'serves 42', 60)


def by_http(m, reader, server, address):
    """The reader fetches the server's file; what arrived has the sum that it must have."""
    serve(m, server)
    return seconds_of(m, reader, f'wget -q -O /tmp/got http://{address}/file; md5sum </tmp/got', f'{SUM}  -', 120)


def features(m, name, vcpus):
    """What Linux's driver took of what the card offers: checksums, TSO with ECN both ways, mergeable buffers, link status, control queue, indirect
    descriptors, event index, a pair of queues for each vcpu."""
    bits = [0, 1, 7, 8, 9, 11, 12, 13, 15, 16, 17, 28, 29, 32] + ([22] if vcpus > 1 else [])
    columns = ','.join(str(b + 1) for b in sorted(bits))
    ask(m, name, f'echo took $(cut -c{columns} /sys/class/net/eth0/device/features) with $(ls -d /sys/class/net/eth0/queues/rx-* | wc -l) queues',
        f'took {"1" * len(bits)} with {vcpus} queues')


def the_switch_counted(m):
    m.key('s')
    account = m.expect('mezzanine', r'web vlan 10: sent (\d+) frames (\d+) bytes, received (\d+) frames (\d+) bytes; '
                       r'dropped: none$', 10)
    check(min(int(account.group(2)), int(account.group(4))) > SIZE, f'the switch counted {account.group(0)}')


def talk(m):
    """web and db on VLAN 10 reach each other and move a file both ways; spy on VLAN 20 hears not one frame."""
    for name in ('web', 'db', 'spy'):
        ready(m, name)
    features(m, 'web', m.vm('web').keys['vcpus'])
    ask(m, 'web', 'ping -q -c 5 10.0.0.2', '5 packets transmitted, 5 packets received, 0% packet loss', 40)
    ask(m, 'db', 'ping -q -c 2 -s 1472 10.0.0.1', '2 packets transmitted, 2 packets received, 0% packet loss', 40)
    ask(m, 'spy', 'ping -q -c 2 -W 1 10.0.0.2', '2 packets transmitted, 0 packets received, 100% packet loss', 40)
    took = [by_http(m, 'web', 'db', '10.0.0.2'), by_http(m, 'db', 'web', '10.0.0.1')]
    (m.folder / 'seconds').write_text(f'{SIZE} bytes in {took} s\n')
    ask(m, 'spy', 'echo spy heard $(cat /sys/class/net/eth0/statistics/rx_packets) frames', 'spy heard 0 frames')
    if m.model == 'mono':  # whose kernel has the switch
        the_switch_counted(m)
    off(m, 'web', 'db', 'spy')


def reboot(m):
    """After a VM's reboot its card works as before; its neighbour's did all the time."""
    for boot in (1, 2):
        ready(m, 'web', boot)
        if boot == 1:
            ready(m, 'db')
        ask(m, 'web', 'ping -q -c 2 10.0.0.2', '2 packets transmitted, 2 packets received, 0% packet loss', 40)
        ask(m, 'db', f'ping -q -c {2 + boot} 10.0.0.1', f'{2 + boot} packets transmitted, {2 + boot} packets received, 0% packet loss', 40)
        if boot == 1:
            m.type('web', 'reboot -f\n')
            m.wait_event('web', 'reboot', seconds=20)
            ask(m, 'db', 'ping -q -c 1 -W 1 10.0.0.77', '1 packets transmitted, 0 packets received, 100% packet loss', 40)
    off(m, 'web', 'db')


def trunk(m):
    """What has no tag passes a trunk only if its list has 0."""
    for name in ('plain', 'some', 'tagged'):
        ready(m, name)
    ask(m, 'plain', 'ping -q -c 2 10.0.0.2', '2 packets transmitted, 2 packets received, 0% packet loss', 40)
    ask(m, 'tagged', 'ping -q -c 2 -W 1 10.0.0.1', '2 packets transmitted, 0 packets received, 100% packet loss', 40)
    if m.model == 'mono':
        m.key('s')
        m.expect('mezzanine', r'tagged trunk: sent 0 frames 0 bytes, received 0 frames 0 bytes; dropped: vlan \d+$', 10)
    off(m, 'plain', 'some', 'tagged')


def reaches(m, count=2):
    ask(m, 'web', f'ping -q -c {count} 10.0.0.2', f'{count} packets transmitted, {count} packets received, 0% packet loss', 60)


def flood(m):
    """While a third VM floods web, web and db still reach each other; what was too much was dropped by cause."""
    ready(m, 'web')
    ready(m, 'db')
    reaches(m)
    m.expect('flood', '^flooding$', 60)
    ask(m, 'web', 'ping -q -c 5 10.0.0.2', r'5 packets transmitted, [1-5] packets received, \d+% packet loss', 60)
    before = m.log('mezzanine').count(b'switch lan: ')
    m.key('s')
    line = m.expect('mezzanine', r'flood vlan 10: sent (\d+) frames .*; dropped: .*mac (\d+)', 20, before + 1)
    check(int(line.group(1)) > 1000 and int(line.group(2)) > 300, f'the flood was small: {line.group(0)}')
    m.wait_event('flood', 'exit', seconds=120)
    reaches(m)
    off(m, 'web', 'db')


def flood_costs(m):
    """A VM that only computes gets what its weight says while one floods its queue and the switch, and another hears that."""
    ready(m, 'web')
    m.expect('flood', '^flooding$', 90)
    got, time_ms = window(m, ['work', 'flood', 'web'], 8, spinning=('work',))
    text = ', '.join(f'{name} {100 * ms / time_ms:.1f} %' for name, ms in got.items())
    (m.folder / 'shares').write_text(text + '\n')
    check(got['flood'] >= 0.2 * time_ms, f'there was no flood: {text}')
    check(got['work'] >= 0.97 * time_ms / 3, f'the flood took too much: {text}')
    leave(m)


def hostile(m):
    """A third VM mistreats its card; the others reach each other before, meanwhile and afterwards."""
    ready(m, 'web')
    ready(m, 'db')
    reaches(m)
    m.wait_event('bad', 'exit', seconds=200)
    reaches(m)
    off(m, 'web', 'db')

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mezzd's API against abi/openapi.yaml: requests to a real mezzd on a machine that is played (fake_machine.c), each reply checked
against the document; and `mezz vm` with it. /usr/bin/python3 is Debian's, which has its modules.

    test_api.py MEZZD MEZZ"""
import copy
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

import jsonschema
import yaml

HERE = pathlib.Path(__file__).resolve().parent
DOCUMENT = yaml.safe_load((HERE / '../../abi/openapi.yaml').read_text())
RESOLVER = jsonschema.RefResolver('', DOCUMENT)
BACKEND = '#!/bin/sh\n: >"$MEZZ_FAKE.$1"\nexec sleep 1000\n'


def schema_of(reference):
    return {'$ref': reference} if isinstance(reference, str) else reference


def valid(schema, value):
    return jsonschema.Draft202012Validator(schema_of(schema), resolver=RESOLVER).is_valid(value)


def conform(schema, value):
    jsonschema.Draft202012Validator(schema_of(schema), resolver=RESOLVER).validate(value)


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__('mezzd', timeout=10)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)  # waits while too many do
        self.sock.settimeout(10)


def resource(path):
    """The document's entry for a path."""
    for pattern, entry in DOCUMENT['paths'].items():
        if re.fullmatch(re.sub(r'\{\w+\}', '[^/]+', pattern), path.split('?')[0]):
            return pattern, entry
    return None, None


class Mezzd:
    seen = set()  # (method, pattern, status) that have been checked

    def __init__(self, programs):
        self.mezzd, self.mezz = (os.path.abspath(p) for p in programs)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='test_api.'))
        self.socket = self.folder / 'mezzd.sock'
        backend = self.folder / 'backend'
        backend.write_text(BACKEND)
        backend.chmod(0o755)
        (self.folder / 'kernel').write_bytes(b'kernel' * 100)
        (self.folder / 'disk').write_bytes(bytes(4096))
        self.environment = dict(os.environ, MEZZ_FAKE=str(self.folder / 'machine'), MEZZD_SOCKET=str(self.socket))
        self.log = open(self.folder / 'log', 'ab')
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [self.mezzd, '--folder', self.folder / 'run', '--store', self.folder / 'vms', '--socket', self.socket,
             '--backend', self.folder / 'backend'], env=self.environment, stderr=self.log)
        self.wait(self.answers, 'mezzd answers')

    def answers(self):
        assert self.process.poll() is None, f'mezzd has ended: {self.process.returncode}'
        try:
            return self.raw('GET', '/v1/host')[0].status == 200
        except (OSError, http.client.HTTPException):  # nobody, or one that is being killed
            return False

    @staticmethod
    def wait(condition, what):
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, f'not seen in 20 s: {what}'
            time.sleep(0.02)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(10) == 0, f'mezzd ended with {self.process.returncode}'
        for pid in (self.folder / 'run').glob('*.pid'):
            try:
                os.kill(int(pid.read_text().split()[0]), signal.SIGKILL)
            except (OSError, IndexError):
                pass

    def machine_restarts(self):
        """What lies in memory is lost."""
        self.stop()
        for file in [*(self.folder / 'run').iterdir(), *self.folder.glob('machine*')]:
            file.unlink()

    def raw(self, method, path, body=None, headers=None):
        connection = Unix(self.socket)
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        data = reply.read()
        connection.close()
        return reply, data

    def ask(self, method, path, body=None, status=200, headers=None):
        """The reply's body, checked against the document."""
        if isinstance(body, dict):
            body = json.dumps(body)
        reply, data = self.raw(method, path, body, headers)
        assert reply.status == status, f'{method} {path}: {reply.status} instead of {status}: {data[:300]}'
        return self.check(method, path, reply, data)

    def check(self, method, path, reply, data):
        kind = reply.getheader('Content-Type')
        pattern, entry = resource(path)
        operation = entry and entry.get(method.lower())
        if not operation:
            assert reply.status in (404, 405), f'{method} {path}: {reply.status}, and is not in the document'
            described = DOCUMENT['components']['responses']['Error']
        else:
            described = operation['responses'].get(str(reply.status))
            assert described, f'{method} {path}: {reply.status} is not in the document'
            self.seen.add((method, pattern, reply.status))
            if '$ref' in described:
                described = RESOLVER.resolve(described['$ref'])[1]
        content = described.get('content')
        if not content:
            assert not data and not kind, f'{method} {path}: a body that is not in the document'
            return None
        assert kind in content, f'{method} {path}: {kind} is not in the document'
        if kind == 'application/octet-stream':
            return data
        values = [json.loads(line) for line in (data.splitlines() if kind == 'application/jsonl' else [data])]
        for value in values:
            conform(content[kind]['schema'], value)
        return values if kind == 'application/jsonl' else values[0]

    def error(self, method, path, status, words, body=None):
        text = self.ask(method, path, body, status)['error']
        assert re.search(words, text), f'{method} {path}: "{text}" instead of "{words}"'

    def definition(self, name, **more):
        return {'name': name, 'memory': '64MiB', 'vcpus': 1, 'kernel': str(self.folder / 'kernel'), **more}

    def task(self, path, state='done'):
        """Orders, and waits until the task has ended."""
        task = self.ask('POST', path, status=202)
        found = []

        def ended():
            found[:] = [self.ask('GET', f'/v1/tasks/{task["id"]}')]
            return found[0]['state'] != 'running'
        self.wait(ended, path)
        assert found[0]['state'] == state, f'{path}: {found[0]}'
        return found[0]

    def state(self, name):
        return self.ask('GET', f'/v1/vms/{name}')['state']

    def command(self, *words, status=0, typed=b''):
        p = subprocess.run([self.mezz, *words], input=typed, capture_output=True, env=self.environment, timeout=30, cwd=self.folder)
        text = (p.stdout + p.stderr).decode(errors='replace')
        assert p.returncode == status, f'mezz {" ".join(words)}: {p.returncode} instead of {status}: {text}'
        return text


# ---- the tests, one after the other on one machine

def test_host(d):
    assert d.ask('GET', '/v1/host')['model'] == 'micro'
    reply, data = d.raw('HEAD', '/v1/host')
    assert reply.status == 200 and not data
    reply, _ = d.raw('DELETE', '/v1/host')
    assert reply.getheader('Allow') == 'GET, HEAD'
    d.error('DELETE', '/v1/host', 405, 'expected GET')
    assert oct(d.socket.stat().st_mode & 0o777) == '0o660'


def test_a_life(d):
    d.ask('POST', '/v1/vms', d.definition('web', cmdline='a"\\b/ä', order=3), 201)
    assert d.state('web') == 'off'
    assert d.ask('GET', '/v1/vms/web')['definition']['cmdline'] == 'a"\\b/ä'
    assert not (d.folder / 'vms/web.json.new').exists() and json.loads((d.folder / 'vms/web.json').read_text())['order'] == 3
    for verb in ('pause', 'resume', 'shutdown', 'restart'):
        d.error('POST', f'/v1/vms/web/{verb}', 409, 'web does not run')
    d.error('POST', '/v1/vms/web/stop', 409, 'web does not run')
    d.error('GET', '/v1/vms/web/console', 409, 'web does not run')
    assert d.task('/v1/vms/web/start')['progress'] == 100
    assert d.state('web') == 'running'
    d.error('POST', '/v1/vms/web/start', 409, 'runs already')
    d.error('DELETE', '/v1/vms/web', 409, 'runs')
    assert d.ask('POST', '/v1/vms/web/pause')['state'] == 'paused'
    assert d.ask('POST', '/v1/vms/web/resume')['state'] == 'running'
    number = d.ask('GET', '/v1/vms/web')['id']
    assert d.ask('GET', f'/v1/vms/{number}')['name'] == 'web'
    d.task('/v1/vms/web/restart')
    assert d.ask('GET', '/v1/vms/web')['id'] > number
    d.task('/v1/vms/web/shutdown')
    assert d.state('web') == 'off'
    assert {vm['name']: vm['state'] for vm in d.ask('GET', '/v1/vms')['vms']} == {'root': 'running', 'boot': 'running', 'web': 'off'}
    assert [t['action'] for t in d.ask('GET', '/v1/tasks')['tasks']] == ['start', 'restart', 'shutdown']


def test_console(d):
    d.task('/v1/vms/web/start')
    assert d.ask('GET', '/v1/vms/web/console?follow=false') == b'web is here\r\n'
    reader = Unix(d.socket)
    reader.request('GET', '/v1/vms/web/console?position=4')
    reply = reader.getresponse()
    assert reply.read(9) == b'is here\r\n'
    assert d.ask('POST', '/v1/vms/web/console', b'hello\n') == {'taken': 6}
    assert reply.read(6) == b'hello\n'
    assert d.ask('POST', '/v1/vms/web/console', bytes(4096))['taken'] == 2048 - 19
    d.error('GET', '/v1/vms/web/console?position=x', 400, 'position')
    d.error('GET', '/v1/vms/web/console?follow=x', 400, 'follow')
    d.error('GET', '/v1/vms/root/console', 403, 'root VM')
    d.error('POST', '/v1/vms/root/console', 403, 'root VM', 'x')
    d.error('GET', '/v1/vms/none/console', 404, 'none')
    d.error('POST', '/v1/vms/none/console', 404, 'none', 'x')
    d.task('/v1/vms/web/stop')
    reply.read()  # it ends with the VM
    d.error('POST', '/v1/vms/web/console', 409, 'does not run', 'x')
    reader.close()


def test_back_end(d):
    d.ask('POST', '/v1/vms', d.definition('db', disks=[{'image': str(d.folder / 'disk'), 'mode': 'rw'}]), 201)
    d.task('/v1/vms/db/start')
    os.kill(int((d.folder / 'run/db.pid').read_text().split()[0]), signal.SIGKILL)
    d.wait(lambda: any(e['event'] == 'backend.died' and 'Killed' in e['how'] for e in d.ask('GET', '/v1/events?since=0&follow=false')),
           'the back-end has died')
    d.task('/v1/vms/db/stop')
    d.ask('DELETE', '/v1/vms/db', status=204)


def test_events(d):
    names = [e['event'] for e in d.ask('GET', '/v1/events?since=0&follow=false')]
    for name in RESOLVER.resolve('#/components/schemas/Event')[1]['properties']['event']['enum']:
        assert name in names or name in ('vm.paused', 'vm.resumed'), f'no event {name}: {names}'
    assert d.ask('GET', '/v1/events?follow=false') == []
    d.error('GET', '/v1/events?since=x', 400, 'since')
    listener = Unix(d.socket)
    listener.request('GET', '/v1/events')
    reply = listener.getresponse()
    d.ask('POST', '/v1/vms', d.definition('short'), 201)
    d.ask('DELETE', '/v1/vms/short', status=204)
    assert [json.loads(reply.readline())['event'] for _ in range(2)] == ['vm.defined', 'vm.deleted']
    listener.close()
    d.task('/v1/vms/web/start')
    d.ask('POST', '/v1/vms/web/pause')
    d.wait(lambda: d.ask('GET', '/v1/events?since=0&follow=false')[-1]['event'] == 'vm.paused', 'vm.paused')
    d.ask('POST', '/v1/vms/web/resume')
    d.wait(lambda: d.ask('GET', '/v1/events?since=0&follow=false')[-1]['event'] == 'vm.resumed', 'vm.resumed')
    d.task('/v1/vms/web/stop')


def test_those_who_do_not_listen(d):
    d.ask('POST', '/v1/vms', d.definition('deaf'), 201)
    d.task('/v1/vms/deaf/start')
    assert d.task('/v1/vms/deaf/shutdown?timeout=0', 'failed')['error'] == 'deaf still runs after 0 s'
    first = d.ask('POST', '/v1/vms/deaf/shutdown?timeout=3600', status=202)
    assert d.ask('GET', '/v1/vms/deaf')['task'] == first['id']
    d.error('POST', '/v1/vms/deaf/restart', 409, 'has a task')
    d.error('POST', '/v1/vms/deaf/shutdown', 409, 'has a task')
    d.error('POST', '/v1/vms/deaf/shutdown?timeout=99999', 400, 'timeout')
    d.error('POST', '/v1/vms/deaf/restart?force=maybe', 400, 'force')
    d.task('/v1/vms/deaf/stop')
    assert d.ask('GET', f'/v1/tasks/{first["id"]}')['error'] == 'a stop overtook it'
    d.task('/v1/vms/deaf/start')
    d.task('/v1/vms/deaf/restart?force=true')
    d.task('/v1/vms/deaf/stop')
    d.ask('DELETE', '/v1/vms/deaf', status=204)


def test_refused(d):
    for verb in ('start', 'stop', 'shutdown', 'restart', 'pause', 'resume'):
        d.error('POST', f'/v1/vms/none/{verb}', 404, "'none'")
    for verb in ('stop', 'shutdown', 'restart', 'pause', 'resume'):
        d.error('POST', f'/v1/vms/root/{verb}', 403, 'root VM')
    d.error('GET', '/v1/vms/none', 404, "'none'")
    d.error('DELETE', '/v1/vms/none', 404, "'none'")
    d.error('DELETE', '/v1/vms/boot', 409, 'boot bundle')
    d.error('POST', '/v1/vms/boot/restart', 409, 'not defined')
    d.error('POST', '/v1/vms', 409, 'defined already', d.definition('web'))
    d.error('POST', '/v1/vms', 409, 'boot bundle', d.definition('boot'))
    d.error('GET', '/v1/tasks/999', 404, '999')
    d.error('GET', '/v1/nothing', 404, 'no such resource')
    d.error('GET', '/v1/vms/a/b/c', 404, 'no such resource')
    d.error('POST', '/v1/vms', 413, 'too long', b'x' * 300000)
    d.error('POST', '/v1/vms/web/console', 413, 'too long', b'x' * 300000)
    d.ask('POST', '/v1/vms', d.definition('broken'), 201)
    assert d.task('/v1/vms/broken/start', 'failed')['error'] == 'the kernel file is no kernel'
    (d.folder / 'gone').write_bytes(b'x')
    d.ask('POST', '/v1/vms', d.definition('gone', initrd=str(d.folder / 'gone')), 201)
    (d.folder / 'gone').unlink()
    assert 'No such file' in d.task('/v1/vms/gone/start', 'failed')['error']


def wrong_definitions(d):
    """Each differs from a good one in one place, in which the document, too, forbids it."""
    good = d.definition('x', disks=[{'device': 'sda'}], nics=[{'switch': 'lan'}], switches=[{'name': 'lan'}], affinity=[0], cap=5)
    yield good, True
    for path, value in ((('name',), 'A'), (('name',), 5), (('name',), ''), (('memory',), 5), (('memory',), '5'), (('vcpus',), 0),
                        (('vcpus',), '1'), (('vcpus',), 1.5), (('vcpus',), None), (('vcpus',), 1 << 70), (('kernel',), 'kernel'),
                        (('kernel',), ''), (('cmdline',), ['x']), (('cap',), -1), (('affinity',), []), (('affinity',), [0, 0]),
                        (('affinity',), ['0']), (('disks',), {}), (('disks', 0), {}), (('disks', 0, 'mode'), 'w'),
                        (('disks', 0, 'device'), '../x'), (('nics', 0, 'vlan'), 4095), (('nics', 0), {'vlan': 1}),
                        (('switches', 0, 'rate'), '5'), (('switches', 0, 'uplink'), 'e/0'), (('autostart',), 'true'),
                        (('autostart',), 1), (('order',), -1), (('unknown',), 1), (('balloon',), 1), (('debug_exit',), None)):
        wrong = copy.deepcopy(good)
        at = wrong
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        yield wrong, False
    for key in ('name', 'memory', 'vcpus'):
        yield {k: v for k, v in good.items() if k != key}, False


def test_definitions(d):
    for definition, good in wrong_definitions(d):
        assert valid('#/components/schemas/Definition', definition) == good, f'the document does not say {good} to {definition}'
        answer = d.ask('POST', '/v1/vms', definition, 201 if good else 400)
        if good:
            d.ask('DELETE', f'/v1/vms/{answer["name"]}', status=204)
    for text in (b'', b'{', b'[]', b'1', b'"x"', b'{}x', b'{"name":"x"', b'\xff', b'{"name":"\xff"}', b'name: x', b'{"a":' * 20, b'[' * 5000,
                 b'{"name":"x\\u0000"}', b'{"name": NaN}', b"{'name': 'x'}", b'\0'):
        d.error('POST', '/v1/vms', 400, '.', text)
    d.error('POST', '/v1/vms', 400, 'memory', d.definition('x', memory='1KiB'))
    d.error('POST', '/v1/vms', 400, 'No such file', d.definition('x', kernel='/none/kernel'))
    d.error('POST', '/v1/vms', 400, 'is not there', d.definition('x', nics=[{'switch': 'lan'}]))


def test_bad_http(d):
    for request in (b'\r\n\r\n\r\n', b'GET\r\n\r\n', b'GET /v1/host\r\n\r\n', b'\x16\x03\x01\x02\x00\x01', b'GET / HTTP/9.9\r\n\r\n',
                    b'GET /v1/host HTTP/1.1\r\n\r\n', b'GET /v1/host HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
                    b'POST /v1/vms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
                    b'POST /v1/vms HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n',
                    b'POST /v1/vms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n' + (b'4000\r\n' + b'x' * 0x4000 + b'\r\n') * 20,
                    b'GET /' + b'a' * 100000 + b' HTTP/1.1\r\nHost: x\r\n\r\n', b'GET /v1/vms/%00%2f%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n'):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(d.socket))
        s.settimeout(1)  # some are never answered: half a request
        try:
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
            answer = s.recv(100)
        except OSError:  # it has closed the connection before it had all
            answer = b''
        s.close()
        status = re.match(rb'HTTP/1\.\d ([45]\d\d) ', answer)
        assert not answer or status or request.startswith(b'GET /v1/host'), f'{request[:60]}: {answer}'
    assert d.ask('GET', '/v1/host')


def test_bounds(d):
    """More connections than there may be wait; those that are open go on, and all is given back."""
    silent = []
    for _ in range(80):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(d.socket))
        silent.append(s)
    for s in silent:
        s.close()
    streams = [Unix(d.socket) for _ in range(33)]
    answers = []
    for s in streams:
        s.request('GET', '/v1/events')
        answers.append(s.getresponse())
    assert [a.status for a in answers] == [200] * 32 + [503]
    d.check('GET', '/v1/events', answers[32], answers[32].read())
    for s, a in zip(streams, answers):
        a.close()
        s.close()
    d.wait(lambda: d.raw('GET', '/v1/events?follow=false')[0].status == 200, 'streams are given back')


def test_the_command(d):
    (d.folder / 'vm.yaml').write_text('switches: [{name: lan, rate: 1MiB}, {name: other}]\nvms:\n  - {name: 7, memory: 64MiB, vcpus: 2, '
                                      'kernel: kernel, autostart: true, nics: [{switch: lan, vlan: 5}]}\n')
    d.command('vm', 'create', 'vm.yaml')
    own = d.ask('GET', '/v1/vms/7')['definition']
    assert own == {'name': '7', 'memory': '64MiB', 'vcpus': 2, 'kernel': str(d.folder / 'kernel'), 'autostart': True,
                   'nics': [{'switch': 'lan', 'vlan': 5}], 'switches': [{'name': 'lan', 'rate': '1MiB'}]}, own
    assert 'mezz: 7 is defined already' in d.command('vm', 'create', 'vm.yaml', status=1)
    assert re.search(r'^- +7 +off ', d.command('vm', 'list'), re.M)
    assert 'No such file' in d.command('vm', 'create', 'none.yaml', status=2)
    d.command('vm', 'start', 'web')
    assert json.loads(d.command('vm', 'info', '-o', 'json', 'web'))['state'] == 'running'
    assert {vm['name'] for vm in json.loads(d.command('vm', 'list', '-o', 'json'))} >= {'root', 'web', '7'}
    assert d.command('vm', 'console', '--once', 'web') == 'web is here\r\n'
    d.command('vm', 'pause', 'web')
    d.command('vm', 'resume', 'web')
    d.command('vm', 'restart', 'web')
    assert 'web runs already' in d.command('vm', 'start', 'web', status=1)
    d.command('vm', 'stop', 'web')
    assert d.command('vm', 'stop', 'nobody', status=1) == "mezz: no VM 'nobody' runs; `mezz vm list` shows those that do\n"
    assert d.command('vm', 'pause', 'root', status=1).startswith('mezz: root is the root VM')
    d.ask('POST', '/v1/vms', d.definition('deaf'), 201)
    d.command('vm', 'start', 'deaf')
    assert d.command('vm', 'stop', '--timeout', '0', 'deaf', status=1) == 'mezz: deaf still runs after 0 s; --force stops it at once\n'
    d.command('vm', 'stop', '--force', 'deaf')
    d.command('vm', 'delete', 'deaf', '7')
    assert 'the kernel file is no kernel' in d.command('vm', 'start', 'broken', status=1)
    assert 'expected' in d.command('vm', 'jump', 'web', status=2)


def test_completion(d):
    """The words that bash offers are those that the command knows."""
    def offers(line):
        words = line.split(' ')
        script = f'PATH={os.path.dirname(d.mezz)}:$PATH; . {HERE}/../../mezz/mezz.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mezz; echo "${{COMPREPLY[@]}}"'
        return subprocess.run(['bash', '-c', script, 'bash', *words], capture_output=True, text=True, env=d.environment, check=True).stdout.split()
    usage = subprocess.run([d.mezz], capture_output=True, text=True, check=False).stderr
    assert set(offers('mezz ')) - {'--version'} == set(re.findall(r'^  (\w+) ', usage, re.M))
    known = re.search('expected (.*)', d.command('vm', status=2))[1].replace(' or ', ', ')
    assert set(offers('mezz vm ')) == set(known.split(', '))
    assert offers('mezz vm start we') == ['web'] and offers('mezz vm list -o j') == ['json']


def test_killed(d):
    """Nothing that was acknowledged is lost, whenever mezzd is killed; VMs that run go on."""
    d.task('/v1/vms/web/start')
    before = d.ask('GET', '/v1/vms/web')['id']
    defined = set()
    for round_ in range(8):
        process = d.process
        killer = subprocess.Popen(['sh', '-c', f'sleep 0.0{round_}; kill -9 {process.pid}'])
        for n in range(1000):
            name = f'vm-{round_}-{n}'
            try:
                reply, _ = d.raw('POST', '/v1/vms', json.dumps(d.definition(name)))
                assert reply.status == 201
                defined.add(name)
                if n % 2:
                    defined.discard(name)
                    reply, _ = d.raw('DELETE', f'/v1/vms/{name}')
                    assert reply.status == 204
            except (OSError, http.client.HTTPException):
                break
        killer.wait()
        process.wait()
        d.start()
        names = {vm['name'] for vm in d.ask('GET', '/v1/vms')['vms']}
        assert defined <= names, f'lost: {defined - names}'
        for name in names:
            if name.startswith('vm-'):
                d.ask('DELETE', f'/v1/vms/{name}', status=204)
        defined.clear()
    assert d.ask('GET', '/v1/vms/web')['id'] == before
    d.task('/v1/vms/web/stop')


def test_killed_while_it_starts_a_vm(d):
    for pause in range(6):
        d.ask('POST', '/v1/vms/web/start', status=202)
        time.sleep(pause * 0.004)
        d.kill()
        d.start()
        d.wait(lambda: d.state('web') in ('off', 'running'), 'a VM that was made is started by the next one')
        if d.state('web') == 'running':
            d.task('/v1/vms/web/stop')


def test_autostart(d):
    for name, order in (('c', 2), ('b', 1), ('a', 2)):
        d.ask('POST', '/v1/vms', d.definition(name, autostart=True, order=order), 201)
    d.ask('POST', '/v1/vms', d.definition('d', autostart=False), 201)
    d.kill()
    d.start()
    time.sleep(0.3)
    assert d.state('a') == 'off', 'it starts with the machine, not with mezzd'
    d.machine_restarts()
    (d.folder / 'vms/bad.json').write_text('{')
    d.start()
    d.wait(lambda: all(d.state(name) == 'running' for name in 'abc'), 'those that start by themselves run')
    vms = {vm['name']: vm for vm in d.ask('GET', '/v1/vms')['vms']}
    assert vms['b']['id'] < vms['a']['id'] < vms['c']['id'] and vms['d']['state'] == 'off' and 'bad' not in vms
    assert (d.folder / 'vms/bad.json').exists()
    d.task('/v1/vms/a/stop')
    d.wait((d.folder / 'run/autostart.done').exists, 'it is noted')
    d.kill()
    d.start()
    time.sleep(0.3)
    assert d.state('a') == 'off' and d.state('b') == 'running', 'who was stopped stays so'


# Replies that nothing here provokes: the machine or the disk is broken, or there are more tasks than VMs.
UNSEEN = {500, 507}


def test_document(d):
    """Every reply of the document has been seen, but those that only a broken machine gives."""
    for pattern, entry in DOCUMENT['paths'].items():
        for method, operation in entry.items():
            for status in operation['responses'] if method != 'parameters' else ():
                if int(status) in UNSEEN or (status == '503' and pattern != '/v1/events'):
                    continue
                if status == '405' or (method.upper(), pattern, int(status)) in d.seen:
                    continue
                raise AssertionError(f'{method} {pattern}: {status} has not been seen')


def main():
    tests = [(name, f) for name, f in globals().items() if name.startswith('test_')]
    d, failed = Mezzd(sys.argv[1:3]), 0
    try:
        d.start()
        for name, test in tests:
            began = time.monotonic()
            try:
                test(d)
                print(f'{name:<32} {time.monotonic() - began:.1f} s')
            except (AssertionError, OSError, http.client.HTTPException, jsonschema.ValidationError, KeyError, ValueError) as e:
                failed += 1
                print(f'FAIL {name}: {type(e).__name__} {e}'[:1500])
                if d.process.poll() is not None:
                    break
    finally:
        try:
            d.stop()
        except AssertionError as e:
            failed += 1
            print(f'FAIL at the end: {e}')
    if failed:
        print((d.folder / 'log').read_text(errors='replace')[-3000:])
    else:
        subprocess.run(['rm', '-r', d.folder], check=True)
    print(f'{len(tests) - failed} passed, {failed} failed')
    return failed != 0


sys.exit(main())

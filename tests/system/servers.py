# SPDX-License-Identifier: MIT
"""The main job, as `make run` does it: two Debian servers; their page read and written from outside, over a clean end."""
import os
import pty
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from machine import Event, Failure
from uplinks import free_ports

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../tools')
ROOT_OFFSET = (2048 + 16 * 2048) * 512  # of the file system on a server's disk (tools/server-images)
START, STOP = 1800, 300  # seconds, for a machine that does much else
ROW = '1: hello from the database'


class Job:
    """One start of the servers, on a terminal of its own."""

    def __init__(self, build, model, folder, name):
        self.names = ['db', 'web', *(['root'] if model == 'micro' else [])]
        self.port = free_ports(1)[0]
        self.url = f'http://127.0.0.1:{self.port}/'
        self.folder = folder / name
        self.master, slave = pty.openpty()
        self.folder.mkdir(parents=True)
        with open(self.folder / 'run.out', 'wb') as out:
            self.process = subprocess.Popen(
                [f'{TOOLS}/run-servers', build, model, '--log', self.folder, '--stop-timeout', str(STOP)], stdin=slave, stdout=out, stderr=out,
                start_new_session=True,
                env={**os.environ, 'PORT': str(self.port), 'RUN': str(folder / 'disks')})
        os.close(slave)

    def said(self):
        return (self.folder / 'run.out').read_text(errors='replace')

    def fetch(self, data=None):
        """The rows of the page; None while nobody answers. Whoever answers gives the page, and no error instead."""
        try:
            with urllib.request.urlopen(self.url, data, timeout=300) as answer:
                return re.findall(r'<li>(.*?)</li>', answer.read().decode())
        except urllib.error.HTTPError as e:
            raise Failure(f'the web server answered {e.code}: {e.read()[:200]!r}') from e
        except OSError:
            return None

    def first_page(self):
        end = time.monotonic() + START
        while time.monotonic() < end:
            rows = self.fetch()
            if rows is not None:
                return rows
            if self.process.poll() is not None:
                raise Failure(f'the run ended (status {self.process.returncode}) before the page came: {self.said()[-500:]}')
            time.sleep(0.5)
        raise Failure(f'no page after {START} s')

    def finish(self):
        """After the request to power off: both servers did, by themselves."""
        try:
            status = self.process.wait(STOP + 60)
        except subprocess.TimeoutExpired as e:
            raise Failure(f'the run did not end within {STOP} s') from e
        lines = (self.folder / 'events.log').read_text(errors='replace').splitlines()
        ends = sorted(f'{e.what} {e.vm}' for e in map(Event, lines) if e.what in ('poweroff', 'exit', 'stopped', 'panic'))
        if status or ends != sorted(f'poweroff {name}' for name in self.names):
            raise Failure(f'the run returned {status}; {ends}')

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


def check_disk(path):
    """What a clean end leaves: a file system without a fault, and nothing in its journal to be done."""
    image = f'{path}?offset={ROOT_OFFSET}'
    state = subprocess.run(['/sbin/dumpe2fs', '-h', image], capture_output=True, text=True, check=False).stdout
    if not re.search(r'^Filesystem state: +clean$', state, re.M) or 'needs_recovery' in state:
        raise Failure(f'{path.name} was not unmounted cleanly')
    fsck = subprocess.run(['/sbin/e2fsck', '-fn', image], capture_output=True, text=True, check=False)
    if fsck.returncode:
        raise Failure(f'{path.name}: {fsck.stdout[-500:]}')


def expect(rows, wanted):
    if rows != wanted:
        raise Failure(f'the page shows {rows}, expected {wanted}')


def survive(build, model, folder):
    """Ctrl-C on the terminal ends the first run, a signal the second; what was written in the first is there in the second."""
    folder = folder.resolve()
    shutil.rmtree(folder)
    words = f'written at {time.time_ns()} <&>'
    escaped = words.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')
    seconds = []
    for name, stop in (('first', lambda job: os.write(job.master, b'\x03')),
                       ('second', lambda job: job.process.send_signal(signal.SIGINT))):
        start = time.monotonic()
        job = Job(build.resolve(), model, folder, name)
        try:
            rows = job.first_page()
            seconds.append(f'{name}: {time.monotonic() - start:.0f} s to the page')
            if name == 'first':
                expect(rows, [ROW])
                expect(job.fetch(urllib.parse.urlencode({'words': words}).encode()), [ROW, f'2: {escaped}'])
            else:
                expect(rows, [ROW, f'2: {escaped}'])
            start = time.monotonic()
            stop(job)
            job.finish()
            seconds.append(f'{time.monotonic() - start:.0f} s to the end')
        finally:
            job.kill()
        for server in ('db', 'web'):
            check_disk(folder / 'disks' / f'{server}.img')
    (folder / 'seconds').write_text('\n'.join(seconds) + '\n')
    shutil.rmtree(folder / 'disks')

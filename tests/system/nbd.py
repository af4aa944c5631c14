# SPDX-License-Identifier: MIT
"""A disk with a volatile cache, for QEMU's NBD client: what was not flushed is lost at a loss of power, wholly or by sectors.

Requests in flight are answered in any order; a flush covers what had been answered before it was begun, and no more."""
import random
import select
import socket
import struct
import threading

SECTOR, BLOCK = 512, 4096
HELLO, OPTION, REPLY = b'NBDMAGICIHAVEOPT', b'IHAVEOPT', 0x3E889045565A9
REQUEST, ANSWER = 0x25609513, 0x67446698
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
EXPORT_NAME, ABORT, INFO, GO = 1, 2, 6, 7
FLAGS = 1 | 4  # flags are there; flush is known


class Disk:
    """`safe` is what outlives a loss of power; `seen` what reads see; between them lie the pending writes. Below the byte
    `whole` the disk writes physical blocks of 4 KiB, each of which is kept or lost as a whole; behind it sectors."""

    def __init__(self, image, seed, lies=False, whole=0):
        self.safe, self.seen = bytearray(image), bytearray(image)
        self.pending, self.random, self.lies, self.whole = [], random.Random(seed), lies, whole
        self.flushes = self.lost = 0

    def write(self, offset, data):
        self.seen[offset:offset + len(data)] = data
        self.pending.append((offset, data))

    def flush(self):
        self.flushes += 1
        if self.lies:
            return
        for offset, data in self.pending:
            self.safe[offset:offset + len(data)] = data
        self.pending.clear()

    def lose_power(self, unfinished=()):
        """Of each sector, or block, that was written since the last flush, some version stays."""
        writes = [*self.pending, *unfinished]
        self.random.shuffle(writes)
        kept = self.random.choice((0.0, 0.5, 0.9))
        for offset, data in writes:
            at, end = offset, offset + len(data)
            while at < end:
                unit = BLOCK if at < self.whole else SECTOR
                to = min(at - at % unit + unit, end)
                if self.random.random() < kept:
                    self.safe[at:to] = data[at - offset:to - offset]
                else:
                    self.lost += (to - at) // SECTOR
                at = to
        self.pending.clear()
        return bytes(self.safe)


class Server(threading.Thread):
    """Serves the disk to one client at a port of this machine, until that is gone."""

    def __init__(self, disk):
        super().__init__(daemon=True)
        self.disk, self.queue = disk, []
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.connection, self.data = None, b''
        self.start()

    def run(self):
        try:
            self.connection = self.listener.accept()[0]
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.greet()
            while self.gather():
                self.answer(self.queue.pop(self.disk.random.randrange(len(self.queue))))
        except OSError:
            pass  # the client was killed

    def close(self):
        """The client is gone; what it had asked for and got no answer to."""
        self.listener.shutdown(socket.SHUT_RDWR)  # if nobody came
        self.join(10)
        self.listener.close()
        if self.connection:
            self.connection.close()
        return [(offset, data) for kind, _, offset, _, data in self.queue if kind == WRITE]

    # ---- bytes

    def fill(self, n):
        """Waits for n bytes."""
        while len(self.data) < n:
            more = self.connection.recv(1 << 20)
            if not more:
                raise OSError('the end')
            self.data += more

    def take(self, n):
        self.fill(n)
        part, self.data = self.data[:n], self.data[n:]
        return part

    # ---- the beginning: options, until the client goes on to requests

    def greet(self):
        self.connection.sendall(HELLO + struct.pack('>H', 3))
        self.take(4)
        while True:
            _, option, size = struct.unpack('>8sII', self.take(16))
            self.take(size)
            about = struct.pack('>QH', len(self.disk.safe), FLAGS)
            if option == EXPORT_NAME:
                self.connection.sendall(about)
                return
            if option == GO:
                self.reply(option, 3, struct.pack('>H', 0) + about)
            self.reply(option, 1 if option in (GO, ABORT) else 1 << 31 | 1)
            if option == GO:
                return

    def reply(self, option, kind, data=b''):
        self.connection.sendall(struct.pack('>QIII', REPLY, option, kind, len(data)) + data)

    # ---- requests

    def gather(self):
        """Takes what has come, waits if there is nothing; false: the client goes."""
        patience = None if not self.queue else self.disk.random.choice((0, 0, 0.0005))
        while len(self.data) >= 28 or select.select([self.connection], [], [], patience)[0]:
            magic, _, kind, handle, offset, size = struct.unpack('>IHHQQI', self.take(28))
            if magic != REQUEST or kind == DISCONNECT:
                return False
            self.queue.append((kind, handle, offset, size, self.take(size) if kind == WRITE else b''))
            patience = 0
        return True

    def answer(self, request):
        kind, handle, offset, size, data = request
        error, out = 0, b''
        if kind == READ:
            out = self.disk.seen[offset:offset + size]
        elif kind == WRITE:
            self.disk.write(offset, data)
        elif kind == FLUSH:
            self.disk.flush()
        else:
            error = 22
        self.connection.sendall(struct.pack('>IIQ', ANSWER, error, handle) + out)

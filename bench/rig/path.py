# SPDX-License-Identifier: MIT
"""Where the instructions go: every instruction from one call of a kernel function to its next, by function.

QEMU writes each instruction to its log, one translated block for each, between stops that gdb makes. Of a few
calls the shortest way to the next is shown: the one that no timer came into.
"""
import collections, os, re, signal, socket, subprocess, time

from . import paths
from .build import build
from .run import Options

LOG = os.path.join(paths.CACHE, "path.log")
SCRIPT = os.path.join(paths.CACHE, "path.gdb")
_TRACE = re.compile(r"^Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/", re.M)
SPANS = 8
GDB = """set pagination off
set confirm off
target remote :%(port)d
break *%(function)s
ignore 1 %(skip)d
continue
monitor singlestep on
monitor log exec,nochain
continue %(spans)d
continue
monitor log none
kill
"""


def report(peer, function, tests, skip):
    build([peer])
    if os.path.exists(LOG):
        os.remove(LOG)
    port = free_port()
    command = peer.command(Options("icount", tests)) + ["-S", "-gdb", "tcp:127.0.0.1:%d" % port, "-D", LOG]
    qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        with open(SCRIPT, "w") as f:
            f.write(GDB % {"port": port, "function": function, "skip": skip, "spans": SPANS - 1})
        gdb = subprocess.run(["gdb", "-q", "-batch", "-x", SCRIPT, peer.elf()], capture_output=True, text=True,
                             timeout=600)
    finally:
        qemu.send_signal(signal.SIGKILL)
        qemu.wait()
    with open(LOG, errors="replace") as f:
        addresses = [int(a, 16) for a in _TRACE.findall(f.read())]
    if not addresses:
        paths.fail("no second call of %s: %s" % (function, gdb.stderr.strip()[-300:]))
    starts = [i for i, a in enumerate(addresses) if a == addresses[0]] + [len(addresses)]
    spans = [addresses[a:b] for a, b in zip(starts, starts[1:])]
    show(min(spans, key=len), Symbols(peer.elf()))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port):
    """Until QEMU listens; looked up without a connection, which QEMU would take for its debugger."""
    want = ":%04X" % port
    for _ in range(300):
        if any(want in line and " 0A " in line for line in paths.read("/proc/net/tcp").splitlines()):
            return
        time.sleep(0.1)
    paths.fail("QEMU does not start")


class Symbols:
    def __init__(self, elf):
        out = subprocess.run(["nm", "-n", "--defined-only", elf], capture_output=True, text=True, check=True).stdout
        table = [line.split() for line in out.splitlines()]
        self.table = [(int(a, 16), name) for a, kind, name in table if kind in "tT" and int(a, 16) >> 63]
        self.end = self.table[-1][0] + 4096

    def name(self, address):
        """The function at the address; `guest` outside of the kernel's code."""
        if not self.table[0][0] <= address < self.end:
            return "guest"
        low, high = 0, len(self.table)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.table[middle][0] <= address else (low, middle)
        return self.table[low][1]


def show(addresses, symbols):
    total, sequence = collections.Counter(), []
    for a in addresses:
        name = symbols.name(a)
        total[name] += 1
        if not sequence or sequence[-1][0] != name:
            sequence.append([name, 0])
        sequence[-1][1] += 1
    print("%d instructions" % len(addresses))
    for name, n in total.most_common():
        print("%7d %s" % (n, name))
    print("\nIn order: " + " ".join("%s:%d" % tuple(s) for s in sequence))

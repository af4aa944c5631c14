#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An emulator for tests of `mezz run`: the environment's PLAN names the machine that it plays, one of the plan_* below."""
import json, os, re, signal, socket, sys, time

LOG, EVENTS, VM = 0x20, 0x21, 0x22


class Machine:
    """The other end of the serial line and of the monitor."""

    def __init__(self):
        words = sys.argv[1:]
        fds = dict(re.findall(r"socket,id=(\w+),fd=(\d+)", " ".join(words)))
        self.line = socket.socket(fileno=int(fds["line"]))
        self.qmp = socket.socket(fileno=int(fds["qmp"]))
        self.image = words[words.index("-initrd") + 1]
        self.rest = b""

    def send(self, channel, data):
        data = data.encode() if isinstance(data, str) else data
        for i in range(0, len(data), 255):
            piece = data[i : i + 255]
            self.line.sendall(bytes([1, channel, len(piece)]) + piece)

    def event(self, text):
        self.send(EVENTS, text + "\n")

    def receive(self):
        """The next frame from mezz, as (channel, bytes)."""
        while len(self.rest) < 3 or len(self.rest) < 3 + self.rest[2]:
            more = self.line.recv(4096)
            if not more:
                sys.exit(0)
            self.rest += more
        assert self.rest[0] == 1
        end = 3 + self.rest[2]
        channel, data, self.rest = self.rest[1], self.rest[3:end], self.rest[end:]
        return channel, data

    def begin(self):
        self.event("start web")
        self.event("start db")

    def finish(self):
        self.event("poweroff web")
        self.event("poweroff db")
        self.event("end")


def plan_good(m):
    m.line.sendall(b"firmware says hello\n")
    m.send(LOG, "kernel says hello\n")
    m.begin()
    m.send(VM, "web line\r\n")
    m.send(VM + 1, "db line\n")
    m.finish()


def plan_args(m):
    with open(m.image, "rb") as f:
        head = f.read(4096)
    m.begin()
    m.send(VM, "ARGS " + json.dumps(sys.argv[1:]) + "\n")
    m.send(VM, "BUNDLE %s\n" % (head.startswith(b"070701") and b"vm web\n" in head))
    m.send(VM, "STDIN %r\n" % os.read(0, 10))
    m.finish()


def plan_hostile(m):
    m.begin()
    m.send(VM, "\x1b[31mraw\x1b[0m\r\n")
    m.send(VM + 1, "\x1b[2J\x1b]0;title\x07evil\b\x7f\ttab\r\n")
    m.send(EVENTS, "stopped db \x1b[2Jbad\n")
    m.event("poweroff web")
    m.event("end")


def plan_midline(m):
    m.begin()
    m.send(VM, "half")
    m.send(VM + 1, "other\n")
    time.sleep(0.1)
    m.send(VM, "line\n")
    time.sleep(0.1)
    m.send(VM, "prompt# ")
    m.send(VM + 1, "later\n")
    time.sleep(1)
    m.finish()


def plan_partial(m):
    m.begin()
    m.send(VM + 1, "login: ")
    time.sleep(1)
    m.send(VM, "MARK\n")
    m.finish()


def plan_stopped(m):
    m.begin()
    m.event("stopped web triple fault at rip 0x1000")
    m.event("poweroff db")
    m.event("end")


def plan_exit(m):
    m.begin()
    m.event("exit web 1")
    m.event("reboot db")
    m.event("poweroff db")
    m.event("end")


def plan_silent_end(m):
    m.begin()
    m.event("poweroff web")
    m.event("end")


def plan_panic(m):
    m.begin()
    m.event("panic page fault in kernel")
    m.send(LOG, "backtrace: frame_alloc+0x10\n")
    time.sleep(60)


def plan_early_panic(m):
    m.line.sendall(b"starting\n\nPANIC on CPU 0: no memory\n  #0 start+0x10\n")
    time.sleep(60)


def plan_reset(m):
    m.begin()
    m.qmp.sendall(b'{"QMP": {}}\r\n{"timestamp": {}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}\r\n')
    m.send(LOG, "last words\n")


def plan_off(m):
    m.begin()
    m.qmp.sendall(b'{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}\r\n')


def plan_die(m):
    print("qemu: warning: TCG doesn't support requested feature: x", file=sys.stderr)
    print("qemu: cannot do that", file=sys.stderr)
    sys.exit(1)


def plan_killed(m):
    os.kill(os.getpid(), signal.SIGSEGV)


def plan_hang(m):
    m.begin()
    m.send(VM, "PID %d\n" % os.getpid())
    time.sleep(60)


def plan_stubborn(m):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    plan_hang(m)


def plan_no_power_off(m):
    m.begin()
    m.finish()
    time.sleep(60)


def plan_echo(m):
    """Tells who got which byte; a Z ends it."""
    time.sleep(0.3)
    m.begin()
    while True:
        channel, data = m.receive()
        if data == b"Z":
            break
        m.send(VM, "GOT %#x %r\n" % (channel, data))
    m.finish()


def plan_button(m):
    """VMs that take the second press of the power button, as one that was still booting at the first."""
    m.begin()
    m.send(VM, "PID %d\n" % os.getpid())
    for _ in range(2):
        assert m.receive() == (EVENTS, b"\xfe")
    m.finish()


def plan_no_button(m):
    """VMs that do not power off until they are stopped."""
    m.begin()
    m.send(VM, "PID %d\n" % os.getpid())
    while m.receive() != (EVENTS, b"\xff"):
        pass
    m.event("stopped web by request")
    m.event("stopped db by request")
    m.event("end")


def plan_garbage(m):
    m.line.sendall(bytes(range(256)) + b"\x01\x01\x20\x00\x01\xff\x05")
    m.begin()
    m.line.sendall(b"\x01" + bytes([VM + 7, 3]) + b"???")  # a VM that the configuration does not have
    m.send(EVENTS, b"what is this\n\n")
    m.send(VM, "alive\n")
    m.send(EVENTS, "power")
    m.send(EVENTS, "off web\npoweroff db\nend\n")


def plan_ended_first(m):
    """web ends, and db goes on: what is typed then is db's."""
    m.begin()
    m.event("poweroff web")
    m.send(VM + 1, "db goes on\n")
    while m.receive()[1] != b"Z":
        pass
    m.send(VM + 1, "db got it\n")
    m.event("poweroff db")
    m.event("end")


def plan_flood(m):
    m.begin()
    block = (b"x" * 99 + b"\n") * 100
    for _ in range(100):
        m.send(VM, block)
        m.send(VM + 1, block)
    m.finish()


if __name__ == "__main__":
    globals()["plan_" + os.environ["PLAN"]](Machine())

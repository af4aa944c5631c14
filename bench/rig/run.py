# SPDX-License-Identifier: MIT
"""Runs a peer: starts QEMU, follows its serial line until the end or a time limit, and keeps log and result."""
import fcntl, json, os, select, subprocess, time

from . import machine, paths, serial
from .build import build

DEFAULT_TESTS = "mem,cpu,exit,timer,ipi,blk,lo,net"


class Options:
    """One run's parameters; words() are what the guest wants on its command line."""

    def __init__(self, mode, tests=DEFAULT_TESTS, scale=100, hold=0, label="", loud=False, timeout=420, stall=100,
                 words=()):
        self.mode, self.tests, self.scale, self.hold = mode, tests, scale, hold
        self.label, self.loud, self.timeout, self.stall = label, loud, timeout, stall
        self.host_extra = list(words)
        self.cpus = machine.cpus(mode)
        self.memory = machine.GUEST_MEMORY
        self.icount = mode == "icount"
        self.disk = "nvme" if "nvme" in tests.split(",") else "ram" if self.icount else "virtio"
        self.port = None  # of the network partner outside of the machine
        self.card = ""    # the machine's network card in tests with that partner; then Linux has all its drivers
        self.two = any(t.startswith("g2g") for t in tests.split(","))  # there is a second guest

    def guest(self):
        """Kernel and initial RAM disk."""
        return (paths.host_kernel(), paths.CARD_INITRD) if self.card else (paths.guest_kernel(), paths.GUEST_INITRD)

    def words(self, prefix="rig.", tests=None):
        w = [prefix + "tests=" + (self.tests if tests is None else tests), prefix + "scale=%d" % self.scale]
        if self.hold:
            w.append(prefix + "hold=%d" % self.hold)
        return " ".join(w)

    def host_words(self):
        """For a host side that is Linux: it hands rig.g.* on to the guest."""
        w = [self.words("rig.g."), "rig.gmem=%d rig.gcpus=%d" % (self.memory, self.cpus),
             "rig.disk=" + ("ram" if self.disk == "ram" else "/dev/vda")]
        if self.two:
            w.append("rig.two=1")
        if self.loud:
            w.append("rig.loud=1 rig.dmesg=1")
        return " ".join(w + self.host_extra)


def run(peer, options, reps=1):
    """So many runs; their results, the failed ones marked with ok = False."""
    os.makedirs(paths.RESULTS, exist_ok=True)
    results = []
    with open(os.path.join(paths.CACHE, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one measured machine at a time
        build([peer])
        for _ in range(reps):
            results.append(run_once(peer, options))
    return results


def run_once(peer, options):
    tag = ".".join(x for x in (peer.name, options.mode, options.card, options.label) if x)
    base = next_name(os.path.join(paths.RESULTS, tag))
    partner = network_partner(peer, options)
    res = serial.new_result(peer=peer.name, mode=options.mode, label=".".join(x for x in (options.card, options.label) if x), tests=options.tests,
                            scale=options.scale, load=os.getloadavg()[0],
                            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    res["command"] = peer.command(options)
    try:
        with open(base + ".log", "w") as log:
            follow(peer, options, res, log)
    finally:
        if partner:
            partner.kill()
            partner.wait()
    res["ok"] = "end" in res["bench"]
    with open(base + ".json", "w") as f:
        json.dump(res, f, indent=1)
    paths.say("%s: %s, %.1f s, %d values%s" % (os.path.basename(base), "ok" if res["ok"] else "FAILED (%s.log)" % base,
              res["wall"]["total"], len(res["bench"]), "".join("; " + w for w in res["warn"][:3])))
    return res


def next_name(base):
    n = 1
    while os.path.exists("%s.%d.json" % (base, n)):
        n += 1
    return "%s.%d" % (base, n)


def network_partner(peer, options):
    if not peer.netserver(options):
        return None
    p = subprocess.Popen([paths.RIGTOOL, "netserver", "127.0.0.1", "0"], stdout=subprocess.PIPE, text=True)
    options.port = int(p.stdout.readline().split()[1])
    return p


def follow(peer, options, res, log):
    """Each line goes to the log with its time, to the rig's parser and to the peer's."""
    qemu = subprocess.Popen(res["command"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)
    start = last = time.monotonic()
    rest, end = b"", None
    try:
        while True:
            now = time.monotonic()
            why = overdue(options, now - start, now - last, end and now - end)
            if why:
                res["warn"].append(why)
                break
            if not select.select([qemu.stdout], [], [], 1)[0]:
                continue
            data = os.read(qemu.stdout.fileno(), 65536)
            if not data:
                break
            last = time.monotonic()
            *lines, rest = (rest + data).split(b"\n")
            for raw in lines:
                line = raw.decode("latin1").replace("\r", "").strip()
                log.write("%10.3f %s\n" % (last - start, line))
                peer.parse(line, last - start, res)
                if serial.parse(line, last - start, res):
                    end = last
            log.flush()
    finally:
        res["wall"]["total"] = time.monotonic() - start
        stop(qemu)


def overdue(options, total, silent, since_end):
    if total > options.timeout:
        return "time limit of %d s" % options.timeout
    if silent > options.stall:
        return "no line for %d s" % options.stall
    if since_end and since_end > 30:
        return "the machine did not power off"
    return None


def stop(qemu):
    try:
        qemu.wait(0.5)
    except subprocess.TimeoutExpired:
        qemu.kill()
    qemu.wait()

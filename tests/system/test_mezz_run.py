#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`mezz run` against an emulator of our own: consoles, keys, logs, exit statuses, and nothing left behind.

The emulator is played_machine.py, started by mezz through MEZZ_QEMU; PLAN names the machine that it plays.
Usage: test_mezz_run.py [path of mezz] [test ...]; the last line is "N passed, N failed".
"""
import json, os, pty, re, select, shutil, signal, subprocess, sys, tempfile, termios, time

HERE = os.path.dirname(os.path.abspath(__file__))

CONFIG = """vms:
  - {name: web, memory: 16MiB, vcpus: 1, kernel: vmlinuz}
  - {name: db, memory: 32MiB, vcpus: 1, kernel: vmlinuz, cmdline: console=hvc0}
"""


class World:
    """A folder with mezz beside kernels that need not be real, and a configuration."""

    def __init__(self, mezz):
        self.folder = tempfile.mkdtemp(prefix="mezz-test.")
        self.mezz = os.path.join(self.folder, "mezz")
        shutil.copy(mezz, self.mezz)
        for name in ("mezzanine-micro.elf", "mezzanine-mono.elf", "vmlinuz"):
            self.write(name, name)
        self.config = self.write("c.yaml", CONFIG)
        self.logs = os.path.join(self.folder, "deep", "logs")

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def environment(self, plan):
        return dict(os.environ, MEZZ_QEMU=os.path.join(HERE, "played_machine.py"), PLAN=plan, TMPDIR=self.folder)

    def start(self, plan, *options, **kw):
        kw = dict(dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE), **kw)
        return subprocess.Popen([self.mezz, "run", *options, self.config], env=self.environment(plan), **kw)

    def run(self, plan, *options, typed=None):
        p = self.start(plan, *options, stdin=subprocess.PIPE if typed is not None else subprocess.DEVNULL)
        out, err = p.communicate(typed, timeout=30)
        return p.returncode, out.decode(errors="replace"), err.decode(errors="replace")

    def call(self, *words):
        p = subprocess.run([self.mezz, *words], capture_output=True, text=True, cwd=self.folder, timeout=30)
        return p.returncode, p.stdout, p.stderr

    def log(self, name):
        with open(os.path.join(self.logs, name + ".log"), "rb") as f:
            return f.read()


def same(is_, expected):
    if is_ != expected:
        raise AssertionError("%r, expected %r" % (is_, expected))


def has(text, *parts):
    for part in parts:
        if part not in text:
            raise AssertionError("no %r in %r" % (part, text))


def gone(pid):
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        with open("/proc/%d/stat" % pid) as f:  # an orphan that init has yet to reap is as good as gone
            if ") Z " in f.read():
                return
        time.sleep(0.05)
    raise AssertionError("process %d is left behind" % pid)


def test_good(w):
    status, out, err = w.run("good", "--log", w.logs)
    same(status, 0)
    same(out, "web line\r\ndb| db line\nweb: powered off\ndb: powered off\n")
    assert err in ("", "[mezz: attached to db; Ctrl-] ? for help]\n")  # db may still run when web has ended
    same(w.log("web"), b"web line\r\n")
    same(w.log("db"), b"db line\n")
    same(w.log("mezzanine"), b"firmware says hello\nkernel says hello\n")
    events = w.log("events").decode().splitlines()
    same([e.split(" ", 1)[1] for e in events], ["start web", "start db", "poweroff web", "poweroff db", "end"])
    assert all(re.match(r"\d+\.\d{3} ", e) for e in events)


def test_verbose(w):
    out = w.run("good", "--verbose")[1]
    has(out, "mezzanine| firmware says hello\n", "mezzanine| kernel says hello\n")


def test_command_line(w):
    status, out, _ = w.run("args", "--cpus", "4", "--model", "mono", "--kernel-args", "trace=all loud",
                           "--qemu-args", "-device 'a b' \"c\"", "--cpu", "max", "--gdb")
    same(status, 0)
    args = json.loads(re.search(r"ARGS (.*)", out).group(1))
    text = " ".join(args)
    has(text, "-M q35", "-accel tcg,thread=multi", "-nodefaults", "-no-user-config", "-display none", "-no-reboot",
        "-smp 5", "-cpu max", "-m 320M", "-s -S", "/mezzanine-mono.elf")
    same(args[args.index("-append") + 1], "console=frames trace=all loud")
    same(args[-3:], ["-device", "a b", "c"])
    has(out, "BUNDLE True", "STDIN b''")


def test_disks_and_cards(w):
    for name in ("a,b.img", "c.img"):
        w.write(name, "x" * 512)
    folder = w.folder
    status, out, _ = w.run("args", "--disk", folder + "/a,b.img", "--disk", "sata:" + folder + "/c.img", "--snapshot",
                           "--forward", "8080:10.0.2.15:80", "--forward", "2222:10.0.2.16:22")
    same(status, 0)
    args = json.loads(re.search(r"ARGS (.*)", out).group(1))
    same(args[args.index("-drive"):], [
        "-drive", "if=none,id=disk0,format=raw,discard=unmap,file=%s/a,,b.img,snapshot=on" % folder,
        "-device", "nvme,drive=disk0,serial=a_b.img",
        "-drive", "if=none,id=disk1,format=raw,discard=unmap,file=%s/c.img,snapshot=on" % folder,
        "-device", "ide-hd,drive=disk1,serial=c.img",
        "-netdev", "user,id=net0,hostfwd=tcp:127.0.0.1:8080-10.0.2.15:80,hostfwd=tcp:127.0.0.1:2222-10.0.2.16:22",
        "-device", "e1000e,netdev=net0"])
    out = w.run("args", "--nic", "virtio", "--nic", "e1000e")[1]
    has(out, '"-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0", '
        '"-netdev", "user,id=net1", "-device", "e1000e,netdev=net1"]')


def test_memory_option(w):
    out = w.run("args", "--memory", "1GiB")[1]
    has(out, '"-m", "1024M"', '"-cpu", "EPYC,+svm,+npt"', '"-smp", "3"')
    has(w.run("args", "--cpus", "1")[1], '"-smp", "1"')


def test_hostile_bytes(w):
    status, out, _ = w.run("hostile", "--log", w.logs)
    same(status, 3)
    has(out, "\x1b[31mraw\x1b[0m\r\n", "db| evil\ttab\n", "db: stopped: bad\n")
    has(w.log("db"), b"\x1b[2J\x1b]0;title\x07evil\b\x7f\ttab\r\n")


def test_lines_wait(w):
    out = w.run("midline")[1]
    has(out, "halfline\ndb| other\n", "prompt# \ndb| later\n")


def test_partial_line(w):
    has(w.run("partial")[1], "db| login: \nMARK\n")


def test_attach_option(w):
    status, out, _ = w.run("good", "--attach", "db")
    has(out, "db line\n", "web| web line\n")
    status, _, err = w.run("good", "--attach", "nobody")
    same(status, 2)
    has(err, "--attach 'nobody', expected a VM's name")


def test_stopped(w):
    status, out, _ = w.run("stopped")
    same(status, 3)
    has(out, "web: stopped: triple fault at rip 0x1000\n")


def test_debug_exit(w):
    status, out, _ = w.run("exit")
    same(status, 0)
    has(out, "web: exit 1\n", "db: rebooted\n")


def test_end_without_a_word(w):
    status, out, _ = w.run("silent_end")
    same(status, 1)
    has(out, "mezz: the kernel ended without a word about db\n")


def test_panic(w):
    begin = time.time()
    status, out, err = w.run("panic")
    same(status, 4)
    has(out, "mezzanine: panic: page fault in kernel\n")
    has(err, "mezzanine| backtrace: frame_alloc+0x10\n")
    assert time.time() - begin < 15


def test_early_panic(w):
    status, out, err = w.run("early_panic")
    same(status, 4)
    has(out, "mezzanine: panic: on CPU 0: no memory\n")
    has(err, "mezzanine|   #0 start+0x10\n")


def test_machine_reset(w):
    status, _, err = w.run("reset")
    same(status, 1)
    has(err, "the emulated machine reset without a word", "mezzanine| last words")


def test_machine_off(w):
    status, _, err = w.run("off")
    same(status, 1)
    has(err, "the emulated machine powered off without a word")


def test_emulator_died(w):
    status, _, err = w.run("die")
    same(status, 1)
    has(err, "the emulator died: exit status 1\nqemu: cannot do that\n")
    status, _, err = w.run("killed")
    same(status, 1)
    has(err, "the emulator died: killed by signal 11")


def test_no_emulator(w):
    env = dict(w.environment("good"), MEZZ_QEMU="/nonexistent/qemu")
    p = subprocess.run([w.mezz, "run", w.config], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    same(p.returncode, 1)
    has(p.stderr, "mezz: /nonexistent/qemu: No such file or directory")


def test_timeout(w):
    begin = time.time()
    status, out, _ = w.run("hang", "--timeout", "1")
    same(status, 124)
    assert 0.9 < time.time() - begin < 10
    has(out, "mezz: the time is up\n")
    gone(int(re.search(r"PID (\d+)", out).group(1)))


def test_stubborn_emulator(w):
    status, out, _ = w.run("stubborn", "--timeout", "1")
    same(status, 124)
    gone(int(re.search(r"PID (\d+)", out).group(1)))


def test_no_power_off(w):
    status, out, _ = w.run("no_power_off")
    same(status, 1)
    has(out, "mezz: the machine did not power itself off\n")


def read_until(fd, pattern, seconds=10):
    seen, end = b"", time.time() + seconds
    while not re.search(pattern, seen):
        if not select.select([fd], [], [], max(0, end - time.time()))[0]:
            raise AssertionError("no %r in %r" % (pattern, seen))
        seen += os.read(fd, 4096)
    return seen


def end_by(w, number, expected, *options, plan="hang"):
    """A signal, the exit status that must follow, and nothing left; what mezz said."""
    p = w.start(plan, *options)
    pid = int(re.search(rb"PID (\d+)\n", read_until(p.stdout.fileno(), rb"PID \d+\n")).group(1))
    p.send_signal(number)
    out = p.communicate(timeout=30)[0].decode()
    same(p.returncode, expected)
    gone(pid)
    return out


def test_signals(w):
    end_by(w, signal.SIGHUP, 129)
    end_by(w, signal.SIGINT, 130, "--stop-timeout", "0")
    end_by(w, signal.SIGTERM, 143, "--stop-timeout", "0")
    has(end_by(w, signal.SIGINT, 0, plan="button"), "web: powered off\ndb: powered off\n")
    has(end_by(w, signal.SIGTERM, 0, plan="button"), "web: powered off\ndb: powered off\n")


def test_no_answer_to_the_button(w):
    begin = time.time()
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        out = end_by(w, number, status, "--stop-timeout", "1", plan="no_button")
        has(out, "the VMs are asked to power off", "the VMs that still run are stopped", "db: stopped: by request")
    end_by(w, signal.SIGINT, 130, "--stop-timeout", "1", plan="hang")  # the kernel does not answer either
    assert time.time() - begin < 25


def test_second_signal(w):
    p = w.start("no_button")
    read_until(p.stdout.fileno(), rb"PID \d+\n")
    p.send_signal(signal.SIGINT)
    read_until(p.stdout.fileno(), rb"asked to power off")
    p.send_signal(signal.SIGINT)
    has(p.communicate(timeout=20)[0], b"are stopped", b"web: stopped: by request")
    same(p.returncode, 130)


def test_power_keys(w):
    status, out, _ = w.run("echo", "--verbose", typed=b"\x1db\x1dn\x1db\x1dn\x1ddnot\x1dnZ")
    same((status, re.findall(r"GOT (\S+ b.*)", out)), (0, [r"0x21 b'\x00'", r"0x21 b'\x01'"]))
    same(w.run("button", typed=b"\x1ds")[0], 0)


def test_nobody_attached(w):
    status, out, err = w.run("good", "--no-attach")
    same((status, out, err), (0, "web: powered off\ndb: powered off\n", ""))
    has(w.run("good", "--no-attach", "--verbose")[1], "web| web line\n", "db| db line\n", "mezzanine| kernel says hello\n")
    status, out, err = w.run("good", "--no-attach", typed=b"\x1dn")
    same(status, 0)
    has(err, "attached to web")


def test_ctrl_c_on_a_terminal(w):
    """Nobody attached: Ctrl-C is the request to power off. No signal: whoever started mezz does not see it."""
    master, slave = pty.openpty()
    p = w.start("button", "--no-attach", "--verbose", stdin=slave, stdout=slave, stderr=slave)
    read_until(master, rb"web\| PID \d+")
    os.write(master, b"\x03")
    read_until(master, rb"asked to power off")
    read_until(master, rb"db: powered off", 15)
    same(p.wait(timeout=20), 0)
    os.close(master)
    os.close(slave)


def test_mezz_killed(w):
    end_by(w, signal.SIGKILL, -signal.SIGKILL)


def test_reader_gone(w):
    p = w.start("flood")
    p.stdout.close()
    p.stderr.read()
    assert p.wait(timeout=20) != 0


def test_input(w):
    status, out, _ = w.run("echo", typed=b"a\n\x1dnb\x1dpc\x1dkd\x1d\x1d\x1dnZ")
    same(status, 0)
    got = re.findall(r"GOT (\S+) (b.*)", out)
    same(got, [("0x22", "b'a'"), ("0x22", r"b'\n'"), ("0x23", "b'b'"), ("0x22", "b'c'"), ("0x20", "b'd'"),
               ("0x20", r"b'\x1d'")])


def test_input_follows(w):
    status, out, err = w.run("ended_first", typed=b"Z")
    same(status, 0)
    has(out, "db goes on\n", "db got it\n")
    has(err, "attached to db")


def test_leave_by_key(w):
    status, out, _ = w.run("hang", typed=b"\x1d?\x1dq")
    same(status, 130)
    has(out, "n next VM")


def test_terminal(w):
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    p = w.start("echo", stdin=slave, stdout=slave, stderr=slave)
    read_until(master, rb"attached to web")
    same(termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ISIG | termios.ECHO), 0)
    time.sleep(0.6)
    os.write(master, b"\x03")
    read_until(master, rb"GOT 0x22 b'\\x03'")
    os.write(master, b"\x1dq")
    read_until(master, rb"$")
    same(p.wait(timeout=20), 130)
    same(termios.tcgetattr(slave), before)
    os.close(master)
    os.close(slave)


def test_prompt_is_shown_again(w):
    master, slave = pty.openpty()
    p = w.start("midline", stdout=slave)
    os.close(slave)
    seen = read_until(master, rb"powered off").replace(b"\r", b"")
    p.communicate(timeout=20)
    os.close(master)
    has(seen, b"halfline\ndb| other\n", b"prompt# \ndb| later\nprompt# ")


def test_garbage(w):
    status, out, _ = w.run("garbage", "--log", w.logs)
    same(status, 0)
    has(out, "alive\n", "mezz: unknown event from the kernel: what is this\n")
    same(w.log("mezzanine"), bytes(range(256)) + b"\x01\x01\x20\x00\x01\xff\x05")


def test_flood(w):
    status, out, _ = w.run("flood", "--log", w.logs)
    same(status, 0)
    same(len(w.log("web")), 1000000)
    same(len(w.log("db")), 1000000)
    same(out.count("db| " + "x" * 99 + "\n"), 10000)


def test_logs_are_files(w):
    os.makedirs(w.logs)
    os.symlink(w.config, os.path.join(w.logs, "web.log"))
    status, _, err = w.run("good", "--log", w.logs)
    same(status, 1)
    with open(w.config) as f:
        same(f.read(), CONFIG)


def test_nothing_left(w):
    w.run("good")
    same(sorted(os.listdir(w.folder)), ["c.yaml", "mezz", "mezzanine-micro.elf", "mezzanine-mono.elf", "vmlinuz"])


def test_dry_run(w):
    status, out, _ = w.call("run", "--dry-run", "--qemu-args", "-name \"it's\"", "c.yaml")
    same(status, 0)
    make, qemu = out.splitlines()
    same(make, "mezz bundle -o mezz.bundle c.yaml")
    has(qemu, "qemu-system-x86_64 -M q35", "-initrd mezz.bundle -append console=frames", "-name 'it'\\''s'")
    status, out, _ = w.call("run", "--dry-run", "--boot", "uefi", "--model", "mono", "c.yaml")
    same(status, 0)
    has(out, "mezz iso --model=mono --kernel-args=console=frames -o mezz.iso c.yaml", "-bios ", "file=mezz.iso")
    assert "mezz.iso" not in os.listdir(w.folder)


def test_usage(w):
    for words, expected in (
        ([], "usage: mezz COMMAND"),
        (["frobnicate"], "unknown command 'frobnicate'"),
        (["run"], "expected one configuration file"),
        (["run", "c.yaml", "c.yaml"], "expected one configuration file"),
        (["run", "--cpus", "65", "c.yaml"], "--cpus '65', expected a number from 1 to 64"),
        (["run", "--model", "macro", "c.yaml"], "--model 'macro', expected micro or mono"),
        (["run", "--boot", "floppy", "c.yaml"], "--boot 'floppy', expected pvh, bios or uefi"),
        (["run", "--memory", "lots", "c.yaml"], "--memory 'lots', expected a multiple of 1MiB, at least 64MiB"),
        (["run", "--timeout", "0", "c.yaml"], "--timeout '0', expected a number of seconds"),
        (["run", "--qemu-args", "'open", "c.yaml"], "expected words with closed quotes"),
        (["run", "--stop-timeout", "-1", "c.yaml"], "--stop-timeout '-1', expected a number of seconds"),
        (["run", "--disk", "none.img", "c.yaml"], "--disk 'none.img', expected a file that can be read and written"),
        (["run", "--nic", "ne2000", "c.yaml"], "--nic 'ne2000', expected e1000e or virtio"),
        (["run", "--forward", "80", "c.yaml"], "--forward '80', expected PORT:ADDRESS:PORT"),
        (["run", "--forward", "80::80", "c.yaml"], "expected PORT:ADDRESS:PORT"),
        (["run", "--forward", "80:10.0.2.15,x:80", "c.yaml"], "expected PORT:ADDRESS:PORT"),
        (["run", "--forward", "0:10.0.2.15:80", "c.yaml"], "expected PORT:ADDRESS:PORT"),
        (["run", "--forward", "80:10.0.2.15:65536", "c.yaml"], "expected PORT:ADDRESS:PORT"),
        (["run", "--nonsense", "c.yaml"], "unknown option '--nonsense'"),
        (["run", "--timeout"], "no value after '--timeout'"),
        (["bundle", "c.yaml"], "no output file, expected -o FILE"),
        (["bundle", "-o", "x", "none.yaml"], "none.yaml:1: No such file or directory, expected a YAML file"),
        (["iso", "-o", "x"], "expected one configuration file"),
        (["help", "nobody"], "expected a command"),
    ):
        status, out, err = w.call(*words)
        same((status, out), (2, ""))
        has(err, expected)


def test_bad_configuration_is_one_line(w):
    w.write("bad.yaml", "vms:\n  - {name: web, memory: 1, vcpus: 1, kernel: vmlinuz}\n")
    for words in (["run", "bad.yaml"], ["bundle", "-o", "x", "bad.yaml"], ["iso", "-o", "x", "bad.yaml"]):
        status, out, err = w.call(*words)
        same((status, out), (2, ""))
        same(err, "bad.yaml:2: memory: '1', expected a number with KiB, MiB, GiB or TiB\n")
    assert "x" not in os.listdir(w.folder)


def test_help(w):
    status, out, _ = w.call("help")
    same(status, 0)
    has(out, "bundle", "iso", "run")
    has(w.call("help", "run")[1], "usage: mezz run [--model micro|mono]")
    has(w.call("--version")[1], "mezz ")


def test_bundle(w):
    same(w.call("bundle", "-o", "out", "c.yaml")[0], 0)
    p = subprocess.run(["cpio", "-it", "--quiet"], stdin=open(os.path.join(w.folder, "out")), capture_output=True, text=True)
    same(p.stdout.split(), ["mezzanine.conf", "f0"])
    with open(os.path.join(w.folder, "out"), "rb") as f:
        first = f.read()
    same(w.call("bundle", "-o", "out", "c.yaml")[0], 0)
    with open(os.path.join(w.folder, "out"), "rb") as f:
        same(f.read(), first)


def test_trace(w):
    w.write("log", "[ 1] trace: 0 30 6 1 0 ec 0\nother\n[ 1] trace: 1 20 1 1 0 1000 a\n")
    same(w.call("trace", "log"), (0, "           0 cpu1   1.0  exit      rip 1000 hlt\n"
                                     "          16 cpu0   1.0  irq       destination ec vector 00 mode 0\n", ""))
    same(w.call("trace", "c.yaml")[0], 1)


def test_iso(w):
    status, _, err = w.call("iso", "--kernel-args", "one 'two words'", "-o", "out.iso", "c.yaml")
    same((status, err), (0, ""))
    image = os.path.join(w.folder, "out.iso")

    def extract(path):
        target = os.path.join(w.folder, "extracted")
        subprocess.run(["xorriso", "-osirrox", "on", "-indev", image, "-extract", path, target], check=True,
                       capture_output=True)
        with open(target, "rb") as f:
            data = f.read()
        os.remove(target)
        return data

    has(extract("/boot/grub/grub.cfg"), b"multiboot2 /boot/mezzanine.elf one 'two words'\nmodule2 /boot/bundle\n")
    same(extract("/boot/mezzanine.elf"), b"mezzanine-micro.elf")
    same(extract("/boot/bundle")[:6], b"070701")
    with open(image, "rb") as f:
        same(f.read(512)[510:], b"\x55\xaa")  # a disk's boot sector, too
    has(subprocess.run(["xorriso", "-indev", image, "-report_el_torito", "plain"], capture_output=True, text=True).stdout,
        "BIOS", "UEFI")


def main():
    words = sys.argv[1:]
    mezz = words.pop(0) if words and not words[0].startswith("test_") else os.path.join(HERE, "../../build/mezz")
    passed = failed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_") or (words and name not in words):
            continue
        w = World(mezz)
        try:
            test(w)
            passed += 1
        except Exception as e:
            failed += 1
            print("FAIL %s: %s: %s" % (name, type(e).__name__, e))
        finally:
            shutil.rmtree(w.folder)
    print("%d passed, %d failed" % (passed, failed))
    return failed != 0 or passed == 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""Mezzanine, either model: the kernel by PVH with a bundle of the one guest."""
import os, re, subprocess

from .. import machine, paths
from ..image import Image, module_files
from .peer import Peer

DISKS = ("blk", "blk16", "nvme")  # tests of a disk
ROOT_MEMORY = 512  # MiB, of micro's root VM, which is there when the guest has a disk or a network card
ROOT_MODULES = ("brd", "dummy", "tun", "bridge")
_EVENT = re.compile(r"^\* (\w+)(?: guest)?(?: ((?!peer\b).*))?$")
_EXITS = re.compile(r"\b(guest|peer): exits (\d+):(.*)$")
_USE = re.compile(r"\bguest: processor (\d+) ms; RAM (\d+) of (\d+) KiB, tables (\d+) KiB, other (\d+) KiB")
_KERNEL = re.compile(r"\bkernel memory: (\d+) KiB")
_BOOT = re.compile(r"\bbookkeeping of frames take (\d+) KiB")
_RAM = re.compile(r"\bboot: by \S+, (\d+) MiB of RAM")
_PANIC = re.compile(r"\bpanic\b", re.I)


def root_vm():
    """Micro's root VM in CONFIG: Debian's kernel, the programs of the build, and host/root as its PID 1."""
    image = Image("root")
    image.put_busybox()
    image.put(os.path.join(paths.BENCH, "host/root"), "/init", 0o755)
    image.put(paths.RIGTOOL, "/bin/rigtool", 0o755)
    for program in ("mezz", "mezzd", "mezz-backend"):
        image.put_program(os.path.join(paths.BUILD, program), "/bin/" + program)
        subprocess.run(["strip", image.path("bin/" + program)], check=True)
    files = module_files(paths.host_version(), ROOT_MODULES) + [os.path.join(paths.BUILD, "root/mezz.ko")]
    for f in files:
        image.put(f, "/m/" + os.path.basename(f))
    image.text("bench.modules", "".join("/m/%s\n" % os.path.basename(f) for f in files))
    os.makedirs(image.path("run"))
    subprocess.run(["mknod", image.path("dev/console"), "c", "5", "1"], check=True)
    initrd = os.path.join(paths.IMAGES, "root.cpio")
    image.write(initrd)
    return ("root:\n  memory: %dMiB\n  kernel: %s\n  initrd: %s\n  cmdline: console=ttyS0 quiet panic=-1 tsc=reliable\n" % (
        ROOT_MEMORY, paths.host_kernel(), initrd))


def vm(name, options, memory, words, nic, disk=""):
    """A VM of CONFIG."""
    kernel, initrd = options.guest()
    return ("  - name: %s\n    memory: %dMiB\n    vcpus: %d\n    kernel: %s\n    initrd: %s\n"
            "    cmdline: console=ttyS0 panic=-1 %s%s\n%s%s" % (
                name, memory, options.cpus, kernel, initrd, "" if options.loud else "quiet ", words,
                "    nics: [{switch: lan}]\n" if nic else "",
                "    disks: [{%s, mode: rw}]\n" % disk if disk else ""))


class Mezzanine(Peer):
    def __init__(self, model):
        self.model = model
        self.has_root = False  # in the bundle made last
        self.name = "mezzanine-" + model
        self.bundle_file = os.path.join(paths.IMAGES, self.name + ".bundle")

    def elf(self):
        return os.path.join(paths.BUILD, "mezzanine-%s.elf" % self.model)

    def netserver(self, options):
        return bool(options.card) and "net" in options.tests.split(",") and not options.icount

    def command(self, options):
        a = machine.command(options.mode, spare=1) + ["-kernel", self.elf(), "-initrd", self.bundle(options)]
        a += machine.card(options.card) if options.port else []
        if options.disk == "nvme":
            return a + machine.nvme(options.mode)
        return a + (machine.disk() if options.disk == "virtio" and self.model == "mono" else [])

    def tests(self, options):
        """With mono a network to the outside needs a card; with micro it is the root VM's, and the machine's disk is not measured."""
        tests = options.tests.split(",")
        if self.model == "mono":
            tests = [t for t in tests if t != "net" or options.port]
        else:
            tests = [t for t in tests if t != "nvme"]
        return tests or ["none"]

    def rooted(self, tests):
        """Is there a root VM? It takes processor time of its own, so only where it is needed."""
        return self.model == "micro" and bool(set(tests) & set(DISKS + ("net",)) or [t for t in tests if t.startswith("g2g")])

    def disk(self, options, tests):
        """The disk that the tests are about, in memory or the machine's; empty: none."""
        if not set(DISKS) & set(tests):
            return ""
        if self.model == "micro":
            return "device: ram0"
        return {"ram": "image: " + machine.image(), "virtio": "device: vd0", "nvme": "device: nvme0n1"}[options.disk]

    def bundle(self, options):
        tests = self.tests(options)
        rooted = self.has_root = self.rooted(tests)
        two = options.two
        words = options.words(tests=",".join(tests))
        if options.port:
            words += " " + machine.card_words(options.port)
        vms = vm("guest", options, options.memory, words, two or options.port or rooted, self.disk(options, tests))
        if two:
            vms += vm("peer", options, machine.PEER_MEMORY, "rig.tests=serve", True)
        lan = ""
        if two or options.port or rooted:
            lan = "switches: [{name: lan%s}]\n" % (", uplink: eth0" if options.port or rooted else "")
        if rooted:
            lan = root_vm() + lan
        config = os.path.join(paths.IMAGES, self.name + ".yaml")
        with open(config, "w") as f:
            f.write(lan + "vms:\n" + vms)
        subprocess.run([os.path.join(paths.BUILD, "mezz"), "bundle", "-o", self.bundle_file, config], check=True)
        return self.bundle_file

    def parse(self, line, t, res):
        """The kernel's log and events in text; see abi/console.h for the events."""
        m = _KERNEL.search(line)
        if m:
            # The last line before the kernel makes its VMs: scrubbing their memory counts as starting them.
            res["wall"]["create"] = t
            res["kv"]["kernel_owned"] = m.group(1) + " KiB"
            res["kv"]["bundle"] = "%d KiB" % (os.path.getsize(self.bundle_file) // 1024)
        m = _BOOT.search(line)
        if m:
            res["kv"]["kernel_boot"] = m.group(1) + " KiB"
        m = _RAM.search(line)
        if m:
            res["kv"]["machine_ram"] = m.group(1) + " MiB"
        m = _EVENT.match(line)
        if m:
            self.event(m.group(1), m.group(2), res)
        m = _EXITS.search(line)
        if m:
            words = m.group(3).split()
            res["exits" if m.group(1) == "guest" else "peer_exits"] = dict(zip(words[::2], map(int, words[1::2])))
        m = _USE.search(line)
        if m:
            for name, value in zip(("vm_ram", "vm_memory", "vm_tables", "vm_other"), m.groups()[1:]):
                res["kv"][name] = value + " KiB"
        if _PANIC.search(line) and "panic=" not in line:
            res["warn"].append(line)

    def event(self, word, rest, res):
        if word == "frames" and rest:
            before, after = rest.split()
            res["kv"]["frames_before"] = before
            res["kv"]["frames_after"] = after
            if before != after and not self.has_root:  # which takes and gives frames, too
                res["warn"].append("frames before and after the VM: " + rest)
        elif word == "stopped":
            res["warn"].append("the kernel stopped the VM: %s" % rest)

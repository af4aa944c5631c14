# SPDX-License-Identifier: MIT
"""Mezzanine, either model: the kernel by PVH with a bundle of the one guest."""
import os, re, subprocess

from .. import machine, paths
from .peer import Peer

_EVENT = re.compile(r"^\* (\w+)(?: guest)?(?: (.*))?$")
_EXITS = re.compile(r"\bguest: exits (\d+):(.*)$")
_USE = re.compile(r"\bguest: processor (\d+) ms; RAM (\d+) of (\d+) KiB, tables (\d+) KiB, other (\d+) KiB")
_KERNEL = re.compile(r"\bkernel memory: (\d+) KiB")
_BOOT = re.compile(r"\bbookkeeping of frames take (\d+) KiB")
_RAM = re.compile(r"\bboot: by \S+, (\d+) MiB of RAM")
_PANIC = re.compile(r"\bpanic\b", re.I)


class Mezzanine(Peer):
    def __init__(self, model):
        self.model = model
        self.name = "mezzanine-" + model
        self.bundle_file = os.path.join(paths.IMAGES, self.name + ".bundle")

    def elf(self):
        return os.path.join(paths.BUILD, "mezzanine-%s.elf" % self.model)

    def command(self, options):
        return machine.command(options.mode, spare=1) + ["-kernel", self.elf(), "-initrd", self.bundle(options)]

    def bundle(self, options):
        # No virtio disk and no network yet: the tests of these are left out.
        tests = [t for t in options.tests.split(",") if t not in ("blk", "net")] or ["none"]
        words = "console=ttyS0 panic=-1 %s%s" % ("" if options.loud else "quiet ",
                                                 options.words(tests=",".join(tests)))
        config = os.path.join(paths.IMAGES, self.name + ".yaml")
        with open(config, "w") as f:
            f.write("vms:\n  - name: guest\n    memory: %dMiB\n    vcpus: %d\n    kernel: %s\n    initrd: %s\n"
                    "    cmdline: %s\n" % (options.memory, options.cpus, paths.guest_kernel(), paths.GUEST_INITRD,
                                           words))
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
            words = m.group(2).split()
            res["exits"] = dict(zip(words[::2], map(int, words[1::2])))
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
            if before != after:
                res["warn"].append("frames before and after the VM: " + rest)
        elif word == "stopped":
            res["warn"].append("the kernel stopped the VM: %s" % rest)

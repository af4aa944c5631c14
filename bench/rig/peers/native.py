# SPDX-License-Identifier: MIT
"""The guest straight on the emulated machine: what no hypervisor can beat."""
from .. import machine
from .peer import Peer


class Native(Peer):
    name = "native"

    def netserver(self, options):
        return "net" in options.tests.split(",") and not options.icount

    def command(self, options):
        # Outside time means nothing under -icount: no disk, no network there.
        tests = options.tests.split(",")
        tests = [t for t in tests if not t.startswith("g2g")] or ["none"]
        if options.icount:
            tests = [t for t in tests if t not in ("blk", "net")] or ["none"]
        words = ["console=ttyS0 quiet panic=-1 tsc=reliable", options.words(tests=",".join(tests)),
                 "rig.disk=" + ("/dev/nvme0n1" if options.disk == "nvme" else "/dev/vda")]
        # the guest's memory, not the whole machine's
        a = machine.command(options.mode, options.memory)
        kernel, initrd = options.guest()
        a += ["-kernel", kernel, "-initrd", initrd]
        if options.port:
            words.append(machine.card_words(options.port))
            a += machine.card(options.card or "virtio-net-pci")
        if options.disk == "nvme":
            a += machine.nvme(options.mode)
        elif not options.icount:
            a += machine.disk()
        return a + ["-append", " ".join(words)]

# SPDX-License-Identifier: MIT
"""The guest straight on the emulated machine: what no hypervisor can beat."""
from .. import machine, paths
from .peer import Peer


class Native(Peer):
    name = "native"

    def netserver(self, options):
        return "net" in options.tests.split(",") and not options.icount

    def command(self, options):
        # Outside time means nothing under -icount: no disk, no network there.
        tests = options.tests.split(",")
        if options.icount:
            tests = [t for t in tests if t not in ("blk", "net")] or ["none"]
        words = ["console=ttyS0 quiet panic=-1 tsc=reliable", options.words(tests=",".join(tests)),
                 "rig.disk=/dev/vda"]
        # the guest's memory, not the whole machine's
        a = machine.command(options.mode, options.memory)
        a += ["-kernel", paths.guest_kernel(), "-initrd", paths.GUEST_INITRD]
        if options.port:
            words.append("rig.ip=10.0.2.15 rig.peer=10.0.2.2 rig.port=%d" % options.port)
            a += ["-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0"]
        if not options.icount:
            a += machine.disk()
        return a + ["-append", " ".join(words)]

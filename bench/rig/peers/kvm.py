# SPDX-License-Identifier: MIT
"""Linux KVM (kvm_amd) with QEMU as the monitor."""
import os, shutil

from .. import machine, paths
from ..build import host_archive
from .peer import Peer

ROMS = (("/usr/share/seabios", ("bios-256k.bin", "bios-microvm.bin")),
        ("/usr/share/qemu", ("qboot.rom", "linuxboot_dma.bin", "kvmvapic.bin", "pvh.bin")))


class Kvm(Peer):
    host_image = "kvm"
    host_modules = ("kvm", "kvm-amd", "tun", "bridge", "brd", "virtio_pci", "virtio_blk", "vhost_net")

    def __init__(self, name, machine_type, vhost=False):
        self.name = name
        self.machine_type = machine_type
        self.vhost = vhost

    def fill(self, image):
        image.put_program(shutil.which("qemu-system-x86_64"), "/usr/bin/qemu-system-x86_64")
        for folder, names in ROMS:
            for n in names:
                rom = os.path.join(folder, n)
                if os.path.exists(rom):
                    image.put(os.path.realpath(rom), "/qemu/" + n)

    def command(self, options):
        words = ["console=ttyS0 quiet panic=-1 tsc=reliable", options.host_words(),
                 "rig.kvm.machine=" + self.machine_type, "rig.kvm.vhost=" + ("on" if self.vhost else "off")]
        if options.disk == "ram" and "blk" in options.tests.split(","):
            words.append("rig.hostref=%d" % options.scale)  # the RAM disk without a VM: native's block rows
        a = machine.command(options.mode) + ["-kernel", paths.host_kernel(), "-initrd", host_archive("kvm"),
                                             "-append", " ".join(words)]
        return a + (machine.disk() if options.disk == "virtio" else [])

# SPDX-License-Identifier: MIT
"""Xen with a PVH dom0 and a PVH domU."""
import os, subprocess

from .. import machine, paths
from ..build import host_archive
from .peer import Peer

GZIPPED = os.path.join(paths.ROOT, "boot/xen-4.17-amd64.gz")
PROGRAMS = "usr/lib/xen-4.17/bin/"


class Xen(Peer):
    name = "xen"
    host_image = "xen"
    host_modules = ("xenfs", "xen-privcmd", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-blkback",
                    "xen-netback", "bridge", "brd", "virtio_pci", "virtio_blk")

    def fill(self, image):
        for p in ("xl", "xenstored", "xenconsoled", "xenconsole", "xen-init-dom0"):
            image.put_program(os.path.join(paths.ROOT, PROGRAMS, p), "/" + PROGRAMS + p, paths.ROOT)
        for p in ("xenstore-read", "xenstore-write", "xenstore-ls"):
            image.put_program(os.path.join(paths.ROOT, "usr/bin", p), "/usr/bin/" + p, paths.ROOT)
        for s in ("block", "vif-bridge"):
            image.put(os.path.join(paths.BENCH, "host/xen", s), "/etc/xen/scripts/" + s, 0o755)
        image.text("etc/xen/xl.conf", 'autoballoon="off"\n')

    def command(self, options):
        dom0 = "console=hvc0 %s panic=-1 %s" % ("loglevel=7" if options.loud else "quiet", options.host_words())
        a = machine.command(options.mode) + [
            "-device", "amd-iommu", "-kernel", elf(),
            "-append", "console=com1 com1=115200,8n1 dom0=pvh dom0_mem=512M cpuidle=0",
            # Multiboot modules: a comma inside of a module's words is doubled
            "-initrd", "%s %s,%s" % (paths.host_kernel(), dom0.replace(",", ",,"), host_archive("xen"))]
        return a + (machine.disk("iommu_platform=on,disable-legacy=on") if options.disk == "virtio" else [])


def elf():
    """The hypervisor's ELF image, unpacked from the package's."""
    out = os.path.join(paths.IMAGES, "xen.elf")
    if not os.path.exists(out):
        with open(out + ".tmp", "wb") as f:
            subprocess.run(["gzip", "-dc", GZIPPED], stdout=f, check=True)
        os.rename(out + ".tmp", out)
    return out

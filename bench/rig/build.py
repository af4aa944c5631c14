# SPDX-License-Identifier: MIT
"""Builds the guest and the images of the host sides (dom0, KVM host) from what was fetched."""
import glob, hashlib, os, re, shutil, subprocess

from . import paths
from .image import Image

GUEST_MODULES = ("virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net", "xen-blkfront", "xen-netfront")
CARD_MODULES = ("virtio_pci", "virtio_net", "e1000e")  # with Debian's usual kernel: the cloud kernel has no such driver


def build(peers, force=False):
    """Fetches and builds what is missing or older than its sources, for the peers given."""
    if subprocess.run([os.path.join(paths.BENCH, "fetch"), paths.CACHE]).returncode:
        paths.fail("cannot fetch the packages")
    os.makedirs(paths.IMAGES, exist_ok=True)
    if force or stale("guest", ("guest", "rig/build.py", "rig/image.py")):
        paths.say("building the guest")
        build_guest()
        done("guest", ("guest", "rig/build.py", "rig/image.py"))
    for peer in peers:
        image = peer.host_image
        sources = ("guest", "host", "rig")
        if image and (force or stale(image, sources)):
            paths.say("building the host side of " + image)
            build_host(peer)
            done(image, sources)


def digest(names):
    h = hashlib.sha256(paths.abi().encode())
    for name in names:
        top = os.path.join(paths.BENCH, name)
        files = [top] if os.path.isfile(top) else sorted(glob.glob(top + "/**", recursive=True))
        for f in files:
            if os.path.isfile(f) and not f.endswith(".pyc"):
                with open(f, "rb") as content:
                    h.update(os.path.relpath(f, paths.BENCH).encode() + content.read())
    return h.hexdigest()


def stale(image, sources):
    return paths.read(os.path.join(paths.IMAGES, image + ".stamp")) != digest(sources)


def done(image, sources):
    with open(os.path.join(paths.IMAGES, image + ".stamp"), "w") as f:
        f.write(digest(sources))


def build_guest():
    source = os.path.join(paths.BENCH, "guest")
    subprocess.run(["gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-static", "-pthread",
                    "-o", paths.RIGTOOL] + sorted(glob.glob(source + "/*.c")), check=True)
    image = Image("guest")
    image.put(paths.RIGTOOL, "/init", 0o755)
    image.put_modules(paths.guest_version(), GUEST_MODULES, build_module(os.path.join(source, "module")))
    write_guest(image, paths.GUEST_INITRD)
    image = Image("card")
    image.put(paths.RIGTOOL, "/init", 0o755)
    image.put_modules(paths.host_version(), CARD_MODULES)
    write_guest(image, paths.CARD_INITRD)


def write_guest(image, out):
    subprocess.run(["mknod", image.path("dev/console"), "c", "5", "1"], check=True)
    image.write(out)


def build_module(source):
    """The ring-0 part, against the guest kernel's headers in the cache."""
    headers = os.path.join(paths.ROOT, "usr/src/linux-headers-" + paths.guest_version())
    makefile = os.path.join(headers, "Makefile")
    text = re.sub(r"^include (?:.*?)/usr/src/", "include %s/usr/src/" % paths.ROOT, paths.read(makefile), flags=re.M)
    with open(makefile, "w") as f:
        f.write(text)
    work = os.path.join(paths.CACHE, "module")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(source, work)
    log = os.path.join(paths.CACHE, "module.log")
    with open(log, "w") as f:
        if subprocess.run(["make", "-C", headers, "M=" + work, "modules"], stdout=f, stderr=f).returncode:
            paths.fail("the ring-0 module did not build, see " + log)
    return [os.path.join(work, "rigbench.ko")]


def build_host(peer):
    """busybox, rigtool, the scripts in host/, the guest, and what the peer adds."""
    name = peer.host_image
    image = Image("host-" + name)
    image.put_busybox()
    image.put(paths.RIGTOOL, "/bin/rigtool", 0o755)
    image.put(os.path.join(paths.BENCH, "host/init"), "/init", 0o755)
    image.put(os.path.join(paths.BENCH, "host/lib.sh"), "/lib.sh")
    image.put(os.path.join(paths.BENCH, "host/peer-%s.sh" % name), "/peer.sh")
    image.put(paths.guest_kernel(), "/guest/vmlinuz")
    image.put(paths.GUEST_INITRD, "/guest/initrd")
    image.put_modules(paths.host_version(), peer.host_modules)
    image.text("etc/passwd", "root:x:0:0:root:/:/bin/sh\n")
    image.text("etc/group", "root:x:0:\n")
    peer.fill(image)
    image.write(host_archive(name))


def host_archive(name):
    return os.path.join(paths.IMAGES, "host-%s.cpio" % name)

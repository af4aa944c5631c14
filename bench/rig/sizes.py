# SPDX-License-Identifier: MIT
"""Sizes of what each peer puts under a guest."""
import glob, os, re, shutil, subprocess

from . import paths
from .image import module_files
from .peers import PEERS
from .peers import xen
from .results import markdown


def loaded(elf):
    """Bytes of memory that the ELF file's loadable segments take."""
    out = subprocess.run(["readelf", "-lW", elf], capture_output=True, text=True, check=True).stdout
    return sum(int(line.split()[5], 16) for line in out.splitlines() if line.split()[:1] == ["LOAD"])


def module_memory(module):
    out = subprocess.run(["size", module], capture_output=True, text=True, check=True).stdout
    return int(out.splitlines()[1].split()[3])


def libraries(program):
    out = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return sum(os.path.getsize(os.path.realpath(f)) for f in re.findall(r"=> (/\S+)", out))


def kib(n):
    return "%.0f KiB" % (n / 1024)


def size(path):
    return kib(os.path.getsize(path))


def xen_tools():
    files = [os.path.join(paths.ROOT, xen.PROGRAMS, n) for n in ("xl", "xenstored", "xenconsoled")]
    files += glob.glob(os.path.join(paths.ROOT, "usr/lib/x86_64-linux-gnu/libxen*.so.*.*"))
    return sum(os.path.getsize(f) for f in set(map(os.path.realpath, files)))


def report():
    rows = []
    for model in ("micro", "mono"):
        elf = PEERS["mezzanine-" + model].elf()
        if os.path.exists(elf):
            rows.append(["Mezzanine, " + model, size(elf), kib(loaded(elf))])
    rows.append(["Xen (file: gzip)", size(xen.GZIPPED), kib(loaded(xen.elf()))])
    rows.append(["Xen tools in dom0 and the Xen libraries", kib(xen_tools()), ""])
    for what, version in (("dom0 and KVM host kernel", paths.host_version()), ("guest kernel", paths.guest_version())):
        rows.append(["%s %s (bzImage)" % (what, version), size(paths.kernel(version)), ""])
    for m in ("kvm", "kvm-amd"):
        module = module_files(paths.host_version(), [m])[-1]
        rows.append([m + ".ko", size(module), kib(module_memory(module))])
    qemu = shutil.which("qemu-system-x86_64")
    rows.append(["qemu-system-x86_64", size(qemu), kib(loaded(qemu))])
    rows.append(["its shared libraries", kib(libraries(qemu)), ""])
    for image in sorted(glob.glob(os.path.join(paths.IMAGES, "*.cpio"))):
        rows.append(["image " + os.path.basename(image), size(image), ""])
    print("### Sizes\n\n" + markdown(["what", "file", "loaded"], rows))

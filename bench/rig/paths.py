# SPDX-License-Identifier: MIT
"""Where things are: the sources here, everything generated in a cache outside of the tree."""
import os, sys

BENCH = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
TREE = os.path.dirname(BENCH)
BUILD = os.path.join(TREE, os.environ.get("BUILD", "build"))  # of the hypervisor; may be absolute
_XDG = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
CACHE = os.environ.get("MEZZ_BENCH_CACHE") or os.path.join(_XDG, "mezzanine", "bench")
ROOT = os.path.join(CACHE, "root")  # Debian packages, unpacked
IMAGES = os.path.join(CACHE, "images")
RESULTS = os.environ.get("MEZZ_BENCH_RESULTS") or os.path.join(CACHE, "results")
QEMU = os.environ.get("MEZZ_QEMU") or "qemu-system-x86_64"


def say(text):
    print("bench: " + text, file=sys.stderr, flush=True)


def fail(text):
    say(text)
    sys.exit(2)


def read(path, default=""):
    try:
        with open(path) as f:
            return f.read()
    except FileNotFoundError:
        return default


def abi():
    """The kernel ABI that was fetched, such as 6.1.0-56."""
    return read(os.path.join(CACHE, "abi")).strip()


def guest_version():
    return abi() + "-cloud-amd64"


def host_version():
    return abi() + "-amd64"


def kernel(version):
    return os.path.join(ROOT, "boot/vmlinuz-" + version)


def guest_kernel():
    return kernel(guest_version())


def host_kernel():
    return kernel(host_version())


GUEST_INITRD = os.path.join(IMAGES, "guest.cpio")
CARD_INITRD = os.path.join(IMAGES, "card.cpio")  # goes with host_kernel()
RIGTOOL = os.path.join(IMAGES, "rigtool")

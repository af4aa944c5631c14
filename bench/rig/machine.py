# SPDX-License-Identifier: MIT
"""The emulated machine, the same for every peer, in the modes of measuring."""
import os

from . import paths

CPU = os.environ.get("MEZZ_BENCH_CPU") or "EPYC,+svm,+npt,-monitor,-rdtscp,-xsave"
MEMORY = 2048  # MiB
GUEST_MEMORY = 512
PEER_MEMORY = 256  # of the second guest of the network tests

# Mode: CPUs of the machine and of the guest, and QEMU's words.
MODES = {
    "icount": (1, ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]),
    "wall1": (1, ["-accel", "tcg,thread=multi"]),
    "wall2": (2, ["-accel", "tcg,thread=multi"]),
}


def cpus(mode):
    return MODES[mode][0]


def command(mode, memory=MEMORY, spare=0):
    """QEMU's command line; peers add to it and do not change it. spare: CPUs more, where there are several (docs/emulator.md)."""
    return [paths.QEMU, "-M", "q35", "-cpu", CPU, "-smp", str(cpus(mode) + (spare if cpus(mode) > 1 else 0)), "-m", str(memory),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-monitor", "none",
            "-serial", "stdio", "-seed", "1", "-rtc", "base=2026-11-22T00:00:00,clock=vm"] + MODES[mode][1]


def card(model):
    """A network card, behind it QEMU's own network: the host side is 10.0.2.2."""
    return ["-netdev", "user,id=n0", "-device", model + ",netdev=n0"]


def card_words(port):
    return "rig.ip=10.0.2.15 rig.peer=10.0.2.2 rig.port=%d" % port


def image():
    """A raw image of 128 MiB."""
    image = os.path.join(paths.IMAGES, "disk.raw")
    if not os.path.exists(image):
        with open(image, "wb") as f:
            for _ in range(128):
                f.write(bytes(range(256)) * 4096)
    return image


def drive():
    """That image in the page cache of the machine below."""
    return ["-drive", "id=d0,if=none,format=raw,cache=unsafe,aio=threads,file=" + image()]


def disk(more=""):
    """The machine's virtio disk."""
    return drive() + ["-device", "virtio-blk-pci,drive=d0" + ("," + more if more else "")]


def nvme(mode):
    """An NVMe disk instead; under icount before a store that takes no time."""
    store = ["-drive", "id=d0,if=none,driver=null-co,size=128M"] if mode == "icount" else drive()
    return store + ["-device", "nvme,serial=bench,drive=d0"]

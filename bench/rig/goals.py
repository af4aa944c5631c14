# SPDX-License-Identifier: MIT
"""The goals of speed and size, and the table that holds the peers against them."""
import os

from . import network, sizes
from .peers import PEERS, xen
from .results import baseline, derive, host_value, markdown, number, summary

MODELS = ("mezzanine-micro", "mezzanine-mono")


class Goal:
    """At most `absolute`, or native plus `above`, or native times `ratio`; with `least`, at least that."""

    def __init__(self, absolute=None, above=None, ratio=None, least=False):
        self.absolute, self.above, self.ratio, self.least = absolute, above, ratio, least

    def text(self):
        sign = ">= " if self.least else "<= "
        if self.absolute is not None:
            return sign + number(self.absolute)
        if self.above is not None:
            return sign + "native + " + number(self.above)
        return sign + "%.2f x native" % self.ratio

    def met(self, value, limit):
        return value >= limit if self.least else value <= limit

    def limit(self, native):
        if self.absolute is not None:
            return self.absolute
        if native is None:
            return None
        return native + self.above if self.above is not None else native * self.ratio


LEAN = Goal(ratio=1.01)
INSTRUCTIONS = [  # from runs with icount; a row without a goal is there for comparison
    ("exit_cpuid", Goal(absolute=400)), ("exit_hypercall", Goal(absolute=350)),
    ("exit_rdmsr_apicbase", Goal(absolute=500)), ("exit_wrmsr_apicbase", Goal(absolute=500)),
    ("exit_selfipi", Goal(absolute=1200)), ("timer_late_p50", Goal(above=3000)),
    ("mem_touch_first", Goal(ratio=1.05)),
    ("noexit_empty", LEAN), ("noexit_wrmsr_kgsbase", LEAN), ("noexit_mov_cr3", LEAN),
    ("cpu_int", LEAN), ("mem_l1", LEAN), ("mem_tlbmiss", LEAN), ("syscall", LEAN), ("ctxsw_same_cpu", LEAN),
    ("fork_wait", LEAN),
    ("exit_cpuid_user", None), ("exit_in_80", None), ("exit_in_61", None), ("exit_in_3fd", None),
    ("exit_out_80", None), ("ring0_mov_cr0", None), ("ring0_rdtsc", None), ("clock_gettime", None),
    ("mem_touch_again", None), ("timer_late_p95", None),
]
START = [("t_wall_start_to_guest", Goal(ratio=1.6))]
BLOCK = [  # a disk in memory; natively the RAM disk of KVM's host side
    ("blk_randread_4k_qd1", {"micro": Goal(14000, least=True), "mono": Goal(22000, least=True)}),
    ("blk_randwrite_4k_qd1", {"mono": Goal(24000, least=True)}),
    ("blk_randread_4k_qd16", {"micro": Goal(30000, least=True), "mono": Goal(60000, least=True)}),
    ("blk_randwrite_4k_qd16", None),
    ("blk_seqread_1m", {"micro": Goal(1600, least=True), "mono": Goal(2600, least=True)}),
    ("blk_seqwrite_1m", None),
    ("blk_exits_per_io_qd16", {"mono": Goal(0.5)}),
]
HOST = [  # TCP with the host side: dom0, KVM's host, the root VM
    ("net_host_rr_p50", {"micro": Goal(85000)}), ("net_host_rr_p95", None),
    ("net_host_tx", {"micro": Goal(600, least=True)}), ("net_host_rx", {"micro": Goal(550, least=True)}),
]
NATIVE_SPEED = Goal(ratio=0.9, least=True)
NVME = [("nvme_randread_4k_qd1", NATIVE_SPEED), ("nvme_randread_4k_qd32", NATIVE_SPEED),
        ("amid_read", None), ("amid_read_exit", None)]
IMAGE_KIB, KERNEL_KIB, VM_KIB, BACKEND_KIB = 192, 4096, 256, 5120


def goals_by_model(goal):
    """What a row says of its goals, as {model: goal}: one for both, or each its own."""
    if isinstance(goal, dict):
        return {"mezzanine-" + model: g for model, g in goal.items()}
    return {model: goal for model in MODELS} if goal else {}


def goals_text(goals):
    texts = {g.text(): [] for g in goals.values()}
    for model, g in goals.items():
        texts[g.text()].append(model.replace("mezzanine-", ""))
    if len(goals) == len(MODELS) and len(texts) == 1:
        return next(iter(texts))
    return ", ".join("%s %s" % (" ".join(models), text) for text, models in texts.items())


class Report:
    """Collects verdicts while the tables are printed."""

    def __init__(self, runs):
        """runs: {(peer name, mode): [result, ...]}, of this invocation only."""
        self.missed = []
        self.runs = {}
        for key, results in runs.items():
            good = [r for r in results if r["ok"]]
            for r in good:
                derive(r)
            if good:
                self.runs[key] = good
            else:
                self.missed.append("%s (%s): no run succeeded" % key)
        baseline({key + ("",): good for key, good in self.runs.items()})

    def show(self, guests=None):
        """guests: what network.measure_guests gave."""
        print("## Instructions (icount, one CPU; every instruction that the machine executed)\n")
        print(self.speed("icount", INSTRUCTIONS))
        print("## Disk in memory (icount: a nanosecond is an instruction), IOPS and MiB/s\n")
        print(self.speed("icount", BLOCK))
        print("## TCP with the host side (icount): ns there and back, MiB/s\n")
        print(self.speed("host", HOST))
        print("## Disk of the machine (NVMe), wall time (one CPU), IOPS; the median of the runs in turns\n")
        print(self.speed("nvme", NVME))
        print("## From starting the VM to its userland, wall seconds (one CPU)\n")
        print("Natively from power-on; Mezzanine from the line before it scrubs memory for its VMs.\n")
        print(self.speed("wall1", START))
        if guests:
            print("## Network between two guests (icount): ns there and back, MiB/s\n")
            print(network.guests_table(guests, self.missed))
        print("## Exits until the guest's userland, by cause\n")
        print(exits_table({m: self.runs.get((m, "wall1"), []) for m in MODELS}))
        print("## Size\n")
        print(self.size())
        for m in self.missed:
            print("MISSED: " + m)
        return not self.missed

    def verdict(self, name, what, value, limit, goal=Goal(0)):
        if value is None:
            self.missed.append("%s: no value of %s" % (what, name))
            return "no value"
        if goal.met(value, limit):
            return "ok"
        self.missed.append("%s of %s: %s, at %s %s" % (what, name, number(value), "least" if goal.least else "most",
                                                       number(limit)))
        return "MISSED"

    def speed(self, mode, rows):
        peers = [p for p in PEERS if (p, mode) in self.runs]
        models = [m for m in MODELS if m in peers]
        table = []
        for name, goal in rows:
            values = {p: (summary(self.runs[p, mode], name) or [None])[0] for p in peers}
            native = values.get("native")
            cells = [name] + [cell(p, values[p], native) for p in peers]
            goals = goals_by_model(goal)
            cells.append(goals_text(goals))
            for m in models:
                limit = goals[m].limit(native) if m in goals else None
                cells.append("" if limit is None else self.verdict(m, name, values[m], limit, goals[m]))
            table.append(cells)
        return markdown(["row"] + peers + ["goal"] + [m.replace("mezzanine-", "") for m in models], table)

    def size(self):
        table = [["Xen: image loaded", "%.0f KiB" % (sizes.loaded(xen.elf()) / 1024), "", ""]]
        for m in MODELS:
            elf = PEERS[m].elf()
            if os.path.exists(elf):
                table.append(self.size_row(m, "image loaded", sizes.loaded(elf) / 1024,
                                           IMAGE_KIB if m == "mezzanine-micro" else None))
            for res in self.runs.get((m, "icount"), [])[:1]:
                table.append(self.size_row(m, "kernel memory, machine of 2 GiB: at most", kernel_kib(res),
                                           KERNEL_KIB))
                table.append(self.size_row(m, "the same by its own account", own_kib(res), None))
                table.append(self.size_row(m, "memory of a VM beyond RAM and tables", host_value(res, "vm_other"),
                                           VM_KIB))
            for res in self.runs.get((m, "host"), [])[:1]:
                if m == "mezzanine-micro":
                    table.append(self.size_row(m, "a VM's back-end process (PSS)", host_value(res, "backend_pss"),
                                               BACKEND_KIB))
        for peer in ("kvm", "kvm-q35", "xen"):
            for res in self.runs.get((peer, "icount"), [])[:1]:
                for what, mib in vm_memory(res):
                    table.append(["%s: %s" % (peer, what), "%.1f MiB" % mib, "", ""])
        return markdown(["what", "size", "goal", ""], table)

    def size_row(self, model, what, kib, limit):
        value = "-" if kib is None else "%.0f KiB" % kib
        if limit is None:
            return ["%s: %s" % (model, what), value, "", ""]
        return ["%s: %s" % (model, what), value, "<= %d KiB" % limit, self.verdict(model, what, kib, limit)]


def cell(peer, value, native):
    if value is None:
        return "-"
    if peer == "native" or not native:
        return number(value)
    ratio = value / native
    return "%s (%s x)" % (number(value), "%.3f" % ratio if ratio < 10 else number(ratio))


def exits_table(runs):
    """Columns of peers whose results have exits, rows of causes, the first run of each."""
    columns = {p: r[0]["exits"] for p, r in runs.items() if r and "exits" in r[0]}
    causes = sorted({c for exits in columns.values() for c in exits},
                    key=lambda c: -max(e.get(c, 0) for e in columns.values()))
    rows = [[c] + ["%d" % e.get(c, 0) for e in columns.values()] for c in causes]
    rows.append(["all"] + ["%d" % sum(e.values()) for e in columns.values()])
    return markdown(["cause"] + list(columns), rows)


def kernel_kib(res):
    """What is missing from the machine's RAM before the first VM is made, the boot bundle left out: an upper
    bound, since the kernel's log rounds the RAM down to a MiB."""
    ram, free, bundle = (host_value(res, k) for k in ("machine_ram", "frames_before", "bundle"))
    if None in (ram, free, bundle):
        return None
    return (ram + 1) * 1024 - free * 4 - bundle


def own_kib(res):
    """What the kernel's log says that it took until then."""
    boot, owned = host_value(res, "kernel_boot"), host_value(res, "kernel_owned")
    return None if boot is None or owned is None else boot + owned


def vm_memory(res):
    """What a VM of another peer takes beyond the guest's memory, MiB."""
    def less(a, b):
        x, y = host_value(res, a), host_value(res, b)
        return None if x is None or y is None else x - y
    host = less("after_MemFree", "during_MemFree")
    out = []
    if res["peer"] == "xen":
        xen_free = less("after_xen_free_memory", "during_xen_free_memory")
        guest = host_value(res, "during_xl_list_g1")
        if xen_free is not None and guest is not None:
            out.append(("memory of a VM in Xen", xen_free - guest))
        if host is not None:
            out.append(("memory of a VM in dom0", host / 1024))
    else:
        guest = host_value(res, "vmm_guestram_rss")
        if host is not None and guest is not None:
            out.append(("memory of a VM on the host", (host - guest) / 1024))
    return out

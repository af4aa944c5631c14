# SPDX-License-Identifier: MIT
"""Tables over all results kept, every row that the rig measures."""
import os, subprocess

from . import machine, paths, results
from .goals import vm_memory
from .peers import PEERS
from .results import markdown, number, summary

SECTIONS = (
    ("Start-up", [
        ("t_wall_power_on_to_host", "power-on to host userland, wall"),
        ("t_clock_host_userland", "host userland on its own clock"),
        ("t_wall_power_on_to_guest", "power-on to guest userland, wall"),
        ("t_wall_start_to_guest", "start of the VM to guest userland, wall"),
        ("t_clock_start_to_guest", "start of the VM to guest userland, host clock"),
        ("userland", "guest's own uptime at userland")]),
    ("Exits", ["exit_cpuid", "exit_cpuid_user", "exit_in_80", "exit_in_61", "exit_in_3fd", "exit_out_80",
               "exit_rdmsr_apicbase", "exit_wrmsr_apicbase", "exit_hypercall", "exit_selfipi", "ipi_call_idle",
               "ring0_rdtsc", "ring0_mov_cr0"]),
    ("Interrupts and timers", ["timer_late_p50", "timer_late_p95", "ipi_pingpong"]),
    ("No-exit paths, CPU and memory", [
        "noexit_empty", "noexit_wrmsr_kgsbase", "noexit_mov_cr3", "cpu_int", "mem_l1", "mem_tlbmiss", "syscall",
        "clock_gettime", "rdtsc", "fork_wait", "ctxsw_same_cpu", "mem_touch_first", "mem_touch_again"]),
    ("Block", results.BLOCK + ["blk_exits_per_io_qd16"]),
    ("NVMe", ["nvme_randread_4k_qd1", "nvme_randread_4k_qd32", "amid_read", "amid_read_exit"]),
    ("Network", ["net_lo_rr_p50", "net_lo_tx", "net_lo_rx", "net_host_rr_p50", "net_host_rr_p95", "net_host_tx",
                 "net_host_rx", "net_g2g_rr_p50", "net_g2g_rr_p95", "net_g2g_tx", "net_g2g_rx", "net_slirp_rr_p50", "net_slirp_tx", "net_slirp_rx"]))


def table(rows, runs, mode):
    """runs: {peer: [result, ...]}, ratios to the first."""
    head, out = ["", "unit"], []
    first = next(iter(runs))
    for p in runs:
        head += [p] + ([] if p == first else ["/ " + first])
    for row in rows:
        name, text = row if isinstance(row, tuple) else (row, row)
        units = [r["unit"][name] for rs in runs.values() for r in rs if name in r["bench"]]
        if not units:
            continue
        cells = [text, units[0].replace("ns", "insn") if mode == "icount" and units[0].startswith("ns") else units[0]]
        base = summary(runs[first], name)
        for p, rs in runs.items():
            value = summary(rs, name)
            cells.append("%s ±%.0f%%" % (number(value[0]), value[1] / 2) if value else "-")
            if p != first:
                cells.append(number(value[0] / base[0]) + "×" if value and base and base[0] else "-")
        out.append(cells)
    return markdown(head, out) if out else ""


def versions():
    known = dict(line.split(None, 1) for line in paths.read(os.path.join(paths.CACHE, "versions.txt")).splitlines()
                 if " " in line)
    qemu = subprocess.run([paths.QEMU, "--version"], capture_output=True, text=True, check=True).stdout
    print("- " + qemu.splitlines()[0])
    for package in ("xen-hypervisor-4.17-amd64", "linux-image-%s" % paths.host_version(),
                    "linux-image-%s" % paths.guest_version()):
        print("- %s %s" % (package, known.get(package, "?")))
    print("- CPU model %s; machine q35, %d MiB; guest %d MiB\n" % (machine.CPU, machine.MEMORY,
                                                                    machine.GUEST_MEMORY))


def memory(good):
    rows = []
    for (peer, mode, label), runs in sorted(good.items()):
        if mode == "icount" and not label:
            rows += [["%s: %s" % (peer, what), "%.1f" % mib] for what, mib in vm_memory(runs[-1])]
    if rows:
        print("### Memory of a VM beyond the guest's own, MiB (last run)\n\n" + markdown(["", "MiB"], rows))


def report():
    good, failed = results.load()
    if not good:
        paths.fail("no results yet in " + paths.RESULTS)
    versions()
    for mode, label in sorted({(m, l) for _, m, l in good}, key=lambda k: (k[1], k[0])):
        runs = {p: good[p, mode, label] for p in PEERS if (p, mode, label) in good}
        print("## Mode %s%s\n" % (mode, " / " + label if label else ""))
        loads = [r["load"] for rs in runs.values() for r in rs]
        print("Runs: %s. Load of the real machine when they began: %.1f to %.1f.\n" % (
            ", ".join("%s %d%s" % (p, len(rs), " (and %d failed)" % failed[p, mode, label]
                                   if (p, mode, label) in failed else "") for p, rs in runs.items()),
            min(loads), max(loads)))
        for title, rows in SECTIONS:
            text = table(rows, runs, mode)
            if text:
                print("### %s\n\n%s" % (title, text))
    memory(good)

# SPDX-License-Identifier: MIT
"""Results of runs: kept as JSON files, completed with what follows from them, and summed up."""
import glob, json, os, statistics

from . import paths

BLOCK = ["blk_seqread_1m", "blk_seqwrite_1m", "blk_randread_4k_qd1", "blk_randwrite_4k_qd1",
         "blk_randread_4k_qd16", "blk_randwrite_4k_qd16"]


def load():
    """All results kept: {(peer, mode, label): [result, ...]} and how many of each failed."""
    good, failed = {}, {}
    for name in sorted(glob.glob(os.path.join(paths.RESULTS, "*.json"))):
        with open(name) as f:
            res = json.load(f)
        key = res["peer"], res["mode"], res["label"]
        if res["ok"]:
            derive(res)
            good.setdefault(key, []).append(res)
        else:
            failed[key] = failed.get(key, 0) + 1
    baseline(good)
    return good, failed


def derive(res):
    """Times of start-up, in seconds. What starts the VM is `create`; natively it is power-on."""
    wall, host = res["wall"], res["host"]

    def put(name, value):
        res["bench"][name] = value
        res["unit"][name] = "s"
    if "guest_userland" in wall:
        put("t_wall_power_on_to_guest", wall["guest_userland"])
        if "create" in wall or res["peer"] == "native":
            put("t_wall_start_to_guest", wall["guest_userland"] - wall.get("create", 0))
    if "host_userland" in wall:
        put("t_wall_power_on_to_host", wall["host_userland"])
        put("t_clock_host_userland", host["host_userland"] / 1e9)
    if "create" in host and "userland" in res["guest_at"]:
        put("t_clock_start_to_guest", (res["guest_at"]["userland"] - host["create"]) / 1e9)
    elif "tsc_at_userland" in res["bench"] and res["mode"] == "icount":
        put("t_clock_start_to_guest", res["bench"]["tsc_at_userland"] / 1e9)


def baseline(results):
    """Native rows where the guest has no such number: the network to the host side is the loopback (both ends on
    the machine), the disk under icount is the RAM disk on the KVM host without a VM."""
    for (peer, mode, label), runs in results.items():
        if peer != "native":
            continue
        for res in runs:
            bench, unit = res["bench"], res["unit"]
            for t in ("rr_p50", "rr_p95", "tx", "rx"):
                rename(bench, unit, "net_host_" + t, "net_slirp_" + t)
                if "net_lo_" + t in bench:
                    bench["net_host_" + t], unit["net_host_" + t] = bench["net_lo_" + t], unit["net_lo_" + t]
            for host in results.get(("kvm", mode, label), []):
                for k in BLOCK:
                    if k not in bench and "hostref_" + k in host["bench"]:
                        bench[k], unit[k] = host["bench"]["hostref_" + k], host["unit"]["hostref_" + k]


def rename(bench, unit, old, new):
    if old in bench:
        bench[new], unit[new] = bench.pop(old), unit[old]


def summary(runs, name):
    """Median and spread in per cent over the runs that have the value; None when none has."""
    values = [r["bench"][name] for r in runs if name in r["bench"]]
    if not values:
        return None
    median = statistics.median(values)
    return median, (max(values) - min(values)) / median * 100 if median else 0


def exits_per_request(runs, name, requests):
    """Into the first result of `runs`: how many exits each request more costs, from two runs of the test with
    `requests` at 100 per cent that differ by their scale."""
    good = [r for r in runs if r["ok"] and "exits" in r]
    if len(good) == 2:
        few, many = (sum(r["exits"].values()) for r in good)
        scale = good[1]["scale"] - good[0]["scale"]
        good[0]["bench"][name], good[0]["unit"][name] = (many - few) / (requests * scale / 100), "exits"
    return good


def host_value(res, name):
    """A number of the host side without its unit; None when it is not there."""
    value = res["kv"].get(name, "").split()
    return float(value[0]) if value else None


def number(x):
    if x == 0:
        return "0"
    if abs(x) >= 1e6:
        return "%.3g M" % (x / 1e6)
    if abs(x) >= 100:
        return "%.0f" % x
    return "%.3g" % x


def markdown(head, rows):
    """An aligned table; all columns but the first to the right."""
    width = [max(len(r[i]) for r in [head] + rows) for i in range(len(head))]

    def line(cells):
        return "| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w)
                                 for i, (c, w) in enumerate(zip(cells, width))) + " |"
    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(width)) + "|"
    return "\n".join([line(head), rule] + [line(r) for r in rows]) + "\n"

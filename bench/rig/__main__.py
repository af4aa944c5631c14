# SPDX-License-Identifier: MIT
"""The command line of the rig.

  bench goals [--peers A,B] [--reps N]   the goals' table: one run by icount, N by wall1 for each peer
  bench exits [--peers A,B]              exits by cause until the guest's userland
  bench rows PATTERN [--peers A,B]       only the rows whose names match, by icount
  bench guests [--peers A,B]             the network between two guests, and mono's exits for each frame
  bench card [--card MODEL] [--reps N]   the network through the machine's card: native and mono in turns
  bench nvme [--reps N]                  a disk of the machine: native and mono in turns, wall time
  bench path FUNCTION [--skip N]         instructions by function, from one call of a kernel function to the next
  bench run PEER [...]                   runs of one peer in one mode
  bench all [--reps N]                   every peer in every mode, then the report
  bench report | sizes | peers           tables over the results kept; sizes; the peers known
  bench build [--force]                  fetch packages, build the images
"""
import argparse, re, sys

from . import goals, machine, network, path, paths, report, results, sizes
from .build import build
from .peers import PEERS
from .results import derive, markdown, number, summary
from .run import DEFAULT_TESTS, Options, run

GOAL_TESTS = "mem,cpu,exit,timer"
HOST_TESTS, HOST_PEERS = "net", ("xen", "kvm", "mezzanine-micro")
HOLD = 6  # seconds in which the host side reads its memory while the guest holds still
EXITS_ROW, EXITS_REQUESTS = "blk_exits_per_io_qd16", 4000  # as in guest/block.c
NVME_PEERS = ("native", "mezzanine-mono")
NVME_REPS, NVME_TRIES = 5, 6
GOAL_PEERS = "native,xen,kvm,mezzanine-micro,mezzanine-mono"
OWN_PEERS = "mezzanine-micro,mezzanine-mono"
# The tests that the rows of a group come from.
GROUPS = (("mem_touch", "mem"), ("exit_", "exit"), ("ring0", "exit"), ("noexit", "exit"), ("timer", "timer"),
          ("ipi", "ipi,exit"), ("blk_exits", "blk16"), ("blk", "blk"), ("net_lo", "lo"), ("net", "net"), ("", "cpu"))


def chosen(names):
    for n in names.split(","):
        if n not in PEERS:
            paths.fail("no peer %s; known: %s" % (n, " ".join(PEERS)))
    return [PEERS[n] for n in names.split(",")]


def run_again(peer, options, reps=1):
    """As run(), but a single run that fails is repeated once: two CPUs of the emulator are not reliable."""
    results = run(peer, options, reps)
    if reps == 1 and not results[0]["ok"]:
        results += run(peer, options)
    return results


def hold_for(peer):
    return HOLD if peer.host_image else 0


def exits_per_request(peer):
    """Two runs, the second with twice as many requests: what it has more is theirs."""
    runs = [run_again(peer, Options("icount", "blk16", scale, label="exits"))[-1] for scale in (100, 200)]
    return results.exits_per_request(runs, EXITS_ROW, EXITS_REQUESTS)


def nvme_runs(peers, reps):
    """In turns. Natively a run often ends before its time, as Linux waits for a request that the emulated controller has
    overlooked (docs/emulator.md); then its last complete round counts."""
    runs = {}
    for _ in range(reps):
        for peer in peers:
            for _ in range(NVME_TRIES):
                result = run(peer, Options("wall1", "nvme", scale=200, stall=8, label="nvme"))[0]
                result["ok"] = all(name in result["bench"] for name, _ in goals.NVME)
                runs.setdefault((peer.name, "nvme"), []).append(result)
                if result["ok"]:
                    break
    return runs


def command_goals(o):
    runs = nvme_runs([p for p in chosen(o.peers) if p.name in NVME_PEERS], max(o.reps, NVME_REPS))
    for peer in chosen(o.peers):
        runs[peer.name, "icount"] = run_again(peer, Options("icount", GOAL_TESTS, hold=hold_for(peer)))
        runs[peer.name, "icount"] += run_again(peer, Options("icount", "blk", label="blk"))
        if peer.name in goals.MODELS:
            runs[peer.name, "icount"] += exits_per_request(peer)
        if peer.name in HOST_PEERS:
            runs[peer.name, "host"] = run_again(peer, Options("icount", HOST_TESTS, hold=HOLD, label="host"))
    for _ in range(o.reps):  # in turns, so that other load of the machine meets them all
        for peer in chosen(o.peers):
            runs.setdefault((peer.name, "wall1"), []).extend(run_again(peer, Options("wall1", "none")))
    kinds = {p.split("-")[0] for p in o.peers.split(",")}
    others = [p for p in network.OTHERS if p.split("-")[0] in kinds]
    guests = network.measure_guests(run_again, others) if network.OWN in o.peers.split(",") else None
    return 0 if goals.Report(runs).show(guests) else 1


def command_nvme(o):
    report_ = goals.Report(nvme_runs([PEERS[p] for p in NVME_PEERS], o.reps))
    print(report_.speed("nvme", goals.NVME))
    print("\n".join("MISSED: " + m for m in report_.missed))
    return 1 if report_.missed else 0


def command_exits(o):
    runs = {p.name: run(p, Options("icount", "none")) for p in chosen(o.peers)}
    print(goals.exits_table(runs))
    return 0 if all(r["ok"] for rs in runs.values() for r in rs) else 1


def command_rows(o):
    known = [row for _, rows in report.SECTIONS for row in rows]
    names = [row[0] if isinstance(row, tuple) else row for row in known]
    names = [n for n in names if re.search(o.pattern, n)] or paths.fail("no row matches " + o.pattern)
    tests = {t for n in names for t in next(t for p, t in GROUPS if n.startswith(p)).split(",")}
    runs = {p.name: run(p, Options("icount", ",".join(sorted(tests)))) for p in chosen(o.peers)}
    for model in goals.MODELS:
        if EXITS_ROW in names and model in runs:
            runs[model] += exits_per_request(PEERS[model])
    for rs in runs.values():
        for r in rs:
            derive(r)
    values = [[n] + [number(v[0]) if v else "-" for v in (summary(rs, n) for rs in runs.values())] for n in names]
    print(markdown(["row"] + list(runs), values))
    return 0 if all(r["ok"] for rs in runs.values() for r in rs) else 1


def command_guests(o):
    return network.guests(run_again, [p.name for p in chosen(o.peers)] if o.peers else [])


def command_card(o):
    return network.card(o.card, o.reps)


def command_path(o):
    path.report(PEERS["mezzanine-" + o.model], o.function_name, o.tests, o.skip)
    return 0


def command_run(o):
    options = Options(o.mode, o.tests, o.scale, o.hold, o.label, o.loud, o.timeout, o.stall, o.set)
    return 0 if all(r["ok"] for r in run(chosen(o.peer)[0], options, o.reps)) else 1


def command_all(o):
    failed = []
    for _ in range(o.reps):
        for mode in o.modes.split(","):
            for peer in chosen(o.peers):
                if not run_again(peer, Options(mode, o.tests, hold=hold_for(peer)))[-1]["ok"]:
                    failed.append("%s.%s" % (peer.name, mode))
    report.report()
    sizes.report()
    for f in failed:
        paths.say("failed twice: " + f)
    return 1 if failed else 0


def command_build(o):
    build(list(PEERS.values()), o.force)
    return 0


def simple(action):
    def command(_):
        action()
        return 0
    return command


def parser():
    ap = argparse.ArgumentParser(prog="bench", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = ap.add_subparsers(metavar="command", required=True)

    def add(name, function):
        p = sub.add_parser(name)
        p.set_defaults(function=function)
        return p
    for name, function, peers in (("goals", command_goals, GOAL_PEERS), ("exits", command_exits, OWN_PEERS),
                                  ("rows", command_rows, "native," + OWN_PEERS),
                                  ("nvme", command_nvme, ",".join(NVME_PEERS)),
                                  ("all", command_all, ",".join(PEERS))):
        p = add(name, function)
        p.add_argument("--peers", default=peers)
        p.add_argument("--reps", type=int, default=NVME_REPS if name == "nvme" else 1)
        if name == "rows":
            p.add_argument("pattern", help="a regular expression")
        if name == "all":
            p.add_argument("--modes", default=",".join(machine.MODES))
            p.add_argument("--tests", default=DEFAULT_TESTS)
    run_options(add("run", command_run))
    add("guests", command_guests).add_argument("--peers", default=",".join(network.OTHERS), help="others than mono")
    p = add("card", command_card)
    p.add_argument("--card", default="e1000e", help="a model of QEMU's")
    p.add_argument("--reps", type=int, default=3)
    p = add("path", command_path)
    p.add_argument("function_name", metavar="FUNCTION")
    p.add_argument("--tests", default="exit", help="of the guest, as in `run`")
    p.add_argument("--skip", type=int, default=2000, help="calls before the one that is taken")
    p.add_argument("--model", choices=["micro", "mono"], default="micro")
    add("build", command_build).add_argument("--force", action="store_true")
    add("report", simple(report.report))
    add("sizes", simple(sizes.report))
    add("peers", simple(lambda: print("\n".join(PEERS))))
    return ap


def run_options(p):
    p.add_argument("peer")
    p.add_argument("--mode", choices=list(machine.MODES), default="icount")
    p.add_argument("--reps", type=int, default=1)
    p.add_argument("--tests", default=DEFAULT_TESTS, help="groups of tests, or none: power off at userland")
    p.add_argument("--scale", type=int, default=100, help="per cent of the iteration counts")
    p.add_argument("--hold", type=int, default=0, help="seconds the guest waits while the host's memory is read")
    p.add_argument("--label", default="", help="a word that keeps these results apart")
    p.add_argument("--loud", action="store_true", help="with the kernels' messages")
    p.add_argument("--set", action="append", default=[], help="one more word for a Linux host side")
    p.add_argument("--timeout", type=int, default=420)
    p.add_argument("--stall", type=int, default=100, help="seconds without a line that end a run")


def main():
    o = parser().parse_args()
    sys.exit(o.function(o))


if __name__ == "__main__":
    main()

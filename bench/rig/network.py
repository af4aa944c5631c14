# SPDX-License-Identifier: MIT
"""The network between two guests of one machine, and through the machine's card to the outside."""
from .peers import PEERS
from .results import markdown, number, summary
from .run import Options, run

OTHERS = ("xen", "kvm-q35", "kvm-vhost")
BESIDE = ("native", "kvm-vhost")  # for comparison: a third of a round trip by vhost is less than the loopback of one kernel takes
OWN = "mezzanine-mono"
# Row, how it relates to the better of the others; None: there for comparison.
GUESTS = (("net_g2g_rr_p50", ("<=", 1 / 3)), ("net_g2g_rr_p95", None), ("net_g2g_tx", (">=", 2)),
          ("net_g2g_rx", (">=", 2)))
CARD = ("net_host_rr_p50", "net_host_rr_p95", "net_host_tx", "net_host_rx")
SHARE = 0.9  # of native speed, with a card of the machine


def value(runs, name):
    return (summary([r for r in runs if r["ok"]], name) or [None])[0]


def measure_guests(again, others=OTHERS):
    """{peer: [result, ...]}; natively the loopback stands for it. again: runs a peer, as run()."""
    runs = {p: again(PEERS[p], Options("icount", "g2g", label="g2g")) for p in (*others, OWN)}
    return {"native": again(PEERS["native"], Options("icount", "lo", label="g2g")), **runs}


def goal(rule, values):
    """(the limit as text, whether it is met: None when a value is missing)."""
    how, factor = rule
    values = dict(values)
    own, others = values.pop(OWN), [v for p, v in values.items() if p not in BESIDE and v is not None]
    if not others or own is None:
        return "no value", None
    limit = factor * (min(others) if how == "<=" else max(others))
    return how + " " + number(limit), own <= limit if how == "<=" else own >= limit


def guests_table(runs, missed):
    """The table; what is missed is added to `missed`."""
    table = []
    for name, rule in GUESTS:
        values = {p: value(r, name.replace("g2g", "lo") if p == "native" else name) for p, r in runs.items()}
        text, met = goal(rule, values) if rule else ("", True)
        if not met:
            missed.append("%s of %s: %s, goal %s" % (name, OWN, number(values[OWN] or 0), text))
        table.append([name] + [number(v) if v is not None else "-" for v in values.values()] +
                     [text, "" if not rule else "ok" if met else "MISSED"])
    return markdown(["row", "native (loopback)"] + list(runs)[1:] + ["goal", "mono"], table)


def both_exits(res):
    names = set(res["exits"]) | set(res["peer_exits"])
    return {n: res["exits"].get(n, 0) + res["peer_exits"].get(n, 0) for n in names}


def exits_for_each_frame():
    """Of both guests, from two runs of different length, for round trips and for bulk."""
    rows = []
    for tests in ("g2g_rr", "g2g_bulk"):
        short, long = (run(PEERS[OWN], Options("icount", tests, scale=s, label="exits"))[0] for s in (100, 300))
        frames = sum(long["bench"][n] - short["bench"][n] for n in ("net_g2g_tx_frames", "net_g2g_rx_frames"))
        more, less = both_exits(long), both_exits(short)
        for cause in sorted(more, key=lambda c: less.get(c, 0) - more[c]):
            each = (more[cause] - less.get(cause, 0)) / frames
            if each >= 0.005:
                rows.append([tests, cause, "%.2f" % each])
        rows.append([tests, "all", "%.2f" % ((sum(more.values()) - sum(less.values())) / frames)])
    return markdown(["test", "exits by cause", "for each frame"], rows)


def card(model, reps):
    """Native and mono in turns, by the wall clock; whether mono keeps SHARE of native's speed."""
    peers, missed, table = ("native", OWN), [], []
    runs = {p: [] for p in peers}
    for _ in range(reps):
        for p in peers:
            options = Options("wall1", "net", scale=1000, label="card")  # so long that the first translation does not count
            options.card = model
            runs[p] += run(PEERS[p], options)
    for name in CARD:
        native, own = (value(runs[p], name) for p in peers)
        if native is None or own is None:
            missed.append("no value of " + name)
            continue
        share = native / own if "_rr_" in name else own / native
        goal_of = not name.endswith("p95")
        if goal_of and share < SHARE:
            missed.append("%s: %.2f of native, goal %.2f" % (name, share, SHARE))
        table.append([name, number(native), number(own), "%.2f" % share,
                      "" if not goal_of else "ok" if share >= SHARE else "MISSED"])
    print(markdown(["row, " + model, "native", "mono", "share", ""], table))
    for m in missed:
        print("MISSED: " + m)
    return 1 if missed else 0


def guests(again, others):
    missed = []
    print(guests_table(measure_guests(again, others), missed))
    print(exits_for_each_frame())
    for m in missed:
        print("MISSED: " + m)
    return 1 if missed else 0

# SPDX-License-Identifier: MIT
"""Reads the machine's serial line: what the guest and the host side print for the rig.

    BENCH name value unit     a result of the guest; BENCH userland is the first, BENCH end the last
    G ns BENCH ...            the same with the host's clock
    RIG word ns               a moment on the host's clock
    RIGKV name value [unit]   a value of the host side
"""
import re

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1bc")
_STAMPED = re.compile(r"\bG (\d+) (BENCH .*|INFO .*)$")
_BENCH = re.compile(r"\bBENCH (\S+) (\S+) (\S+)")
_MOMENT = re.compile(r"\bRIG (\w+) (\d+)")
_VALUE = re.compile(r"\bRIGKV (\S+) (.*)$")
_TROUBLE = re.compile(r"\b(RIGWARN|RIGERR|INFO|Kernel panic|BUG:|Oops)\b")
_MOMENTS = ("userland", "hold", "end")


def new_result(**fields):
    res = {"wall": {}, "host": {}, "kv": {}, "bench": {}, "unit": {}, "guest_at": {}, "info": [], "warn": []}
    res.update(fields)
    return res


def parse(line, t, res):
    """Takes what the line says into the result; t is the wall time since power-on. True at the end of the run."""
    line = _ESCAPES.sub("", line)
    clock = None
    m = _STAMPED.search(line)
    if m:
        clock, line = int(m.group(1)), m.group(2)
    m = _BENCH.search(line)
    if m:
        return _bench(m, t, clock, res)
    m = _MOMENT.search(line)
    if m:
        res["host"][m.group(1)] = int(m.group(2))
        res["wall"][m.group(1)] = t
        return m.group(1) == "host_finish"
    m = _VALUE.search(line)
    if m:
        res["kv"][m.group(1)] = m.group(2).strip()
        return False
    m = _TROUBLE.search(line)
    if m:
        res["info" if m.group(1) == "INFO" else "warn"].append(line)
    return False


def _bench(m, t, clock, res):
    name = m.group(1)
    try:
        res["bench"][name] = float(m.group(2))
    except ValueError:
        return False
    res["unit"][name] = m.group(3)
    if name in _MOMENTS:
        res["wall"].setdefault("guest_" + name, t)
        if clock is not None:
            res["guest_at"][name] = clock
    return name == "end"

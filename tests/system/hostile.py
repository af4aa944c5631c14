# SPDX-License-Identifier: MIT
"""The hostile guests of tests/guest/guests.cfg as VMs of one machine, beside a VM that works."""
import configparser
import pathlib
import re

import scripts
from machine import Failure, tiny

GUESTS = pathlib.Path(__file__).resolve().parents[1] / 'guest' / 'guests.cfg'
FIRST, STEP = 15, 3  # seconds: when the first guest begins, and each after it


class Guest:
    """One section of guests.cfg, with the most vcpus that it names."""

    def __init__(self, section):
        self.name = section.name.replace('_', '-')
        self.elf = section.get('file') or section.name
        self.vcpus = max(map(int, section.get('vcpus', '1').split()))
        self.memory = section.get('memory', '32MiB')
        self.words = section.get('cmdline', '')
        ends = section.get('expect', 'exit 0').split(',')[-1].split('|')
        self.ends = [e.strip() for e in ends]


def declared():
    config = configparser.ConfigParser(interpolation=None, default_section='defaults')
    config.read(GUESTS, encoding='utf-8')
    sections = [config[name] for name in config.sections()]
    return [Guest(s) for s in sections if 'hostile' in s.get('groups', '').split()]


def vms(guests):
    return [tiny(g.name, g.elf, f'{g.words} delay={FIRST + STEP * i}', vcpus=g.vcpus, memory=g.memory)
            for i, g in enumerate(guests)]


def judge(m, guest):
    """The guest ended as it is declared; one that may be endless may also not have ended."""
    seen = m.ends(guest.name)[-1:]
    if not seen and 'endless' in guest.ends:
        return
    ok = seen and any(re.fullmatch(e + ('.*' if e.startswith('stopped') else ''), seen[0]) for e in guest.ends)
    if not ok:
        raise Failure(f"{guest.name}: expected {' or '.join(guest.ends)}; seen {seen[0] if seen else 'nothing'}")
    if seen[0] == 'exit 0' and not re.search(rb'^[1-9]\d* passed, 0 failed$', m.log(guest.name), re.M):
        raise Failure(f'{guest.name} ended with code 0, but shows no summary without failures')


def rounds(m):
    return len(set(re.findall(rb'^WORK (\d+) ok$', m.log('work'), re.M)))


def script(guests):
    """The VM beside them works before, while and after the guests attack, and its work is right."""
    def run(m):
        m.expect('work', '^WORK 1 ok$')
        early = [g.name for g in guests if m.ends(g.name)]
        if len(early) > len(guests) // 2: # a slow host
            raise Failure(f"most guests ended before the work began: {' '.join(early)}")
        for g in guests:
            if 'endless' not in g.ends:
                m.until(lambda g=g: m.ends(g.name), f'end of {g.name}')
        done = rounds(m)
        m.until(lambda: rounds(m) >= done + 3, 'work after the attacks', 60)
        for g in guests:
            judge(m, g)
        scripts.leave(m)
    return run

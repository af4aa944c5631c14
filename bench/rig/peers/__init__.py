# SPDX-License-Identifier: MIT
"""The peers by name, in the order of the tables."""
from .kvm import Kvm
from .mezzanine import Mezzanine
from .native import Native
from .xen import Xen

PEERS = {p.name: p for p in (
    Native(), Xen(), Kvm("kvm", "microvm,rtc=on"), Kvm("kvm-q35", "q35"), Kvm("kvm-vhost", "q35", vhost=True),
    Mezzanine("micro"), Mezzanine("mono"))}

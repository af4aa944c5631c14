# SPDX-License-Identifier: MIT
"""What the rig asks of a peer."""


class Peer:
    name = ""         # in the tables, on the command line, in names of files
    host_image = ""   # of a Linux host side: host/peer-NAME.sh; empty: none
    host_modules = ()

    def command(self, options):
        """QEMU's command line: machine.command(options.mode) and what the peer adds to it."""
        raise NotImplementedError

    def fill(self, image):
        """Adds the peer's own files to the image of its host side."""

    def parse(self, line, t, res):
        """Takes what only this peer prints into the result; t is the wall time since power-on."""

    def netserver(self, options):
        """True when the guest's network partner runs outside of the machine."""
        return False

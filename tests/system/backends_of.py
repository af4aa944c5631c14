# SPDX-License-Identifier: MIT
"""Back-ends of the root VM that are killed at any moment, with VMs that write: nothing is lost, nothing is torn, the VM goes on."""
import re
import statistics

from blackout import lives
from machine import Failure

# Whoever is killed is started again by mezzd; who is not there yet is waited for.
KILL = ('n=0; while [ $n -lt {count} ]; do usleep $((RANDOM * {longest} / 32768)); kill -9 $(pidof {victim}) 2>/dev/null && n=$((n + 1)); '
        'done; echo "killed "$n')


def kill(machine, victim, count, longest=400000):
    """So many deaths of a program of the root VM, up to `longest` us after each other."""
    machine.type('root', 'tail -n +1 -f /run/mezzd.log &\n')
    machine.type('root', KILL.format(count=count, longest=longest, victim=victim) + '\n')
    machine.expect('root', rf'^killed {count}', 300)


def goes_on(machine):
    """Each worker of pattern.c says once more that something is safe."""
    seen = len(re.findall(rb'^R ', machine.log('web'), re.M))
    machine.expect('web', '^R ', 60, count=seen + 8)


def pauses(machine):
    """ms that reads of the VM took which took long, in their order."""
    return [int(ms) for ms in re.findall(rb'^P \d+ (\d+)', machine.log('web'), re.M)]


def killed(victim, count):
    """A VM writes while its back-end, or mezzd, is killed again and again; in the end the machine loses its power. The file
    `deaths` in the test's folder says how many deaths there were and how long the VM's reads took then, in ms: `usual` is the longest read before."""
    def test(build, model, folder, seed):
        def during(machine):
            before = pauses(machine)
            kill(machine, victim, count)
            goes_on(machine)
            during = pauses(machine)[len(before):]
            (folder / 'deaths').write_text(f'deaths {count} usual {max(before, default=0)} pauses {len(during)} median '
                                           f'{statistics.median(during or [0])} longest {max(during, default=0)}\n', encoding='ascii')
        said = lives(build, folder, 'nvme,serial=killed', 1, seed, model=model, during=during)
        if ': 0 blocks' in said[0]:
            raise Failure(f'nothing was flushed: {said}')
    return test

# SPDX-License-Identifier: MIT
"""Runs tests side by side, each by a process of its own. Those that measure time have the host to themselves, at the end."""
import concurrent.futures
import pathlib
import shlex
import subprocess
import sys

RUN = pathlib.Path(__file__).resolve().parent / 'run.py'


def one(args, test, model):
    """What the process of one test says, and whether the test passed."""
    command = [sys.executable, RUN, test.name, '--model', model, '--build', args.build, '--log', args.log, '--slow', str(args.slow),
               '--seed', str(args.seed), '--jobs', '1', f'--mezz-args={shlex.join(args.mezz_args)}']
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace', check=False)
    said = done.stdout.rstrip().rpartition('\n')[0]
    if done.returncode in (0, 1) and said:
        return said, done.returncode == 0
    return f'FAIL {model} {test.name}: the process of the test ended with {done.returncode}: {done.stdout[-500:]}', False


def run_all(args, tests):
    """`tests` are pairs of a test and a model. How many passed, and how many did not."""
    passed = failed = 0
    for quiet, lanes in ((False, args.jobs), (True, 1)):
        with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
            try:
                running = [pool.submit(one, args, test, model) for test, model in tests if test.quiet == quiet]
                for future in concurrent.futures.as_completed(running):
                    said, good = future.result()
                    passed, failed = passed + good, failed + (not good)
                    print(said, flush=True)
            except KeyboardInterrupt:  # the tests' processes got the signal, too
                pool.shutdown(cancel_futures=True)
                raise
    return passed, failed

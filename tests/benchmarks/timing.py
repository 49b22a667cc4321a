"""Rounds of calls, interleaved, with the median of each."""

import os
import statistics
import subprocess
import sys
import time

PIN = len(os.sched_getaffinity(0)) > 1 if hasattr(os, "sched_getaffinity") else False


def pin(pid, core):
    """Keep a process on one core: server on 0, clients on 1."""
    if PIN:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(pid, {cores[core]} if len(cores) > 1 else set(cores))


def median_of(call, count):
    """Return the median time of one call in ms."""
    clock = time.perf_counter
    times = []
    for _ in range(count):
        start = clock()
        call()
        times.append(clock() - start)
    return statistics.median(times) * 1000


async def amedian_of(call, count):
    """See median_of()."""
    clock = time.perf_counter
    times = []
    for _ in range(count):
        start = clock()
        await call()
        times.append(clock() - start)
    return statistics.median(times) * 1000


class Process:
    """A process that speaks lines: a server that says its port, or a peer that measures."""

    def __init__(self, *command, core, **more):
        cores = None
        if PIN:
            cores = sorted(os.sched_getaffinity(0))
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more
        )
        if cores:
            os.sched_setaffinity(self.process.pid, {cores[min(core, len(cores) - 1)]})

    def ask(self, line=""):
        if line:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise RuntimeError(f"{self.process.args[:3]} said nothing")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def rounds(measures, *, count):
    """
    Run each measure once a round, in turn, and return the median of its rounds.

    Interleaved, because these machines are shared: a slow second hits all alike.
    """
    found = {name: [] for name in measures}
    for measure in measures.values():
        measure()  # warm-up
    for _ in range(count):
        for name, measure in measures.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


def table(title, rows, base, notes=()):
    """Print medians in ms with their ratio to one of them."""
    print(f"\n{title}")
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        print(f"  {name:<{width}}  {value:9.3f} ms  {value / rows[base]:6.2f} ×")
    for note in notes:
        print(f"  {note}")


def verdict(text, holds):
    """Print one of the numbers that must be shown."""
    print(f"  {'holds' if holds else 'MISSED'}: {text}")
    sys.stdout.flush()

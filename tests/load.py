"""
Run a command again and again while all cores are busy: ``python -m tests.load TIMES COMMAND …``.

What waits for an event passes on a busy machine too; what waits for a moment does not. The load is
as that of ``stress --cpu``: processes that only compute, two for each core.
"""

import contextlib
import os
import subprocess
import sys
import time

PER_CORE = 2
# Ends by itself where whoever started it is gone.
BURN = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for number in range(1_000_000):
        number * number
"""


@contextlib.contextmanager
def busy():
    """Keep all cores busy."""
    command = [sys.executable, "-c", BURN, str(os.getpid())]
    burning = [subprocess.Popen(command) for _ in range(PER_CORE * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def main(times, *command):
    """Return the command's exit code: the first that isn't 0."""
    with busy():
        for number in range(1, int(times) + 1):
            begin = time.monotonic()
            code = subprocess.run(command, check=False).returncode
            print(
                f"Run {number} of {times} under load: code {code}, {time.monotonic() - begin:.0f} s"
            )
            if code:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""The message server of a site's web workers is killed: how soon is another one there?"""

import argparse
import os
import random
import signal
import statistics
import tempfile
import time
from pathlib import Path

from tests.real_server import BINARY
from tests.server.test_autostart import Project, listens, workers

LONGEST = 2.0
"""Seconds within which INSTANT["AUTOSTART"] promises it on a machine that isn't busy."""
SITE = 'DEBUG, ALLOWED_HOSTS = False, ["*"]\nINSTANT = {"AUTOSTART": True}\n'


def play(project, kills):
    """Kill the server, or what supervises it with a worker, again and again; return the seconds."""
    project.append("mysite/settings.py", SITE)
    master = project.gunicorn()
    project.wait_for_server()
    taken = []
    for number in range(kills):
        project.wait_for(lambda: project.server and listens(project.ws_port))
        server, supervisor = project.server, project.supervisor
        if number % 2:
            victims = [server]
        else:  # and one of the workers that could start another
            victims = [supervisor, random.choice([*(set(workers(master.pid)) - {supervisor})])]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        project.wait_for(
            lambda server=server: project.server not in {None, server} and listens(project.ws_port)
        )
        taken.append(time.monotonic() - began)
    return taken


def main(arguments):
    parser = argparse.ArgumentParser(prog="make soak SOAK='takeover …'", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args(arguments)
    late = 0
    for kind in ["embedded", *(["centrifugo"] if BINARY else [])]:
        with tempfile.TemporaryDirectory() as name:
            project = Project(Path(name) / "site", kind)
            try:
                taken = play(project, options.kills)
            finally:
                project.stop()
        late += sum(seconds > LONGEST for seconds in taken)
        print(
            f"{kind}: {options.kills} kills, another server after {statistics.median(taken):.2f} s "
            f"(median), {max(taken):.2f} s at most",
            flush=True,
        )
    print(f"{late} took over {LONGEST:.0f} s.")
    return int(late > 0)

"""PostgreSQL for one command."""

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import cluster

pytestmark = pytest.mark.slow

WAITS = """
import os, signal
print(os.environ["INSTANT_TESTS_PGHOST"], flush=True)
print(open(os.environ["INSTANT_TESTS_PGHOST"] + "/data/postmaster.pid").readline(), flush=True)
signal.pause()
"""


def is_installed():
    if cluster.programs() is None:
        return False
    return os.geteuid() != 0 or "postgres" in {user.pw_name for user in pwd.getpwall()}


@pytest.mark.skipif(not is_installed(), reason=cluster.ABSENT)
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_nothing_is_left_of_it(how):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster", sys.executable, "-c", WAITS],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    folder, pid = Path(process.stdout.readline().strip()), int(process.stdout.readline())
    os.kill(pid, 0)
    assert folder.is_dir()
    if how == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    else:
        process.terminate()
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not folder.exists()
    assert not is_alive(pid)


def is_alive(pid):
    """Tell whether it runs; one that nobody has waited for does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except OSError:
        return False


def test_where_there_is_none_it_fails_and_says_why(monkeypatch, capsys):
    monkeypatch.setattr(cluster, "programs", lambda: None)
    assert cluster.main() == 1
    assert capsys.readouterr().err == f"{cluster.ABSENT}\n"

"""Forks end as processes do that import Django themselves."""

import os
import signal
import subprocess

import pytest

from tests.forks import Forks


@pytest.fixture(scope="module")
def forks():
    found = Forks(os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"})
    yield found
    found.close()


def shell(code):
    return ("django", "shell", "-v0", "-c", code)


@pytest.mark.parametrize(
    ("code", "returned", "said"),
    [
        ("print('out', end='')", 0, ("out", "")),
        ("import sys; print('err', end='', file=sys.stderr); sys.exit(7)", 7, ("", "err")),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL, ("", "")),
        ("import atexit; atexit.register(print, 'last', end='')", 0, ("last", "")),
        (
            "import threading; threading.Timer(0.3, print, ['thread'], {'end': ''}).start()",
            0,
            ("thread", ""),
        ),
    ],
)
def test_how_it_ends_and_what_it_said(forks, code, returned, said):
    done = forks.run(*shell(code))
    assert (done.returncode, (done.stdout, done.stderr)) == (returned, said)


def test_an_exception_is_shown(forks):
    done = forks.run(*shell("1 / 0"))
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_it(forks, number):
    process = forks.start(*shell("print('here', flush=True); import time; time.sleep(600)"))
    assert process.stdout.readline() == "here\n"
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.send_signal(number)
    assert process.wait(60) == -number
    process.stdout.close()


def test_none_outlives_the_one_that_forked_it():
    found = Forks(os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"})
    process = found.start(*shell("print('here', flush=True); import time; time.sleep(600)"))
    assert process.stdout.readline() == "here\n"
    found.close()
    assert process.stdout.read() == ""
    process.stdout.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)

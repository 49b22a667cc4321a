"""What begins as a fork is, to whatever runs in it, a new interpreter."""

import os
import signal
import subprocess
import sys

import pytest

from tests import interpreters
from tests.interpreters import ROOT, Python

SEES = """
import os, sys, tempfile, time
print(sys.argv, sys.orig_argv, sys.path, __name__, sys.modules["__main__"].__dict__ is globals())
print(sorted(os.environ.items()), os.getcwd(), time.tzname, tempfile.gettempdir())
print(sys.stdin.read(), sys.dont_write_bytecode, sys.flags.dev_mode)
print(sorted(map(int, os.listdir("/proc/self/fd")))[:4], os.getsid(0) == os.getpid())
print("of errors", file=sys.stderr)
"""
ENDS = {
    "nothing": "",
    "a number": "raise SystemExit(7)",
    "a text": "raise SystemExit('why')",
    "an exception": "1 / 0",
    "a signal": "import os; os.kill(os.getpid(), 9)",
    "at the exit": "import atexit; atexit.register(print, 'last')",
    "a thread": "import threading; threading.Timer(0.3, print, ['thread']).start()",
    "at once": "import os; print('never seen'); os._exit(3)",
    "unbuffered": "import os; print('seen', end=''); os._exit(3)",
}


def both(command, **options):
    """Run it in a fork and in a new interpreter; return what came of each."""
    for run, begin in ((interpreters.run, []), (subprocess.run, [sys.executable])):
        done = run([*begin, *command], check=False, capture_output=True, text=True, **options)
        yield done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("how", ["-c", "-m", "script", "in a session of its own"])
def test_it_sees_what_a_new_one_does(tmp_path, how):
    (tmp_path / "sees.py").write_text(SEES)
    command = {"-c": ["-c", SEES], "-m": ["-m", "sees"]}.get(how, [tmp_path / "sees.py"])
    (tmp_path / "temporary").mkdir()
    env = {"PYTHONPATH": f"/somewhere{os.pathsep}{tmp_path}", "TZ": "Asia/Tokyo", "LANG": "C.UTF-8"}
    env |= {"TMPDIR": str(tmp_path / "temporary"), "PYTHONDONTWRITEBYTECODE": "1"}
    found, wanted = both(
        [*command, "one", "two words"], env=env, cwd=tmp_path, input="asked",
        start_new_session=how == "in a session of its own",
    )  # fmt: skip
    assert found == wanted
    assert found[0] == 0


@pytest.mark.parametrize("how", ENDS)
def test_it_ends_as_a_new_one_does(how):
    env = os.environ | ({"PYTHONUNBUFFERED": "1"} if how == "unbuffered" else {})
    (code, out, errors), wanted = both(["-c", ENDS[how]], env=env)
    assert (code, out) == wanted[:2]
    assert errors.splitlines()[-1:] == wanted[2].splitlines()[-1:]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_it(number):
    code = "print('here', flush=True); import time; time.sleep(600)"
    with Python(["-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "here\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(number)
        assert process.wait(60) == -number


def test_no_settings_are_known_to_it_but_its_own(tmp_path):
    (tmp_path / "other_settings.py").write_text("SITE_NAME = 'other'")
    code = "from django.conf import settings; print(settings.SITE_NAME)"
    env = {"DJANGO_SETTINGS_MODULE": "other_settings", "PYTHONPATH": str(tmp_path)}
    done = interpreters.run(["-c", code], env=env, check=True, capture_output=True, text=True)
    assert done.stdout == "other\n"


def test_none_outlives_the_process_that_started_it():
    """However that ends."""
    code = (
        "import os; from tests.interpreters import Python;"
        "Python(['-c', 'print(1, flush=True); import time; time.sleep(600)']).stdout;"
        "input(); os.kill(os.getpid(), 9)"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **pipes) as process:
        assert process.stdout.readline() == "1\n"
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.read() == ""  # nobody has it open any more

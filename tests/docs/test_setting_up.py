"""The set-up of “make”, interrupted at the worst moment."""

import os
import subprocess

import pytest

from tests.docs.documents import ROOT

pytestmark = pytest.mark.slow

# Stands for Python in both environments: it notes what it is called with, and can lose its pip.
PYTHON = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
  "-m venv"*)
    case "$*" in *--clear*) rm -rf .venv;; esac
    mkdir -p .venv/bin && ln -sf {python} .venv/bin/python
    [ -e .venv/pip ] || [ -e .venv/broken ] || touch .venv/pip;;
  "-m pip"*)
    [ -e .venv/pip ] || {{ echo "No module named pip" >&2; exit 1; }}
    if [ -e {interrupt} ]; then rm {interrupt} .venv/pip; touch .venv/broken; exit 130; fi;;
esac
"""


@pytest.fixture
def make(tmp_path):
    log, interrupt, python = (tmp_path / name for name in ("log", "interrupt", "python"))
    python.write_text(PYTHON.format(log=log, interrupt=interrupt, python=python))
    python.chmod(0o755)
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "pyproject.toml").touch()

    def run(*, interrupted=False):
        if interrupted:
            interrupt.touch()
        log.unlink(missing_ok=True)
        done = subprocess.run(
            ["make", "-f", ROOT / "Makefile", f"PYTHON={python}", ".venv/.installed"],
            cwd=folder, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, log.read_text() if log.exists() else ""

    run.folder = folder
    return run


def test_what_was_interrupted_is_set_up_anew(make):
    assert make(interrupted=True)[0] != 0
    assert make()[0] == 0
    code, called = make()
    assert (code, called) == (0, "")


def test_what_is_whole_is_kept_when_the_dependencies_change(make):
    assert make()[0] == 0
    os.utime(make.folder / ".venv/.installed", (1, 1))
    code, called = make()
    assert code == 0
    assert "--clear" not in called


def test_an_update_that_is_interrupted_is_set_up_anew_too(make):
    assert make()[0] == 0
    os.utime(make.folder / ".venv/.installed", (1, 1))
    assert make(interrupted=True)[0] != 0
    assert make()[0] == 0

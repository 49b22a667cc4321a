"""What the real server says of a config; left out where there is none."""

import subprocess

import pytest

from tests.real_server import BINARY

needs_binary = pytest.mark.real_server


def complaints(path, env=None):
    """Return what it has against the file, keys that it doesn't know included; else ``""``."""
    done = subprocess.run(
        [BINARY, "checkconfig", "--strict", "-c", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    if done.returncode == 0:
        return ""
    return done.stdout + done.stderr or f"exit code {done.returncode}"

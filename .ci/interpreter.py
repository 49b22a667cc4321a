"""Print the path of a Python: the newest of this machine, or the oldest that Instant supports."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Django 6 needs it; an older one would be tested with Django 5.2, which is done already.
NEW_ENOUGH = (3, 12)
# pyenv's shims are on PATH whether or not their version is chosen, and many Pythons lack a part.
ASK = "import ensurepip, sqlite3, ssl, sys, venv; print(*sys.version_info[:3], sys.version_info[3])"


def supported():
    """Return the oldest version that Instant supports."""
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return tuple(map(int, re.fullmatch(r">=(\d+)\.(\d+)", metadata["requires-python"]).groups()))


def interpreters():
    """Return the released Pythons of this machine that work, as (version, path)."""
    names = [f"python3.{minor}" for minor in range(11, 30)]
    paths = {found for name in names if (found := shutil.which(name))}
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    paths |= {str(path) for path in pyenv.glob("versions/3.*/bin/python")}
    for path in sorted(paths):
        done = subprocess.run([path, "-c", ASK], capture_output=True, text=True, check=False)
        *version, level = done.stdout.split() or ["none"]
        if level == "final":
            yield tuple(map(int, version)), path


def find(which):
    """Return the path; where there is none, end with what is missing."""
    found = sorted(interpreters())
    if which == "newest":
        found = [(version, path) for version, path in found if version >= NEW_ENOUGH][-1:]
        wanted = f"Python {'.'.join(map(str, NEW_ENOUGH))} or newer"
    else:
        oldest = supported()
        found = [(version, path) for version, path in found if version[:2] == oldest]
        wanted = f"Python {'.'.join(map(str, oldest))}"
    if not found:
        sys.exit(f"No {wanted} works here: nothing was tested with the {which} versions.")
    return found[-1][1]


if __name__ == "__main__":
    print(find(sys.argv[1]))

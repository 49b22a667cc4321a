"""The example's own tests, as one runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "example"


@pytest.mark.slow
def test_the_example_s_tests_pass(tmp_path):
    own = {name for name in os.environ if name.startswith(("EXAMPLE_", "INSTANT_", "DJANGO_"))}
    env = {name: value for name, value in os.environ.items() if name not in own}
    env["EXAMPLE_CENTRIFUGO_DIR"] = str(tmp_path / "centrifugo")
    done = subprocess.run(
        [sys.executable, "manage.py", "test"],
        cwd=EXAMPLE, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran 6 tests" in done.stderr

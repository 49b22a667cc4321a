"""The client's own tests, which vitest runs; here they run beside all others."""

import subprocess
from pathlib import Path

import pytest

CLIENT = Path(__file__).resolve().parents[2] / "js-client"
HEAP = "test/heap.test.ts"


def passes(*arguments):
    done = subprocess.run(
        ["npm", "test", "--silent", "--", *arguments],
        cwd=CLIENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_client_passes_its_own_tests():
    passes("--exclude", HEAP)


@pytest.mark.slow
def test_a_page_that_is_open_all_day_keeps_its_memory():
    assert "1 passed" in passes(HEAP)

"""The client's own tests, which vitest runs; here they run beside all others."""

import subprocess
from pathlib import Path

CLIENT = Path(__file__).resolve().parents[2] / "js-client"


def test_the_client_passes_its_own_tests():
    done = subprocess.run(
        ["npm", "test", "--silent"],
        cwd=CLIENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""The example, started by its own demo.py with a database and a server folder of its own."""

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.forks import Forks
from tests.ports import free_port

EXAMPLE = Path(__file__).resolve().parents[2] / "example"
START_SECONDS = 60


class Site:
    def __init__(self, folder, relay):
        self.folder, self.relay = folder, relay
        port, ws_port = free_port(), free_port()
        self.url = f"http://localhost:{port}"
        self.env = environment(folder) | {
            "EXAMPLE_WS_URL": f"ws://localhost:{relay.port}/connection/websocket"
        }
        # “embedded” asks for nothing to be installed; CI also says “centrifugo”.
        server = os.environ.get("EXAMPLE_SERVER", "embedded")
        self._options = ("--port", str(port), "--ws-port", str(ws_port), "--server", server)
        self._ws_port = ws_port
        self._forks, self._forked = None, None
        self.cookies = {}
        """Of each user who has logged in, so that it happens once."""

    def __enter__(self):
        self._demo = Demo(self.env, *self._options)
        self._demo.wait_for("Ctrl-C stops it")
        self.relay.target = self._ws_port
        self.env["EXAMPLE_WS_PORT"] = str(self._ws_port)
        return self

    def __exit__(self, *_exception):
        if self._forks:
            self._forks.close()
        code, said = self._demo.stop()
        assert code == 0, said
        assert "Traceback" not in said, said

    def shell(self, code):
        """Run code in a shell of its own, as somebody would at the terminal."""
        if self._forked != self.env:  # its settings have read it
            if self._forks:
                self._forks.close()
            self._forked = dict(self.env)
            self._forks = Forks({**self.env, "PYTHONPATH": str(EXAMPLE)})
        done = self._forks.run("django", "shell", "-c", code, timeout=START_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


class Demo:
    """
    A running demo.py, and what it has said.

    Only the first of a process begins without a database: the others find what it had made.
    """

    made = None

    def __init__(self, env, *options):
        self._database = Path(env["EXAMPLE_DB"])
        if Demo.made and not self._database.exists():
            self._database.write_bytes(Demo.made)
        self.process = subprocess.Popen(
            [sys.executable, EXAMPLE / "demo.py", *options],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        os.set_blocking(self.process.stdout.fileno(), False)
        self.said = ""

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        # Where a test failed on the way; what it left would fail others.
        if self.process.returncode is None:
            self.stop()

    def wait_for(self, pattern):
        """Return what it says on the pattern; fail where it ends before."""
        deadline = time.monotonic() + START_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not (found := re.search(pattern, self.said)):
                chunk = b""
                if selector.select(timeout=max(0, deadline - time.monotonic())):
                    chunk = os.read(self.process.stdout.fileno(), 65536)
                if not chunk:
                    code, said = self.stop()
                    raise AssertionError(f"It never said {pattern!r} (code {code}):\n{said}")
                self.said += chunk.decode()
        # Nobody has visited the site yet.
        Demo.made = Demo.made or self._database.read_bytes()
        return found

    def stop(self, number=signal.SIGTERM):
        """Send the signal, if it isn't None; return exit code and all that it has said."""
        if number is not None:
            self.process.send_signal(number)
        os.set_blocking(self.process.stdout.fileno(), True)
        rest, _ = self.process.communicate(timeout=START_SECONDS)
        self.said += rest.decode()
        return self.process.returncode, self.said


def environment(folder):
    """Return an environment in which the example keeps its files in the folder."""
    return os.environ | {
        "EXAMPLE_DB": str(folder / "db.sqlite3"),
        "EXAMPLE_CENTRIFUGO_DIR": str(folder / "centrifugo"),
        "EXAMPLE_IMPORTS": str(folder / "imports"),
        # The bell has its switch, and nothing is sent to a push service.
        "EXAMPLE_VAPID_KEY": "qEL-Ejtk7zQ7gVXPWNnqqPqzvVMH7qvLPMDHdvMW5mw",
        "EXAMPLE_PUSH_DELAY": "86400",
        # Django's own test settings are named in the tests' environment.
        "DJANGO_SETTINGS_MODULE": "shop.settings",
    }

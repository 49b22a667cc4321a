"""The site and its message server as two processes, with all they keep in one folder."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests import interpreters
from tests.interpreters import Python
from tests.ports import free_port
from tests.real_server import BINARY

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 60


class Hall:
    def __init__(self, folder, kind, *, public_port=None, config=None, sockets=None):
        self.folder, self.kind = folder, kind
        self.port, self.ws_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.client.hall.settings",
            "HALL_DIR": str(folder),
            "HALL_PORT": str(self.port),
            "HALL_WS_PORT": str(self.ws_port),
        }
        self.public_port = public_port
        if public_port:  # a web server with TLS in front of both
            self._env["HALL_PUBLIC_PORT"] = str(public_port)
        if sockets:  # a load balancer in front of several nodes
            self._env["HALL_SOCKETS"] = sockets
        if config:
            (folder / "centrifugo").mkdir()
            (folder / "centrifugo" / "config.json").write_text(json.dumps(config))
        if kind == "centrifugo":
            self._env["CENTRIFUGO_BIN"] = BINARY

    def __enter__(self):
        interpreters.run(self._command("migrate", "-v0"), env=self._env, cwd=ROOT, check=True)
        with ExitStack() as started:
            for port, *command in (
                (self.ws_port, "runws", "--server", self.kind),
                (self.port, "runserver", f"127.0.0.1:{self.port}", "--noreload"),
            ):
                self._start(started, port, command)
            self.change("wake_up")
            self._stack = started.pop_all()
        return self

    def __exit__(self, *_exception):
        self._stack.close()

    def restart_server(self):
        """End the message server and start another, which remembers nothing."""
        self.stop_server()
        self.start_server()

    @contextmanager
    def jobs(self):
        """Run what is queued."""
        process = Python(self._command("runjobs"), env=self._env, cwd=ROOT)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)

    def stop_server(self):
        self._stop_server()

    def start_server(self):
        self._start(self._stack, self.ws_port, ["runws", "--server", self.kind])

    def change(self, name, *arguments, **more):
        """Do something behind the pages' backs, in the site's own process; see changes.py."""
        request = urllib.request.Request(
            f"{self.url}/change/{name}/",
            data=json.dumps({"arguments": arguments, **more}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["result"]

    def _command(self, *arguments):
        return ["-m", "django", *arguments]

    def _start(self, started, port, command):
        log = self.folder / f"{command[0]}.log"
        process = Python(
            self._command(*command),
            env=self._env,
            cwd=ROOT,
            stdout=started.enter_context(log.open("ab")),
            stderr=subprocess.STDOUT,
        )

        def stop():
            if process.returncode is not None:
                return
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            assert "Traceback" not in log.read_text()

        started.callback(stop)
        if command[0] == "runws":
            self._stop_server = stop
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)  # between two looks at another process


def _answers(port):
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True

"""Message servers as processes of their own: the embedded one and, where there is one, the real one."""

import contextlib
import json
import socket
import subprocess
import time

from django.test import override_settings

from instant.centrifugo.config.defaults import compile_config
from tests.interpreters import Python
from tests.ports import free_port
from tests.real_server import BINARY


def use(server, **instant):
    """Let Django find all it needs in the server's own config.json."""
    return override_settings(
        CENTRIFUGO_API_KEY=None,
        CENTRIFUGO_HMAC_KEY=None,
        INSTANT={
            "DIR": server.folder,
            "BACKEND": "instant.backends.centrifugo.CentrifugoBackend",
            "TIMEOUT": 60,
            "ENFORCE_IN_BACKGROUND": False,  # a thread of its own would meet the test's database
            **instant,
        },
    )


class LiveServer:
    """One server in a folder of its own; may be killed and started again."""

    def __init__(self, kind, folder, **changes):
        self.kind = kind
        self.folder = folder
        self.port = free_port()
        self.path = folder / "config.json"
        config = compile_config(
            changes, allowed_origins=["http://testserver"], audience="tests", port=self.port
        )
        self.path.write_text(json.dumps(config))
        self.process = None

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}/connection/websocket"

    def start(self):
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if self.kind == "centrifugo":
            command = [BINARY, "-c", str(self.path)]
            self.process = subprocess.Popen(command, cwd=self.folder, **streams)
        else:
            command = ["-m", "instant.embedded", "--config", str(self.path)]
            self.process = Python(command, cwd=self.folder, **streams)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            if self.process.poll() is not None:
                raise RuntimeError(f"{command} ended with {self.process.returncode}")
            time.sleep(0.02)
        raise RuntimeError(f"{command} does not listen")

    def kill(self):
        """Kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

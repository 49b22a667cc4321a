"""A subscriber that speaks the protocol in raw frames."""

import contextlib
import json
import socket
import time

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

# Seconds; a busy machine takes some of them.
PATIENCE = 60


class Subscriber:
    """One connection; replies and pushes in the order in which they came."""

    def __init__(self, url, *, origin=None, headers=None):
        self._stack = contextlib.ExitStack()
        self._socket = self._stack.enter_context(
            connect(
                url,
                origin=origin,
                additional_headers=headers,
                compression=None,
                max_size=None,
                ping_interval=None,
            )
        )
        self._lines = []
        self._id = 0

    def ask(self, **command):
        """Send a command and return its reply; pushes that come before it are kept."""
        self._id += 1
        self._socket.send(json.dumps({"id": self._id, **command}))
        kept, until = [], time.monotonic() + PATIENCE
        while True:
            line = self._next(until)
            if line.get("id") == self._id:
                self._lines = kept + self._lines
                return line
            kept.append(line)

    def tell(self, **command):
        """Send a command, and leave its reply, or the end of the connection, to be read."""
        self._id += 1
        self._socket.send(json.dumps({"id": self._id, **command}))

    def connect(self, token):
        return self.ask(connect={"token": token})

    def subscribe(self, channel, token=None, **more):
        return self.ask(subscribe={"channel": channel, "token": token or "", **more})

    def publications(self, count, timeout=PATIENCE):
        """Return the next publications as (channel, data)."""
        found, until = [], time.monotonic() + timeout
        while len(found) < count:
            line = self._next(until)
            if "pub" in line.get("push", {}):
                found.append((line["push"]["channel"], line["push"]["pub"]["data"]))
        return found

    def pushes(self):
        """Return the pushes that came; a round trip proves that no more were on their way."""
        self.ask(rpc={"method": "nothing", "data": {}})
        found = [line for line in self._lines if "push" in line]
        self._lines = []
        return found

    def push(self, *kinds):
        """Wait for a push of one of the kinds and return it."""
        until = time.monotonic() + PATIENCE
        while True:
            push = self._next(until).get("push", {})
            if any(kind in push for kind in kinds):
                return push

    def pushed(self, kind):
        """Wait for a push of a kind and return when it came (time.perf_counter())."""
        self.push(kind)
        return time.perf_counter()

    def close_code(self):
        """Return the code with which the server ends the connection."""
        until = time.monotonic() + PATIENCE
        try:
            while True:
                self._next(until)
        except ConnectionClosed as exc:
            return exc.rcvd.code

    def quiet(self):
        """Tell whether nothing came: a round trip proves that nothing was on its way."""
        self.ask(rpc={"method": "nothing", "data": {}})
        return not [line for line in self._lines if "push" in line]

    def _next(self, until):
        # The server's pings are frames too: they must not prolong the wait.
        while not self._lines:
            frame = self._socket.recv(max(0, until - time.monotonic()))
            if frame == "{}":
                self._socket.send("{}")
                continue
            self._lines = [json.loads(line) for line in frame.splitlines()]
        return self._lines.pop(0)

    def cut(self):
        """Break the connection without a word, also while another thread reads from it."""
        with contextlib.suppress(OSError):
            self._socket.socket.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._stack.close()

"""A page, as far as it matters here: it comes back, recovers, and knows a message by its id."""

import contextlib
import threading
import time

from websockets.exceptions import WebSocketException

from tests.live.subscriber import Subscriber

SOON = 0.05
MARK = "instant:lost"


class Page(threading.Thread):
    """
    Reads channels in a thread until close(), whatever becomes of server and connection.

    ``signer()`` returns an object with connection_token() and channel_token(), as Django's.
    """

    def __init__(self, url, channels, signer):
        super().__init__(daemon=True)
        self._url, self._channels, self._signer = url, channels, signer
        self._positions = {}
        self._ids = set()
        self._over = threading.Event()
        self._socket = None
        self.messages = {channel: [] for channel in channels}
        """What listeners got, by channel, in order: publisher and number."""
        self.dropped = 0
        """Messages that came a second time, which the page knew by their ids."""
        self.told = dict.fromkeys(channels, 0)
        """How often it was told that messages were lost."""
        self.joined = dict.fromkeys(channels, 0)

    def run(self):
        while not self._over.is_set():
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                self._read()
            self._over.wait(SOON)

    def _read(self):
        socket = self._socket = Subscriber(self._url)
        try:
            signer = self._signer()
            if "connect" not in socket.connect(signer.connection_token().value):
                return
            for channel in self._channels:
                token = signer.channel_token(channel).value
                position = self._positions.get(channel)
                since = {"recover": True, **position} if position else {}
                reply = socket.subscribe(channel, token, **since)
                if "subscribe" not in reply:
                    return
                self._subscribed(channel, reply["subscribe"], was_here=self.joined[channel] > 0)
            while not self._over.is_set():
                push = socket.push("pub", "unsubscribe")
                if "unsubscribe" in push:  # it may have missed some: once more, from its position
                    return
                self._take(push["channel"], push["pub"])
        finally:
            socket.close()

    def _subscribed(self, channel, reply, *, was_here):
        recovered = reply.get("recovered", False)
        now = {"offset": reply.get("offset", 0), "epoch": reply.get("epoch", "")}
        before = self._positions.get(channel)
        if was_here and before is not None and not recovered and now != before:
            self.told[channel] += 1
        if "epoch" in reply:
            self._positions[channel] = before if recovered and before else now
            self._positions[channel]["epoch"] = now["epoch"]
        for publication in reply.get("publications", []):
            self._take(channel, publication)
        self.joined[channel] += 1

    def _take(self, channel, publication):
        offset = publication.get("offset")
        if offset is not None:
            self._positions[channel]["offset"] = offset
        data = publication["data"]
        if data["id"] in self._ids:
            self.dropped += 1
            return
        self._ids.add(data["id"])
        if data.get("event_class") == MARK:
            self.told[channel] += 1
            return
        self.messages[channel].append((data["data"]["publisher"], data["data"]["number"]))

    def began(self, number):
        """Tell whether each of its channels of a publisher has had a message."""
        lane = str(number)
        return all(got for name, got in self.messages.items() if name.endswith(lane))

    def cut(self):
        """Break the connection, as a network does."""
        socket = self._socket
        if socket is not None:
            socket.cut()

    def wait(self, holds, seconds=60):
        """Wait until holds(page); tell whether it does in time."""
        deadline = time.monotonic() + seconds
        while not holds(self):
            if time.monotonic() > deadline:
                return False
            time.sleep(SOON)
        return True

    def close(self):
        self._over.set()
        self.cut()
        self.join(60)
        assert not self.is_alive()

"""A broker with a clock of its own, and a peer that only remembers."""

import json

from instant.embedded.config.load import parse
from instant.embedded.session.handlers import new_session
from instant.embedded.state.broker import Broker
from instant.embedded.wire_forms import Form
from tests.conformance.player import SECRET, token

HISTORY = {"history_size": 10, "history_ttl": "60s", "force_recovery": True}
CONFIG = {
    "client": {"token": {"hmac_secret_key": SECRET}},
    "http_api": {"key": "key"},
    "channel": {
        "without_namespace": {"presence": True},
        "namespaces": [
            {"name": "open", "allow_subscribe_for_client": True, **HISTORY, "presence": True},
            {"name": "plain", "allow_subscribe_for_client": True},
            {
                "name": "room",
                "allow_subscribe_for_client": True,
                "allow_publish_for_subscriber": True,
                "presence": True,
                "join_leave": True,
                "force_push_join_leave": True,
                "allow_presence_for_subscriber": True,
            },
            {"name": "asked", "subscribe_proxy_enabled": True, "publish_proxy_enabled": True},
        ],
        "proxy": {
            "subscribe": {"endpoint": "http://app.example/subscribe"},
            "publish": {"endpoint": "http://app.example/publish"},
        },
    },
}


class FakeClock:
    """Time that passes when a test says so."""

    def __init__(self):
        self.passed = 0.0

    def now(self):
        return 1_000_000_000 + self.passed

    def monotonic(self):
        return 100 + self.passed


class FakePeer:
    """Keeps what a session wants done."""

    def __init__(self):
        self.sent = []
        self.closed = None
        self.wake_at = None
        self.asked = []
        self.missing_keys = []
        self.paused = []

    def send(self, data):
        self.sent.append(data)

    def close(self, disconnect):
        self.closed = (disconnect.code, disconnect.reason)

    def wake(self, at):
        self.wake_at = at

    def ask(self, request, then):
        self.asked.append((request, then))

    def pause(self, then):
        self.paused.append(then)

    def fetch_key(self, key, then):
        self.missing_keys.append((key, then))


class Client:
    """A session, its peer, and words for what tests do with them."""

    def __init__(self, broker, form=Form.LINE):
        self.broker = broker
        self.peer = FakePeer()
        self.session = new_session(broker, self.peer, form=form)

    def send(self, *commands):
        """Send commands in one frame and return what came back."""
        return self.raw("\n".join(json.dumps(command) for command in commands))

    def raw(self, text):
        self.session.receive(text)
        while self.peer.paused:
            self.peer.paused.pop()()
        return self.take()

    def take(self):
        messages = [json.loads(data) for data in self.peer.sent]
        self.peer.sent.clear()
        return messages

    def connect(self, user="1", **claims):
        (reply,) = self.send({"id": 1, "connect": {"token": signed(self.broker, user, **claims)}})
        return reply["connect"]

    def subscribe(self, channel, **more):
        first, *rest = self.send({"id": 2, "subscribe": {"channel": channel, **more}})
        assert rest == [] or "push" in rest[0]
        return first

    @property
    def close(self):
        return self.peer.closed

    def pass_time(self, seconds):
        """Let time pass, ringing what the session asked for on the way."""
        clock = self.broker.clock
        end = clock.passed + seconds
        while self.peer.wake_at is not None and self.peer.wake_at - 100 <= end:
            clock.passed = max(clock.passed, self.peer.wake_at - 100)
            self.session.tick()
        clock.passed = end


def signed(broker, user="1", **claims):
    """Sign a token by the broker's clock: exp=60 is in 60 seconds."""
    now = int(broker.clock.now())
    moments = {name: now + claims.pop(name) for name in ("exp", "expire_at") if name in claims}
    return token({"sub": user, **claims, **moments})


def subscriber_count(broker, channel):
    """Count the subscribers of a channel."""
    found = broker.hub.channels.get(channel)
    return len(found.subscribers) if found else 0


def make_broker(config=CONFIG):
    return Broker(parse(config, {}), FakeClock())

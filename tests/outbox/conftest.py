"""The outbox as the backend, and a server that answers as a test says."""

import json

import pytest
from django.conf import settings
from django.test import override_settings

from instant import backends
from instant.models import OutboxRow
from tests.servers import RawServer

OUTBOX = "instant.backends.outbox.OutboxBackend"


class Api:
    """A server's API: remembers what it was sent, and refuses what it is told to."""

    def __init__(self):
        self.published = []
        """Pairs of a channel and what it got, in order."""
        self.requests = []
        """Path and body of each request."""
        self.errors = {}
        """By channel, a list of error codes: one for each time that it is published to."""
        self.statuses = []
        """HTTP statuses for the next requests."""

    def __call__(self, connection):
        while True:
            head, body = connection.read_request()
            path = head.split()[1].decode()
            self.requests.append((path, body))
            status = self.statuses.pop(0) if self.statuses else 200
            if status != 200:
                connection.answer(b"no", status=f"{status} No")
                continue
            request = json.loads(body)
            method = path.removeprefix("/api/")
            if method == "batch":
                answer = {"replies": [self._one(command) for command in request["commands"]]}
            else:
                answer = self._run(method, request)
            connection.answer(json.dumps(answer).encode())

    def _one(self, command):
        [(method, request)] = command.items()
        answer = self._run(method, request)
        return answer if "error" in answer else {method: answer["result"]}

    def _run(self, method, request):
        if method == "publish":
            return self._publish(request["channel"], request)
        if method != "broadcast":
            return {"result": {}}
        responses = [self._publish(channel, request) for channel in request["channels"]]
        return {"result": {"responses": responses}}

    def _publish(self, channel, request):
        codes = self.errors.get(channel)
        code = codes.pop(0) if codes else None
        if code is not None:
            return {"error": {"code": code, "message": f"error {code}"}}
        self.published.append((channel, request["data"].get("message"), request["idempotency_key"]))
        return {"result": {"offset": len(self.published), "epoch": "e"}}

    def messages(self, channel=None):
        return [message for name, message, _ in self.published if channel in (None, name)]


def with_outbox(**more):
    return override_settings(INSTANT={**settings.INSTANT, "BACKEND": OUTBOX, **more})


@pytest.fixture
def outbox():
    with with_outbox():
        yield backends.get_backend()
        backends.get_backend().close()


@pytest.fixture
def api():
    behave = Api()
    with (
        RawServer(behave) as server,
        override_settings(CENTRIFUGO_HOST="http://127.0.0.1", CENTRIFUGO_PORT=server.port),
    ):
        behave.server = server
        yield behave


@pytest.fixture
def rows():
    """Return the rows in order, as dicts of what matters."""

    def found(using="default"):
        return [
            {
                "method": row.method,
                "partition": row.partition,
                "namespace": row.namespace,
                **json.loads(row.payload),
            }
            for row in OutboxRow.objects.using(using).order_by("pk")
        ]

    return found

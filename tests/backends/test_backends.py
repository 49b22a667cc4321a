"""The backends: what all promise, and what each does."""

import io
import json
import os
import signal
import threading

import pytest
from django.test import override_settings

from instant import apublish, backends, broadcast, publish
from instant.backends import centrifugo as centrifugo_backend
from instant.backends.base import BaseBackend
from instant.backends.centrifugo import CentrifugoBackend
from instant.backends.console import ConsoleBackend
from instant.backends.locmem import LocmemBackend
from tests.servers import RawServer

PATHS = {
    "centrifugo": "instant.backends.centrifugo.CentrifugoBackend",
    "console": "instant.backends.console.ConsoleBackend",
    "locmem": "instant.backends.locmem.LocmemBackend",
}


def centrifugo(connection):
    """Answer as the server does, method by method."""
    while True:
        head, body = connection.read_request()
        request = json.loads(body)
        if b"/api/publish" in head:
            connection.answer()
        elif b"/api/broadcast" in head:
            items = ",".join('{"result":{}}' for _ in request["channels"])
            connection.answer(b'{"result":{"responses":[%b]}}' % items.encode())
        else:
            items = [{name: {}} for command in request["commands"] for name in command]
            connection.answer(json.dumps({"replies": items}).encode())


@pytest.fixture(params=PATHS)
def backend(request):
    with (
        RawServer(centrifugo) as server,
        override_settings(
            CENTRIFUGO_HOST="http://127.0.0.1",
            CENTRIFUGO_PORT=server.port,
            INSTANT={"DIR": "/x", "BACKEND": PATHS[request.param]},
        ),
    ):
        yield backends.get_backend()
        backends.get_backend().close()


def test_contract_sends_and_marks(backend):
    assert isinstance(backend, BaseBackend)
    assert publish("a", "x").state == "sent"
    assert [p.state for p in broadcast(["a", "b"], "x")] == ["sent", "sent"]


async def test_contract_async(backend):
    assert (await apublish("a", "x")).state == "sent"


def test_contract_one_instance_until_the_settings_change(backend):
    assert backends.get_backend() is backend
    with override_settings(INSTANT={"DIR": "/x", "BACKEND": PATHS["locmem"]}):
        other = backends.get_backend()
        assert other is not backend
        assert isinstance(other, LocmemBackend)
    assert type(backends.get_backend()) is type(backend)


def test_locmem_keeps_them():
    with override_settings(INSTANT={"DIR": "/x", "BACKEND": PATHS["locmem"]}):
        publish("a", "x")
        broadcast(["b", "c"], "y")
        assert [p.channel for p in backends.get_backend().outbox] == ["a", "b", "c"]


def test_console_prints_a_line_each():
    stream = io.StringIO()
    with backends.replaced(ConsoleBackend(stream)):
        one = publish("a", "ü")
        both = broadcast(["b", "$c"], data={"n": 1})
    assert stream.getvalue().splitlines() == [
        f'a {{"channel":"a","site":"Tests","message":"ü","id":"{one.id}"}}',
        f'b {{"site":"Tests","data":{{"n":1}},"id":"{both[0].id}"}}',
        f'$c {{"site":"Tests","data":{{"n":1}},"id":"{both[0].id}"}}',
    ]


def test_console_uses_standard_output(capsys):
    with backends.replaced(ConsoleBackend()):
        publish("a", "x")
    assert capsys.readouterr().out.startswith("a {")


def test_centrifugo_follows_the_settings():
    with RawServer(centrifugo) as one, RawServer(centrifugo) as two:
        for server, key in ((one, "key-1"), (two, "key-2"), (one, "key-3")):
            with override_settings(
                CENTRIFUGO_HOST="http://127.0.0.1",
                CENTRIFUGO_PORT=server.port,
                CENTRIFUGO_API_KEY=key,
                INSTANT={"DIR": "/x", "BACKEND": PATHS["centrifugo"]},
            ):
                publish("a", "x")
                assert f"X-API-Key: {key}".encode() in server.requests[-1][0]


def test_centrifugo_follows_the_file(tmp_path):
    """The same backend object, no setting changed: only config.json."""
    with (
        RawServer(centrifugo) as server,
        override_settings(
            CENTRIFUGO_API_KEY=None,
            CENTRIFUGO_HOST="http://127.0.0.1",
            CENTRIFUGO_PORT=server.port,
            INSTANT={"DIR": tmp_path, "BACKEND": PATHS["centrifugo"]},
        ),
    ):
        for key in ("first", "second-longer"):
            (tmp_path / "config.json").write_text(json.dumps({"http_api": {"key": key}}))
            publish("a", "x")
            assert f"X-API-Key: {key}".encode() in server.requests[-1][0]


def test_a_sync_backend_works_from_async_code():
    class Mine(BaseBackend):
        sent = 0

        def send(self, envelopes):
            self.sent += len(envelopes)

    import asyncio

    with backends.replaced(Mine()):
        asyncio.run(apublish("a", "x"))
        assert backends.get_backend().sent == 1


def test_the_default():
    assert issubclass(CentrifugoBackend, BaseBackend)
    from instant import conf

    before, conf.DEFAULTS["BACKEND"] = conf.DEFAULTS["BACKEND"], PATHS["centrifugo"]
    try:
        with override_settings(INSTANT={"DIR": "/x"}):
            assert isinstance(backends.get_backend(), CentrifugoBackend)
    finally:
        conf.DEFAULTS["BACKEND"] = before


def in_a_fork_while(thread, waits, goes_on, work):
    """Return whether a child, forked while the thread waits, gets its work done."""
    thread.start()
    assert waits.wait(5)
    child = os.fork()
    if child == 0:
        signal.alarm(5)  # for the red case, which waits for ever
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    goes_on.set()
    thread.join(5)
    return status == 0


@pytest.fixture
def held(monkeypatch):
    """Let whoever first calls a function wait in it."""
    waits, goes_on = threading.Event(), threading.Event()

    def hold(place, name):
        original = getattr(place, name)

        def first_waits(*args):
            if not waits.is_set():
                waits.set()
                goes_on.wait(10)
            return original(*args)

        monkeypatch.setattr(place, name, first_waits)
        return waits, goes_on

    yield hold
    goes_on.set()


def test_a_fork_while_a_thread_loads_the_backend(held):
    with override_settings(INSTANT={"DIR": "/x", "BACKEND": PATHS["locmem"]}):
        waits, goes_on = held(backends, "_load")
        thread = threading.Thread(target=backends.get_backend)
        assert in_a_fork_while(thread, waits, goes_on, lambda: publish("a", "x"))


def test_a_fork_while_a_thread_makes_the_client(held):
    with override_settings(INSTANT={"DIR": "/x", "BACKEND": PATHS["centrifugo"]}):
        waits, goes_on = held(centrifugo_backend, "Client")
        thread = threading.Thread(target=backends.get_backend().client)
        assert in_a_fork_while(thread, waits, goes_on, backends.get_backend().client)


def test_threads_that_come_first_together_get_one_backend(held):
    with override_settings(INSTANT={"DIR": "/x", "BACKEND": PATHS["locmem"]}):
        waits, goes_on = held(backends, "_load")
        found = []
        thread = threading.Thread(target=lambda: found.append(backends.get_backend()))
        thread.start()
        waits.wait(5)
        mine = backends.get_backend()
        goes_on.set()
        thread.join(5)
        assert found == [mine]


def test_a_backend_that_loads_while_the_settings_change_is_not_kept(held):
    with override_settings(INSTANT={"DIR": "/x", "BACKEND": PATHS["console"]}):
        waits, goes_on = held(backends, "_load")
        thread = threading.Thread(target=backends.get_backend)
        thread.start()
        waits.wait(5)
        with override_settings(INSTANT={"DIR": "/x", "BACKEND": PATHS["locmem"]}):
            goes_on.set()
            thread.join(5)
            assert isinstance(backends.get_backend(), LocmemBackend)

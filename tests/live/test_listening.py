"""Python that receives what is published, through both servers."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import override_settings

import instant
from instant import Namespace, broadcast, conf, on_message, publish
from instant.backends import get_backend
from instant.centrifugo.api.channel_state import presence
from instant.deliveries import AtMostOnce, Recoverable
from instant.inbound.listening.progress import FileProgress, RowProgress
from instant.inbound.listening.running import Runner
from instant.inbound.listening.stream import Stream
from instant.presence import Change, apresent, watch
from instant.revoking.sweep import Sweep
from instant.rights.tokens import Signer
from instant.server.sync import compare, write
from tests import interpreters
from tests.interpreters import Python
from tests.live.servers import LiveServer
from tests.live.subscriber import Subscriber
from tests.real_server import KINDS

pytestmark = [pytest.mark.conformance, pytest.mark.django_db(transaction=True)]

PATIENCE = 60


class World:
    def __init__(self, kind, folder):
        self.server = LiveServer(kind, folder)
        self._settings = override_settings(
            CENTRIFUGO_API_KEY=None,
            CENTRIFUGO_HMAC_KEY=None,
            INSTANT={
                "DIR": folder,
                "BACKEND": "instant.backends.centrifugo.CentrifugoBackend",
                "TIMEOUT": 60,
                "ENFORCE_IN_BACKGROUND": False,
            },
        )

    def __enter__(self):
        self._settings.enable()
        write(compare(conf.current()))
        self.server.start()
        return self

    def __exit__(self, *_):
        self._settings.disable()
        self.server.kill()


@pytest.fixture(params=KINDS)
def world(request, registry, tmp_path):
    class Order(Namespace):
        name, pattern = "order", "<int:pk>"
        delivery = Recoverable(size=5)

        def can_subscribe(self, user, pk):
            return False

    class Tick(Namespace):
        name, pattern = "tick", "<str:what>"
        delivery = AtMostOnce()

    world = World(request.param, tmp_path)
    world.order = Order
    with world:
        yield world


async def send(*args, **kwargs):
    """Publish from a thread: connections of an event loop would outlive the settings here."""
    return await asyncio.to_thread(publish, *args, **kwargs)


async def received(stream, count):
    async with asyncio.timeout(PATIENCE):
        return [await anext(stream) for _ in range(count)]


@contextlib.asynccontextmanager
async def opened(*args, **kwargs):
    stream = Stream(*args, **kwargs)
    try:
        async with asyncio.timeout(PATIENCE):
            await stream.open()
            for subscription in stream._client.subscriptions().values():
                await subscription.ready()
        yield stream
    finally:
        await stream.close()


def numbers(messages):
    return [m.data["n"] for m in messages]


async def test_messages_of_several_channels(world):
    async with opened(["order:1", "order:2", "tick:a"]) as stream:
        for channel in ("order:1", "order:2", "tick:a", "order:1"):
            await send(channel, data={"n": channel}, event_class="changed")
        found = await received(stream, 4)
    assert sorted(m.channel for m in found) == ["order:1", "order:1", "order:2", "tick:a"]
    for message in found:
        assert message.data == {"n": message.channel}
        assert message.event_class == "changed"
        assert message.payload["channel"] == message.channel
        assert not message.after_gap
        assert (message.offset is None) == (message.channel == "tick:a")


async def test_listen(world):
    found = []

    async def listening():
        async with contextlib.aclosing(instant.listen("order:1")) as messages:
            async for message in messages:
                found.append(message.data["n"])
                if message.data["n"] == 3:
                    return

    task = asyncio.ensure_future(listening())
    async with asyncio.timeout(PATIENCE):
        number = 0
        while not found:  # until it is there
            await send("order:1", data={"n": 0})
            await asyncio.sleep(0.05)
        for number in (1, 2, 3):
            await send("order:1", data={"n": number})
        await task
    assert [n for n in found if n] == [1, 2, 3]


async def test_bad_names():
    with pytest.raises(ValueError, match="needs the name"):
        await anext(instant.listen())
    with pytest.raises(ValueError, match="\\*"):
        await anext(instant.listen("order:*"))


async def test_from_a_position_on(world):
    first = await send("order:1", data={"n": 0})
    for number in range(1, 5):
        await send("order:1", data={"n": number})
    async with opened(["order:1"], {"order:1": (first.offset, first.epoch)}) as stream:
        await send("order:1", data={"n": 5})
        found = await received(stream, 5)
    assert numbers(found) == [1, 2, 3, 4, 5]
    assert not any(m.after_gap for m in found)


async def test_what_the_history_no_longer_has_is_told(world):
    first = await send("order:1", data={"n": 0})
    for number in range(1, 10):
        await send("order:1", data={"n": number})
    async with opened(["order:1"], {"order:1": (first.offset, first.epoch)}) as stream:
        found = await received(stream, 5)
    assert numbers(found) == [5, 6, 7, 8, 9]
    assert [m.after_gap for m in found] == [True, False, False, False, False]


async def test_a_server_that_has_forgotten_everything(world):
    async with opened(["order:1"]) as stream:
        await send("order:1", data={"n": 1})
        assert numbers(await received(stream, 1)) == [1]
        world.server.kill()
        world.server.start()
        await send("order:1", data={"n": 2})
        [message] = await received(stream, 1)
    assert (message.data["n"], message.after_gap) == (2, True)


async def test_a_connection_that_breaks_misses_nothing(world):
    async with opened(["order:1"]) as stream:
        await send("order:1", data={"n": 1})
        assert numbers(await received(stream, 1)) == [1]
        await stream._client._conn.close()
        for number in (2, 3):
            await send("order:1", data={"n": number})
        found = await received(stream, 2)
    assert numbers(found) == [2, 3]
    assert not any(m.after_gap for m in found)


async def test_the_sweep_leaves_it_alone(world, in_threads):
    """Nobody may subscribe to these channels but whoever Django has signed a token for."""
    async with opened(["order:1"]) as stream:
        there = await asyncio.to_thread(presence, get_backend().client(), "order:1", PATIENCE)
        assert [one["user"] for one in there.values()] == ["instant:listener"]
        assert await asyncio.to_thread(Sweep().all_at_once) == 1
        await send("order:1", data={"n": 1})
        assert numbers(await received(stream, 1)) == [1]


async def test_who_comes_and_goes(world):
    token, channel = tokens()
    async with (
        contextlib.aclosing(watch("order:1", every=0.05)) as found,
        asyncio.timeout(PATIENCE),
    ):
        page = await asyncio.to_thread(Subscriber, world.server.url)
        try:
            await asyncio.to_thread(page.connect, token)
            reply = await asyncio.to_thread(page.subscribe, "order:1", channel)
            assert "subscribe" in reply
            joined = await anext(found)
            assert (joined.kind, joined.who.user) == ("joined", "")
            assert await apresent("order:1") == [joined.who]
        finally:
            await asyncio.to_thread(page.close)
        assert await anext(found) == Change("left", joined.who)


def tokens():
    signer = Signer(AnonymousUser())
    return signer.connection_token().value, signer.channel_token("order:1").value


# Functions


@contextlib.asynccontextmanager
async def running(progress):
    told = []
    runner = Runner(progress, told.append)
    task = asyncio.ensure_future(runner.run())
    try:
        yield runner, told
    finally:
        runner.end()
        async with asyncio.timeout(PATIENCE):
            await task


async def until(condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def listeners(world):
    """Functions that listen, in a config that knows it."""
    found = []

    @on_message("order:*")
    def by_pattern(message):
        found.append(("pattern", message.channel, message.data["n"]))

    @on_message(world.order)
    async def by_namespace(message):
        found.append(("namespace", message.channel, message.data["n"]))

    @on_message("tick:a")
    def by_name(message):
        found.append(("name", message.channel, message.data["n"]))

    world.server.kill()
    write(compare(conf.current()))
    world.server.start()
    return found


@pytest.mark.parametrize("kept", [FileProgress, RowProgress])
async def test_functions(world, listeners, kept, in_threads):
    progress = kept("default")
    async with running(progress) as (_runner, told):
        await until(lambda: told)
        assert told == ["Listening to tick:a, instant:messages."]
        await send("order:1", data={"n": 1})
        await until(lambda: len(listeners) == 2)
        await asyncio.to_thread(broadcast, ["order:2", "tick:b", "order:3"], data={"n": 2})
        await until(lambda: len(listeners) == 6)
        while not any(kind == "name" for kind, *_ in listeners):
            await send("tick:a", data={"n": 3})
            await asyncio.sleep(0.02)
    assert {one for one in listeners if one[0] == "pattern"} == {
        ("pattern", "order:1", 1), ("pattern", "order:2", 2), ("pattern", "order:3", 2),
    }  # fmt: skip
    # What was published while nobody listened comes first.
    listeners.clear()
    await send("order:9", data={"n": 9})
    async with running(kept("default")) as (_runner, told):
        await until(lambda: len(listeners) == 2)
    assert listeners == [("pattern", "order:9", 9), ("namespace", "order:9", 9)]


async def test_one_of_a_name_listens(world, listeners, in_threads):
    first, second = RowProgress("one"), RowProgress("one")
    async with running(first) as (_runner, told):
        await until(lambda: told)
        async with running(second) as (_other, others):
            await send("order:1", data={"n": 1})
            await until(lambda: len(listeners) == 2)
            assert not others
    async with running(RowProgress("one")) as (_runner, told):
        await until(lambda: told)
    assert len(listeners) == 2


async def test_a_function_that_fails_is_tried_again_and_holds_up_nobody(
    world, registry, monkeypatch, caplog, in_threads
):
    monkeypatch.setattr("instant.inbound.listening.running._PAUSE", 0.001)
    calls, found = [], []

    @on_message("order:*")
    def failing(message):
        calls.append(message.data["n"])
        if message.data["n"] == 1 or (message.data["n"] == 2 and calls.count(2) < 2):
            raise ValueError("no")

    @on_message("order:*")
    def other(message):
        found.append(message.data["n"])

    world.server.kill()
    write(compare(conf.current()))
    world.server.start()
    async with running(FileProgress("default")) as (_runner, told):
        await until(lambda: told)
        for number in (1, 2, 3):
            await send("order:1", data={"n": number})
        await until(lambda: len(found) == 3)
    assert found == [1, 2, 3]
    assert calls == [1] * 5 + [2, 2, 3]
    assert len([r for r in caplog.records if r.name == "instant.listening" and r.exc_info]) == 6


# The command

SITE = """
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent
SECRET_KEY = "listening"
ROOT_URLCONF = "listening_urls"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "instant", "hall"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
USE_TZ = True
"""
REALTIME = """
from pathlib import Path
from instant import Namespace, on_message
FOLDER = Path(__file__).resolve().parent

class Order(Namespace):
    name, pattern = "order", "<int:pk>"

@on_message(Order)
def note(message):
    with (FOLDER / "noted").open("a") as file:
        file.write(f"{message.data['n']}\\n")
"""


@pytest.mark.slow
def test_the_command_leaves_on_sigterm_and_survives_a_kill(world, tmp_path, request):
    site = tmp_path / "site"
    (site / "hall").mkdir(parents=True)
    (site / "hall" / "__init__.py").touch()
    (site / "hall" / "realtime.py").write_text(REALTIME)
    (site / "listening_urls.py").write_text("urlpatterns = []\n")
    (site / "listening_settings.py").write_text(f"{SITE}\nINSTANT = {{'DIR': {str(tmp_path)!r}}}\n")
    on_message("order:*")(lambda message: None)  # so that publish() here copies, as it does there
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("CENTRIFUGO_", "DJANGO_"))},
        "PYTHONPATH": os.pathsep.join([str(site), str(Path(__file__).resolve().parents[2])]),
        "DJANGO_SETTINGS_MODULE": "listening_settings",
        "PYTHONUNBUFFERED": "1",
    }
    command = ["-m", "django"]
    interpreters.run([*command, "migrate", "-v0"], env=env, check=True)
    interpreters.run([*command, "syncws"], env=env, check=True, stdout=subprocess.DEVNULL)
    world.server.kill()
    world.server.start()
    noted = site / "hall" / "noted"
    noted.touch()

    def start():
        process = Python([*command, "runlisteners"], env=env, stdout=subprocess.PIPE)
        request.addfinalizer(lambda: end(process))
        assert b"Listening to instant:messages." in process.stdout.readline()
        return process

    def end(process):
        process.kill()
        process.wait()
        process.stdout.close()

    def wait_for(*expected):
        until = time.monotonic() + PATIENCE
        while set(noted.read_text().split()) != set(map(str, expected)):
            assert time.monotonic() < until, noted.read_text()
            time.sleep(0.02)

    process = start()
    publish("order:1", data={"n": 1})
    wait_for(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    broadcast(["order:1", "order:2"], data={"n": 2})
    process = start()
    wait_for(1, 2)
    process.kill()
    process.wait()
    publish("order:1", data={"n": 3})
    process = start()
    wait_for(1, 2, 3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0

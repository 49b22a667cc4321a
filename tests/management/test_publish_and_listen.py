"""Publishing and listening from the command line."""

import asyncio
import json
from io import StringIO

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from django.test import override_settings

from instant import Namespace, apublish, conf
from instant.backends import get_backend
from instant.centrifugo.api.commands import ASK_AGAIN, Disconnect
from instant.management.commands.listen import Command as Listen
from instant.rights.accounts import find_user
from instant.server.listen import listen
from instant.testing import capture_publications, instant_server
from tests.ports import free_port

pytestmark = pytest.mark.usefixtures("registry")


def declare(**attributes):
    return type("Order", (Namespace,), {"name": "order", "pattern": "<int:pk>", **attributes})


def test_publish(db, capsys, make_channel):
    make_channel("news")
    with capture_publications() as sent:
        call_command("publish", "news", "Hello", data='{"n": 1}', event_class="greeting")
        call_command("publish", "news", data="[]")
    first, second = (publication.payload for publication in sent)
    assert (first["channel"], first["message"], first["data"]) == ("news", "Hello", {"n": 1})
    assert first["event_class"] == "greeting"
    assert "message" not in second
    assert second["data"] == []
    out, err = capsys.readouterr()
    assert out == "Published to 'news'.\n" * 2
    assert err == ""


def test_publish_to_what_nobody_can_read(make_channel, capsys):
    make_channel("news")
    make_channel("$off", "users", is_active=False)
    with capture_publications():
        call_command("publish", "nwes", "Hello")
        call_command("publish", "$off", "Hello")
        call_command("publish", "user:1", "Hello")
    missing, inactive = capsys.readouterr().err.splitlines()
    assert "there is 'news'" in missing
    assert "not active" in inactive


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["news"], "message"),
        (["two words", "x"], "white space"),
        (["news", "--data", "{"], "--data is not JSON"),
    ],
)
def test_publish_refuses(db, arguments, said):
    with capture_publications() as sent, pytest.raises(CommandError, match=said):
        call_command("publish", *arguments)
    assert not sent


def test_publish_names_the_address_that_was_asked(db):
    port = free_port()
    with (
        override_settings(
            CENTRIFUGO_PORT=port,
            INSTANT={"BACKEND": "instant.backends.centrifugo.CentrifugoBackend"},
        ),
        pytest.raises(CommandError, match=rf"localhost:{port}"),
    ):
        call_command("publish", "news", "Hello")


@pytest.mark.django_db(transaction=True)
def test_publish_names_the_address_of_a_server_with_another_key():
    with (
        instant_server() as server,
        override_settings(CENTRIFUGO_API_KEY="another"),
        pytest.raises(CommandError, match=rf"Asked was http://127.0.0.1:{server.port}"),
    ):
        call_command("publish", "news", "Hello")


class Lines(StringIO):
    """What a command prints; a line can be waited for."""

    def __init__(self):
        super().__init__()
        self.queue = asyncio.Queue()

    def write(self, text):
        self.queue.put_nowait(text.rstrip("\n"))
        return len(text)


async def heard(user, channel, send):
    """Run the command until it has printed what `send` publishes."""
    out, err = Lines(), Lines()
    command = Listen(stdout=out, stderr=err, no_color=True)
    task = asyncio.create_task(command.print_all(user, channel))
    said = asyncio.create_task(err.queue.get())
    await asyncio.wait({task, said}, return_when="FIRST_COMPLETED")
    if task.done():
        said.cancel()
        return task.result()
    assert f"Listening to {channel!r} at ws://127.0.0.1:" in said.result()
    await send()
    line = json.loads(await asyncio.wait_for(out.queue.get(), 60))
    task.cancel()
    return line


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("in_threads")
@pytest.mark.parametrize(
    ("name", "channel"), [("anonymous", "news"), ("ann", "$users"), ("ann", "order:1")]
)
async def test_listen(make_user, make_channel, name, channel):
    await sync_to_async(make_user)()
    await sync_to_async(make_channel)("news")
    await sync_to_async(make_channel)("$users", "users")
    declare(can_subscribe=lambda self, user, pk: user.username == "ann")
    config = {
        "channel": {"namespaces": [{"name": "order"}]},
        "client": {"allowed_origins": ["https://site.example"]},  # a command has no origin
    }
    with instant_server(config):
        user = await sync_to_async(find_user)(name)
        line = await heard(user, channel, lambda: apublish(channel, "Hello"))
    assert line["message"] == "Hello"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("in_threads")
async def test_listen_connects_again_and_misses_nothing(make_user, make_channel):
    user = await sync_to_async(make_user)()
    await sync_to_async(make_channel)("news")
    told = asyncio.Queue()
    received = asyncio.Queue()

    async def collect():
        async for data in listen(user, "news", told.put_nowait):
            received.put_nowait(data["message"])

    with instant_server():
        task = asyncio.create_task(collect())
        assert "Listening" in await asyncio.wait_for(told.get(), 60)
        await apublish("news", "first")
        assert await asyncio.wait_for(received.get(), 60) == "first"
        leave = Disconnect(str(user.pk), ASK_AGAIN, "")
        await sync_to_async(get_backend().client().run)([leave], 60)
        await apublish("news", "while away")
        assert "Connecting again" in await asyncio.wait_for(told.get(), 60)
        assert await asyncio.wait_for(received.get(), 60) == "while away"
        task.cancel()


@pytest.mark.django_db(transaction=True)
def test_listen_says_why_not(make_user, make_channel, settings):
    make_user()
    make_channel("$staff", "staff")
    with pytest.raises(CommandError, match="is not staff"):
        call_command("listen", "$staff", "--as", "ann")
    with pytest.raises(CommandError, match="Log in"):
        call_command("listen", "$staff")
    with pytest.raises(CommandError, match="no user 'bob'"):
        call_command("listen", "$staff", "--as", "bob")
    settings.INSTANT = {"ANONYMOUS": False}
    with pytest.raises(CommandError, match="name a user"):
        call_command("listen", "$staff")


@pytest.mark.django_db(transaction=True)
def test_listen_names_the_address(make_channel, settings):
    make_channel("news")
    port = free_port()
    settings.CENTRIFUGO_PORT = port
    at = f"ws://localhost:{port}/connection/websocket"
    assert conf.current().websocket_address == at
    with pytest.raises(CommandError, match=f"No server answers at {at}.*manage.py runws"):
        call_command("listen", "news")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("CENTRIFUGO_HMAC_KEY", "another-key-of-32-bytes-or-more-0123456789", "another HMAC key"),
        ("INSTANT", {"PUBLIC_URL": "ws://127.0.0.1:%d/other"}, "answers 404"),
    ],
)
def test_listen_says_what_is_wrong_with_the_server(make_channel, setting, value, said):
    make_channel("news")
    with instant_server() as server:
        if isinstance(value, dict):
            value = {"PUBLIC_URL": value["PUBLIC_URL"] % server.port}
        with override_settings(**{setting: value}), pytest.raises(CommandError) as info:
            call_command("listen", "news")
    assert said in str(info.value)
    assert f"ws://127.0.0.1:{server.port}/" in str(info.value)


@pytest.mark.django_db(transaction=True)
def test_listen_to_a_namespace_that_the_server_does_not_know():
    declare(can_subscribe=lambda self, user, pk: True)
    with instant_server(), pytest.raises(CommandError, match="syncws --reload"):
        call_command("listen", "order:1")

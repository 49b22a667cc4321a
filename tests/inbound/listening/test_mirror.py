"""Copies of what is published, for those who listen to patterns."""

import asyncio
import json

import pytest
from django.db import transaction
from django.test import AsyncClient

from instant import Namespace, broadcast, on_message, on_publish, publish
from instant.backends import replaced
from instant.backends.base import BaseBackend
from instant.centrifugo.proxy import HEADER
from instant.inbound.listening import mirror
from instant.publishing.passing import passing
from tests.inbound.asking import SECRET, body

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry")]


class Keeping(BaseBackend):
    def __init__(self):
        self.envelopes = []

    def send(self, envelopes):
        self.envelopes += envelopes


@pytest.fixture
def sent():
    backend = Keeping()
    with replaced(backend):
        yield backend.envelopes


def copied(envelopes):
    return [json.loads(e.body) for e in envelopes if tuple(e.channels) == ("instant:messages",)]


def test_nothing_is_copied_where_nobody_listens_to_a_pattern(sent):
    on_message("news")(lambda message: None)
    assert not mirror.is_used()
    publish("news", data=1)
    assert len(sent) == 1


def test_what_a_pattern_matches_is_copied_once(sent):
    on_message("order:*")(lambda message: None)
    on_message("order:1")(lambda message: None)
    broadcast(["order:1", "news", "order:2"], data={"n": 1})
    [copy] = copied(sent)
    assert (copy["channels"], copy["payload"]["data"]) == (["order:1", "order:2"], {"n": 1})


def test_what_passes_is_not_copied(sent):
    on_message("*")(lambda message: None)
    with passing():
        publish("news", data=1)
    assert [(tuple(e.channels), e.passing) for e in sent] == [(("news",), True)]
    publish("news", data=1)
    assert [e.passing for e in sent] == [True, False, False]


def test_a_copy_fits_into_what_waits_for_a_subscriber(sent):
    on_message("*")(lambda message: None)
    names = [f"{number:0>250}" for number in range(500)]
    broadcast(names, data="x" * 999_000)
    bodies = [e.body for e in sent if tuple(e.channels) == ("instant:messages",)]
    assert max(map(len, bodies)) < 1024 * 1024
    assert [name for copy in copied(sent) for name in copy["channels"]] == names


async def test_a_copy_of_what_an_async_function_made_holds_up_no_event_loop(registry, settings):
    class Room(Namespace):
        name = "room"
        pattern = "<int:pk>"
        client_publish = "ask"

        def can_subscribe(self, user, pk):
            return True

        def can_publish(self, user, pk):
            return True

    class Backend(Keeping):
        def send(self, envelopes):
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            super().send(envelopes)

    @on_publish(Room)
    async def moderate(call, pk, text: str):
        return {"text": text.upper()}

    on_message("room:*")(lambda message: None)
    settings.CENTRIFUGO_PROXY_SECRET = SECRET
    backend = Backend()
    with replaced(backend):
        answer = await AsyncClient().post(
            "/instant/proxy/publish/",
            body("", channel="room:1", data={"text": "a"}),
            content_type="application/json",
            headers={HEADER: SECRET},
        )
    assert answer.json() == {"result": {"data": {"text": "A"}}}
    [copy] = copied(backend.envelopes)
    assert copy["payload"] == {"text": "A"}


@pytest.mark.parametrize("commits", [True, False])
def test_of_what_is_rolled_back_there_is_no_copy(sent, commits):
    on_message("room:*")(lambda message: None)
    with transaction.atomic():
        mirror.copy_page("room:1", {"text": "a"})
        assert copied(sent) == []
        transaction.set_rollback(not commits)
    assert len(copied(sent)) == int(commits)

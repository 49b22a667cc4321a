"""publish() in a tenant: the server's names outside, its own names inside."""

import json

import pytest
from django.db import transaction

from instant import abroadcast, apublish, batch, broadcast, publish
from instant.backends import replaced
from instant.backends.locmem import LocmemBackend
from instant.centrifugo.api.publish import publishing
from instant.centrifugo.api.publish_requests import requests_for
from instant.exceptions import InvalidChannelName, InvalidReply, UnknownNamespace
from instant.tenancy import current
from instant.testing import capture_publications


class Noting(LocmemBackend):
    def __init__(self):
        super().__init__()
        self.bodies = []

    def send(self, envelopes):
        self.bodies += [json.loads(body) for _, body, _ in requests_for(envelopes)]
        super().send(envelopes)


@pytest.fixture
def backend():
    backend = Noting()
    with replaced(backend):
        yield backend


def test_the_server_gets_its_name_and_the_page_the_tenants(tenants, backend):
    with tenants.activate("acme"):
        publication = publish("order:42", "hi")
    [body] = backend.bodies
    assert body["channel"] == "order:acme/42"
    assert body["data"]["channel"] == publication.channel == "order:42"


def test_a_broadcast_goes_to_the_tenants_channels(tenants, backend):
    with tenants.activate("globex"):
        publications = broadcast(["$users", "news"], "hi")
    [body] = backend.bodies
    assert body["channels"] == ["$globex/users", "globex/news"]
    assert [p.channel for p in publications] == ["$users", "news"]


async def test_async_ones_too(tenants, backend):
    with tenants.activate("acme"):
        await apublish("news", "hi")
        await abroadcast(["a1", "a2"], "hi")
    assert backend.bodies[0]["channel"] == "acme/news"
    assert backend.bodies[1]["channels"] == ["acme/a1", "acme/a2"]


@pytest.mark.django_db(transaction=True)
def test_it_is_the_tenant_of_the_call_and_not_of_the_commit(tenants, backend):
    with transaction.atomic():
        with tenants.activate("acme"):
            publish("news", "hi")
        with tenants.activate("globex"):
            publish("news", "hi")
        publish("news", "hi")
    [body] = backend.bodies
    assert [c["publish"]["channel"] for c in body["commands"]] == [
        "acme/news", "globex/news", "news",
    ]  # fmt: skip


def test_in_a_batch_likewise(tenants, backend):
    with batch():
        for name in tenants.names:
            with tenants.activate(name):
                publish("news", "hi")
    [body] = backend.bodies
    assert [c["publish"]["channel"] for c in body["commands"]] == ["acme/news", "globex/news"]


def test_tests_see_the_tenants_own_names(tenants):
    with tenants.activate("acme"), capture_publications() as found:
        publish("news", "hi")
    found.assert_published("news")


def test_a_name_that_gets_too_long_is_refused_at_the_call(tenants, backend):
    publish("x" * 255, "hi")
    with tenants.activate("acme"), pytest.raises(InvalidChannelName, match="260 characters"):
        publish("x" * 255, "hi")
    assert len(backend.bodies) == 1


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b'{"error":{"code":102,"message":"unknown channel"}}', UnknownNamespace),
        (500, b"", InvalidReply),
    ],
)
def test_errors_name_the_tenants_own_channel(tenants, backend, monkeypatch, status, body, error):
    def send(envelopes):
        flow = publishing(envelopes, 1)
        next(flow)
        flow.send((status, body))

    monkeypatch.setattr(backend, "send", send)
    with tenants.activate("acme"), pytest.raises(error) as raised:
        publish("order:42", "hi")
    assert raised.value.channel == "order:42"
    assert "acme" not in str(raised.value)


def test_without_tenants_nobody_asks(backend, monkeypatch):
    publish("news", "hi")  # reads the setting, once
    monkeypatch.setattr(current, "on_wire", None)
    publish("news", "hi")
    broadcast(["news", "olds"], "hi")
    assert [body.get("channel") for body in backend.bodies] == ["news", "news", None]

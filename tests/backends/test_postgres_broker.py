"""The backend that publishes in the transaction, where it can't: it says so at the call."""

import json

import pytest
from django.db import transaction
from django.test import override_settings

from instant import publish
from instant.backends import get_backend
from instant.exceptions import InstantConfigError, PublishError, UnknownNamespace
from instant.publishing.publication import Envelope, Publication


@pytest.fixture
def folder(tmp_path):
    config = {"channel": {"namespaces": [{"name": "order"}]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    backend = "instant.backends.postgres.PostgresBrokerBackend"
    with override_settings(INSTANT={"DIR": tmp_path, "BACKEND": backend}):
        yield tmp_path


@pytest.mark.django_db
def test_on_another_database_it_says_so(folder):
    with pytest.raises(InstantConfigError, match="'default' is sqlite"):
        publish("order:1", "x")


def refused(envelope, *, error, match):
    backend = get_backend()
    backend._usable.add("default")
    with pytest.raises(error, match=match), transaction.atomic():
        backend.in_transaction([envelope], transaction.get_connection())
    [publication] = envelope.publications
    assert publication.state == "failed"


def envelope(channel, body=b"{}"):
    return Envelope([channel], [Publication("i", channel, {})], body, "k")


def in_known_database(backend):
    # What the server's config says is read first, and forgets what was known of databases.
    from instant import conf

    backend._broker_of(conf.current())


@pytest.mark.django_db
def test_an_unknown_namespace(folder):
    in_known_database(get_backend())
    refused(envelope("nowhere:1"), error=UnknownNamespace, match="'nowhere:1'")


@pytest.mark.django_db
@pytest.mark.parametrize("body", [rb'{"m":"\u0000"}', rb'{"m":"\\\u0000"}'])
def test_what_jsonb_does_not_store(folder, body):
    in_known_database(get_backend())
    refused(envelope("order:1", body), error=PublishError, match="u0000")


@pytest.mark.django_db
def test_without_the_servers_config_nothing_is_known_of_namespaces(folder):
    (folder / "config.json").unlink()
    with pytest.raises(InstantConfigError, match="syncws"):
        publish("order:1", "x")


@pytest.mark.django_db
def test_a_broker_of_bytes(folder):
    content = {"broker": {"postgres": {"binary_data": True}}}
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(InstantConfigError, match="binary_data"):
        publish("order:1", "x")

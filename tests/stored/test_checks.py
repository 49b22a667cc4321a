"""Checks: who publishes to stored channels without Django's knowing."""

import json

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from instant import Namespace
from instant.deliveries import Stored

BOTH = {"allow_publish_for_client": "true", "allow_publish_for_subscriber": True}


def found(id_):
    return [message for message in run_checks() if message.id == f"instant.{id_}"]


def declare(**attributes):
    return type("Room", (Namespace,), {"name": "room", "pattern": "<int:pk>", **attributes})


def test_e012_subscribers_publish(registry):
    declare(delivery=Stored("cache"), client_publish="subscribers")
    [message] = found("E012")
    assert "Room is stored" in message.msg


@pytest.mark.parametrize(
    "options", [{"client_publish": "subscribers"}, {"delivery": Stored("store")}]
)
def test_e012_what_is_well(registry, options):
    declare(**options)
    assert found("E012") == []


@pytest.fixture
def config(tmp_path):
    """Check with this in the server's config."""

    def check(channel, **instant):
        (tmp_path / "config.json").write_text(json.dumps({"channel": channel}))
        with override_settings(INSTANT={"DIR": tmp_path, **instant}):
            return [message.msg for message in found("W023")]

    return check


def test_w023_rows(config):
    [message] = config({"without_namespace": BOTH}, STORE={})
    assert message.startswith("By allow_publish_for_client in channel.without_namespace and ")
    assert config({"without_namespace": BOTH}) == []
    assert config({"without_namespace": {**BOTH, "publish_proxy_enabled": True}}, STORE={}) == []
    assert config({"without_namespace": dict.fromkeys(BOTH, "false")}, STORE={}) == []


def test_w023_namespaces(config, registry):
    channel = {"namespaces": [{"name": "other", **BOTH}, {"name": "room", **BOTH}, None]}
    assert config(channel, STORE={}) == []
    declare(delivery=Stored("store"))
    [message] = config(channel)
    assert "the namespace “room”" in message
    assert "other" not in message


def test_w023_rows_in_a_namespace(config, registry):
    declare(rows=True)
    channel = {"namespaces": [{"name": "room", **BOTH}]}
    assert config(channel) == []
    assert len(config(channel, STORE={})) == 1


def test_w023_nonsense_is_the_servers_to_refuse(config):
    assert config([], STORE={}) == config({"namespaces": 1, "without_namespace": 1}, STORE={}) == []

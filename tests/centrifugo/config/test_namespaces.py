"""Declared namespaces in the server's config."""

import json

import pytest

from instant.centrifugo.config.defaults import compile_config
from instant.centrifugo.config.namespaces import NamespaceOptions, compile_namespaces
from instant.centrifugo.config.proxies import compile_proxies
from instant.exceptions import InstantConfigError
from tests.centrifugo.config.checkconfig import complaints, needs_binary
from tests.centrifugo.config.test_proxies import URLS


def declared(name="order", **changes):
    values = {
        "size": 100, "seconds": 300, "latest": False, "presence": False, "join_leave": False,
        "subscribers_publish": False, "presence_for_subscribers": False,
        "history_for_subscribers": False,
    }  # fmt: skip
    return NamespaceOptions(name=name, **{**values, **changes})


def entry(config, name="order"):
    return next(e for e in config["channel"]["namespaces"] if e["name"] == name)


ALL = {
    "recoverable": (
        {},
        {"presence": False, "history_size": 100, "history_ttl": "300s", "force_recovery": True},
    ),
    "at most once": ({"size": 0, "seconds": 0}, {"presence": False}),
    "latest": (
        {"size": 1, "seconds": 86400, "latest": True},
        {
            "presence": False, "history_size": 1, "history_ttl": "86400s", "force_recovery": True,
            "force_recovery_mode": "cache", "auto_cache_recover": True,
        },
    ),
    "all the rest": (
        {
            "presence": True, "join_leave": True, "subscribers_publish": True,
            "presence_for_subscribers": True, "history_for_subscribers": True,
        },
        {
            "presence": True, "join_leave": True,
            "history_size": 100, "history_ttl": "300s", "force_recovery": True,
            "allow_presence_for_subscriber": True, "allow_presence_for_anonymous": True,
            "allow_history_for_subscriber": True, "allow_history_for_anonymous": True,
            "allow_publish_for_subscriber": True, "allow_publish_for_anonymous": True,
        },
    ),
    "asks": (
        {
            "size": 0, "seconds": 0, "asks_to_subscribe": True, "asks_to_stay": True,
            "asks_to_publish": True,
        },
        {
            "presence": False, "subscribe_proxy_enabled": True, "sub_refresh_proxy_enabled": True,
            "publish_proxy_enabled": True,
        },
    ),
    "asks to publish": (
        {"size": 0, "seconds": 0, "asks_to_publish": True},
        {"presence": False, "publish_proxy_enabled": True},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ALL)
def test_options(case):
    changes, options = ALL[case]
    found = compile_namespaces({}, [declared(**changes)], ())
    assert entry(found) == {"name": "order", **options}


def test_what_a_person_added_stays_and_what_is_declared_wins():
    before = {
        "channel": {
            "namespaces": [
                {"name": "mine", "presence": True},
                {"name": "order", "history_size": 5, "history_ttl": "9s", "channel_regex": "^x",
                 "allow_subscribe_for_client": True},
            ],
            "max_length": 99,
        },
        "admin": {"enabled": True},
    }  # fmt: skip
    copy = json.loads(json.dumps(before))
    found = compile_namespaces(before, [declared(size=0, seconds=0)], ())
    assert entry(found) == {"name": "order", "presence": False, "channel_regex": "^x"}
    assert entry(found, "mine") == {"name": "mine", "presence": True}
    assert found["channel"]["max_length"] == 99
    assert found["admin"] == {"enabled": True}
    assert before == copy


def test_what_asks_no_more():
    before = compile_namespaces({}, [declared(asks_to_subscribe=True, asks_to_publish=True)], ())
    after = compile_namespaces(before, [declared()], ["order"])
    assert "proxy" not in json.dumps(after)


def test_one_that_is_declared_no_more_goes_and_a_persons_own_stays():
    first = compile_namespaces({}, [declared("order"), declared("room")], ())
    first["channel"]["namespaces"].append({"name": "mine"})
    second = compile_namespaces(first, [declared("room")], ["order", "room"])
    assert [e["name"] for e in second["channel"]["namespaces"]] == ["room", "mine"]


def test_twice_is_once():
    once = compile_namespaces({}, [declared()], ())
    assert compile_namespaces(once, [declared()], ["order"]) == once


@pytest.mark.parametrize("namespaces", [{}, "x", [1], None])
def test_a_wrong_shape_is_told(namespaces):
    with pytest.raises(InstantConfigError, match=r"channel\.namespaces"):
        compile_namespaces({"channel": {"namespaces": namespaces}}, [declared()], ())


@needs_binary
@pytest.mark.parametrize("case", ALL)
def test_the_server_takes_it_strictly(case, tmp_path):
    base = compile_config(None, allowed_origins=["https://a.example"], audience="site")
    path = tmp_path / "config.json"
    config = compile_namespaces(base, [declared(**ALL[case][0])], ())
    if case.startswith("asks"):
        config = compile_proxies(config, URLS)
    path.write_text(json.dumps(config))
    assert complaints(path) == ""

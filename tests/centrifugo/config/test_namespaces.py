"""Declared namespaces in the server's config."""

import json
import subprocess

import pytest

from instant.centrifugo.config.diff import needs_restart, readable
from instant.centrifugo.config.file import compile_config
from instant.centrifugo.config.namespaces import Declared, compile_namespaces
from instant.centrifugo.config.proxies import compile_proxies
from instant.exceptions import InstantConfigError
from tests.centrifugo.config.test_proxies import ENDPOINTS
from tests.live.servers import BINARY


def declared(name="order", **changes):
    values = {
        "size": 100, "seconds": 300, "latest": False, "presence": False, "join_leave": False,
        "open": False, "subscribers_publish": False, "presence_for_subscribers": False,
        "history_for_subscribers": False,
    }  # fmt: skip
    return Declared(name=name, **{**values, **changes})


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
    "open": (
        {"open": True, "size": 0, "seconds": 0},
        {
            "presence": False, "allow_subscribe_for_client": True,
            "allow_subscribe_for_anonymous": True,
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
        {"size": 0, "seconds": 0, "asks_to_subscribe": True, "asks_to_publish": True},
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


@pytest.mark.skipif(BINARY is None, reason="no centrifugo binary on PATH or in CENTRIFUGO_BIN")
@pytest.mark.parametrize("case", ALL)
def test_the_server_takes_it_strictly(case, tmp_path):
    base = compile_config(None, allowed_origins=["https://a.example"], audience="site")
    path = tmp_path / "config.json"
    config = compile_namespaces(base, [declared(**ALL[case][0])], ())
    if case.startswith("asks"):
        config = compile_proxies(config, ENDPOINTS)
    path.write_text(json.dumps(config))
    done = subprocess.run(
        [BINARY, "checkconfig", "-c", path, "--strict"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_diff_shows_no_secret():
    before = compile_config(None, allowed_origins=["https://a.example"], audience="site")
    after = compile_namespaces(before, [declared()], ())
    after["http_api"]["key"] = "another-secret"
    after["admin"] = {"password": "hunter2"}
    after = compile_proxies(after, ENDPOINTS, secret="shared-secret")
    headers = after["channel"]["proxy"]["publish"]["http"]["static_headers"]
    headers["Authorization"] = "Basic hunter3"
    text = readable(before, after, "config.json")
    assert '+        "name": "order",' in text
    for secret in (
        before["http_api"]["key"],
        before["client"]["token"]["hmac_secret_key"],
        "another-secret",
        "hunter2",
        "shared-secret",
        "hunter3",
    ):
        assert secret not in text
    assert readable(before, before, "x") == ""
    assert readable(None, before, "x").startswith("--- x (as it is)")


@pytest.mark.parametrize(
    ("change", "restart"),
    [
        ({"channel": {"namespaces": [{"name": "x2"}]}}, False),
        ({"channel": {"without_namespace": {"presence": True}}}, False),
        ({"client": {"token": {"hmac_secret_key": "x"}}}, False),
        ({"client": {"allowed_origins": ["x"]}}, True),
        ({"http_api": {"key": "x"}}, True),
        ({"channel": {"max_length": 5}}, True),
        ({"channel": {"proxy": {"publish": {"endpoint": "http://a"}}}}, True),
        ({"channel": {"namespaces": [{"name": "x2", "subscribe_proxy_enabled": True}]}}, True),
        ({"channel": {"without_namespace": {"publish_proxy_enabled": True}}}, True),
        ({"channel": {"namespaces": [{"name": "x2", "subscribe_proxy_enabled": False}]}}, False),
    ],
)
def test_what_a_running_server_reads_again(change, restart):
    assert (
        needs_restart({"channel": {}, "client": {}}, {"channel": {}, "client": {}, **change})
        is restart
    )


def test_a_second_namespace_that_asks_needs_no_restart():
    """Its proxy was there at the start; the first one's was not."""

    def config(*kinds):
        listed = [{"name": f"x{kind}", f"{kind}_proxy_enabled": True} for kind in kinds]
        return {"channel": {"namespaces": listed}}

    assert needs_restart(config("publish"), config("publish", "subscribe"))
    assert not needs_restart(config("publish", "subscribe"), config("publish"))
    more = config("publish")
    more["channel"]["namespaces"].append({"name": "more", "publish_proxy_enabled": True})
    assert not needs_restart(config("publish"), more)
    more["channel"]["namespaces"][1]["publish_proxy_name"] = "theirs"
    assert needs_restart(config("publish"), more)

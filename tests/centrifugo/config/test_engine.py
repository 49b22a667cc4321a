"""The engine in the server's config."""

import json

import pytest

from instant.centrifugo.config.defaults import CHANNEL_OPTIONS, compile_config
from instant.centrifugo.config.diff import needs_restart, readable
from instant.centrifugo.config.engine import Engine, compile_engine, keeping_history
from instant.exceptions import InstantConfigError
from tests.centrifugo.config.checkconfig import complaints, needs_binary

DSN = "postgresql://site:hunter2@db/site"
REDIS = "redis://:hunter3@redis:6379"
ENGINES = {
    "redis": (
        Engine(kind="redis", broker=(REDIS, "redis://b:1")),
        {"engine": {"type": "redis", "redis": {"address": [REDIS, "redis://b:1"], "prefix": "s"}}},
    ),
    "nats": (
        Engine(kind="nats", broker=("nats://a", "nats://b"), nodes=("http://a",)),
        {
            "broker": {
                "enabled": True,
                "type": "nats",
                "nats": {"url": "nats://a,nats://b", "prefix": "s"},
            }
        },
    ),
    "postgres": (
        Engine(kind="postgres", broker=(DSN,), nodes=("http://a",)),
        {
            "broker": {
                "enabled": True,
                "type": "postgres",
                "postgres": {"dsn": DSN, "use_notify": True, "num_shards": 1},
            },
            "controller": {"enabled": True, "type": "postgres", "postgres": {"dsn": DSN}},
        },
    ),
    "postgres, presence in redis": (
        Engine(kind="postgres", broker=(DSN,), presence=(REDIS,)),
        {
            "broker": {
                "enabled": True,
                "type": "postgres",
                "postgres": {"dsn": DSN, "use_notify": True, "num_shards": 1},
            },
            "controller": {"enabled": True, "type": "postgres", "postgres": {"dsn": DSN}},
            "presence_manager": {
                "enabled": True,
                "type": "redis",
                "redis": {"address": [REDIS], "prefix": "s"},
            },
        },
    ),
    "memory": (Engine(kind="memory"), {}),
}
each = pytest.mark.parametrize("name", ENGINES)


def compiled(config, engine, *, before=False):
    return compile_engine(config, engine, before=before, prefix="s")


@each
def test_what_is_written_and_that_it_goes_again(name):
    engine, written = ENGINES[name]
    base = {"http_api": {"key": "k"}}
    made = compiled(base, engine)
    assert made == {**base, **written}
    assert compiled(made, engine, before=True) == made
    assert compiled(made, None, before=True) == base


@each
@pytest.mark.parametrize("other", ENGINES)
def test_another_engine_takes_its_place(name, other):
    made = compiled(compiled({}, ENGINES[name][0]), ENGINES[other][0], before=True)
    assert made == ENGINES[other][1]


def test_what_the_user_wrote_stays():
    theirs = {
        "engine": {"redis": {"prefix": "mine", "connect_timeout": "2s"}},
        "broker": {"postgres": {"num_shards": 4, "use_notify": False}},
    }
    made = compiled(theirs, ENGINES["redis"][0])
    assert made["engine"]["redis"] == {
        "address": [REDIS, "redis://b:1"],
        "prefix": "mine",
        "connect_timeout": "2s",
    }
    made = compiled(made, ENGINES["postgres"][0], before=True)
    assert made["broker"]["postgres"] == {"num_shards": 4, "use_notify": False, "dsn": DSN}
    assert made["engine"] == theirs["engine"]
    assert compiled(made, None, before=True) == theirs


def test_without_the_setting_the_file_decides():
    theirs = {"engine": {"type": "redis", "redis": {"address": "redis://mine"}}}
    assert compiled(theirs, None) == theirs
    assert compiled(theirs, ENGINES["memory"][0]) == {}


def test_a_value_of_the_wrong_type_is_named():
    with pytest.raises(InstantConfigError, match=r"broker\.postgres in the config file"):
        compiled({"broker": {"postgres": "here"}}, ENGINES["postgres"][0])


def completed(existing=None, *, history):
    return compile_config(
        existing, allowed_origins=[], audience="s", secret=lambda: "x" * 40, history=history
    )


def test_without_history_nothing_is_kept_and_then_it_is_kept_again():
    without = completed(completed(history=True), history=False)
    assert keeping_history(without) == []
    assert without == completed(history=False)
    assert without["channel"]["without_namespace"] == {"presence": True}
    assert without["channel"]["namespaces"] == [{"name": "user", "presence": True}]
    again = completed(without, history=True)
    assert again["channel"]["without_namespace"] == CHANNEL_OPTIONS


def test_a_history_that_the_user_wrote_is_told_and_not_taken():
    theirs = {
        "channel": {
            "without_namespace": {"history_size": 7, "history_ttl": "60s", "presence": False},
            "namespaces": [{"name": "news", "history_size": 7, "history_ttl": "60s"}],
        }
    }
    made = completed(theirs, history=False)
    assert made["channel"]["without_namespace"] == theirs["channel"]["without_namespace"]
    assert keeping_history(made) == ["channel.without_namespace", "the namespace “news”"]


@each
def test_a_change_needs_a_restart_and_shows_no_password(name):
    made = compiled({}, ENGINES[name][0])
    assert needs_restart({}, made) is (name != "memory")
    assert "hunter" not in readable({}, made, "config.json") + readable(made, {}, "config.json")


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("redis://:hunter2@a", "redis://:hunter3@a", '+"redis://…@a (another)"'),
        ("redis://:hunter2@a", "redis://:hunter2@b", '+"redis://…@b (another)"'),
        ("redis://a", "redis://b", '+"redis://b"'),
        ("redis://a", "redis://a?sentinel_password=hunter2&x=1", "sentinel_password=…&x=1"),
        ("host=a password=hunter2", "host=b password='hunter2'", '+"host=b password=…'),
        ("nats://u:hunter2@a", "nats://u:hunter2@a,nats://u:hunter3@b", '+"nats://…@b'),
    ],
)
def test_a_password_in_an_address_is_masked(before, after, shown):
    lists = readable({"address": [before]}, {"address": [after]}, "x")
    values = readable({"dsn": before}, {"dsn": after}, "x")
    for text in (lists, values):
        assert "hunter" not in text
        assert text.count("\n") > 3  # a difference is shown
    assert shown in lists.replace("+    ", "+").replace('"+', '"')


@needs_binary
@each
def test_the_server_knows_every_option(name, tmp_path):
    history = ENGINES[name][0].keeps_history
    path = tmp_path / "config.json"
    path.write_text(json.dumps(compiled(completed(history=history), ENGINES[name][0])))
    assert complaints(path) == ""

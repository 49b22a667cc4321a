"""INSTANT["ENGINE"], read: what is taken, and that no message has an address in it."""

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from instant import conf
from instant.conf.engine import parse_engine
from instant.exceptions import InstantConfigError

REDIS = "redis://:hunter2@redis.internal:6379/1"
NODES = ["http://10.0.0.1:8427", "https://node2.internal/"]


@pytest.mark.parametrize(
    ("given", "kind", "broker"),
    [
        (REDIS, "redis", (REDIS,)),
        (["redis://a:1", "rediss://b:2"], "redis", ("redis://a:1", "rediss://b:2")),
        (
            "redis+sentinel://a:26379?sentinel_master_name=m&addr=b:26379",
            "redis",
            ("redis+sentinel://a:26379?sentinel_master_name=m&addr=b:26379",),
        ),
        ("nats://a:4222", "nats", ("nats://a:4222",)),
        (["nats://a", "nats://b"], "nats", ("nats://a", "nats://b")),
        ("postgres://u:p@db/site", "postgres", ("postgres://u:p@db/site",)),
        ("postgres://u:p%20@db/site?x=@", "postgres", ("postgres://u:p%20@db/site?x=@",)),
        ("postgresql:///site?host=/run/pg", "postgres", ("postgresql:///site?host=/run/pg",)),
        ({"broker": REDIS}, "redis", (REDIS,)),
        ("memory", "memory", ()),
        ({"broker": "memory"}, "memory", ()),
    ],
)
def test_what_is_taken(given, kind, broker):
    engine = parse_engine(given)
    assert (engine.kind, engine.broker) == (kind, broker)
    assert engine.is_shared is (kind != "memory")
    assert engine.keeps_history is (kind != "nats")
    assert "hunter2" not in repr(engine)


def test_none_leaves_it_to_the_file():
    assert parse_engine(None) is None
    assert conf.current().engine is None


def test_who_is_present_is_known_by_a_redis_or_asked_of_each_node():
    assert parse_engine("postgresql://db/site").presence_is_per_node
    assert parse_engine("nats://a").presence_is_per_node
    assert not parse_engine(REDIS).presence_is_per_node
    assert len(parse_engine({"broker": REDIS, "nodes": NODES}).nodes) == 2
    shared = parse_engine({"broker": "nats://a", "presence": [REDIS, "redis://b"]})
    assert shared.presence == (REDIS, "redis://b")
    assert not shared.presence_is_per_node
    assert "hunter2" not in repr(shared)
    assert parse_engine({"broker": "nats://a", "nodes": NODES}).nodes == (
        "http://10.0.0.1:8427",
        "https://node2.internal",
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("hunter2", "must be “memory”, an address"),
        ("mysql://u:hunter2@db/site", "must be “memory”, an address"),
        ("redis://:hunter2@host:port", "must be “memory”, an address"),
        ("redis://:a/hunter2@host:6379", "percent-encode them"),
        ("redis://:a@b/hunter2#c@host:6379", "percent-encode them"),
        ("postgresql://u:a#hunter2@db/site", "percent-encode them"),
        ({"broker": "nats://a", "presence": "redis://:a/hunter2@b"}, "percent-encode them"),
        ("redis://", "must be “memory”, an address"),
        ([], "must be “memory”, an address"),
        (7, "must be “memory”, an address"),
        ([REDIS, 7], "must be “memory”, an address"),
        ([REDIS, "nats://a"], "mixes engines"),
        (["postgresql://u:hunter2@a/x", "postgresql://u:hunter2@b/x"], "one address"),
        ("redis+sentinel://:hunter2@a:1", "sentinel_master_name"),
        ({"presence": REDIS}, "must have “broker”"),
        ({"broker": REDIS, "hunter2": 1}, "must have “broker”"),
        ({"broker": "memory", "presence": REDIS}, "which nothing needs"),
        ({"broker": "nats://a", "presence": "nats://:hunter2@a"}, "no address of Redis"),
        ("redis://:hunter2 x@a", "percent-encode"),
        ("redis://:hunter2/x@a", "percent-encode"),
        ("redis://:hunter2#x@a", "percent-encode"),
        ("postgresql://u:hunter2%x@a/site", "percent-encode"),
        ({"broker": "nats://a", "presence": "redis://:hunter2^@a"}, "percent-encode"),
        ({"broker": "nats://a", "nodes": "http://a"}, "“nodes” that are no list"),
        ({"broker": "nats://a", "nodes": ["a:8427"]}, "“nodes” that are no list"),
        ({"broker": "nats://a", "nodes": ["http://u:hunter2@a"]}, "“nodes” that are no list"),
    ],
)
def test_what_is_wrong_is_said_without_the_address(given, said):
    with override_settings(INSTANT={"DIR": "/x", "ENGINE": given}):
        with pytest.raises(InstantConfigError, match=said) as caught:
            conf.current()
        [message] = [m for m in run_checks() if m.id == "instant.E001"]
    assert str(caught.value).startswith("INSTANT['ENGINE'] ")
    assert "hunter2" not in str(caught.value) + message.msg + str(message.hint)
    assert caught.value.__cause__ is None

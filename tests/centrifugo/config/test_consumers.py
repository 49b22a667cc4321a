"""The consumer of the outbox in the server's config."""

import json

import pytest

from instant.centrifugo.config.consumers import compile_outbox
from instant.centrifugo.config.diff import needs_restart, readable
from instant.exceptions import InstantConfigError

DSN = "postgresql://centrifugo:secret@127.0.0.1/shop"


def compile_consumer(config, dsn, partitions, *, is_used=True):
    return compile_outbox(config, is_used=is_used, consumer=dsn, partitions=partitions)


KAFKA = {"name": "kafka", "type": "kafka", "enabled": True}


def test_it_reads_the_view_with_as_many_partitions_as_publish_writes():
    config = compile_consumer({}, DSN, 8)
    [consumer] = config["consumers"]
    assert (consumer["name"], consumer["type"], consumer["enabled"]) == (
        "instant_outbox",
        "postgresql",
        True,
    )
    assert consumer["postgresql"] == {
        "dsn": DSN,
        "outbox_table_name": "instant_outbox_ready",
        "num_partitions": 8,
        "partition_notification_channel": "instant_outbox_partition",
    }
    assert config["client"]["recovery_max_publication_limit"] > 300


def test_the_given_config_is_not_changed():
    given = {"consumers": [KAFKA]}
    before = json.dumps(given)
    compile_consumer(given, DSN, 8)
    assert json.dumps(given) == before


def test_what_others_added_stays():
    given = compile_consumer({"consumers": [KAFKA]}, DSN, 8)
    given["consumers"][1]["postgresql"]["partition_poll_interval"] = "1s"
    given["client"]["recovery_max_publication_limit"] = 50
    again = compile_consumer(given, DSN + "2", 4)
    assert again["consumers"][0] == KAFKA
    assert again["consumers"][1]["postgresql"] == {
        **given["consumers"][1]["postgresql"],
        "dsn": DSN + "2",
        "num_partitions": 4,
    }
    assert again["client"]["recovery_max_publication_limit"] == 50
    assert compile_consumer(again, None, 8)["consumers"] == [KAFKA]


def test_without_it_the_config_has_no_consumers():
    assert "consumers" not in compile_consumer(compile_consumer({}, DSN, 8), None, 8)
    assert compile_consumer({}, None, 8, is_used=False) == {}


def test_a_relay_needs_pages_that_can_catch_up_too():
    assert compile_consumer({}, None, 8) == {"client": {"recovery_max_publication_limit": 10_000}}


@pytest.mark.parametrize("wrong", [{}, "x", ["x"]])
def test_a_wrong_shape_is_named(wrong):
    with pytest.raises(InstantConfigError, match="consumers in the config file"):
        compile_consumer({"consumers": wrong}, DSN, 8)


def test_the_difference_has_no_password_and_needs_a_restart():
    config = compile_consumer({}, DSN, 8)
    assert "secret" not in readable({}, config, "config.json")
    assert needs_restart({}, config)

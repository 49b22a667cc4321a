"""What the server keeps of a channel, read from its config."""

import pytest

from instant.centrifugo.config.defaults import compile_config
from instant.centrifugo.config.history import History, histories, seconds, stream_prefix


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("300s", 300), ("1m30s", 90), ("720h", 2_592_000), ("1.5h", 5400), ("250ms", 0.25),
        ("", 0), (None, 0), ("0", 0), (0, 0),
    ],
)  # fmt: skip
def test_durations(text, value):
    assert seconds(text) == pytest.approx(value)


def test_namespaces_and_channels_without_one():
    config = compile_config(None, allowed_origins=[], audience="s")
    config["channel"]["history_meta_ttl"] = "24h"
    config["channel"]["namespaces"] += [
        {"name": "once"},
        {"name": "half", "history_size": 5},
        {
            "name": "own",
            "history_size": 5,
            "history_ttl": "1m",
            "history_meta_ttl": "2h",
            "delta_publish": True,
        },
    ]
    found = histories(config)
    assert found[""] == found["user"] == History(100, 300, 86_400, False)
    assert found["once"] == found["half"] == History(None, None, 86_400, False)
    assert found["own"] == History(5, 60, 7200, True)
    assert histories({})[""] == History(None, None, 2_592_000, False)


def test_the_names_of_the_tables():
    assert stream_prefix({}) == "cf_stream"
    assert stream_prefix({"broker": {"postgres": {"table_prefix": "shop_"}}}) == "shop_stream"

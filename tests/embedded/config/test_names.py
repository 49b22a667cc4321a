import pytest

from instant.embedded.config.load import parse
from instant.embedded.errors import Failure

NAMES = parse(
    {
        "channel": {
            "namespaces": [
                {"name": "chat"},
                {"name": "re", "channel_regex": "^[a-zä]+$"},
                {"name": "fast", "history_size": 3, "history_ttl": "5s", "history_meta_ttl": "1h"},
            ]
        }
    },
    {},
).names


@pytest.mark.parametrize(
    ("channel", "parts"),
    [
        ("news", ("", "news")),
        ("chat:1", ("chat", "1")),
        ("chat:1:2", ("chat", "1:2")),
        ("$chat:1", ("chat", "1")),
        ("$news", ("", "$news")),
        (":1", ("", "1")),
        ("chat", ("", "chat")),
    ],
)
def test_split(channel, parts):
    assert NAMES.split(channel) == parts


def test_an_undeclared_namespace_is_unknown():
    with pytest.raises(Failure) as caught:
        NAMES.options("nope:1")
    assert caught.value.error.code == 102
    assert NAMES.options("anything") is NAMES.without_namespace
    assert NAMES.options("$chat:1") is NAMES.namespaces["chat"]


@pytest.mark.parametrize("channel", ["chat:ü", "re:1", "re:"])
def test_names_clients_may_not_use(channel):
    with pytest.raises(Failure) as caught:
        NAMES.checked(channel)
    assert caught.value.error.code == 107


@pytest.mark.parametrize("channel", ["chat:1", "re:ä", "x", "chat:~!@%^*()"])
def test_names_clients_may_use(channel):
    assert NAMES.checked(channel)


def test_length_is_counted_in_bytes():
    assert not NAMES.too_long("x" * 255)
    assert NAMES.too_long("x" * 256)
    assert NAMES.too_long("ü" * 128)


def test_user_lists():
    assert NAMES.limited("dialog#1,2")
    assert not NAMES.limited("dialog")
    assert NAMES.lists("dialog#1,2", "2")
    assert not NAMES.lists("dialog#1,2", "12")
    assert not NAMES.lists("dialog#1,2", "1,2")
    assert NAMES.lists("a#1#3", "3")


def test_a_namespace_has_its_own_clocks():
    fast = NAMES.options("fast:1")
    assert (fast.history_size, fast.history_ttl, fast.history_meta_ttl) == (3, 5, 3600)
    assert NAMES.options("chat:1").history_meta_ttl == 720 * 3600

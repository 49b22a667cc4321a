import pytest

from instant.embedded.config.load import parse
from instant.embedded.errors import Failure

NAMES = parse(
    {
        "channel": {
            "namespaces": [
                {"name": "chat"},
                {"name": "re", "channel_regex": "^[a-zä]+$"},
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

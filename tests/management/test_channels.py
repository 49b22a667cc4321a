"""The catalogue of channels."""

import pytest
from django.core.management import CommandError, call_command

from instant import Namespace, namespaces
from instant.deliveries import AtMostOnce, Latest
from instant.testing import assert_permissions


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    found = []
    monkeypatch.setattr(namespaces, "_registry", found)
    return found


def declare(name, **attributes):
    return type(name.title(), (Namespace,), {"name": name, "pattern": "<int:pk>", **attributes})


@pytest.fixture
def out(capsys):
    def run(*arguments):
        call_command("channels", *arguments, no_color=True)
        return [line.split("  ") for line in capsys.readouterr().out.splitlines()]

    return run


def cells(line):
    return [cell.strip() for cell in line if cell.strip()]


def test_catalogue(out, make_channel):
    make_channel("public")
    make_channel("$a", "users")
    make_channel("$b", "users")
    make_channel("$off", "users", is_active=False)
    declare("order", can_subscribe=lambda self, user, pk: True, delivery=AtMostOnce())
    declare("many", can_subscribe_many=lambda self, user, many: [])
    declare("price", authorize="open", delivery=Latest())
    declare("closed")
    lines = [cells(line) for line in out()]
    assert lines[0] == ["channels", "who may subscribe", "delivery", "declared in"]
    assert lines[1][:2] == ["user:<pk>", "that user"]
    assert ["1 row", "level “Public”"] in [line[:2] for line in lines]
    assert ["2 rows, 1 inactive", "level “Users”"] in [line[:2] for line in lines]
    rules = {line[0]: line[1:] for line in lines}
    assert rules["order:<int:pk>"][:2] == ["Order.can_subscribe()", "AtMostOnce"]
    assert rules["many:<int:pk>"][0] == "Many.can_subscribe_many()"
    assert rules["price:<int:pk>"][:2] == ["everybody, unasked", "Latest, 1 messages, 86400 s"]
    assert rules["closed:<int:pk>"][0] == "nobody: no can_subscribe()"
    assert rules["order:<int:pk>"][2] == "tests.management.test_channels.Order"


def test_for_a_user(out, make_user, make_channel):
    user = make_user("ann", groups=["red"])
    make_channel("$red", "groups", groups=["red"])
    make_channel("$staff", "staff")
    declare("order", can_subscribe=lambda self, user, pk: True)
    lines = [cells(line) for line in out("--for", "ann")]
    assert lines == [
        ["channel", "because of"],
        ["$red", "level “Groups”"],
        [f"user:{user.pk}", "the user's own"],
        ["order:<int:pk>", "Order.can_subscribe()"],
    ]


def test_an_unknown_user(db):
    with pytest.raises(CommandError, match="no user 'nobody'"):
        call_command("channels", "--for", "nobody")


def test_assert_permissions(make_user, make_channel):
    member, other = make_user("member", groups=["red"]), make_user("other")
    make_channel("$red", "groups", groups=["red"])
    declare("order", can_subscribe=lambda self, user, pk: user == member)
    assert_permissions("$red", subscribe={member: True, other: False, None: False})
    assert_permissions("order:1", subscribe={member: True, other: False})
    with pytest.raises(AssertionError) as info:
        assert_permissions("$red", subscribe={member: False, other: False, None: True})
    assert str(info.value).splitlines() == [
        "Subscribing to '$red':",
        "  <User: member> may",
        "  anonymous may not",
    ]

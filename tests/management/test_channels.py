"""The catalogue of channels."""

import pytest
from django.core.management import CommandError, call_command

from instant import Namespace, channel
from instant.deliveries import AtMostOnce, Latest
from instant.testing import assert_permissions

pytestmark = pytest.mark.usefixtures("registry")


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
    assert lines[0] == [
        "channels", "who may subscribe", "more rights", "delivery", "declared in"
    ]  # fmt: skip
    assert lines[1][:2] == ["user:<pk>", "that user"]
    assert ["$a", "level “Users”"] in [line[:2] for line in lines]
    assert ["$off", "level “Users”, inactive"] in [line[:2] for line in lines]
    rules = {line[0]: line[1:] for line in lines}
    assert rules["order:<int:pk>"][:3] == ["Order.can_subscribe()", "nothing more", "AtMostOnce"]
    assert rules["many:<int:pk>"][0] == "Many.can_subscribe_many()"
    assert rules["price:<int:pk>"][::2] == [
        "everybody, unasked", "Latest, 1 messages, 86400 s"
    ]  # fmt: skip
    assert rules["closed:<int:pk>"][0] == "nobody: no can_subscribe()"
    assert rules["order:<int:pk>"][3] == "tests.management.test_channels.Order"


def test_rows_that_code_declares(out, make_channel):
    channel("news", level="public")
    channel("$desk", level="groups", groups=["desk"])
    channel("$new", level="staff")
    make_channel("news")
    make_channel("$desk", "groups", groups=["others"], publish_level="staff")
    make_channel("$mine", "groups", groups=["a", "b"])
    lines = {line[0]: line[1:] for line in map(cells, out())}
    assert lines["news"][0] == "level “Public”"
    assert lines["news"][-1].startswith("tests.management.test_channels:")
    assert lines["$desk"][0] == "level “Groups”: others; groups not as declared: run migrate"
    assert lines["$new"][0] == "level “Staff”, not there: run migrate"
    assert lines["$mine"][0] == "level “Groups”: a, b"
    assert lines["$mine"][-1] == "the admin"


def test_many_rows_are_counted(out, make_channel, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("instant.rights.explain.ROWS", 3)
    channel("news", level="public")
    for name in ("news", "a", "b", "c"):
        make_channel(name)
    make_channel("d", is_active=False)
    lines = [line[0] for line in map(cells, out())]
    assert lines == ["channels", "user:<pk>", "3 rows, 1 inactive", "news"]
    lines = [line[0] for line in map(cells, out("--rows"))]
    assert lines == ["channels", "user:<pk>", "a", "b", "c", "d", "news"]
    with django_assert_num_queries(4):  # the rows, and three lists of groups
        out("--rows")


def test_for_a_user(out, make_user, make_channel):
    user = make_user("ann", groups=["red"])
    make_channel("$red", "groups", groups=["red"])
    make_channel("$staff", "staff")
    declare("order", can_subscribe=lambda self, user, pk: True)
    lines = [cells(line) for line in out("--for", "ann")]
    assert lines == [
        ["channel", "may", "because of"],
        ["$red", "subscribe, history", "level “Groups”: in the group red"],
        [f"user:{user.pk}", "subscribe, presence, history", "the user's own"],
        ["order:<int:pk>", "asks", "Order.can_subscribe(); nothing more"],
    ]


def test_rights_of_rows_and_namespaces(out, make_channel):
    make_channel("$in", "users", publish_level="staff", presence_level="subscribers")
    declare(
        "order",
        client_publish="ask",
        can_publish=lambda self, user, pk: True,
        presence=True,
        can_read_history_many=lambda self, user, many: [],
    )
    rights = {line[0]: line[2] for line in map(cells, out())}
    assert rights["$in"] == (
        "publish: Staff, presence: Whoever may subscribe, history: subscribers"
    )
    assert rights["order:<int:pk>"] == (
        "publish: Order.can_publish(), presence: subscribers, "
        "history: Order.can_read_history_many()"
    )


def test_for_a_user_on_named_channels(out, make_user, make_channel):
    user = make_user("ann", groups=["red"])
    row = make_channel("$red", "groups", groups=["red", "blue"], members=[user])
    make_channel("$off", "users", is_active=False)
    row = make_channel("$in", "superuser", publish_level="listed")
    row.publishers.add(user)
    declare("order", can_subscribe=lambda self, user, pk: pk == 1, history=True)
    names = ["$red", "$off", "$in", "nope", "order:1", "order:2", f"user:{user.pk}"]
    lines = [cells(line) for line in out(*names, "--for", "ann")]
    assert lines[1:] == [
        ["$red", "subscribe, history", "level “Groups”: listed as member, in the group red"],
        ["$off", "nothing", "it is not active"],
        ["$in", "publish", "level “Superuser”"],
        ["nope", "nothing", "there is no such channel"],
        ["order:1", "subscribe, history", "Order.can_subscribe() allows"],
        ["order:2", "nothing", "Order.can_subscribe() refuses"],
        [f"user:{user.pk}", "subscribe, presence, history", "the user's own"],
    ]
    with pytest.raises(CommandError, match="--for USER"):
        call_command("channels", "order:1")


def test_for_visitors(out, make_channel):
    make_channel("news")
    make_channel("$users", "users")
    declare("order", can_subscribe=lambda self, user, pk: user.is_authenticated)
    lines = [cells(line) for line in out("news", "$users", "order:1", "nws", "--for", "anonymous")]
    assert lines[1:] == [
        ["news", "subscribe, history", "level “Public”"],
        ["$users", "nothing", "level “Users”"],
        ["order:1", "nothing", "Order.can_subscribe() refuses"],
        ["nws", "nothing", "there is no such channel; there is 'news'"],
    ]
    assert [line[0] for line in map(cells, out("--for", "anonymous"))] == [
        "channel", "news", "order:<int:pk>"
    ]  # fmt: skip


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
        "On '$red':",
        "  <User: member> may subscribe",
        "  anonymous may not subscribe",
    ]
    with pytest.raises(AssertionError, match="other> may not publish"):
        assert_permissions("$red", subscribe={member: True}, publish={other: True})
    with pytest.raises(TypeError, match="subscribe="):
        assert_permissions("$red")
    with pytest.raises(ValueError, match="known are"):
        assert_permissions("$red", read={None: False})


def test_assert_permissions_asks_async_rules(make_user):
    async def can_publish(self, user, pk):
        return pk == 1

    declare("order", can_publish=can_publish, client_publish="ask")
    assert_permissions("order:1", publish={None: True}, subscribe={None: False})
    assert_permissions("order:2", publish={None: False})

"""Namespaces: declaring, building and parsing names, and who may."""

import logging
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError

from instant import Namespace, namespaces, permissions
from instant.deliveries import AtMostOnce, Latest, Recoverable
from instant.namespaces import NoChannelMatch, find_namespace


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """What a test declares is forgotten afterwards."""
    found = list(namespaces._registry)
    monkeypatch.setattr(namespaces, "_registry", found)
    return found


def order(**attributes):
    return type("Order", (Namespace,), {"name": "order", "pattern": "<int:pk>", **attributes})


def test_builds_and_parses():
    cls = order()
    assert cls.channel(pk=42) == "order:42"
    assert cls.parse("order:42") == {"pk": 42}
    for other in ("order:x", "order:", "orders:42", "42", "order:42:1", "$order:42", "order:-1"):
        assert cls.parse(other) is None


def test_only_one_name_for_one_channel():
    """order:042 would be another channel for the server, to which nobody publishes."""
    assert order().parse("order:042") is None


def test_all_converters():
    cls = type("Room", (Namespace,), {"name": "room", "pattern": "<slug:a>.<uuid:b>-<c>"})
    key = uuid.uuid4()
    name = cls.channel(a="x-y", b=key, c="Z:9")
    assert cls.parse(name) == {"a": "x-y", "b": key, "c": "Z:9"}
    assert type("Lobby", (Namespace,), {"name": "lobby", "pattern": "all"}).channel() == "lobby:all"


@pytest.mark.parametrize(
    "kwargs",
    [{}, {"pk": "x"}, {"pk": -1}, {"pk": 1, "q": 2}, {"q": 1}, {"pk": None}, {"pk": "1/2"}],
)
def test_wrong_arguments_say_so_like_reverse(kwargs):
    with pytest.raises(NoChannelMatch, match=r"Order.channel\(\) with .*<int:pk>"):
        order().channel(**kwargs)


@pytest.mark.parametrize("value", ["a b", "ü", "a*b", "", "x" * 300, "a/b", "a$b"])
def test_names_that_no_client_could_subscribe_to_are_not_made(value):
    cls = type("Free", (Namespace,), {"name": "free", "pattern": "<str:key>"})
    with pytest.raises(NoChannelMatch):
        cls.channel(key=value)


@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        ("<int:pk>", [1, 0, "42", 10**20, True, "042", -1, "x", None, 1.5, " 1", "1\n2", "١"]),
        ("a-<slug:key>-b", ["x-y", "", "x\ny", "ü", "x" * 300, 7]),
        (
            "<uuid:key>",
            [uuid.UUID(int=5), str(uuid.UUID(int=6)), str(uuid.UUID(int=7)).upper()[:8]],
        ),
        ("<str:key>", ["a:b", "a b", "a\n", "a/b", "", "$x", "a$", {"key": "z"}, {"no": "z"}]),
        ("<year>", ["2026"]),
        ("<int:a>.<int:b>", [{"a": 1, "b": 2}, {"a": 1}]),
        ("all", [{}]),
    ],
)
def test_many_channels_are_those_of_channel(pattern, values):
    cls = type("Many", (Namespace,), {"name": "many", "pattern": pattern})
    [*parameters] = cls.compiled().names

    def one(value):
        return cls.channel(**(value if isinstance(value, dict) else {parameters[0]: value}))

    good = []
    for value in values:
        try:
            good.append((value, one(value)))
        except NoChannelMatch:
            for many in ([value], [*(v for v, _ in good), value], [value, *(v for v, _ in good)]):
                with pytest.raises(NoChannelMatch):
                    cls.channels(iter(many))
    assert cls.channels(iter([v for v, _ in good])) == [name for _, name in good]
    assert cls.channels([]) == []


def test_many_channels_of_several_arguments_need_dicts():
    cls = type("Pair", (Namespace,), {"name": "pair", "pattern": "<int:a>.<int:b>"})
    with pytest.raises(TypeError, match=r"a dict of arguments.*has 2; not 5"):
        cls.channels([5])


def test_abstract_ones_are_not_registered(registry):
    before = len(registry)

    class Base(Namespace, abstract=True):
        presence = True

    assert len(registry) == before
    assert type("Order", (Base,), {"name": "order", "pattern": "<int:pk>"}).presence
    assert len(registry) == before + 1


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"name": "x"}, "two or more"),
        ({"name": "a:b"}, "two or more"),
        ({"name": 5}, "two or more"),
        ({"name": "user"}, "users' own channels"),
        ({"pattern": 5}, "no pattern"),
        ({"pattern": "<int:pk"}, "other half"),
        ({"pattern": "<foo:pk>"}, "converter 'foo'"),
        ({"pattern": "<path:pk>"}, "'path'"),
        ({"pattern": "<int:a><int:a>"}, "twice"),
        ({"pattern": "a b"}, "no channel can match"),
        ({"pattern": "a/<int:pk>"}, "no channel can match"),
        ({"delivery": Recoverable}, "instant.deliveries"),
        ({"authorize": "cookie"}, "'token' or 'proxy' or 'open'"),
        ({"client_publish": "everybody"}, "'nobody' or 'subscribers' or 'ask'"),
        ({"rows": True, "authorize": "open"}, "rows needs"),
        ({"rows": True, "client_publish": "subscribers"}, "rows needs"),
        ({"history": True, "delivery": AtMostOnce()}, "keeps no messages"),
        ({"presence": "yes"}, "presence"),
        ({"join_leave": 2}, "join_leave"),
        ({"can_subscribe": lambda self, user, key: True}, "called with (self, user, pk)"),
        ({"can_publish": lambda user, pk: True}, "can_publish() is called with (self, user, pk)"),
        ({"snapshot": lambda self, user: 1}, "unexpected keyword argument 'pk'"),
        ({"readers": lambda self, user, pk: []}, "readers() is called with (self, pk)"),
        ({"pattern": "{pk}", "can_see_status": lambda self, user, pk: True}, "pattern is '{pk}'"),
    ],
)
def test_what_can_not_work_is_told(attributes, problem):
    assert list(order().problems()) == []
    [text] = order(**attributes).problems()
    assert problem in text
    assert "Order" in text


def test_deliveries():
    assert (AtMostOnce().size, AtMostOnce().latest) == (0, False)
    assert (Latest().size, Latest().latest) == (1, True)
    assert Recoverable().size == 100
    assert Recoverable(size=5, ttl=timedelta(hours=1)).ttl == timedelta(hours=1)
    for wrong in ({"size": -1}, {"size": "5"}, {"size": True}, {"ttl": 5}, {"ttl": timedelta(0)}):
        with pytest.raises(ValueError, match="must be"):
            Recoverable(**wrong)


def test_find():
    cls = order()
    assert find_namespace("order:7") == (cls, {"pk": 7})
    assert find_namespace("other:7") is None


# Who may


def test_nobody_may_what_is_not_allowed(make_user, anonymous):
    order()
    user = make_user(is_superuser=True)
    assert permissions.grants(user, ["order:1"]) == []
    assert permissions.grants(anonymous, ["order:1"]) == []


def test_a_rule_gets_user_and_arguments(make_user, anonymous):
    asked = []

    def can_subscribe(self, user, pk):
        asked.append((user, pk))
        return user.is_authenticated and pk == 1

    order(can_subscribe=can_subscribe)
    user = make_user()
    names = ["order:2", "order:1", "order:x", "nowhere:1"]
    assert [g.name for g in permissions.grants(user, names)] == ["order:1"]
    assert permissions.may(user, "subscribe", "order:1")
    assert permissions.grants(anonymous, names) == []
    assert (user, 1) in asked


def test_an_async_rule(make_user):
    async def can_subscribe(self, user, pk):
        return pk == 1

    order(can_subscribe=can_subscribe)
    assert [g.name for g in permissions.grants(make_user(), ["order:1", "order:2"])] == ["order:1"]


def test_one_answer_for_many(make_user, django_assert_num_queries):
    def can_subscribe_many(self, user, many):
        return [kwargs["pk"] % 2 == 0 for kwargs in many]

    order(can_subscribe_many=can_subscribe_many)
    user = make_user()
    with django_assert_num_queries(0):
        found = permissions.grants(user, [f"order:{n}" for n in range(100)])
    assert [g.name for g in found] == [f"order:{n}" for n in range(0, 100, 2)]


@pytest.mark.parametrize(
    "attributes",
    [
        {"can_subscribe": lambda self, user, pk: 1 / 0},
        {"can_subscribe": lambda self, user: True},  # takes no pk
        {"can_subscribe_many": lambda self, user, many: [True]},  # one for two
        {"can_subscribe_many": lambda self, user, many: None},
    ],
)
def test_a_broken_rule_refuses_and_is_logged(make_user, caplog, attributes):
    order(**attributes)
    with caplog.at_level(logging.ERROR, "instant.permissions"):
        assert permissions.grants(make_user(), ["order:1", "order:2"]) == []
    assert "refused" in caplog.text


def test_a_broken_namespace_does_not_spoil_the_others(make_user, make_channel):
    order(can_subscribe=lambda self, user, pk: 1 / 0)
    type(
        "Room",
        (Namespace,),
        {"name": "room", "pattern": "<int:n>", "can_subscribe": lambda self, user, n: True},
    )
    make_channel("public")
    found = permissions.grants(make_user(), ["order:1", "room:2", "public"])
    assert [g.name for g in found] == ["room:2", "public"]


def test_an_open_one_is_open(anonymous):
    order(authorize="open")
    assert [g.name for g in permissions.grants(anonymous, ["order:5"])] == ["order:5"]


# The other actions


def test_nothing_more_is_allowed_by_itself(make_user):
    order(can_subscribe=lambda self, user, pk: True)
    user = make_user(is_superuser=True)
    [grant] = permissions.grants(user, ["order:1"])
    assert grant.rights == ()
    asked = [a for a in namespaces.METHODS if permissions.may(user, a, "order:1")]
    assert asked == ["subscribe"]


def test_attributes_open_the_rest_for_subscribers(make_user):
    order(
        can_subscribe=lambda self, user, pk: pk == 1,
        presence=True,
        history=True,
        status=True,
        client_publish="subscribers",
    )
    user = make_user()
    [grant] = permissions.grants(user, ["order:1", "order:2"])
    assert set(grant.rights) == {"publish", "presence", "history"}
    for action in namespaces.METHODS:
        assert permissions.may(user, action, "order:1")
        assert not permissions.may(user, action, "order:2")


RULES = {"publish": "can_publish", "presence": "can_see_presence", "history": "can_read_history"}


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("action", RULES)
def test_methods_decide_each_on_its_own(make_user, action, many):
    def rule(self, user, pk):
        return pk == 1

    def rules(self, user, asked):
        return [kwargs["pk"] == 1 for kwargs in asked]

    method = {f"{RULES[action]}_many": rules} if many else {RULES[action]: rule}
    order(
        can_subscribe=lambda self, user, pk: True,
        client_publish="ask",
        presence=True,  # says nothing where the method is overridden
        history=True,
        **method,
    )
    user = make_user()
    found = {g.name: g.rights for g in permissions.grants(user, ["order:1", "order:2"])}
    assert action in found["order:1"]
    assert action not in found["order:2"]
    assert permissions.may(user, action, "order:1")
    assert not permissions.may(user, action, "order:2")


def test_can_publish_says_nothing_where_nobody_may(make_user):
    order(can_publish=lambda self, user, pk: True)
    assert not permissions.may(make_user(), "publish", "order:1")


def test_joins_are_pushed_by_token_where_a_rule_decides(make_user):
    order(
        can_subscribe=lambda self, user, pk: True,
        can_see_presence=lambda self, user, pk: pk == 1,
        join_leave=True,
    )
    found = permissions.grants(make_user(), ["order:1", "order:2"])
    assert [(g.name, g.sees_joins) for g in found] == [("order:1", True), ("order:2", False)]


def test_a_proxied_one_gets_no_token(make_user):
    order(can_subscribe=lambda self, user, pk: True, authorize="proxy")
    [grant] = permissions.grants(make_user(), ["order:1"])
    assert not grant.by_token


def test_info_is_told_and_a_failure_is_not(make_user, caplog):
    def connection_info(self, user, pk):
        return {"name": user.get_username(), "half": 1 / (pk - 1)}

    order(can_subscribe=lambda self, user, pk: True, connection_info=connection_info)
    found = permissions.grants(make_user("ann"), ["order:1", "order:2"])
    assert [g.info for g in found] == [None, {"name": "ann", "half": 1}]
    assert "connection_info raised" in caplog.text


def test_connection_info_may_be_what_django_can_encode(make_user):
    when, pk = datetime(2026, 1, 2, 3, 4, tzinfo=UTC), uuid4()
    order(
        can_subscribe=lambda self, user, pk: True,
        connection_info=lambda self, user, **_: {"since": when, "id": pk, "n": Decimal("1.5")},
    )
    [grant] = permissions.grants(make_user(), ["order:1"])
    assert grant.info == {"since": "2026-01-02T03:04:00Z", "id": str(pk), "n": "1.5"}


@pytest.mark.parametrize("value", [object(), float("nan"), {"x": {1, 2}}])
def test_connection_info_that_is_no_json_is_none_and_says_whose(make_user, value, caplog):
    order(can_subscribe=lambda self, user, pk: True, connection_info=lambda self, user, pk: value)
    [grant] = permissions.grants(make_user(), ["order:1"])
    assert grant.info is None
    assert "connection_info returned what is no JSON" in caplog.text


async def test_may_names_amay_for_an_async_rule():
    async def can_subscribe(self, user, pk):
        return pk == 1

    async def can_subscribe_many(self, user, many):
        return [True for _ in many]

    for method in (can_subscribe, can_subscribe_many):
        order(**{method.__name__: method})
        with pytest.raises(TypeError, match=r"Order.can_subscribe\(\) is async: .*amay"):
            permissions.may(None, "subscribe", "order:1")
        assert await permissions.amay(None, "subscribe", "order:1")
        namespaces._registry.pop()


async def test_amay_refuses_where_a_rule_raises(caplog):
    async def can_subscribe(self, user, pk):
        raise RuntimeError("broken")

    order(can_subscribe=can_subscribe)
    assert not await permissions.amay(None, "subscribe", "order:1")
    assert "broken" in caplog.text


@pytest.mark.django_db(transaction=True)
async def test_amay_asks_a_sync_rule_in_a_thread(make_user, in_threads):
    from asgiref.sync import sync_to_async
    from django.contrib.auth.models import Group

    order(can_subscribe=lambda self, user, pk: Group.objects.filter(pk=pk).exists())
    group = await Group.objects.acreate(name="g")
    user = await sync_to_async(make_user)()
    assert await permissions.amay(user, "subscribe", f"order:{group.pk}")
    assert not await permissions.amay(user, "subscribe", f"order:{group.pk + 1}")


# Rows in a namespace


def test_rows_may_live_in_a_namespace_that_says_so(make_user, make_channel, anonymous):
    with pytest.raises(ValidationError, match="rows = True"):
        make_channel("team:a")
    type("Team", (Namespace,), {"name": "team", "rows": True})
    make_channel("team:a")
    make_channel("$team:b", "users")
    assert permissions.may(anonymous, "subscribe", "team:a")
    assert not permissions.may(anonymous, "subscribe", "$team:b")
    assert permissions.may(make_user(), "subscribe", "$team:b")
    assert [g.level for g in permissions.grants(anonymous, ["team:a", "team:x"])] == ["public"]
    for wrong in ("other:a", "team:a:b", "user:1", "team:", "team:$x"):
        with pytest.raises(ValidationError):
            make_channel(wrong)


def test_where_there_is_a_row_the_row_decides(make_user, make_channel, anonymous):
    rule = {"can_subscribe": lambda self, user, key: True}
    type("Team", (Namespace,), {"name": "team", "pattern": "<str:key>", "rows": True, **rule})
    make_channel("team:off", is_active=False)
    assert permissions.may(anonymous, "subscribe", "team:on")
    assert not permissions.may(anonymous, "subscribe", "team:off")
    assert [g.name for g in permissions.grants(anonymous, ["team:off", "team:on"])] == ["team:on"]
    assert permissions.permitted([make_user()], "team:off") == set()

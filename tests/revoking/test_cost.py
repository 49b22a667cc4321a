"""What a change costs the request that makes it: bounded, whoever is connected."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instant import Namespace, enforcement
from instant.centrifugo.api.commands import Channels, Disconnect, Presence, Unsubscribe
from instant.exceptions import InvalidChannelName
from instant.models import Revocation
from instant.revoking import follow_up, run
from instant.revoking.affected import Affected
from instant.revoking.cost import OverCost
from instant.revoking.enforce import enforce
from instant.revoking.receivers import depends_on
from instant.rights import namespace_rules

pytestmark = pytest.mark.django_db(transaction=True)


class Rule:
    """A rule that asks the database, as those of users do."""

    def can_subscribe(self, user, pk):
        return user.groups.filter(pk=pk).exists()


class ManyRule(Rule):
    def can_subscribe_users(self, users, pk):
        keys = [user.pk for user in users]
        inside = set(
            get_user_model().objects.filter(pk__in=keys, groups=pk).values_list("pk", flat=True)
        )
        return [user.pk in inside for user in users]


@pytest.fixture
def declare(registry):
    def make(rule=Rule, **attributes):
        given = {"name": "order", "pattern": "<int:pk>", **attributes}
        cls = type("Order", (Namespace,) if rule is None else (rule, Namespace), given)
        depends_on.connect()
        return cls

    return make


@pytest.fixture
def viewers(make_user):
    def make(count, **fields):
        model = get_user_model()
        first = model.objects.count()
        model.objects.bulk_create(model(username=f"v{first + n}", **fields) for n in range(count))
        return [
            str(pk)
            for pk in model.objects.filter(username__startswith="v").values_list("pk", flat=True)
        ]

    return make


def queries_of(do):
    with CaptureQueriesContext(connection) as caught:
        do()
    return len(caught)


def test_two_thousand_viewers_cost_the_save_no_more_than_none(client, declare, viewers):
    order = Group.objects.create(name="order")
    declare(depends_on={"auth.Group": lambda group: {"pk": group.pk}})
    with_none = queries_of(order.save)
    batches = len(client.batches)
    client.inside = {f"order:{order.pk}": set(viewers(2000))}
    assert queries_of(order.save) <= with_none * 1.3
    assert len(client.batches) - batches == 1, "It asks how many they are, and not who."
    row = Revocation.objects.last()
    assert (row.claim, row.is_last) == ("", False)
    assert row.due_at <= timezone.now(), "Anybody who looks takes it at once."


def test_who_looks_does_the_rest_without_a_bound(
    client, declare, viewers, django_assert_max_num_queries
):
    order = Group.objects.create(name="order")
    doc = declare(ManyRule)
    users = viewers(200)
    get_user_model().groups.through.objects.bulk_create(
        get_user_model().groups.through(user_id=pk, group=order) for pk in users[:199]
    )
    client.inside = {f"order:{order.pk}": set(users)}
    doc.recheck(pk=order.pk)
    assert client.changes == []
    with django_assert_max_num_queries(12):
        assert follow_up.follow_up() == 1
    assert client.changes == [Unsubscribe(users[199], f"order:{order.pk}")]
    assert Revocation.objects.get().is_last


def test_a_rule_that_asks_for_each_stops_at_the_bound(client, declare, viewers, settings):
    settings.INSTANT = {**settings.INSTANT, "CHECK_QUERIES": 10}
    doc = declare()
    client.inside = {"order:1": set(viewers(40))}
    # The row, ten of the check, and what is left of it in the row.
    assert queries_of(lambda: doc.recheck(pk=1)) == 12
    assert not Revocation.objects.get().is_last
    follow_up.follow_up()
    assert len(client.changes) == 40


def test_a_rule_for_many_users_is_asked_once(client, declare, viewers):
    doc = declare(ManyRule)
    client.inside = {"order:1": set(viewers(40))}
    assert queries_of(lambda: doc.recheck(pk=1)) == 4  # row, users, rule, row
    assert len(client.changes) == 40
    assert Revocation.objects.get().is_last


def test_what_is_named_goes_before_the_bound_is_reached(client, declare, make_user, settings):
    settings.INSTANT = {**settings.INSTANT, "CHECK_QUERIES": 1}
    declare()
    ann, bob = make_user("ann"), make_user("bob")
    with transaction.atomic():
        enforcement.revoke(bob, "order:1")
        ann.delete()
    assert [c.code for c in client.changes] == [3503]
    done, left = Revocation.objects.order_by("-is_last")
    assert set(done.loss) == {"disconnects"}
    assert left.loss == {"subscriptions": {str(bob.pk): ["order:1"]}}


@pytest.mark.parametrize(
    "affected",
    [
        Affected(everything=True),
        Affected(channels={f"order:{n}" for n in range(501)}),
        Affected(reconnects={str(n) for n in range(501)}),
    ],
)
def test_what_is_too_much_is_not_even_begun(client, declare, affected):
    declare()
    client.inside = {"order:1": {"7"}}
    [error] = enforce([affected], queries=20)
    assert isinstance(error, OverCost)
    assert client.batches == []


# Many users: only who is connected is told


def test_of_many_who_are_deleted_only_the_connected_are_disconnected(client, declare, viewers):
    declare(ManyRule)
    users = viewers(600)
    client.inside = {"user:" + users[0]: {users[0]}, "order:1": {users[1], ""}}
    with transaction.atomic():
        get_user_model().objects.filter(pk__in=users).delete()
    assert client.changes == []
    follow_up.follow_up()
    gone = {c.user for c in client.changes if isinstance(c, Disconnect)}
    assert gone == {users[0], users[1]}


def test_a_group_with_many_members_that_loses_a_permission(client, declare, viewers):
    declare(can_subscribe=lambda self, user, pk: user.has_perm("auth.view_group"))
    users = viewers(600)
    group = Group.objects.create(name="g")
    permission = Permission.objects.get(codename="view_group")
    group.permissions.add(permission)
    group.user_set.set(users)
    client.inside = {"order:1": {users[7], users[8]}}
    group.permissions.clear()
    assert len(str(Revocation.objects.get().loss)) < 500_000
    follow_up.follow_up()
    assert client.changes == [Unsubscribe(pk, "order:1") for pk in users[7:9]]


# The second time


def test_who_was_asked_again_is_not_sent_away_a_second_time(client, declare, make_user):
    doc = declare()
    ann = make_user("ann", groups=["red"])
    kept = Group.objects.create(name="kept")
    ann.groups.add(kept)
    ann.groups.remove(Group.objects.get(name="red"))
    assert client.changes == [Disconnect(str(ann.pk), 4000, "permissions changed")]
    client.batches.clear()
    lost = doc.channel(pk=9999)
    client.inside = {
        doc.channel(pk=kept.pk): {str(ann.pk)},
        lost: {str(ann.pk)},
        "foreign:1": {"x"},
    }
    follow_up.follow_up(Revocation.objects.get().due_at)
    assert client.batches[0] == [Channels("*")]
    assert set(client.batches[1]) == {Presence(lost), Presence(doc.channel(pk=kept.pk))}
    # Who replayed a token of the lost channel is out; who came back by the rules stays.
    assert client.changes == [Unsubscribe(str(ann.pk), lost)]


def test_sessions_that_ended_are_told_a_second_time(client, make_user):
    """A replayed token of a session that ended shows nowhere."""
    ann = make_user("ann")
    ann.set_password("new")
    ann.save()
    follow_up.follow_up(Revocation.objects.get().due_at)
    assert client.changes == [Disconnect(str(ann.pk), 4000, "permissions changed")] * 2


# can_subscribe_users


def test_answers_come_in_the_order_of_the_users(declare, make_user, caplog):
    users = [make_user(f"u{n}") for n in range(3)]
    doc = declare(
        None, can_subscribe_users=lambda self, users, pk: [u.pk == users[1].pk for u in users]
    )

    def ask():
        return namespace_rules.allowed_users(doc, users, {"pk": 1}, step=lambda: None)

    assert ask() == [False, True, False]
    doc.can_subscribe_users = lambda self, users, pk: [True]
    assert ask() == [False] * 3
    assert "answered 1 times for 3 users" in caplog.text
    doc.can_subscribe_users = lambda self, users, pk: 1 / 0
    assert ask() == [False] * 3
    del doc.can_subscribe_users

    async def rule(self, users, pk):
        return [True, False, True]

    doc.can_subscribe_users = rule
    assert ask() == [True, False, True]
    assert Namespace().can_subscribe_users(users) == [False] * 3


# depends_on: who, and what of it


def test_only_whom_a_model_names_is_asked_for(client, declare, viewers, make_user):
    ann, order = make_user("ann"), Group.objects.create(name="order")
    declare(
        depends_on={
            "auth.Group": {"channels": lambda g: {"pk": g.pk}, "users": lambda g: [ann, ann.pk]}
        }
    )
    client.inside = {f"order:{order.pk}": set(viewers(2000))}
    order.save()
    assert client.batches == [[Unsubscribe(str(ann.pk), f"order:{order.pk}")]]


def test_only_the_fields_that_matter(client, declare, make_user, django_assert_num_queries):
    ann = make_user("ann")
    declare(
        depends_on={
            "auth.User": {"channels": lambda u: {"pk": u.pk}, "fields": ["email", "is_staff"]}
        }
    )
    ann.first_name = "Ann"
    ann.save()
    assert client.batches == []
    with django_assert_num_queries(1):
        ann.save(update_fields=["first_name"])
    ann.email = "ann@example.com"
    ann.save()
    assert len(client.batches) == 1
    make_user("new")
    assert len(client.batches) == 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"users": len}, "['channels'] must be a function"),
        ({"channels": len, "users": 7}, "['users'] must be a function"),
        ({"channels": len, "fields": "name"}, "['fields'] must be a list"),
        ({"channels": len, "fields": ["nmae"]}, "'nmae' is no column of Group"),
        ({"channels": len, "field": ["name"]}, "unknown key 'field'"),
        (7, "must be a function"),
    ],
)
def test_what_is_wrong_with_it_is_told(registry, given, told):
    doc = type(
        "Doc", (Namespace,), {"name": "d1", "pattern": "x", "depends_on": {"auth.Group": given}}
    )
    assert told in "".join(depends_on.problems(doc))


# enforcement.revoke()


def test_one_user_s_subscription_is_asked_for(client, declare, make_user):
    ann, bob = make_user("ann", groups=["red"]), make_user("bob")
    declare()
    name = f"order:{Group.objects.get().pk}"
    enforcement.revoke(ann, name)
    assert client.changes == []
    enforcement.revoke(bob.pk, name)
    enforcement.revoke(None, "order:7")
    assert client.changes == [Unsubscribe(str(bob.pk), name), Unsubscribe("", "order:7")]
    with pytest.raises(InvalidChannelName):
        enforcement.revoke(ann, "order:*")


async def test_the_async_twin(client, declare, in_threads):
    declare(can_subscribe=lambda self, user, pk: False)
    await enforcement.arevoke(7, "order:7")
    assert client.changes == [Unsubscribe("7", "order:7")]
    assert run.is_on()

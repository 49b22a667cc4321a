"""What an attacker found once, each so that it never comes back."""

import time

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.core.signals import request_started
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import signals
from django.test import Client
from django.utils import timezone

from instant import Namespace, enforcement, publish
from instant.backends import get_backend, replaced
from instant.centrifugo.api.commands import Disconnect, Presence, PresenceStats, Unsubscribe
from instant.centrifugo.config.proxies import keeps_timeout
from instant.exceptions import (
    InvalidChannelName,
    PublishTimeout,
    ServerRefused,
    ServerUnreachable,
)
from instant.models import Channel, Revocation
from instant.revoking import clock, follow_up, ledger, run
from instant.revoking.affected import Affected
from instant.revoking.enforce import enforce
from instant.revoking.pending import Change
from instant.revoking.receivers import depends_on
from instant.revoking.receivers import groups as group_receivers
from instant.rights import accounts
from instant.rights.tokens import Signer, begin, end


def declare(**attributes):
    return type("Doc", (Namespace,), {"name": "doc", "pattern": "<slug:slug>", **attributes})


# The follow-up check is made


def test_a_look_tells_when_something_is_due(client, ann, settings, monkeypatch):
    settings.INSTANT = {**settings.INSTANT, "SWEEP": None}
    monkeypatch.setattr(clock, "measure", lambda: None)
    assert follow_up.look() is None
    ann.groups.clear()
    assert 4 < follow_up.look() <= 5
    Revocation.objects.update(due_at=timezone.now(), is_last=True)
    assert follow_up.look() is None


def test_a_look_makes_all_that_is_due(client, db, make_user, settings, monkeypatch):
    settings.INSTANT = {**settings.INSTANT, "SWEEP": None}
    monkeypatch.setattr(clock, "measure", lambda: None)
    now = timezone.now()
    Revocation.objects.bulk_create(
        Revocation(loss={"reconnects": [f"u{n}"]}, created_at=now, due_at=now, is_last=True)
        for n in range(1201)
    )
    assert follow_up.look() is None
    assert len(client.changes) == 1201
    assert len(client.batches) == 3


def test_taking_a_right_away_wakes_the_thread_in_time(client, ann, monkeypatch, settings):
    settings.INSTANT = {**settings.INSTANT, "ENFORCE_IN_BACKGROUND": True}
    woken = []
    monkeypatch.setattr(follow_up._looker, "start", lambda: woken.append(True))
    ann.groups.clear()  # no hook runs: the test's transaction never commits
    assert woken


@pytest.mark.parametrize("autostart", [True, False])
def test_the_first_request_of_a_process_looks(client, monkeypatch, settings, autostart):
    settings.INSTANT = {
        **settings.INSTANT, "ENFORCE_IN_BACKGROUND": True, "AUTOSTART": autostart,
    }  # fmt: skip
    woken = []
    monkeypatch.setattr(
        follow_up._looker, "start", lambda *, with_server: woken.append(with_server)
    )
    monkeypatch.setattr(request_started, "receivers", [])
    request_started.connect(follow_up.look_once, dispatch_uid="instant.worker")
    request_started.send(sender=None, environ={})
    request_started.send(sender=None, environ={})
    assert woken == [autostart]


def test_a_first_look_that_fails_breaks_nobodys_request(monkeypatch, settings, caplog):
    def broken():
        raise RuntimeError("boom")

    monkeypatch.setattr(follow_up, "is_on", broken)
    settings.INSTANT = {**settings.INSTANT, "ENFORCE_IN_BACKGROUND": True}
    monkeypatch.setattr(request_started, "receivers", [])
    follow_up.look_once()
    assert "boom" in caplog.text


def test_what_fails_holds_up_nothing_else(client, committed, ann, make_user, monkeypatch):
    """Presence is off in the server's config; somebody else is deactivated."""
    cara = make_user("cara")
    answer = client.answer
    off = ServerRefused("error 108", code=108)
    monkeypatch.setattr(
        client, "answer", lambda c: off if isinstance(c, PresenceStats) else answer(c)
    )
    with committed():
        Channel.objects.get(name="$red").delete()
        cara.is_active = False
        cara.save()
    assert client.changes == [Disconnect(str(cara.pk), 3503, "access ended")]
    rows = {tuple(row.loss): (row.attempts, row.is_last) for row in Revocation.objects.all()}
    assert rows == {("channels",): (1, False), ("disconnects",): (0, True)}


@pytest.mark.parametrize("name", ["", "x" * 300, "[*", "a b", "*", ":*", "doc:**"])
def test_nobody_can_recheck_what_is_no_channel(client, db, name):
    with pytest.raises(InvalidChannelName):
        enforcement.recheck(name)
    assert Revocation.objects.count() == 0


def test_a_row_that_was_worked_off_before_the_commit_comes_back(client, db, make_user):
    """As where the change is on another database, in a transaction that takes its time."""
    affected = Affected(reconnects={"7"})
    revocation = run.record(affected)
    Revocation.objects.all().delete()
    run.immediate_check([Change(affected, revocation)])
    assert Revocation.objects.get().is_last


def test_a_row_that_another_took_before_the_commit_is_written_again(client, db, make_user):
    """On another database than the change it is seen before there is anything to check."""
    affected = Affected(reconnects={"7"})
    row = run.record(affected)
    Revocation.objects.update(claim="another")
    run.immediate_check([Change(affected, row, shares_transaction=False)])
    assert sorted(Revocation.objects.values_list("claim", "is_last")) == [
        ("", True),
        ("another", False),
    ]


def test_what_another_took_after_the_commit_is_theirs(client, db, make_user):
    affected = Affected(reconnects={"7"})
    row = run.record(affected)
    Revocation.objects.update(claim="another")
    run.immediate_check([Change(affected, row)])
    assert list(Revocation.objects.values_list("claim", "is_last")) == [("another", False)]


def test_a_proxy_timeout_that_somebody_has_raised(tmp_path):
    assert keeps_timeout({})
    assert keeps_timeout({"channel": {"proxy": {"subscribe": {"timeout": "3s"}}}})
    assert not keeps_timeout({"channel": {"proxy": {"subscribe": {"timeout": "10s"}}}})


# Tokens


def test_a_request_that_dawdles_gets_no_fresh_token(make_user, settings, monkeypatch):
    user = make_user()
    now = time.time()
    begin()
    monkeypatch.setattr(time, "time", lambda: now + 100)
    try:
        assert Signer(user).connection_token().exp <= now + 31
    finally:
        end()
    assert Signer(user).connection_token().exp > now + 120


# What takes rights away


def test_depends_on_looks_at_what_was_stored(client, db, committed):
    declare(depends_on={"auth.Group": lambda group: {"slug": group.name}})
    depends_on.connect()
    group = Group.objects.create(name="old")
    group.name = "new"
    with committed():
        group.save()
    assert client.batches == [[PresenceStats("doc:new"), PresenceStats("doc:old")]]


@pytest.mark.django_db(transaction=True)
def test_depends_on_is_written_before_anybody_can_raise(client):
    group = Group.objects.create(name="old")

    def broken(**kwargs):
        raise RuntimeError

    signals.post_save.connect(broken, sender=Group)
    declare(depends_on={"auth.Group": lambda group: {"slug": group.name}})
    depends_on.connect()
    group.name = "new"
    with pytest.raises(RuntimeError):
        group.save()
    assert [row.loss for row in Revocation.objects.all()] == [{"channels": ["doc:new", "doc:old"]}]


@pytest.mark.django_db(transaction=True)
def test_who_is_out_does_not_get_what_was_published_with_it(client, ann, monkeypatch):
    order = []
    monkeypatch.setattr(client, "run", lambda c, t: order.append("let go") or [None] * len(c))
    monkeypatch.setattr(get_backend(), "send", lambda envelopes: order.append("sent"))
    with transaction.atomic():
        publish("public", "first")
        ann.groups.clear()
        publish("$red", "secret")
    assert [step for step in order if step == "sent"] == ["sent"]
    assert order[-1] == "sent"
    assert "let go" in order[:-1]


def test_a_rule_that_can_not_ask_throws_nobody_out(client, committed, ann):
    def can_subscribe(self, user, slug):
        raise OperationalError("away")

    doc = declare(can_subscribe=can_subscribe)
    client.inside = {"doc:a": {str(ann.pk)}}
    with committed():
        doc.recheck(slug="a")
    assert client.changes == []
    assert Revocation.objects.get().attempts == 1
    doc.can_subscribe = lambda self, user, slug: 1 / 0
    follow_up.follow_up(Revocation.objects.get().due_at)
    assert client.changes == [Unsubscribe(str(ann.pk), "doc:a")]


def test_flags_may_be_properties():
    """As in Django's own example of a custom user."""

    class Person:
        _meta = Group._meta  # without fields of these names
        is_admin = True
        is_active = True
        is_staff = property(lambda self: self.is_admin)

    old, new = Person(), Person()
    new.is_admin = False
    assert accounts.lost_flags(old, new) == {"is_staff"}
    user = get_user_model()
    assert accounts.lost_flags(user(is_active=True), user(is_active="0")) == {"is_active"}


def test_memberships_of_a_projects_own_model(client, ann, committed):
    through = get_user_model().groups.through
    membership = through.objects.get(user=ann, group__name="blue")
    with committed():
        group_receivers.membership_row_changes(instance=membership, raw=False, using="default")
        through.objects.filter(pk=membership.pk).update(group=Group.objects.create(name="other"))
        group_receivers.membership_row_goes(instance=membership, using="default")
    assert client.changes == [Unsubscribe(str(ann.pk), "$blue")]


def test_a_permission_that_goes_by_both_ways_at_once(client, ann, committed):
    """Each transaction alone would have seen the other way; the pass sees what is left."""
    declare(can_subscribe=lambda self, user, slug: user.has_perm("auth.view_group"))
    permission = Permission.objects.get(codename="view_group")
    key, sub = str(permission.pk), str(ann.pk)
    ann.user_permissions.add(permission)
    Group.objects.get(name="red").permissions.add(permission)
    assert enforce([Affected(permissions={key: {sub}})]) == [None]
    assert client.changes == []
    Group.objects.get(name="red").permissions.clear()
    ann.user_permissions.clear()
    enforce([Affected(permissions={key: {sub}})])
    assert client.changes == [Disconnect(sub, 4000, "permissions changed")]


def test_a_many_to_many_of_the_same_name_to_something_else():
    """A circle “knitting” with the key of a group must not open the group's channels."""
    assert accounts.memberships().related_model is Group
    assert accounts._many_to_many("groups", Channel) is None
    assert accounts._many_to_many("password", Group) is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("where", ["write", "confirm"])
def test_logging_out_works_where_nothing_can_be_written(client, make_user, monkeypatch, where):
    def broken(*args):
        raise DatabaseError("full")

    monkeypatch.setattr(ledger, where, broken)
    browser = Client()
    browser.force_login(make_user())
    headers = {"Sec-Fetch-Site": "same-origin"}
    answer = browser.post(
        "/instant/logout/", "{}", content_type="application/json", headers=headers
    )
    assert answer.status_code == 200
    assert Session.objects.count() == 0


def test_deactivated_and_demoted_and_active_again(client, committed, make_user, make_channel):
    make_channel("$staff", "staff")
    sam = make_user("sam", is_staff=True)
    with committed():
        sam.is_active = sam.is_staff = False
        sam.save()
    assert client.changes == [Disconnect(str(sam.pk), 3503, "access ended")]
    sam.is_active = True
    sam.save()
    client.batches.clear()
    follow_up.follow_up(Revocation.objects.get().due_at)
    assert client.changes == [Unsubscribe(str(sam.pk), "$staff")]


def test_a_save_of_an_instance_that_was_never_loaded(client, ann, committed):
    user = get_user_model()(pk=ann.pk, username="ann", password=ann.password, is_active=False)
    with committed():
        user.save()
    assert client.changes == [Disconnect(str(ann.pk), 3503, "access ended")]


def test_a_list_that_is_changed_through_an_old_instance(client, committed, make_channel, ann):
    channel = make_channel("$list", "staff", members=[ann])
    stale = Channel.objects.get(pk=channel.pk)
    Channel.objects.filter(pk=channel.pk).update(level="groups")
    with committed():
        stale.members.clear()
    assert client.changes == [Unsubscribe(str(ann.pk), "$list")]


@pytest.mark.django_db(transaction=True)
def test_without_autocommit_a_save_works_and_the_row_is_there(client, make_user):
    user = make_user("ann")
    connection.set_autocommit(False)
    try:
        user.is_active = False
        user.save()
        connection.commit()
    finally:
        connection.set_autocommit(True)
    row = Revocation.objects.get()
    assert not row.is_last
    follow_up.follow_up(row.due_at)
    assert client.changes == [Disconnect(str(user.pk), 3503, "access ended")]


def test_recheck_of_rows_in_a_namespace_finds_private_ones(client, db, committed):
    room = type("Room", (Namespace,), {"name": "room", "rows": True})
    with committed():
        room.recheck()
    assert Revocation.objects.get().loss == {"channels": ["$room:*", "room:*"]}


def test_many_users_of_few_channels_are_few_queries(
    client, make_user, make_channel, django_assert_max_num_queries
):
    make_channel("$red", "groups", groups=["red"])
    subs = {str(make_user(f"u{n}").pk) for n in range(50)}
    loss = Affected(subscriptions={sub: {"$red"} for sub in subs})
    with django_assert_max_num_queries(5):
        enforce([loss])
    assert {command.user for command in client.changes} == subs


def test_a_backend_without_a_server_needs_no_client():
    from instant.backends.locmem import LocmemBackend

    with replaced(LocmemBackend()):
        assert enforce([Affected(reconnects={"7"})]) == [None]


def test_a_silent_server_costs_one_timeout(client, ann, monkeypatch):
    asked = []

    def answer(commands, timeout):
        asked.append(commands)
        raise ServerUnreachable("away")

    monkeypatch.setattr(client, "run", answer)
    loss = Affected(channels={"$red", "doc:*"}, reconnects={str(ann.pk)})
    other = Affected(disconnects={"99000099"})
    errors = enforce([loss, other])
    assert len(asked) == 1
    assert [str(error) for error in errors] == ["away", "away"]


def test_a_presence_that_takes_too_long_holds_up_nothing_else(client, ann, monkeypatch):
    before = client.run

    def answer(commands, timeout):
        if any(isinstance(command, Presence) for command in commands):
            raise PublishTimeout("slow")
        return before(commands, timeout)

    monkeypatch.setattr(client, "run", answer)
    errors = enforce([Affected(channels={"$red"}), Affected(disconnects={"99000099"})])
    assert [error and str(error) for error in errors] == ["slow", None]
    assert client.changes == [Disconnect("99000099", 3503, "access ended")]

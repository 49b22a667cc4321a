"""What is asked of the server when rights end, without a server: how often, when, and what if not."""

import logging
import threading
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core import serializers
from django.core.management import call_command
from django.db import OperationalError, connection, connections, transaction
from django.test import AsyncClient, Client
from django.utils import timezone

from instant import Namespace
from instant.backends import replaced
from instant.backends.locmem import LocmemBackend
from instant.centrifugo.api.commands import Disconnect, Presence, PresenceStats, Unsubscribe
from instant.exceptions import ServerRefused, ServerUnreachable, UnknownNamespace
from instant.models import Channel, Revocation
from instant.revoking import follow_up, ledger, run
from instant.revoking.affected import Affected
from instant.revoking.receivers.stored import senders
from instant.signals import enforcement_failed

pytestmark = pytest.mark.timed


def test_all_that_a_transaction_takes_is_one_batch(client, committed, ann, make_user):
    bob = make_user("bob", is_staff=True)
    with committed():
        ann.groups.clear()
        bob.is_active = False
        bob.save()
        assert client.batches == []
    assert client.batches == [
        [
            Unsubscribe(str(ann.pk), "$blue"),
            Unsubscribe(str(ann.pk), "$red"),
            Unsubscribe(str(ann.pk), "$red2"),
            Disconnect(str(bob.pk), 3503, "access ended"),
        ]
    ]


def test_many_users_are_found_by_presence_in_three_batches(
    client, committed, make_user, make_channel
):
    make_channel("$red", "groups", groups=["red"])
    users = [make_user(f"u{n}", groups=["red"]) for n in range(5)]
    client.inside = {"$red": {str(users[0].pk), str(users[1].pk), ""}}
    with committed():
        Group.objects.get(name="red").delete()
    assert client.batches[:2] == [[PresenceStats("$red")], [Presence("$red")]]
    assert {command.user for command in client.batches[2]} == client.inside["$red"]
    assert len(client.batches) == 3


def test_nothing_is_written_where_nothing_is_lost(client, committed, ann, make_channel):
    with committed():
        ann.first_name = "Ann"
        ann.save()
        ann.groups.add(Group.objects.create(name="green"))
        Group.objects.get(name="green").delete()
        make_channel("news").save()
        Channel.objects.filter(name="news").update(description="x")
    assert client.batches == []
    assert Revocation.objects.count() == 0


def test_a_save_costs_one_query_more_and_a_login_none(client, ann, django_assert_num_queries):
    with django_assert_num_queries(2):
        ann.save()
    with django_assert_num_queries(1):
        ann.save(update_fields=["last_login"])
    with replaced(LocmemBackend()), django_assert_num_queries(1):
        ann.save()


def test_fixtures_count_like_saves(client, committed, ann):
    stored = serializers.serialize("json", [ann]).replace('"is_active": true', '"is_active": false')
    with committed():
        for loaded in serializers.deserialize("json", stored):
            loaded.save()
        assert client.changes == []
    assert client.changes == [Disconnect(str(ann.pk), 3503, "access ended")]


def test_the_row_is_in_the_transaction(client, ann):
    with pytest.raises(RuntimeError), transaction.atomic():
        ann.groups.clear()
        assert Revocation.objects.count() == 1
        raise RuntimeError
    assert Revocation.objects.count() == 0


def test_a_save_that_fails_leaves_a_row_that_harms_nobody(client, committed, ann, monkeypatch):
    monkeypatch.setattr(type(ann), "save_base", failing_after_pre_save(type(ann)))
    ann.is_active = False
    with pytest.raises(RuntimeError):
        ann.save()
    [row] = Revocation.objects.all()
    monkeypatch.undo()
    assert follow_up.follow_up(row.due_at) == 1
    assert client.changes == []  # the database says that ann is active


def failing_after_pre_save(model):
    from django.db.models.signals import pre_save

    def save_base(self, **kwargs):
        pre_save.send(sender=model, instance=self, raw=False, using="default", update_fields=None)
        raise RuntimeError

    return save_base


# The follow-up check


def test_the_follow_up_comes_when_no_token_is_valid_and_is_the_last(client, committed, ann):
    with committed():
        ann.groups.clear()
    [row] = Revocation.objects.all()
    left = row.due_at - timezone.now()
    assert timedelta(seconds=31) < left <= timedelta(seconds=32)
    assert row.is_last
    first = list(client.batches)
    assert follow_up.follow_up(row.due_at - timedelta(seconds=1)) == 0
    assert follow_up.follow_up(row.due_at) == 1
    assert client.batches == first * 2
    assert Revocation.objects.count() == 0
    assert follow_up.follow_up(row.due_at) == 0


def test_a_right_that_was_given_back_is_left_alone(client, committed, ann):
    with committed():
        ann.groups.clear()
    ann.groups.add(Group.objects.get(name="red"))
    client.batches.clear()
    follow_up.follow_up(Revocation.objects.get().due_at)
    assert client.changes == [Unsubscribe(str(ann.pk), "$blue")]


def test_a_pass_that_never_came_is_made_soon_and_then_the_second(client, ann):
    """As if the process had been killed after the commit."""
    ann.groups.clear()  # the test's transaction never commits
    [row] = Revocation.objects.all()
    assert row.due_at - row.created_at == ledger.LEASE
    assert follow_up.follow_up(row.due_at) == 1
    assert len(client.changes) == 3
    row.refresh_from_db()
    assert row.is_last
    assert row.due_at > timezone.now() + timedelta(seconds=31)


@pytest.mark.parametrize("error", [ServerUnreachable("away"), RuntimeError("odd")])
def test_a_failure_is_logged_signalled_and_tried_again(client, committed, ann, caplog, error):
    told = []

    def receiver(sender, loss, error, **kwargs):
        told.append((loss, error))
        raise ValueError("a receiver's own")

    enforcement_failed.connect(receiver)
    client.error = error
    try:
        with committed():
            ann.groups.remove(Group.objects.get(name="blue"))
    finally:
        enforcement_failed.disconnect(receiver)
    assert told == [(Affected(subscriptions={str(ann.pk): {"$blue"}}), error)]
    assert [r.levelno for r in caplog.records] == [logging.ERROR] * 2
    pauses = []
    for _ in range(9):
        row = Revocation.objects.get()
        pauses.append(round((row.due_at - timezone.now()).total_seconds()))
        follow_up.follow_up(row.due_at)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    client.error = None
    follow_up.follow_up(Revocation.objects.get().due_at)
    assert client.changes == [Unsubscribe(str(ann.pk), "$blue")]
    assert Revocation.objects.get().is_last


def test_it_is_given_up_when_all_has_expired_by_itself(client, committed, ann, caplog):
    client.error = ServerUnreachable("away")
    with committed():
        ann.groups.clear()
    Revocation.objects.update(created_at=timezone.now() - timedelta(hours=2))
    follow_up.follow_up(timezone.now() + timedelta(minutes=2))
    assert Revocation.objects.count() == 0
    assert "Given up" in caplog.text


def test_an_item_that_is_refused_is_a_failure(client, committed, ann, monkeypatch):
    refused = ServerRefused("error 100", code=100)
    monkeypatch.setattr(client, "answer", lambda command: refused)
    with committed():
        ann.groups.clear()
    assert Revocation.objects.get().attempts == 1


def test_an_unknown_namespace_has_nobody_in_it(client, db, committed, monkeypatch):
    doc = type("Doc", (Namespace,), {"name": "doc", "pattern": "<int:pk>"})
    monkeypatch.setattr(client, "answer", lambda command: UnknownNamespace("error 102", code=102))
    with committed():
        doc.recheck(pk=1)
    assert Revocation.objects.get().is_last
    assert client.changes == []


@pytest.mark.django_db(transaction=True)
def test_two_processes_do_not_make_the_same_pass(client, make_user):
    make_user("ann").delete()
    due = Revocation.objects.get().due_at
    client.batches.clear()
    made = []
    barrier = threading.Barrier(2)

    def check():
        try:
            barrier.wait()
            made.append(follow_up.follow_up(due))
        except OperationalError:
            made.append(0)  # SQLite in memory refuses with “locked”; the next look makes it
        finally:
            connection.close()

    threads = [threading.Thread(target=check) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sum(made) <= 1
    assert len(client.changes) <= 1


def test_the_command_makes_what_is_due(client, ann, capsys):
    ann.groups.clear()
    Revocation.objects.update(due_at=timezone.now())
    call_command("enforce")
    assert (
        capsys.readouterr().out
        == "Checks made: 1. Waiting: 1 (not due yet, or to be tried again).\n"
    )
    assert len(client.changes) == 3


# Where nothing reaches a server


def test_without_a_server_nothing_is_asked_or_written(committed, ann, django_assert_num_queries):
    assert not run.is_on()
    with committed():
        ann.is_active = False
        ann.save()
        ann.groups.clear()
        ann.delete()
    assert Revocation.objects.count() == 0


def test_a_wrong_setting_breaks_nobodys_save(settings, ann):
    settings.INSTANT = {"BACKEND": "no.such.Backend"}
    ann.is_active = False
    ann.save()
    assert Revocation.objects.count() == 0


# Commands


@pytest.mark.parametrize("make", [lambda: Disconnect("", 4000, "x"), lambda: Unsubscribe("7", "")])
def test_what_would_hit_everybody_or_nobody_is_refused(make):
    with pytest.raises(ValueError, match="Without a"):
        make()


def test_a_loss_survives_as_json():
    loss = Affected({"a", "b:*"}, {"7": {"x"}}, {"8"}, {"9"})
    assert Affected.from_json(loss.as_json()) == loss
    assert Affected().as_json() == {}
    assert Affected.of_all([loss, Affected(subscriptions={"7": {"y"}})]).subscriptions == {
        "7": {"x", "y"}
    }
    assert loss.subscriptions == {"7": {"x"}}


# Who looks


@pytest.mark.parametrize("on", [True, False])
def test_handing_out_tokens_starts_the_looker(client, ann, monkeypatch, settings, on):
    started = []
    monkeypatch.setattr(follow_up._looker, "start", lambda: started.append(True))
    settings.INSTANT = {**settings.INSTANT, "ENFORCE_IN_BACKGROUND": on}
    follow_up.wake()
    assert started == [True] * on
    with replaced(LocmemBackend()):
        follow_up.wake()
    assert len(started) == on


# Who sends signals


def test_proxies_and_children_of_a_model_are_listened_to():
    """Customer(User) with proxy = True is what many admins save."""
    user = get_user_model()

    class Proxy(user):
        class Meta:
            proxy = True
            app_label = "instant"

    try:
        assert list(senders(user)) == [user, Proxy]
    finally:
        del apps.all_models["instant"]["proxy"]
        apps.clear_cache()
    assert list(senders(Channel)) == [Channel]


# Logging out


@pytest.mark.django_db(transaction=True)
def test_logging_out_is_enforced_when_the_session_is_gone(client, make_user, settings):
    seen = []
    client.answer = lambda command: seen.append(Session.objects.count())
    browser = Client()
    browser.force_login(make_user("ann"))
    assert Session.objects.count() == 1
    headers = {"Sec-Fetch-Site": "same-origin"}
    browser.post("/instant/logout/", "{}", content_type="application/json", headers=headers)
    assert seen == [0]


@pytest.mark.django_db(transaction=True)
async def test_logging_out_under_asgi(client, make_user):
    user = await sync_to_async(make_user)("ann")
    browser = AsyncClient()
    await browser.aforce_login(user)
    headers = {"Sec-Fetch-Site": "same-origin"}
    await browser.post("/instant/logout/", "{}", content_type="application/json", headers=headers)
    assert client.changes == [Disconnect(str(user.pk), 4000, "permissions changed")]
    await sync_to_async(connections.close_all)()  # the thread's own, which nobody else can


def test_logging_out_of_nothing(client, db):
    browser = Client()
    headers = {"Sec-Fetch-Site": "same-origin"}
    browser.post("/instant/logout/", "{}", content_type="application/json", headers=headers)
    assert client.batches == []


def test_a_hook_that_raises_in_spite_of_all_breaks_no_commit(
    client, ann, monkeypatch, committed, caplog
):
    def broken(remembered):
        raise RuntimeError("odd")

    monkeypatch.setattr(run, "immediate_check", broken)
    with committed():
        ann.groups.clear()
    assert "Error calling CommitHook in on_commit" in caplog.text


def test_where_the_server_asks_the_follow_up_comes_sooner(client, db, committed):
    """No token is about; only a yes that was on its way when presence was looked at."""
    rules = {"pattern": "<int:pk>", "can_subscribe": lambda self, user, pk: False}
    asked = type("Asked", (Namespace,), {"name": "asked", "authorize": "proxy", **rules})
    signed = type("Signed", (Namespace,), {"name": "signed", **rules})
    with committed():
        asked.recheck(pk=1)
    row = Revocation.objects.get()
    assert row.is_last
    assert row.due_at <= timezone.now() + timedelta(seconds=4)
    follow_up.follow_up(row.due_at)
    with committed():
        run.revoke(Affected(channels={"asked:1", signed.channel(pk=1)}))
    assert Revocation.objects.get().due_at > timezone.now() + timedelta(seconds=31)


def test_a_first_password_ends_nothing(client, db, committed):
    """get_or_create(), set_password(), save(): how many scripts make users."""
    user = get_user_model().objects.create(username="new")
    with committed():
        user.set_password("first")
        user.save()
    assert Revocation.objects.count() == 0
    with committed():
        user.set_password("second")
        user.save()
    assert client.changes == [Disconnect(str(user.pk), 4000, "permissions changed")]


def test_without_keys_it_is_told_once(ann, committed, settings, caplog):
    """As where a script fills the database before there is a server."""
    settings.CENTRIFUGO_API_KEY = None
    settings.INSTANT = {
        **settings.INSTANT,
        "BACKEND": "instant.backends.centrifugo.CentrifugoBackend",
        "ENFORCE_IN_BACKGROUND": False,
    }
    with committed():
        ann.groups.clear()
    with committed():
        ann.delete()
    [told] = caplog.records
    assert "installws" in told.getMessage()
    assert Revocation.objects.count() == 2

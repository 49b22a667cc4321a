"""What is kept about a user: all of it is exported, and erased."""

import io
import json
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instant import publish, responder
from instant.inbound.tickets import erasing
from instant.messages import acknowledge, notify, outstanding
from instant.models import (
    Acknowledgement,
    Channel,
    LiveList,
    LiveListReader,
    Message,
    Notification,
    OutboxRow,
    PushSubscription,
    Revocation,
    Ticket,
)
from instant.personal.parts import parts
from instant.revoking import ledger
from instant.revoking.affected import Affected
from instant.stored import request_messages
from instant.stored.note import Note, noted
from instant.streams import stream
from instant.testing import outbox
from tests.tenancy.conftest import tenants  # noqa: F401  a fixture

pytestmark = pytest.mark.django_db(databases=["default", "other"])

NAMES_NOBODY = {
    "Listener": "names and positions of processes",
    "LiveList": "which rows a page shows; who has it are its readers",
    "QueuedPush": "goes with its subscription",
    "StreamChunk": "goes with its stream",
    "WorkerSeen": "when a responder had a worker",
    "WorkerToken": "what machines show; its label is the staff's",
}
"""Models of ours that know no user, and why."""


@pytest.fixture
def run(capsys):
    def run(*arguments):
        call_command("instantdata", *arguments)
        return capsys.readouterr().out

    return run


@pytest.fixture
def exported(run):
    def exported(*arguments):
        return json.loads(run(*arguments, "--format", "json"))["data"]

    return exported


@pytest.fixture
def everything(registry, settings, make_user, make_channel):
    """Two users, and all that is kept of each."""
    responder("predict")(lambda call: None)
    settings.INSTANT = {**settings.INSTANT, "STORE": {"MESSAGES": "store", "REQUESTS": "store"}}
    users = [make_user("zoe"), make_user("bob")]
    channel = make_channel(
        "$team", "groups", members=users, publish_level="listed", status_level="listed"
    )
    channel.publishers.set(users)
    channel.status_viewers.set(users)
    Revocation.objects.all().delete()
    with outbox():
        for user in users:
            make(user)
    return users


def make(user):
    name = user.username
    with noted(Note(sender=user, context={"thread": name})):
        sent = publish("$team", f"by {name}").id
    acknowledge(user, [sent])
    notify(user, f"for {name}")
    ticket = Ticket.objects.create(
        method="request:predict", queue="request:predict", owner=str(user.pk), data=f'"{name}"'
    )
    ticket.asked = request_messages.write("request:predict", None, user, f"asked by {name}")
    ticket.save()
    with noted(Note(always=True, is_reply=True)):
        publish(f"ticket:{ticket.pk}", data=f"answer for {name}")
    PushSubscription.objects.create(
        user=user, endpoint=f"https://fcm.googleapis.com/{name}", digest=name
    )
    with stream(f"answer:{name}", user=user) as out:
        out.write(f"Dear {name}")
    until = timezone.now() + timedelta(hours=1)
    shown, _made = LiveList.objects.get_or_create(
        digest="d", model="auth.group", defaults={"expires_at": until}
    )
    LiveListReader.objects.create(list=shown, sub=str(user.pk), expires_at=until)
    ledger.write(Affected(subscriptions={str(user.pk): {"$team"}}), timezone.now())


def left(name):
    """Return what of all tables speaks of somebody."""
    return {
        model._meta.object_name
        for model in apps.get_app_config("instant").get_models(include_auto_created=True)
        for row in model._base_manager.values()
        if name in str(row)
    }


def test_all_that_names_a_user_is_covered():
    """Whoever adds a model says whose it is: in a room's personal.py, or above."""
    covered = {name for part in parts() for name in part.covers}
    assert len(covered) == sum(len(part.covers) for part in parts())
    user = get_user_model()
    models = list(apps.get_app_config("instant").get_models())
    for model in models:
        name = model._meta.object_name
        fields = {field.name: field for field in model._meta.get_fields(include_hidden=True)}
        for field in fields.values():
            if not field.auto_created and field.is_relation and field.related_model is user:
                assert f"{name}.{field.name}" in covered
        known = {one.partition(".")[2] for one in covered if one.startswith(f"{name}.")}
        assert known <= set(fields)
        assert bool(known) != (name in NAMES_NOBODY), name
    assert {one.partition(".")[0] for one in covered} | set(NAMES_NOBODY) == {
        model._meta.object_name for model in models
    }


def test_every_relation_to_a_user_is_looked_for():
    """The test above would find a new one."""
    found = {
        f"{model._meta.object_name}.{field.name}"
        for model in apps.get_app_config("instant").get_models()
        for field in model._meta.get_fields(include_hidden=True)
        if not field.auto_created and field.is_relation and field.related_model is get_user_model()
    }
    assert {"Message.sender", "Notification.user", "Channel.status_viewers"} <= found


def test_what_is_exported(everything, exported):
    data = exported("zoe")
    assert data["channels"] == [
        {"channel": "$team", "right": right} for right in ("subscribe", "publish", "status")
    ]
    [notification] = data["notifications"]
    assert (notification["title"], notification["read"]) == ("for zoe", False)
    [sent, asked] = data["messages_sent"]
    assert (sent["channel"], sent["payload"]["message"]) == ("$team", "by zoe")
    assert sent["context"] == {"thread": "zoe"}
    assert asked["payload"]["data"] == "asked by zoe"
    told = [one["payload"]["data"] for one in data["messages_received"]]
    assert (told[0]["title"], told[1]) == ("for zoe", "answer for zoe")
    [acknowledged] = data["acknowledgements"]
    assert (acknowledged["id"], acknowledged["channel"]) == (sent["id"], "$team")
    waiting = [one["payload"] for one in data["outstanding"]]
    assert [one.get("message") for one in waiting] == [None, None, "by bob"]
    [row] = data["outbox"]
    assert row["payload"]["data"]["title"] == "for zoe"
    [ticket] = data["tickets"]
    assert (ticket["method"], ticket["data"]) == ("request:predict", "zoe")
    [streamed] = data["streams"]
    assert (streamed["channel"], streamed["text"]) == ("answer:zoe", "Dear zoe")
    [revocation] = data["revocations"]
    assert revocation["channels"] == ["$team"]
    assert [one["model"] for one in data["lists"]] == ["auth.group"]
    assert set(data) == {part.name for part in parts()}
    others = {key: value for key, value in data.items() if key != "outstanding"}
    assert "bob" not in json.dumps(others)


def test_text_says_how_much_there_is(everything, run):
    said = run("zoe")
    assert said.startswith(f"zoe (primary key {everything[0].pk}):\n")
    for line in ("channels: 3", "messages_sent: 2", "messages_received: 2", "tickets: 1"):
        assert f"  {line}\n" in said


def test_all_is_erased_and_others_keep_theirs(everything, run, exported):
    zoe = everything[0]
    before = exported("bob")
    said = run("zoe", "--erase", "--noinput")
    assert said.startswith(f"zoe (primary key {zoe.pk}), erased:\n  channels: 3\n")
    assert "  revocations: not erased, they keep old tokens" in said
    data = exported("zoe")
    assert {key for key, value in data.items() if value} == {"revocations"}
    assert exported("bob") == before
    # What others may still read, without a sender.
    message = Message.objects.get(content__contains="by zoe")
    assert (message.sender, message.context) == (None, "")
    assert left("zoe") == {"Message", "OutboxRow"}  # of both: that message
    assert get_user_model().objects.filter(pk=zoe.pk).exists()
    assert not outstanding(zoe)
    run("zoe", "--erase", "--noinput")  # once more


def test_what_was_sent_to_others_goes_if_that_is_said(everything, run):
    OutboxRow.objects.filter(payload__contains="by zoe").delete()
    run("zoe", "--erase", "--sent", "--noinput")
    assert left("zoe") == set()
    assert Message.objects.filter(content__contains="by bob").exists()


def test_it_asks_and_says_what_becomes_of_it(everything, run, monkeypatch, capsys):
    answers = iter(["no", "yes"])
    monkeypatch.setattr("builtins.input", lambda: next(answers))
    with pytest.raises(CommandError, match="Nothing was erased"):
        run("zoe", "--erase")
    said = capsys.readouterr().err
    assert "  messages_sent: 2 (their readers keep them, without a sender" in said
    assert "  revocations: 1 (stay: they keep old tokens" in said
    assert "Type “yes”" in said
    assert Notification.objects.count() == 2
    run("zoe", "--erase")
    assert Notification.objects.count() == 1


def test_where_nobody_answers_nothing_is_erased(everything, run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(CommandError, match="--noinput"):
        run("zoe", "--erase")
    assert Notification.objects.count() == 2


def test_what_was_erased_as_json(everything, run):
    zoe = everything[0]
    told = json.loads(run("zoe", "--erase", "--noinput", "--format", "json"))
    assert told["user"] == {"pk": str(zoe.pk), "name": "zoe", "tenant": ""}
    assert told["erased"] == {
        "channels": 3,
        "notifications": 1,
        "push_subscriptions": 1,
        "streams": 1,
        "messages_received": 1,
        "messages_sent": 2,
        "acknowledgements": 1,
        "outbox": 1,
        "tickets": 1,
        "lists": 1,
    }
    assert set(told["stays"]) == {"outstanding", "revocations"}


def test_many_rows_are_erased_some_at_a_time(everything, run, monkeypatch):
    zoe = everything[0]
    monkeypatch.setattr("instant.stored.personal._AT_ONCE", 2)
    monkeypatch.setattr("instant.stored.notifications.personal._AT_ONCE", 2)
    for number in range(5):
        notify(zoe, f"more {number}")
    assert len(outstanding(zoe)) == 8
    run("zoe", "--erase", "--noinput")
    assert not Notification.objects.filter(user=zoe).exists()
    assert not Acknowledgement.objects.filter(user=zoe).exists()


def test_whom_it_means(make_user, run):
    zoe = make_user("zoe")
    two = make_user(str(zoe.pk))
    assert run("zoe").startswith("zoe (")
    assert run(str(two.pk)).startswith(f"{zoe.pk} (primary key {two.pk})")
    with pytest.raises(CommandError, match=f"say “--pk {two.pk}” or “--pk {zoe.pk}”"):
        run(str(zoe.pk))
    assert run("--pk", str(zoe.pk)).startswith("zoe (")
    two.is_active = False
    two.save()
    assert "outstanding: 0" in run("--pk", str(two.pk))
    for wrong in ("nobody", "99999", "9" * 40):
        with pytest.raises(CommandError, match="There is no user with the name or"):
            run(wrong)
    with pytest.raises(CommandError, match="can't be the primary key"):
        run("--pk", "zoe")
    for wrong in ([], ["zoe", "--pk", "1"]):
        with pytest.raises(CommandError, match="Name a user"):
            run(*wrong)
    with pytest.raises(CommandError, match="--sent is for --erase"):
        run("zoe", "--sent")


def test_what_a_deleted_user_has_left(make_user, run):
    """Where no handler has a queue nobody listens to users who are deleted."""
    zoe = make_user("zoe")
    Ticket.objects.create(method="x", queue="q", owner=str(zoe.pk))
    key = str(zoe.pk)
    zoe.delete()
    with pytest.raises(CommandError, match=f"say “--pk {key}”"):
        run(key)
    said = run("--pk", key)
    assert said.startswith(f"A user who is deleted (primary key {key}):")
    assert "  tickets: 1\n" in said
    assert "tickets: 1" in run("--pk", key, "--erase", "--noinput")
    assert not Ticket.objects.exists()


def test_users_of_another_key(run, settings):
    """As where keys are UUIDs: what is none is no key."""
    field = get_user_model()._meta.pk
    assert field.to_python("7") == 7
    with pytest.raises(CommandError, match="There is no user"):
        run("0190b1c2-0000-7000-8000-000000000000")


def test_with_tenants_it_is_one_of_them(everything, run, exported, tenants):  # noqa: F811
    zoe = everything[0]
    with tenants.activate("acme"):
        notify(zoe, "of acme")
        Ticket.objects.create(method="x", queue="q", owner=str(zoe.pk), tenant="acme")
        assert len(exported("zoe")["notifications"]) == 1
    with pytest.raises(CommandError, match="--tenant NAME"):
        run("zoe")
    with pytest.raises(CommandError, match="There is no tenant 'nobody'"):
        run("zoe", "--tenant", "nobody")
    [found] = exported("zoe", "--tenant", "acme")["notifications"]
    assert found["title"] == "of acme"
    assert exported("zoe", "--tenant", "acme")["acknowledgements"] == []
    assert exported("zoe", "--tenant", "globex")["notifications"] == []
    run("zoe", "--tenant", "acme", "--erase", "--noinput")
    assert {one.message.tenant for one in Notification.objects.all()} == {""}
    assert {one.tenant for one in Ticket.objects.all()} == {""}


def test_without_tenants_none_can_be_named(make_user, run):
    make_user("zoe")
    with pytest.raises(CommandError, match="isn't set"):
        run("zoe", "--tenant", "acme")


def test_a_user_who_is_deleted_takes_answers_and_questions_along(everything):
    """Nobody could read them any more, and nobody would delete them."""
    zoe = everything[0]
    erasing.erase([str(zoe.pk)])
    assert not Message.objects.filter(content__contains="answer for zoe").exists()
    assert not Message.objects.filter(content__contains="asked by zoe").exists()
    assert Message.objects.filter(content__contains="answer for bob").exists()
    assert Message.objects.filter(content__contains="asked by bob").exists()


@pytest.mark.parametrize("value", [{}, {"STORE": {"MESSAGES": "sometimes"}}])
def test_where_nothing_is_stored_now_a_deletion_asks_no_messages(everything, settings, value):
    """And a wrong setting, of which a check tells, fails nobody's deletion."""
    zoe = everything[0]
    settings.INSTANT = {
        "DIR": settings.INSTANT["DIR"],
        "BACKEND": settings.INSTANT["BACKEND"],
        **value,
    }
    with CaptureQueriesContext(connection) as caught:
        erasing.erase([str(zoe.pk)])
    assert not Ticket.objects.filter(owner=str(zoe.pk)).exists()
    assert not [q for q in caught if "instant_message" in q["sql"]]


def test_a_request_of_a_channel_stays_for_its_readers(everything):
    zoe = everything[0]
    row = Channel.objects.get(name="$team")
    key = request_messages.write("request:x", row, zoe, "asked by zoe")
    Ticket.objects.create(method="x", queue="q", owner=str(zoe.pk), asked=key)
    erasing.erase([str(zoe.pk)])
    assert Message.objects.filter(pk=key).exists()


def test_what_a_deleted_user_sent_stays_without_a_sender(everything):
    zoe = everything[0]
    sent = Message.objects.get(content__contains="by zoe", row__isnull=False)
    zoe.delete()
    sent.refresh_from_db()
    assert sent.sender is None
    assert not Notification.objects.filter(message__content__contains="for zoe").exists()
    assert not Acknowledgement.objects.filter(message=sent).exists()

"""Users who are deleted: what waits for them goes with them."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection, connections, transaction
from django.db.models import signals
from django.test.utils import CaptureQueriesContext

from instant import broadcast, on_message, on_rpc, publish, user_channel
from instant.inbound.tickets import erasing as tickets
from instant.models import OutboxRow, Ticket
from instant.publishing.outbox import erasing
from instant.testing import run_jobs

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def test_a_users_rows_go_with_the_user(outbox, make_user, rows):
    ann, bob = make_user("ann"), make_user("bob")
    publish(user_channel(ann), "waits")
    publish(user_channel(bob), "stays")
    publish(f"user:{ann.pk}0", "of another, whose key begins so")
    publish("news", "stays")
    broadcast([user_channel(ann), user_channel(bob)], "for several")
    publish(user_channel(ann), "was set aside")
    OutboxRow.objects.filter(payload__contains="set aside").update(partition=-1)
    ann.delete()
    left = {row["data"]["message"] for row in rows()}
    assert left == {"stays", "of another, whose key begins so", "for several"}


def test_copies_for_those_who_listen_go_too(outbox, make_user, rows, registry):
    on_message("user:*")(lambda message: None)
    ann, bob = make_user("ann"), make_user("bob")
    for user in (ann, bob):
        publish(user_channel(user), user.username)
    assert len(rows()) == 4
    ann.delete()
    left = [row["data"].get("payload", row["data"]) for row in rows()]
    assert [payload["message"] for payload in left] == ["bob", "bob"]


def test_a_users_tickets_say_nothing_any_more(outbox, make_user, rows, registry):
    before = list(signals.post_delete.receivers)
    on_message("*")(lambda message: None)
    on_rpc("x", queue="q")(lambda call: f"of {call.user.username}")
    tickets.connect()
    users = [make_user("ann"), make_user("bob")]
    for user in users:
        Ticket.objects.create(method="x", queue="q", owner=str(user.pk))
    assert run_jobs() == 2
    assert len(rows()) == 4
    users[0].delete()
    signals.post_delete.receivers = before
    signals.post_delete.sender_receivers_cache.clear()
    left = [row["data"].get("payload", row["data"]) for row in rows()]
    assert [payload["data"]["result"] for payload in left] == ["of bob", "of bob"]


def test_what_is_rolled_back_deletes_none(outbox, make_user, rows):
    ann = make_user("ann")
    publish(user_channel(ann), "x")
    with transaction.atomic():
        ann.delete()
        transaction.set_rollback(True)
    assert len(rows()) == 1


def test_many_users_are_one_query(outbox, make_user, rows):
    users = [make_user(f"user{n}") for n in range(10, 30)]
    for user in users:
        publish(user_channel(user), "x")
    with CaptureQueriesContext(connection) as queries:
        get_user_model().objects.filter(username__startswith="user").delete()
    asked = [q["sql"] for q in queries if "instant_outbox" in q["sql"]]
    assert len(asked) <= 4, asked
    assert rows() == []


def test_a_database_without_the_table_is_no_error(outbox, make_user, rows, caplog, monkeypatch):
    """As one that a project has beside its own, and no router for."""
    monkeypatch.setattr(erasing, "databases", lambda: ["other", "default"])
    ann = make_user("ann")
    publish(user_channel(ann), "x")
    with connections["other"].schema_editor() as editor:
        editor.delete_model(OutboxRow)
    try:
        ann.delete()
    finally:
        with connections["other"].schema_editor() as editor:
            editor.create_model(OutboxRow)
    assert rows() == []
    assert [record for record in caplog.records if record.name == "instant.outbox"] == []


def test_where_one_database_is_away_the_others_rows_go(
    outbox, make_user, rows, caplog, monkeypatch
):
    monkeypatch.setattr(erasing, "databases", lambda: ["other", "default"])
    ann = make_user("ann")
    publish(user_channel(ann), "x")
    real = erasing.tables.all_rows

    def away(alias):
        if alias == "other":
            raise OperationalError("server closed the connection")
        return real(alias)

    monkeypatch.setattr(erasing.tables, "all_rows", away)
    ann.delete()
    monkeypatch.undo()
    assert rows() == []
    assert "server closed" in caplog.text


def test_without_an_outbox_nothing_is_asked(make_user, rows):
    ann = make_user("ann")
    OutboxRow.objects.create(
        method="publish", namespace="user", partition=0,
        payload=json.dumps({"channel": user_channel(ann)}),
    )  # fmt: skip
    with CaptureQueriesContext(connection) as queries:
        ann.delete()
    assert not [query for query in queries if "instant_outbox" in query["sql"]]

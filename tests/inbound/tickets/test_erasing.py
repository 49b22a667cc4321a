"""Users who are deleted: their tickets go with them."""

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import signals
from django.test.utils import CaptureQueriesContext

from instant import on_rpc
from instant.inbound.tickets import erasing, rows
from instant.models import Ticket

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def listening(registry):
    before = list(signals.post_delete.receivers)
    on_rpc("x", queue="q")(lambda call: None)
    erasing.connect()
    yield
    signals.post_delete.receivers = before
    signals.post_delete.sender_receivers_cache.clear()


def test_a_users_tickets_go_with_the_user(listening, queued, run_next, make_user):
    ann, bob = make_user("ann"), make_user("bob")
    queued(ann, "x")
    run_next()
    queued(ann, "x")
    running = rows.claim()
    queued(ann, "x")
    kept = queued(bob, "x")
    ann.delete()
    assert [ticket.pk for ticket in Ticket.objects.all()] == [kept.pk]
    assert not rows.is_ours(running)


def test_what_is_rolled_back_deletes_none(listening, queued, make_user):
    ann = make_user("ann")
    queued(ann, "x")
    with transaction.atomic():
        ann.delete()
        transaction.set_rollback(True)
    assert Ticket.objects.count() == 1


def test_many_users_are_a_few_queries(listening, queued, make_user):
    for number in range(20):
        queued(make_user(f"user{number}"), "x")
    with CaptureQueriesContext(connection) as queries:
        get_user_model().objects.all().delete()
    asked = [q["sql"] for q in queries if "instant_ticket" in q["sql"]]
    assert len(asked) == 2
    assert not Ticket.objects.exists()


def test_without_a_queue_nobody_listens(registry, make_user):
    erasing.connect()
    Ticket.objects.create(method="x", queue="q", owner="1")
    with CaptureQueriesContext(connection) as queries:
        make_user("ann").delete()
    assert not [q for q in queries if "instant_ticket" in q["sql"]]

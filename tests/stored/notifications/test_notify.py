"""Notifications: stored with the transaction, told at once, read once and for all pages."""

import threading

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from instant.messages import acknowledge, anotify, aunread, mark_read, notify, outstanding, unread
from instant.models import Acknowledgement, Message, Notification
from instant.stored.notifications import inbox
from instant.testing import capture_publications

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def captured():
    with capture_publications() as captured:
        yield captured


@pytest.fixture
def ann(make_user):
    return make_user("ann")


def told(captured):
    return [(p.channel, p.payload["event_class"], p.payload["data"]) for p in captured]


def test_a_notification_is_stored_and_told(ann, captured):
    id_ = notify(ann, " Shipped ", "On Friday.", "/orders/1/", kind="order", data={"order": 1})
    [(channel, event, data)] = told(captured)
    assert (channel, event) == (f"user:{ann.pk}", "instant:notification")
    created = data.pop("created")
    assert data == {
        "title": "Shipped", "body": "On Friday.", "url": "/orders/1/", "kind": "order",
        "data": {"order": 1},
    }  # fmt: skip
    [shown], has_more = inbox.listed(ann)
    assert shown == {**data, "created": created, "id": id_, "read": False}
    assert not has_more
    assert unread(ann) == 1
    assert [m.uuid.hex for m in outstanding(ann)] == [id_]


def test_it_is_part_of_the_transaction(ann, captured):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        notify(ann, "x")
        1 / 0  # noqa: B018
    assert not Message.objects.exists()
    assert not list(captured)


def test_many_users_cost_as_much_as_one(
    make_user, ann, captured, django_assert_num_queries, django_assert_max_num_queries
):
    with django_assert_max_num_queries(6 + (connection.vendor == "mysql")) as one:
        notify([ann], "x")
    others = [make_user(f"u{n}") for n in range(30)]
    with django_assert_num_queries(len(one)):
        id_ = notify([*others, others[0].pk], "Hello")
    assert Notification.objects.filter(message__uuid=id_).count() == 30
    assert {one.user_id for one in Notification.objects.filter(message__uuid=id_)} == {
        user.pk for user in others
    }
    assert notify(get_user_model().objects.none(), "x") is None
    notify(get_user_model().objects.all(), "All")
    assert unread(ann) == 2


def test_a_key_notifies_once(make_user, ann, captured):
    bob = make_user("bob")
    id_ = notify(ann, "x", idempotency_key="k")
    assert notify([ann, bob], "x", idempotency_key="k") == id_
    assert notify([ann, bob], "x", idempotency_key="k") == id_
    assert unread(ann) == unread(bob) == 1
    assert [channel for channel, *_ in told(captured)] == [f"user:{ann.pk}", f"user:{bob.pk}"]


def test_somebody_who_is_not_there_gets_none(ann, captured):
    with pytest.raises(IntegrityError), transaction.atomic():
        notify([ann.pk, 987_654], "x")
        transaction.get_connection().check_constraints()
    assert unread(ann) == 0
    assert not list(captured)


@pytest.mark.parametrize(
    "url", ["", "/", "/orders/1/?a=b#c", "https://x.example/a", "http://[::1]:8/"]
)
def test_addresses_that_a_page_may_follow(ann, url):
    notify(ann, "x", url=url)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "//evil.example", "orders/1/",
        "/\\evil.example", "/\t/evil.example", "\\\\evil.example", " /x", "https:///x", "https://[x", "ftp://x/",
        "https://x\n.example",
    ],
)  # fmt: skip
def test_other_addresses_are_refused(ann, url):
    with pytest.raises(ValueError, match="leads to a path"):
        notify(ann, "x", url=url)


def test_a_key_may_be_a_text(ann):
    notify([str(ann.pk), ann.pk], "Hello")
    assert list(Notification.objects.values_list("user", flat=True)) == [ann.pk]
    with pytest.raises(ValueError, match="'ann' is no key"):
        notify(["ann"], "Hello")


def test_what_makes_no_sense_is_refused(ann):
    with pytest.raises(ValueError, match="title"):
        notify(ann, " ")
    with pytest.raises(TypeError, match="users"):
        notify("ann", "x")
    with pytest.raises(TypeError, match="Message"):
        notify(Message.objects.all(), "x")
    for other in (Message(pk=ann.pk), [Message(pk=ann.pk)]):
        with pytest.raises(TypeError, match="is no user"):
            notify(other, "x")
    with pytest.raises(ValueError, match="saved users"):
        notify(get_user_model()(), "x")


def test_reading_counts_down_and_is_told(ann, captured):
    ids = [notify(ann, str(n)) for n in range(3)]
    before = len(list(captured))
    assert mark_read(ann, [ids[1]]) == 2
    assert mark_read(ann, [ids[1]]) == 2
    assert told(captured)[before:] == [
        (f"user:{ann.pk}", "instant:notifications-read", {"unread": 2, "ids": [ids[1]]})
    ]
    assert [one["read"] for one in inbox.listed(ann)[0]] == [False, True, False]
    assert mark_read(ann) == unread(ann) == 0
    assert Message.objects.filter(uuid__in=ids).count() == 3
    assert not outstanding(ann)


def test_what_is_acknowledged_is_read(ann):
    id_ = notify(ann, "x")
    acknowledge(ann, [id_])
    assert unread(ann) == 0


def test_what_came_later_stays_unread(ann, captured):
    first, second, third = (notify(ann, str(n)) for n in range(3))
    before = len(list(captured))
    assert inbox.mark_read(ann, until=second) == 1
    assert told(captured)[before][2] == {"unread": 1, "ids": [first, second]}
    assert [one["id"] for one in inbox.listed(ann)[0] if not one["read"]] == [third]


def test_many_are_told_by_number(ann, captured, monkeypatch):
    monkeypatch.setattr(inbox, "_TOLD", 1)
    for n in range(2):
        notify(ann, str(n))
    before = len(list(captured))
    mark_read(ann)
    assert told(captured)[before][2] == {"unread": 0}


def test_very_many_are_read_in_batches_and_told_once(ann, captured, monkeypatch):
    monkeypatch.setattr(inbox, "_AT_ONCE", 2)
    ids = [notify(ann, str(n)) for n in range(5)]
    before = len(list(captured))
    with CaptureQueriesContext(connection) as queries:
        assert mark_read(ann) == 0
    inserts = [q["sql"] for q in queries if q["sql"].startswith("INSERT")]
    assert len([sql for sql in inserts if "acknowledgement" in sql]) == 3
    assert told(captured)[before:] == [
        (f"user:{ann.pk}", "instant:notifications-read", {"unread": 0, "ids": ids})
    ]
    monkeypatch.setattr(inbox, "_TOLD", 3)
    for n in range(4):
        notify(ann, str(n))
    mark_read(ann)
    assert told(captured)[-1][2] == {"unread": 0}


def test_marking_ends_where_somebody_elses_marks_are_not_seen(ann, monkeypatch):
    """As on MySQL, in a transaction whose snapshot is older than them."""
    monkeypatch.setattr(inbox, "_AT_ONCE", 2)
    monkeypatch.setattr(inbox, "_acknowledge", lambda user, keys: None)
    for n in range(4):
        notify(ann, str(n))
    assert mark_read(ann) == 4


def test_what_comes_while_all_are_marked_stays_unread(ann, captured, monkeypatch):
    monkeypatch.setattr(inbox, "_AT_ONCE", 2)
    for n in range(4):
        notify(ann, str(n))
    acknowledge_some, late = inbox._acknowledge, []

    def acknowledge_and_notify(user, keys):
        acknowledge_some(user, keys)
        if not late:
            late.append(notify(ann, "late"))

    monkeypatch.setattr(inbox, "_acknowledge", acknowledge_and_notify)
    assert mark_read(ann) == 1
    assert [one["id"] for one in inbox.listed(ann)[0] if not one["read"]] == late


def test_nobody_reads_anothers(make_user, ann):
    bob = make_user("bob")
    id_ = notify(ann, "x")
    assert mark_read(bob, [id_]) == 0
    assert unread(ann) == 1
    assert inbox.listed(bob) == ([], False)
    with pytest.raises(ValueError, match="no such"):
        inbox.listed(bob, before=id_)
    with pytest.raises(ValueError, match="not the id"):
        mark_read(ann, ["x"])


def test_visitors_have_none(anonymous):
    for call in (unread, mark_read):
        with pytest.raises(PermissionDenied):
            call(anonymous)


def test_they_come_by_page(ann):
    ids = [notify(ann, str(n)) for n in range(5)][::-1]
    page, has_more = inbox.listed(ann, limit=2)
    assert [one["id"] for one in page] == ids[:2]
    assert has_more
    page, has_more = inbox.listed(ann, before=ids[1], limit=3)
    assert [one["id"] for one in page] == ids[2:]
    assert not has_more


def test_a_deleted_users_go_too(make_user, ann):
    bob = make_user("bob")
    notify([ann, bob], "x")
    mark_read(ann)
    ann.delete()
    assert [m.channel for m in Message.objects.all()] == [f"user:{bob.pk}"]
    assert not Acknowledgement.objects.exists()
    assert unread(bob) == 1
    get_user_model().objects.all().delete()
    assert not Message.objects.exists()


@pytest.mark.django_db(transaction=True)
async def test_from_async_code(make_user, in_threads):
    from asgiref.sync import sync_to_async

    user = await sync_to_async(make_user)("ann")
    await anotify(user, "x")
    assert await aunread(user) == 1


@pytest.mark.only_on("postgresql")
@pytest.mark.django_db(transaction=True)
def test_one_key_at_the_same_time_notifies_once(make_user):
    users = [make_user(f"u{n}") for n in range(20)]
    together = threading.Barrier(4, timeout=20)
    failed = []

    def work():
        try:
            for number in range(10):
                together.wait()
                notify(users, "Hello", idempotency_key=f"key {number}")
        except Exception as exc:
            failed.append(exc)
            together.abort()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert [unread(user) for user in users] == [10] * 20

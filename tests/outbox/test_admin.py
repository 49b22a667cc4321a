"""The outbox in the admin."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instant.admin import outbox as outbox_admin
from instant.models import OutboxRow
from instant.publishing.outbox import tables

LIST = "/admin/instant/outboxrow/"


@pytest.fixture
def may(client, make_user):
    def log_in(*names):
        user = make_user("ann", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def root(client, make_user):
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    return client


def row(partition=0, **fields):
    fields = {"method": "publish", "payload": '{"secret": 1}', "namespace": "order", **fields}
    return OutboxRow.objects.create(partition=partition, **fields)


def text(client, path):
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_the_list_says_what_becomes_of_each_row(root):
    row()
    row(-1, error="error 107, bad request", attempts=1)
    row(OutboxRow.KEPT, sent_at=timezone.now())
    page = text(root, LIST)
    for said in ("waiting", "set aside", "sent, and kept", "error 107, bad request"):
        assert said in page
    assert "secret" not in page


@pytest.mark.parametrize(
    ("state", "count"), [("waiting", 1), ("set_aside", 2), ("sent", 3), ("", 6)]
)
def test_rows_are_filtered_by_state(root, state, count):
    row()
    for partition, times in ((-1, 2), (OutboxRow.KEPT, 3)):
        for _ in range(times):
            row(partition)
    assert text(root, f"{LIST}?state={state}").count('class="action-select"') == count


def test_those_without_a_namespace_are_one_of_the_choices(root):
    row()
    OutboxRow.objects.update(namespace="")
    row()
    assert '<a href="?namespace=">-</a>' in text(root, LIST)
    assert text(root, f"{LIST}?namespace=").count('class="action-select"') == 1
    assert ">- (1)</a>" in text(root, f"{LIST}?_facets=True")


def test_nothing_can_be_edited_or_added(root):
    one = row(-1)
    assert root.get(f"{LIST}add/").status_code == 403
    page = text(root, f"{LIST}{one.pk}/change/")
    assert 'name="_save"' not in page
    assert "secret" in page
    assert root.post(f"{LIST}{one.pk}/change/", {"partition": 5}).status_code == 403


def test_the_payload_is_for_those_with_the_permission(may):
    one = row(-1, error="why")
    client = may("view_outboxrow")
    page = text(client, f"{LIST}{one.pk}/change/")
    assert "why" in page
    assert "secret" not in page


@pytest.mark.parametrize("path", ["", "{}/change/"])
def test_without_it_the_payload_is_not_even_read(may, path):
    one = row(-1)
    client = may("view_outboxrow")
    with CaptureQueriesContext(connection) as queries:
        text(client, LIST + path.format(one.pk))
    asked = [query["sql"] for query in queries if "instant_outbox" in query["sql"]]
    assert asked
    assert not [sql for sql in asked if "payload" in sql]


def test_with_the_permission_it_is_shown(may):
    one = row(-1)
    client = may("view_outboxrow", "view_outbox_payload")
    assert "secret" in text(client, f"{LIST}{one.pk}/change/")


def test_the_permission_alone_opens_no_list(may):
    assert may("view_outbox_payload").get(LIST).status_code == 403


def again(client, *rows):
    data = {"action": "send_again", "_selected_action": [one.pk for one in rows]}
    return client.post(LIST, data)


def test_what_was_set_aside_is_sent_again_behind_what_waits(root):
    waiting, aside = row(3), row(-4, error="why", attempts=1, payload='{"x": 1}')
    last = row(3)
    kept = row(OutboxRow.KEPT, sent_at=timezone.now())
    response = again(root, waiting, aside, kept)
    told = [str(message) for message in get_messages(response.wsgi_request)]
    assert told == ["1 row is sent again."]
    assert not OutboxRow.objects.filter(pk=aside.pk).exists()
    found = list(OutboxRow.objects.filter(partition=3).order_by("pk"))
    assert [one.pk for one in found[:2]] == [waiting.pk, last.pk]
    assert (found[2].payload, found[2].error, found[2].namespace) == ('{"x": 1}', "", "order")
    assert OutboxRow.objects.filter(pk=kept.pk).exists()


def test_many_are_sent_again_some_at_a_time(root, monkeypatch):
    """However many there are, and however large, a few are in memory."""
    monkeypatch.setattr(tables, "LIMIT", 3)
    monkeypatch.setattr(tables, "_MAX_BYTES", 30)
    found, real = [], tables.next_rows
    monkeypatch.setattr(tables, "next_rows", lambda rows: found.append(real(rows)) or found[-1])
    for number in range(10):
        row(-1, payload=f'"{number:013}"', error="why")
    response = again(root, *OutboxRow.objects.all())
    assert [str(m) for m in get_messages(response.wsgi_request)] == ["10 rows are sent again."]
    left = OutboxRow.objects.order_by("pk")
    assert [one.payload for one in left] == [f'"{number:013}"' for number in range(10)]
    assert {one.partition for one in left} == {0}
    assert max(map(len, found)) == 2


def delete(client, **more):
    [first, *_] = OutboxRow.objects.all()
    data = {"action": "delete_selected", "_selected_action": [first.pk], "select_across": "1"}
    return client.post(LIST, {**data, **more})


def test_too_many_to_confirm_are_not_deleted(root, monkeypatch):
    """The form that asks has a field for each; Django refuses an answer with so many."""
    for _ in range(4):
        row(-1)
    monkeypatch.setattr(outbox_admin, "_MOST_TO_CONFIRM", 3)
    response = delete(root, post="yes")
    [told] = [str(message) for message in get_messages(response.wsgi_request)]
    assert "At most 3 rows" in told
    assert "OutboxRow.objects" in told
    assert OutboxRow.objects.count() == 4
    monkeypatch.setattr(outbox_admin, "_MOST_TO_CONFIRM", 4)
    assert "Are you sure" in delete(root).content.decode()
    delete(root, post="yes")
    assert OutboxRow.objects.count() == 0


def test_it_goes_into_a_lane_that_there_is(root):
    """OUTBOX_PARTITIONS may have been more; Centrifugo reads no others."""
    row(-1 - 23)
    again(root, *OutboxRow.objects.all())
    assert OutboxRow.objects.get().partition == 23 % 8


def test_sending_again_needs_the_permission_to_change(may):
    aside = row(-1)
    client = may("view_outboxrow")
    assert "send_again" not in text(client, LIST)
    again(client, aside)
    assert OutboxRow.objects.get().pk == aside.pk


def test_who_may_change_may_send_again(may):
    aside = row(-1)
    again(may("change_outboxrow"), aside)
    assert OutboxRow.objects.get().partition == 0


def test_rows_that_wait_for_long_are_told_of(root):
    one = row()
    assert "over a minute" not in text(root, LIST)
    one.created_at = timezone.now() - timedelta(seconds=61)
    one.save()
    assert "over a minute" in text(root, LIST)

"""Pages show what the queryset gives, whatever becomes of its rows."""

import os

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import F, Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

COLUMNS = ("object_repr", "action_flag", "user__username")


LISTS = {
    "filtered": (lambda rows: rows.filter(action_flag=1), ["object_repr"], slice(None)),
    "ties": (lambda rows: rows, ["action_flag"], slice(None)),
    "descending": (lambda rows: rows, ["-action_flag", F("object_repr").asc()], slice(None)),
    "sliced": (lambda rows: rows.filter(action_flag__lte=2), ["object_repr"], slice(3)),
    "page two": (lambda rows: rows, ["object_repr"], slice(2, 5)),
    "related": (lambda rows: rows.filter(user__username="ann"), ["user__username"], slice(None)),
    "either": (
        lambda rows: rows.filter(Q(action_flag=1) & ~Q(object_repr="b") | Q(user__username="bob")),
        ["-object_repr"],
        slice(4),
    ),
}

one = st.tuples(
    st.sampled_from(["create", "save", "delete", "move"]),
    st.integers(0, 7),
    st.sampled_from("abc"),
    st.integers(1, 3),
)
changes = st.lists(st.lists(one, min_size=1, max_size=3), max_size=8)


def do(change, users):
    what, number, name, flag = change
    entries = list(LogEntry.objects.order_by("pk"))
    if what == "create" or not entries:
        LogEntry.objects.create(user=users[number % 2], object_repr=name, action_flag=flag)
        return
    entry = entries[number % len(entries)]
    if what == "delete":
        entry.delete()
    elif what == "move":
        entry.user = users[flag % 2]
        entry.save()
    else:
        entry.object_repr, entry.action_flag = name, flag
        entry.save()


@pytest.mark.parametrize("name", LISTS)
@settings(
    # A bug of any kind is found by a few of them; CI looks longer.
    max_examples=40 if os.environ.get("CI") else 12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(first=st.lists(one, max_size=6), transactions=changes)
def test_the_page_shows_what_the_queryset_gives(name, follow, first, transactions):
    LogEntry.objects.all()._raw_delete(connection.alias)
    users = [get_user_model().objects.get_or_create(username=n)[0] for n in ("ann", "bob")]
    for change in first:
        do(("create", *change[1:]), users)
    narrow, ordering, part = LISTS[name]
    narrowed = narrow(LogEntry.objects.values(*COLUMNS))
    queryset = narrowed.order_by(*ordering)[part]
    pages = [follow(queryset)]
    for number, together in enumerate(transactions):
        if len(together) == 1:
            do(together[0], users)
        else:
            with transaction.atomic():
                for change in together:
                    do(change, users)
        for page in pages:
            assert page.follow().drawn == list(narrowed.order_by(*ordering, "pk")[part])
            assert len(page.keys) == len(page.rows)
        if number % 3 == 0:
            pages.append(follow(queryset))

"""Which querysets can be followed, what a list is called, and how its query is kept."""

import pickle

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import EmptyResultSet
from django.core.paginator import Page, Paginator
from django.db.models import (
    BooleanField,
    Count,
    Exists,
    F,
    OuterRef,
    Prefetch,
    Value,
    Window,
)
from django.db.models.functions import RowNumber
from django.test import override_settings

from instant.pages.lists import description as module
from instant.pages.lists.description import checked, describe
from instant.pages.lists.stored_query import Unreadable, keys, pack, unpack
from tests.pages.lists.conftest import declare

pytestmark = pytest.mark.usefixtures("followed")

HOW = {"template": "row.html", "name": "entry", "language": "en", "zone": "UTC"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda rows: [1, 2], "needs a queryset, not list"),
        (lambda rows: "", "needs a queryset, not str. Does the template's context have it"),
        (lambda rows: LogEntry.objects, r"not LogEntryManager: give it .all\(\)"),
        (
            lambda rows: Page(rows[:9], 1, Paginator(rows, 9)),
            "not Page: slice the queryset yourself",
        ),
        (lambda rows: LogEntry.objects.raw("SELECT 1"), "raw SQL can't be followed"),
        (lambda rows: rows.union(rows), "a union"),
        (lambda rows: rows.annotate(number=Count("user")), "aggregates"),
        (
            lambda rows: rows.annotate(number=Window(RowNumber(), order_by="pk")),
            r"window functions \(number\)",
        ),
        (lambda rows: rows.order_by("?"), "a random order"),
        (lambda rows: rows.extra(select={"one": "1"}), r"extra\(\)"),
        (lambda rows: rows.distinct("user"), r"distinct\(\) with fields"),
        (lambda rows: rows.select_for_update(), r"select_for_update\(\)"),
        (lambda rows: rows.values("pk"), r"leave .values\(\)"),
        (lambda rows: rows[:6000], "at most 5,000 rows"),
        (lambda rows: get_user_model().objects.all(), "“lists = True”"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_what_to_do(make, said):
    with pytest.raises(ValueError, match=said):
        describe(make(LogEntry.objects.all()), HOW)


def test_json_needs_columns():
    with pytest.raises(ValueError, match="needs the columns"):
        describe(LogEntry.objects.all(), {})


def test_the_primary_key_decides_between_ties():
    for queryset, order in [
        (LogEntry.objects.order_by("action_flag"), ("action_flag", "pk")),
        (LogEntry.objects.order_by("action_flag")[3:9], ("action_flag", "pk")),
        (LogEntry.objects.all(), ("-action_time", "pk")),
        (LogEntry.objects.order_by(), ("pk",)),
    ]:
        found = describe(queryset, HOW).queryset.query
        assert found.order_by == order
        assert (found.low_mark, found.high_mark) == (
            queryset.query.low_mark,
            queryset.query.high_mark,
        )


def test_equal_lists_have_one_name_and_others_have_others():
    rows = LogEntry.objects.filter(action_flag=1)
    names = [
        describe(queryset, {**HOW, **how}).digest
        for queryset, how in [
            (rows, {}),
            (LogEntry.objects.filter(action_flag=2), {}),
            (rows.order_by("pk"), {}),
            (rows[:10], {}),
            (rows, {"language": "de"}),
            (rows, {"template": "other.html"}),
            (rows, {"public": True}),
        ]
    ]
    assert len(set(names)) == len(names)
    assert describe(LogEntry.objects.filter(action_flag=1), HOW).digest == names[0]
    with override_settings(SECRET_KEY="another"):
        assert describe(rows, HOW).digest != names[0]


def test_what_the_database_is_never_asked():
    with pytest.raises(EmptyResultSet):
        describe(LogEntry.objects.none(), HOW)


def test_a_kept_query_gives_the_same_rows(make):
    make("a", 1)
    make("b", 2)
    other = LogEntry.objects.filter(pk=OuterRef("pk"), action_flag=2)
    rows = LogEntry.objects.annotate(is_two=Exists(other), more=F("action_flag") + 1)
    queryset = rows.select_related("user").prefetch_related("user__groups").order_by("-pk")[:5]
    found = unpack(pack(queryset, "default"), "default")
    assert [(one.object_repr, one.is_two, one.more) for one in found] == [
        ("b", True, 3),
        ("a", False, 2),
    ]
    assert found._prefetch_related_lookups == ("user__groups",)


def test_nothing_is_read_that_we_have_not_signed(monkeypatch):
    text = pack(LogEntry.objects.all(), "default")
    with pytest.raises(Unreadable, match="can't be read"):
        unpack("x" + text, "default")
    monkeypatch.setattr(pickle, "loads", lambda data: pytest.fail("it was read"))
    for forged in (text[:-1] + "x", text.partition(":")[0], ""):
        with pytest.raises(Unreadable):
            unpack(forged, "default")
    with override_settings(SECRET_KEY="another"), pytest.raises(Unreadable):
        unpack(text, "default")


def test_a_query_of_another_django_is_not_used(monkeypatch):
    text = pack(LogEntry.objects.all(), "default")
    monkeypatch.setattr("django.get_version", lambda: "9.9")
    with pytest.raises(Unreadable, match="Another version"):
        unpack(text, "default")


@pytest.mark.parametrize(
    "rows",
    [
        LogEntry.objects.order_by("-object_repr"),
        LogEntry.objects.order_by("object_repr")[1:3],
        LogEntry.objects.filter(action_time__lt="2100-01-01T00:00Z", user__username="ann"),
        LogEntry.objects.filter(Exists(LogEntry.objects.filter(pk=OuterRef("pk"), action_flag=2))),
        LogEntry.objects.annotate(more=F("action_flag") + 1).order_by("-more").distinct(),
        LogEntry.objects.filter(object_repr__contains="%"),
        LogEntry.objects.values("object_repr").order_by("user__username"),
    ],
)
def test_the_keys_can_be_asked_for_without_the_query(rows, make, monkeypatch):
    """Also by another version of Django, to which the query says nothing."""
    for number in range(5):
        make(f"{number}%", 1 + number % 2)
    ordered = rows.order_by(*rows.query.order_by) if not rows.query.is_sliced else rows
    text = pack(ordered, "default")
    monkeypatch.setattr("django.get_version", lambda: "9.9")
    model, found = keys(text, "default")
    assert model is LogEntry
    assert found == [str(key) for key in ordered.values_list("pk", flat=True)]
    assert found


def test_what_cannot_be_kept():
    with pytest.raises(ValueError, match="can't be kept"):
        queryset = LogEntry.objects.all()
        queryset._prefetch_related_lookups = (lambda: None,)
        pack(queryset, "default")
    with pytest.raises(ValueError, match="too long"):
        pack(LogEntry.objects.filter(pk__in=range(100_000)), "default")


def ask(queryset):
    model, found = keys(pack(describe(queryset, HOW).queryset, "default"), "default")
    return checked(found, model)


def test_too_many_rows_and_rows_that_come_twice(make, monkeypatch):
    for _ in range(3):
        make()
    monkeypatch.setattr(module, "MOST", 2)
    with pytest.raises(ValueError, match="slice it"):
        ask(LogEntry.objects.all())
    declare(get_user_model())
    with pytest.raises(ValueError, match="more than once"):
        users = get_user_model().objects.filter(logentry__action_flag=1)
        ask(users[:2])


def test_lists_that_prefetch_something_else_have_other_names():
    users = get_user_model().objects
    named = [
        describe(queryset, HOW).digest
        for queryset in [
            LogEntry.objects.all(),
            LogEntry.objects.prefetch_related("user"),
            *(
                LogEntry.objects.prefetch_related(Prefetch("user", some, to_attr=to))
                for some, to in [
                    (users.filter(is_staff=True), None),
                    (users.filter(is_staff=False), None),
                    (users.filter(is_staff=False), "seen"),
                    (users.none(), None),
                    (users.prefetch_related(Prefetch("groups", Group.objects.filter(pk=1))), None),
                    (users.prefetch_related(Prefetch("groups", Group.objects.filter(pk=2))), None),
                ]
            ),
        ]
    ]
    assert len(set(named)) == len(named)
    again = LogEntry.objects.prefetch_related(Prefetch("user", users.filter(is_staff=True)))
    assert describe(again, HOW).digest == named[2]


class Json:
    """A parameter as psycopg 3 has it: its text is cut short."""

    def __init__(self, value):
        self.obj = value

    def __repr__(self):
        return "Jsonb(...)"


class Data(Value):
    def as_sql(self, compiler, connection):
        return "%s = %s", [memoryview(b"x"), Json(self.value)]

    conditional = True


def test_a_parameter_counts_as_a_whole():
    names = [
        describe(LogEntry.objects.filter(Data(value, BooleanField())), HOW).digest
        for value in (1, 2, 1)
    ]
    assert names[0] == names[2] != names[1]

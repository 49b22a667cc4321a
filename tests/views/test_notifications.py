"""The bell's endpoints."""

import pytest
from django.test import Client

from instant.messages import notify, unread
from instant.testing import capture_publications


@pytest.fixture(autouse=True)
def captured():
    with capture_publications() as captured:
        yield captured


@pytest.fixture
def ann(make_user, web):
    user = make_user("ann")
    web.force_login(user)
    return user


def test_the_list(ann, web, post):
    ids = [notify(ann, f"n{n}") for n in range(3)]
    answer = post(web, "notifications", {"limit": 2})
    found = answer.json()
    assert [one["id"] for one in found.pop("notifications")] == [ids[2], ids[1]]
    assert found == {"channel": f"user:{ann.pk}", "unread": 3, "has_more": True}
    assert answer["Cache-Control"] == "private, no-store"
    rest = post(web, "notifications", {"before": ids[1]}).json()
    assert [one["title"] for one in rest["notifications"]] == ["n0"]
    assert not rest["has_more"]
    assert post(web, "notifications", {"limit": 0}).json()["unread"] == 3


def test_it_takes_as_many_queries_for_many(ann, web, post, django_assert_max_num_queries):
    for n in range(30):
        notify(ann, f"n{n}")
    with django_assert_max_num_queries(4):  # session, user, list, count
        post(web, "notifications")


def test_reading(ann, web, post):
    ids = [notify(ann, f"n{n}") for n in range(3)]
    assert post(web, "notifications/read", {"ids": [ids[0]]}).json() == {"unread": 2}
    assert post(web, "notifications/read", {"until": ids[1]}).json() == {"unread": 1}
    assert post(web, "notifications/read", {"until": ids[2]}).json() == {"unread": 0}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("notifications", {"limit": 101}),
        ("notifications", {"limit": True}),
        ("notifications", {"before": "x"}),
        ("notifications", {"before": 5}),
        ("notifications", {"before": "0" * 32}),
        ("notifications/read", {}),
        ("notifications/read", {"ids": "x"}),
        ("notifications/read", {"ids": ["x"]}),
        ("notifications/read", {"ids": [{}]}),
        ("notifications/read", {"ids": ["0" * 32] * 101}),
        ("notifications/read", {"until": []}),
    ],
)
def test_what_makes_no_sense(ann, web, post, name, body):
    answer = post(web, name, body)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("name", ["notifications", "notifications/read"])
def test_who_may_not(db, web, post, make_user, name):
    assert post(web, name, {"until": "0" * 32}).status_code == 403
    web.force_login(make_user("bob"))
    other = {"headers": {"Sec-Fetch-Site": "cross-site"}}
    assert post(web, name, {}, **other).status_code == 403
    assert Client().get(f"/instant/{name}/").status_code == 405


def test_anothers_stay_unread(ann, web, post, make_user):
    bob = make_user("bob")
    id_ = notify(bob, "x")
    assert post(web, "notifications/read", {"ids": [id_]}).json() == {"unread": 0}
    assert post(web, "notifications/read", {"until": id_}).status_code == 400
    assert unread(bob) == 1

"""What the endpoints cost in queries, with rights, rows, groups and rules in code."""

import json

import pytest
from django.contrib.auth.models import Group

from instant import Namespace
from instant.models import Channel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]


@pytest.fixture
def get_token(client):
    client.defaults["HTTP_SEC_FETCH_SITE"] = "same-origin"

    def ask(names=None):
        body = {} if names is None else {"channels": names}
        answer = client.post(
            "/instant/get_token/", json.dumps(body), content_type="application/json"
        )
        return {c["name"]: c["rights"] for c in answer.json()["channels"]}

    return ask


@pytest.fixture
def many_rows(client, make_user, make_channel):
    """100 rows for a user in 20 groups, each with every kind of right; the half lists groups."""
    groups = [f"g{n}" for n in range(20)]
    user = make_user(groups=groups)
    names = [f"$c{n:03}" for n in range(100)]
    levels = {"publish_level": "listed", "presence_level": "subscribers"}
    Channel.objects.bulk_create(Channel(name=name, level="groups", **levels) for name in names)
    for number, row in enumerate(Channel.objects.all()):
        row.groups.set(Group.objects.filter(name__in=groups))
        if number % 2:
            row.publish_groups.set(Group.objects.all())
        else:
            row.publishers.set([user])
    client.force_login(user)
    return names


def test_rows_of_a_user_in_groups(many_rows, get_token, django_assert_num_queries):
    everything = ["history", "presence", "publish"]
    for names in (None, many_rows):
        with django_assert_num_queries(4):  # session, user, rows, who may publish
            found = get_token(names)
        assert {name: found[name] for name in many_rows} == dict.fromkeys(many_rows, everything)
    Channel.objects.update(publish_level="subscribers")
    for names in (None, many_rows):
        with django_assert_num_queries(3):
            get_token(names)


class MemberRule:
    """Who is in a group may read its channel: one query for all."""

    name = "team"
    pattern = "<int:pk>"

    def can_subscribe_many(self, user, many):
        asked = user.groups.filter(pk__in=[one["pk"] for one in many])
        found = set(asked.values_list("pk", flat=True))
        return [one["pk"] in found for one in many]


@pytest.mark.parametrize("rows", [False, True])
def test_100_objects_in_one_request(
    client, make_user, get_token, rows, django_assert_max_num_queries
):
    team = type("Team", (MemberRule, Namespace), {"rows": rows, "presence": True})
    user = make_user(groups=[f"g{n}" for n in range(50)])
    mine = set(user.groups.values_list("pk", flat=True))
    others = [Group.objects.create(name=f"other{n}").pk for n in range(50)]
    client.force_login(user)
    names = [team.channel(pk=pk) for pk in [*mine, *others]]
    with django_assert_max_num_queries(5):
        found = get_token(names)
    assert found == {team.channel(pk=pk): ["presence"] for pk in mine}

"""What pages ask about stored messages: by the endpoints, and by methods over the connection."""

import json
from uuid import uuid4

import pytest
from django.test import Client

from instant import Namespace, on_rpc, publish
from instant.deliveries import Stored
from instant.inbound import registry as handlers
from instant.inbound.answers import Refused
from instant.models import Acknowledgement, Message
from instant.stored import methods, pages
from instant.tenancy import current as tenancy
from instant.testing import call_rpc
from tests.tenancy.conftest import tenants  # noqa: F401  a fixture

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(make_user):
    return make_user("ann")


@pytest.fixture
def team(make_channel, store, ann):
    store()
    return make_channel("$team", "groups", members=[ann], store="store")


@pytest.fixture
def page(ann):
    client = Client(headers={"Sec-Fetch-Site": "same-origin"})
    client.force_login(ann)
    return client


def post(client, name, body, status=200, **headers):
    response = client.post(
        f"/instant/messages/{name}/", json.dumps(body), "application/json", headers=headers
    )
    assert response.status_code == status, response.content
    assert response["Cache-Control"] == "private, no-store"
    return response.json()


def test_a_page_gets_what_waits_and_acknowledges_it(team, page):
    sent = [publish("$team", n, event_class="news") for n in range(1, 4)]
    found = post(page, "outstanding", {"channel": "$team"})
    assert [one["payload"] for one in found["messages"]] == [p.payload for p in sent]
    assert {one["channel"] for one in found["messages"]} == {"$team"}
    assert found["next"] is None
    ids = [sent[0].id, sent[2].id]
    assert post(page, "acknowledge", {"ids": [*ids, uuid4().hex]}) == {"acknowledged": ids}
    [rest] = post(page, "outstanding", {})["messages"]
    assert rest["payload"]["id"] == sent[1].id


def test_a_row_that_was_renamed_is_called_as_it_is_now(team, page):
    publish("$team", "x")
    team.name = "$others"
    team.save()
    [message] = post(page, "outstanding", {})["messages"]
    assert message["channel"] == "$others"


def test_it_goes_on_page_by_page(team, page):
    sent = [publish("$team", n).id for n in range(5)]
    found, after = [], None
    for length in (2, 2, 1):
        answer = post(page, "outstanding", {"channel": "$team", "limit": 2, "after": after})
        assert len(answer["messages"]) == length
        found += [one["payload"]["id"] for one in answer["messages"]]
        after = answer["next"]
    assert (found, after) == (sent, None)


def test_a_page_of_large_messages_is_shorter(team, page, monkeypatch):
    monkeypatch.setattr(pages, "_ROOM", 2500)
    sent = [publish("$team", "x" * size).id for size in (4000, 1000, 1000, 1000)]
    found, after = [], None
    for length in (1, 2, 1):
        answer = post(page, "outstanding", {"channel": "$team", "after": after})
        assert len(answer["messages"]) == length
        found += [one["payload"]["id"] for one in answer["messages"]]
        after = answer["next"]
    assert (found, after) == (sent, None)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("outstanding", {"channel": 7}),
        ("outstanding", {"channel": ""}),
        ("outstanding", {"channel": "a\0b"}),
        ("outstanding", {"after": -1}),
        ("outstanding", {"after": True}),
        ("outstanding", {"after": 2**63}),
        ("outstanding", {"limit": 0}),
        ("outstanding", {"limit": 101}),
        ("acknowledge", {}),
        ("acknowledge", {"ids": "all"}),
        ("acknowledge", {"ids": [7]}),
        ("acknowledge", {"ids": ["no id"]}),
        ("acknowledge", {"ids": [uuid4().hex] * 501}),
    ],
)
def test_what_is_no_question_is_400(team, page, name, body):
    assert post(page, name, body, 400)["error"]


def test_nobody_else_is_answered(team, page, make_user):
    id_ = publish("$team", "secret").id
    other = Client(headers={"Sec-Fetch-Site": "same-origin"})
    for name, body in (("outstanding", {}), ("acknowledge", {"ids": [id_]})):
        post(other, name, body, 403)
        post(page, name, body, 403, **{"Sec-Fetch-Site": "cross-site"})
        assert page.get(f"/instant/messages/{name}/").status_code == 405
    other.force_login(make_user("bob"))
    post(other, "outstanding", {"channel": "$team"}, 403)
    assert post(other, "outstanding", {})["messages"] == []
    assert post(other, "acknowledge", {"ids": [id_]}) == {"acknowledged": []}
    assert not Acknowledgement.objects.exists()


def test_a_page_of_another_user_is_refused(team, page, ann):
    id_ = publish("$team", "x").id
    for name, body in (("outstanding", {}), ("acknowledge", {"ids": [id_]})):
        post(page, name, {**body, "user": str(ann.pk + 1)}, 403)
        post(page, name, {**body, "user": ""}, 403)
    assert not Acknowledgement.objects.exists()
    post(page, "acknowledge", {"ids": [id_], "user": str(ann.pk)})
    assert Acknowledgement.objects.exists()


def test_the_right_is_asked_each_time(team, page, ann):
    publish("$team", "secret")
    team.members.remove(ann)
    post(page, "outstanding", {"channel": "$team"}, 403)
    assert post(page, "outstanding", {})["messages"] == []


@pytest.mark.parametrize("messages", [3, 60])
def test_the_queries_are_as_many_for_many_messages(
    team, page, messages, django_assert_max_num_queries
):
    for n in range(messages):
        publish("$team", n)
    with django_assert_max_num_queries(6):
        post(page, "outstanding", {"channel": "$team"})
    ids = [one.uuid.hex for one in Message.objects.all()]
    with django_assert_max_num_queries(14):
        post(page, "acknowledge", {"ids": ids})
    assert Acknowledgement.objects.count() == messages


class TestMethods:
    @pytest.fixture(autouse=True)
    def _declared(self, registry):
        @on_rpc("other")
        def other(call):
            return None

    def test_they_are_there_where_something_is_stored(self, team, ann):
        methods.declare()
        methods.declare()  # once
        assert len(handlers.handlers("rpc")) == 3
        id_ = publish("$team", "x").id
        found = call_rpc(ann, "instant.outstanding", {"channel": "$team"})
        assert [one["payload"]["id"] for one in found["messages"]] == [id_]
        assert call_rpc(ann, "instant.acknowledge", {"ids": [id_]}) == {"acknowledged": [id_]}
        assert call_rpc(ann, "instant.outstanding", {})["messages"] == []

    @pytest.mark.parametrize(
        ("who", "method", "data", "code"),
        [
            ("bob", "outstanding", {"channel": "$team"}, 403),
            ("bob", "outstanding", {"limit": "all"}, 400),
            ("bob", "acknowledge", {"ids": "all"}, 400),
            (None, "outstanding", {}, 401),
            (None, "acknowledge", {"ids": []}, 401),
        ],
    )
    def test_they_refuse_as_the_endpoints_do(self, team, make_user, who, method, data, code):
        methods.declare()
        with pytest.raises(Refused) as refused:
            call_rpc(make_user(who) if who else None, f"instant.{method}", data)
        assert refused.value.code == code

    def test_a_site_that_stores_nothing_has_none(self):
        methods.declare()
        assert len(handlers.handlers("rpc")) == 1

    def test_a_namespace_that_stores_is_enough(self):
        class Room(Namespace):
            name, pattern, delivery = "room", "<int:pk>", Stored("cache")

        methods.declare()
        assert len(handlers.handlers("rpc")) == 3


def test_they_alone_are_no_reason_to_ask_django(registry, store):
    store()
    methods.declare()
    assert handlers.handlers() == []


def test_pages_name_channels_as_the_server_does(make_channel, make_user, store, tenants):  # noqa: F811
    store(MESSAGES="store")
    ann = make_user("ann")
    make_channel("$team", "groups", members=[ann])
    with tenants.activate("acme"):
        id_ = publish("$team", "x").id
        on_wire = tenancy.to_wire("$team")
        assert on_wire != "$team"
        [found] = pages.page_of(ann, {"channel": on_wire})["messages"]
    assert found["payload"]["id"] == id_

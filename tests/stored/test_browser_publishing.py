"""What pages publish into stored channels, as the server asks about it."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.test import AsyncClient, override_settings

from instant import Namespace, on_publish
from instant.centrifugo.proxy import HEADER
from instant.deliveries import Stored
from instant.inbound.answers import Refused
from instant.messages import acknowledge, outstanding
from instant.models import Message
from instant.stored.browser_publishing import keep_page
from tests.inbound.asking import CLIENTS
from tests.views.test_centrifugo_proxy import DENIED, SECRET, ask

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _secret():
    with override_settings(CENTRIFUGO_PROXY_SECRET=SECRET):
        yield


@pytest.fixture
def people(make_user, make_channel, store):
    store(MESSAGES="cacheall")
    ann, bob = make_user("ann"), make_user("bob")
    make_channel("$team", "groups", members=[ann, bob], publish_level="subscribers")
    return ann, bob


def test_it_is_stored_with_its_sender_and_an_id_of_ours(people):
    ann, bob = people
    data = {"message": "hi", "id": "1-2-3-4", "tab": "t"}
    sent = ask("publish", ann, "$team", data=data)["result"]["data"]
    message = Message.objects.get()
    assert sent == message.payload == {**data, "id": message.uuid.hex}
    assert message.sender == ann
    assert [one.payload for one in outstanding(bob)] == [sent]
    assert acknowledge(bob, [sent["id"]])


def test_a_page_that_tries_again_stores_once_and_takes_nobody_elses_id(people):
    ann, bob = people
    sent = [
        ask("publish", user, "$team", data={"message": "x", "id": "1"})["result"]["data"]["id"]
        for user in (ann, ann, bob)
    ]
    assert sent[0] == sent[1] != sent[2]
    again = ask("publish", bob, "$team", data={"message": "other", "id": sent[0]})
    assert again["result"]["data"]["id"] not in sent
    assert Message.objects.count() == 3


def test_a_payload_without_our_keys_is_data(people):
    ann, _ = people
    sent = ask("publish", ann, "$team", data={"x": 1})["result"]["data"]
    id_ = Message.objects.get().uuid.hex
    assert sent == {"channel": "$team", "data": {"x": 1}, "id": id_}


def test_what_is_refused_is_not_stored(people, make_user):
    assert ask("publish", make_user("eve"), "$team", data={"message": "x"}) == DENIED
    assert not Message.objects.exists()


def test_a_channel_that_stores_nothing_is_left_alone(people, make_channel):
    make_channel("$chat", "users", publish_level="subscribers", store="disabled")
    assert ask("publish", people[0], "$chat", data={"message": "x", "id": "1"}) == {"result": {}}
    assert not Message.objects.exists()


def declare(*, is_async):
    class Room(Namespace):
        name, pattern, delivery, client_publish = "room", "<int:pk>", Stored("store"), "ask"

        def can_subscribe(self, user, pk):
            return True

        def can_publish(self, user, pk):
            return True

    def moderate(call, pk, text: str):
        return {"text": text.upper()}

    async def amoderate(call, pk, text: str):
        return moderate(call, pk, text)

    on_publish(Room)(amoderate if is_async else moderate)


@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_handler_made_of_it_is_stored(registry, make_user, is_async):
    declare(is_async=is_async)
    sent = ask("publish", make_user("ann"), "room:1", data={"data": {"text": "x"}})["result"][
        "data"
    ]
    assert sent == Message.objects.get().payload
    assert sent["data"] == {"text": "X"}


@pytest.mark.django_db(transaction=True)
async def test_it_is_stored_where_an_event_loop_runs(registry, in_threads):
    declare(is_async=True)
    ann = await get_user_model().objects.acreate(username="ann")
    body = {
        "client": next(CLIENTS), "transport": "websocket", "protocol": "json", "encoding": "json",
        "user": str(ann.pk), "channel": "room:1", "data": {"text": "x"},
    }  # fmt: skip
    response = await AsyncClient().post(
        "/instant/proxy/publish/", body, "application/json", headers={HEADER: SECRET}
    )
    sent = response.json()["result"]["data"]
    assert sent == (await Message.objects.aget()).payload


def nested(depth):
    data = 1
    for _ in range(depth):
        data = [data]
    return data


@pytest.mark.parametrize("data", [{"data": nested(500)}, {"message": "\ud800"}, {"\udfff": 1}])
def test_what_could_not_be_read_again_is_refused(people, data):
    ann, bob = people
    ask("publish", ann, "$team", data={"message": "before"})
    refused = ask("publish", ann, "$team", data=data)
    assert refused["error"]["code"] == 400
    assert not refused["error"].get("temporary")
    assert [one.payload["message"] for one in outstanding(bob)] == ["before"]


def test_a_number_that_json_cannot_say_again_is_refused(people):
    ann, _ = people
    with pytest.raises(Refused, match="number"):
        keep_page(ann, "$team", json.loads('{"data": 1e999}'))
    assert not Message.objects.exists()

"""
From publish() in Django to a subscriber with Django's tokens, over a server that runs.

The same tests for the embedded server and for Centrifugo.
"""

import contextlib
import json
import time

import pytest
import websockets
from cent import HistoryRequest, InfoRequest, PresenceStatsRequest
from django.contrib.auth.models import Group
from django.db import transaction
from django.test import Client, override_settings

from instant import abroadcast, apublish, backends, batch, broadcast, conf, publish, user_channel
from instant.exceptions import (
    BatchError,
    InvalidAPIKey,
    PayloadTooLarge,
    ServerRefused,
    UnknownNamespace,
)
from tests.live.servers import use
from tests.live.subscriber import Subscriber

# With real commits: in a TestCase's transaction publish() would wait for ever.
pytestmark = [pytest.mark.conformance, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def settings_of_the_server(server):
    with use(server):
        yield


@pytest.fixture
def page():
    """Open pages: ``page(client, *channels)`` asks Django for tokens and subscribes."""
    opened = []

    def open_page(client, *names, **more):
        body = {"channels": list(names)} if names else {}
        grants = client.post(
            "/instant/get_token/",
            json.dumps(body),
            content_type="application/json",
            headers={"Sec-Fetch-Site": "same-origin"},
        ).json()
        url = grants["url"].replace("testserver", "127.0.0.1")
        subscriber = Subscriber(url, origin="http://testserver")
        opened.append(subscriber)
        assert "connect" in subscriber.connect(grants["ws_token"])
        subscriber.replies = {
            channel["name"]: subscriber.subscribe(channel["name"], channel["token"], **more)
            for channel in grants["channels"]
        }
        subscriber.grants = grants
        return subscriber

    yield open_page
    for subscriber in opened:
        subscriber.close()


@pytest.fixture
def visitor(transactional_db):
    return Client()


@pytest.fixture
def name(request, make_channel):
    """A public channel that no other test publishes to."""
    return make_channel(f"c-{abs(hash(request.node.name))}").name


def test_a_message_arrives(page, visitor, name):
    subscriber = page(visitor, name)
    sent = publish(name, "Hällo", data={"n": 1}, event_class="e", bucket="b")
    assert subscriber.publications(1) == [
        (
            name,
            {
                "channel": name,
                "site": "Tests",
                "message": "Hällo",
                "data": {"n": 1},
                "event_class": "e",
                "bucket": "b",
                "id": sent.id,
            },
        )
    ]
    assert (sent.state, sent.offset) == ("sent", 1)
    assert sent.epoch == subscriber.replies[name]["subscribe"]["epoch"]


async def test_a_message_arrives_from_async_code():
    one = await apublish("public-async", "x")
    two, three = await abroadcast(["public-async", "other-async"], "y")
    assert (one.offset, two.offset, three.offset) == (1, 2, 1)


def test_the_levels_reach_whom_they_should(page, make_user, make_channel):
    member, other = make_user("member", groups=["red"]), make_user("other")
    make_channel("$red", "groups", groups=["red"])
    pages = []
    for user in (member, other):
        client = Client()
        client.force_login(user)
        pages.append(page(client, "$red", user_channel(member), user_channel(other)))
    assert set(pages[0].replies) == {"$red", user_channel(member)}
    assert set(pages[1].replies) == {user_channel(other)}
    publish("$red", "for the group")
    publish(user_channel(other), "for one")
    assert [c for c, _ in pages[0].publications(1)] == ["$red"]
    assert [c for c, _ in pages[1].publications(1)] == [user_channel(other)]
    assert pages[0].quiet()
    assert pages[1].quiet()


def test_what_is_published_to_a_channel_nobody_may_join_is_read_by_nobody(
    page, make_user, make_channel
):
    """publish() asks no database: rights are asked where somebody wants to read."""
    make_channel("$off", "users", is_active=False)
    client = Client()
    client.force_login(make_user())
    subscriber = page(client, "$off", "$unknown")
    assert subscriber.replies == {}
    assert publish("$off", "x").state == publish("$unknown", "x").state == "sent"
    assert subscriber.subscribe("$off")["error"]["code"] == 103
    assert subscriber.quiet()


def test_nothing_opens_without_a_token(page, visitor, make_channel, make_user):
    make_channel("public-closed")
    make_channel("$closed", "users")
    subscriber = page(visitor, "public-closed")
    for channel in ("public-other", "$closed", user_channel(make_user())):
        reply = subscriber.subscribe(channel)
        assert reply["error"]["code"] == 103, channel


def test_a_token_of_one_channel_opens_no_other(page, visitor, name):
    subscriber = page(visitor, name)
    token = subscriber.grants["channels"][0]["token"]
    with pytest.raises(websockets.ConnectionClosed) as info:
        subscriber.subscribe("another", token)
    assert info.value.rcvd.code == 3500


def test_tokens_of_another_site_open_nothing(server, visitor):
    with use(server), override_settings(SITE_NAME="Another"):
        audience = conf.current().audience
    assert audience == "tests"  # the file's: a renamed site keeps its tokens
    import jwt

    token = jwt.encode(
        {"sub": "1", "aud": "another", "exp": int(time.time()) + 30},
        conf.current().hmac_key,
        algorithm="HS256",
    )
    subscriber = Subscriber(server.url)
    with pytest.raises(websockets.ConnectionClosed) as info:
        subscriber.connect(token)
    assert info.value.rcvd.code == 3500


def test_a_token_is_used_within_token_use_and_what_it_opened_lives_on(
    server, page, make_user, make_channel
):
    make_channel("$short", "users")
    client = Client()
    client.force_login(make_user())
    with use(server, TOKEN_USE=2):
        subscriber = page(client, "$short")
    token = subscriber.grants["channels"][0]["token"]
    assert subscriber.replies["$short"]["subscribe"]["ttl"] > 3000
    while time.time() < subscriber.grants["channels"][0]["exp"] + 1:
        time.sleep(0.05)
    publish("$short", "still here")
    assert len(subscriber.publications(1)) == 1
    subscriber.ask(unsubscribe={"channel": "$short"})
    assert subscriber.subscribe("$short", token)["error"]["code"] == 109


def test_a_foreign_origin_is_refused(server):
    with pytest.raises(websockets.InvalidStatus) as info:
        Subscriber(server.url, origin="http://evil.example")
    assert info.value.response.status_code == 403


def test_a_lost_connection_gets_what_was_missed(page, visitor, name):
    first = page(visitor, name)
    publish(name, data=1)
    first.publications(1)
    epoch = first.replies[name]["subscribe"]["epoch"]
    first.close()
    for number in (2, 3, 4):
        publish(name, data=number)
    second = page(visitor, name, recover=True, offset=1, epoch=epoch)
    reply = second.replies[name]["subscribe"]
    assert reply["recovered"]
    assert [p["data"]["data"] for p in reply["publications"]] == [2, 3, 4]
    publish(name, data=5)
    assert [data["data"] for _, data in second.publications(1)] == [5]


def test_broadcast_and_batch_keep_the_order(page, visitor, name, make_channel):
    other = make_channel(f"{name}-b").name
    subscriber = page(visitor, name, other)
    with batch():
        publish(name, data=1)
        broadcast([name, other], data=2)
        publish(other, data=3)
    found = subscriber.publications(4)
    assert [d["data"] for c, d in found if c == name] == [1, 2]
    assert [d["data"] for c, d in found if c == other] == [2, 3]
    shared = [d for _, d in found if d["data"] == 2]
    assert "channel" not in shared[0]


def test_only_what_was_committed_arrives(page, make_channel):
    make_channel("public-tx")
    subscriber = page(Client(), "public-tx")
    with contextlib.suppress(LookupError), transaction.atomic():
        Group.objects.create(name="never")
        publish("public-tx", "never")
        raise LookupError
    with transaction.atomic():
        first = publish("public-tx", "one")
        with contextlib.suppress(LookupError), transaction.atomic():
            publish("public-tx", "never")
            raise LookupError
        publish("public-tx", "two")
        assert subscriber.quiet()
    assert [d["message"] for _, d in subscriber.publications(2)] == ["one", "two"]
    assert first.offset == 1
    assert subscriber.quiet()


def test_an_idempotency_key_is_published_once(page, visitor, name):
    subscriber = page(visitor, name)
    first = publish(name, "x", idempotency_key="k")
    second = publish(name, "x", idempotency_key="k")
    assert (first.offset, second.offset) == (1, 1)
    assert len(subscriber.publications(1)) == 1
    assert subscriber.quiet()


def test_errors_have_their_classes(server):
    with pytest.raises(UnknownNamespace, match="'nope'"):
        publish("nope:1", "x")
    with pytest.raises(BatchError) as info:
        broadcast(["nope:1", "good"], "x")
    assert [type(error) for error in info.value.errors] == [UnknownNamespace]
    with pytest.raises(BatchError), batch():
        good = publish("good", "x")
        bad = publish("nope:1", "x")
    assert (good.state, bad.state) == ("sent", "failed")
    with use(server), override_settings(CENTRIFUGO_API_KEY="wrong"), pytest.raises(InvalidAPIKey):
        publish("good", "x")
    with pytest.raises(PayloadTooLarge):
        publish("good", "x" * 1_000_001)


def test_the_largest_payload_still_arrives(page, visitor, name):
    subscriber = page(visitor, name)
    publish(name, "x" * 990_000)
    assert len(subscriber.publications(1)[0][1]["message"]) == 990_000


def test_rare_calls_with_cents_words(page, visitor, name):
    page(visitor, name)
    client = backends.get_backend().client()
    publish(name, data=1)
    assert len(client.call(InfoRequest(), 5).nodes) == 1
    assert client.call(PresenceStatsRequest(channel=name), 5).num_clients == 1
    history = client.call(HistoryRequest(channel=name, limit=10), 5)
    assert [p.data["data"] for p in history.publications] == [1]
    with pytest.raises(ServerRefused) as info:
        client.call(HistoryRequest(channel="nope:1"), 5)
    assert info.value.code == 102


async def test_rare_calls_async():
    client = backends.get_backend().client()
    assert len((await client.acall(InfoRequest(), 5)).nodes) == 1


# Large audiences, with the default TIMEOUT


def audience(name, count):
    """Many channels, among which one is that has a reader stands last."""
    return [*(f"{name}-{n}" for n in range(count - 1)), name]


@pytest.fixture
def usual_timeout(settings, server):
    settings.INSTANT = {k: v for k, v in settings.INSTANT.items() if k != "TIMEOUT"}
    assert conf.current().timeout == 1


@pytest.mark.slow  # within a second, which says nothing about a busy machine
@pytest.mark.usefixtures("usual_timeout")
def test_a_broadcast_to_a_hundred_thousand(page, visitor, name):
    subscriber = page(visitor, name)
    sent = broadcast(audience(name, 100_000), "to all")
    assert {p.state for p in sent} == {"sent"}
    [(_, data)] = subscriber.publications(1)
    assert data["message"] == "to all"


@pytest.mark.slow  # within a second, which says nothing about a busy machine
@pytest.mark.usefixtures("usual_timeout")
def test_a_hundred_broadcasts_of_one_transaction(page, visitor, name):
    subscriber = page(visitor, name)
    with transaction.atomic():
        sent = [broadcast([*audience(f"{name}-{n}", 999), name], n) for n in range(100)]
    assert {p.state for many in sent for p in many} == {"sent"}
    assert [data["message"] for _, data in subscriber.publications(100)] == [*range(100)]


@pytest.mark.slow  # within a second, which says nothing about a busy machine
@pytest.mark.usefixtures("usual_timeout")
def test_twenty_thousand_publications_of_one_transaction(page, visitor, name):
    subscriber = page(visitor, name)
    with transaction.atomic():
        sent = [publish(f"{name}-{n}", n) for n in range(19_999)] + [publish(name, "last")]
    assert {p.state for p in sent} == {"sent"}
    [(_, data)] = subscriber.publications(1)
    assert data["message"] == "last"

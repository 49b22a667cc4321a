"""How long messages are stored, and what becomes of them when they are acknowledged."""

import threading

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connections, transaction

from instant import Namespace, apublish, broadcast, publish
from instant.deliveries import Stored
from instant.messages import acknowledge, outstanding
from instant.models import Acknowledgement, Message

pytestmark = pytest.mark.django_db


def ids(messages):
    return [message.uuid.hex for message in messages]


def test_a_site_that_stores_nothing_asks_nothing(make_channel, django_assert_num_queries):
    make_channel("news", store="store")
    with django_assert_num_queries(0):
        publish("news", "x")
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("own", "values", "rule", "why"),
    [
        ("", {}, "disabled", "the default"),
        ("", {"MESSAGES": "cache"}, "cache", "INSTANT['STORE']['MESSAGES']"),
        ("store", {"MESSAGES": "cache"}, "store", "the channel"),
        ("disabled", {"MESSAGES": "cache"}, "disabled", "the channel"),
    ],
)
def test_f3_the_channels_own_setting_wins(make_channel, store, own, values, rule, why):
    store(**values)
    channel = make_channel("news", store=own)
    assert channel.effective_store == (rule, why)
    publish("news", "x")
    assert Message.objects.exists() is (rule != "disabled")


def test_f3_requests_and_responses_have_defaults_of_their_own(store):
    from instant.stored.rules import of_row

    store(MESSAGES="cache", REQUESTS="store")
    assert of_row("", role="requests") == ("store", "INSTANT['STORE']['REQUESTS']")
    assert of_row("", role="responses") == ("cache", "INSTANT['STORE']['MESSAGES']")
    assert of_row("cacheall", role="requests") == ("cacheall", "the channel")


def test_f2_cache_lets_a_message_go_when_one_reader_acknowledged(make_channel, make_user, store):
    store()
    ann, bob = make_user("ann"), make_user("bob")
    make_channel("$team", "groups", members=[ann, bob], store="cache")
    id_ = publish("$team", "x").id
    assert ids(outstanding(ann)) == ids(outstanding(bob, "$team")) == [id_]
    assert [one.hex for one in acknowledge(bob, [id_])] == [id_]
    assert not Message.objects.exists()
    assert outstanding(ann) == []


def test_f2_cacheall_lets_it_go_when_every_reader_did(make_channel, make_user, store):
    store(MESSAGES="cacheall")
    ann, bob, cat = make_user("ann"), make_user("bob"), make_user("cat")
    make_user("none of them")
    make_channel("$team", "groups", groups=["staff"], members=[ann, bob])
    cat.groups.create(name="other")
    bob.groups.set(bob.groups.model.objects.filter(name="staff"))
    id_ = publish("$team", "x").id
    acknowledge(ann, [id_])
    assert outstanding(ann) == []
    assert ids(outstanding(bob)) == [id_]
    acknowledge(bob, [id_])
    assert not Message.objects.exists()


def test_f2_a_reader_who_lost_the_right_is_waited_for_no_longer(make_channel, make_user, store):
    store(MESSAGES="cacheall")
    ann, bob = make_user("ann"), make_user("bob")
    channel = make_channel("$team", "groups", members=[ann, bob])
    id_ = publish("$team", "x").id
    channel.members.remove(bob)
    assert outstanding(bob) == []
    assert acknowledge(bob, [id_]) == []
    acknowledge(ann, [id_])
    assert not Message.objects.exists()


def test_f2_store_keeps_it_for_ever(make_channel, make_user, store):
    store(MESSAGES="store")
    ann = make_user("ann")
    make_channel("$all", "users")
    id_ = publish("$all", "x").id
    acknowledge(ann, [id_])
    acknowledge(ann, [id_])  # once is enough
    assert outstanding(ann) == []
    assert Acknowledgement.objects.get().message.uuid.hex == id_


@pytest.mark.django_db(transaction=True)
def test_a_message_is_part_of_the_transaction(make_channel, make_user, store, captured):
    store(MESSAGES="store")
    make_channel("news")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        publish("news", "x")
        1 / 0  # noqa: B018
    assert not Message.objects.exists()
    assert not list(captured)
    publication = publish("news", "y", idempotency_key="k")
    publish("news", "y", idempotency_key="k")
    message = Message.objects.get()
    assert message.payload == publication.payload
    assert message.uuid.hex == publication.id


@pytest.mark.django_db(transaction=True)
async def test_apublish_stores_too(registry, in_threads):
    class Room(Namespace):
        name, pattern, delivery = "room", "<int:pk>", Stored("cache")

    await apublish("room:1", "x")
    assert (await Message.objects.aget()).channel == "room:1"


def test_a_namespace_stores_and_says_who_its_readers_are(registry, make_user):
    ann, bob = make_user("ann"), make_user("bob")

    class Room(Namespace):
        name, pattern, delivery = "room", "<int:pk>", Stored()

        def can_subscribe(self, user, pk):
            return user.pk in {ann.pk, bob.pk} and pk == 1

        def readers(self, pk):
            return [ann, bob.pk]

    publications = broadcast(["room:1", "room:2"], "x")
    assert ids(outstanding(ann)) == [publications[0].id]
    with pytest.raises(PermissionDenied):
        outstanding(ann, "room:2")
    acknowledge(ann, [publications[0].id])
    assert Message.objects.filter(channel="room:1").exists()
    acknowledge(bob, [publications[0].id])
    assert [m.channel for m in Message.objects.all()] == ["room:2"]


def test_messages_come_in_order_and_by_page(make_channel, make_user, store):
    store(MESSAGES="store")
    ann = make_user("ann")
    make_channel("$all", "users")
    sent = [publish("$all", n).id for n in range(1, 6)]
    first = outstanding(ann, limit=2)
    assert ids(first) == sent[:2]
    assert ids(outstanding(ann, after=first[-1].pk)) == sent[2:]


def test_publishing_to_200_readers_takes_three_queries(
    make_channel, make_user, store, django_assert_max_num_queries
):
    store(MESSAGES="cacheall")
    channel = make_channel("$team", "groups")
    channel.members.set([make_user(f"u{n}") for n in range(200)])
    with django_assert_max_num_queries(3):
        publish("$team", "x")


@pytest.mark.only_on("postgresql", "mysql")  # a SQLite in memory is one connection's at a time
@pytest.mark.django_db(transaction=True)
def test_two_readers_at_once_leave_nothing_behind(make_channel, make_user, store):
    store(MESSAGES="cacheall")
    users = [make_user("ann"), make_user("bob")]
    make_channel("$team", "groups", members=users)
    sent = [publish("$team", n).id for n in range(1, 40)]
    together = threading.Barrier(2, timeout=20)

    def work(user):
        try:
            for id_ in sent:
                together.wait()
                acknowledge(user, [id_])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not Message.objects.exists()

"""What a user has still to acknowledge: whose messages, of which channels, and how many at a time."""

import pytest
from django.core.exceptions import PermissionDenied

from instant import Namespace, broadcast, publish
from instant.deliveries import Stored
from instant.messages import acknowledge, notify, outstanding
from instant.models import Acknowledgement, Message
from instant.stored import outstanding as pages
from instant.stored.note import Note, noted

pytestmark = pytest.mark.django_db


def said(messages):
    return [message.payload["message"] for message in messages]


def rename(channel, name):
    channel.name = name
    channel.save()


def test_a_name_that_another_channel_has_now_shows_nothing_of_the_old_one(
    make_channel, make_user, store
):
    store(MESSAGES="store")
    ann, eve = make_user("ann"), make_user("eve")
    board = make_channel("$board", "groups", members=[ann])
    publish("$board", "for the board")
    rename(board, "$directors")
    make_channel("$board", "groups", members=[eve])
    publish("$board", "for everybody")
    assert said(outstanding(eve, "$board")) == said(outstanding(eve)) == ["for everybody"]
    assert said(outstanding(ann, "$directors")) == said(outstanding(ann)) == ["for the board"]
    with pytest.raises(PermissionDenied):
        outstanding(ann, "$board")


def test_a_renamed_channel_keeps_its_messages_and_its_limits(make_channel, make_user, store):
    from instant.messages import collect

    store(MESSAGES="store", MAX_COUNT=2)
    ann = make_user("ann")
    channel = make_channel("$old", "users")
    publish("$old", "1")
    publish("$old", "2")
    rename(channel, "$new")
    publish("$new", "3")
    assert said(outstanding(ann, "$new")) == ["1", "2", "3"]
    assert collect() == 1
    assert said(outstanding(ann, "$new")) == ["2", "3"]


@pytest.fixture
def rooms(registry, make_user):
    """A namespace of which each user may read the room of their key, and the rooms asked about."""
    asked = []

    class Room(Namespace):
        name, pattern, delivery = "room", "<int:pk>", Stored()

        def can_subscribe(self, user, pk):
            asked.append(pk)
            return user.pk == pk

        def readers(self, pk):
            return [pk]

    return asked


def test_what_others_wait_for_hides_nothing(rooms, make_user, monkeypatch):
    monkeypatch.setattr(pages, "MOST", 3)
    for user in [make_user(f"u{n}") for n in range(10)]:
        notify(user, "Hello")
    ann = make_user("zoe")
    broadcast([f"room:1000000{n}" for n in range(10)], "for others")
    publish(f"room:{ann.pk}", "for ann")
    assert said(outstanding(ann, limit=3)) == ["for ann"]


def test_a_page_asks_about_few_channels_and_says_where_to_go_on(rooms, make_user, monkeypatch):
    monkeypatch.setattr(pages, "MOST", 3)
    ann = make_user("ann")
    broadcast([f"room:{ann.pk + n}" for n in range(100, 107)], "for others")
    publish(f"room:{ann.pk}", "for ann")
    found, after, looked = [], 0, []
    while after is not None:
        rooms.clear()
        more, after = pages.page(ann, None, after=after, limit=2)
        found += more
        looked.append(len(rooms))
    assert said(found) == ["for ann"]
    assert looked == [3, 3, 2]


def test_answers_to_others_are_not_asked_about(make_user, store, registry):
    from instant import responder
    from instant.messages import request
    from instant.models import Ticket
    from instant.testing import answered_here

    store(MESSAGES="store")

    @responder("predict")
    def predict(call):
        return 1

    ann, bob = make_user("ann"), make_user("bob")
    with answered_here():
        request("predict", user=bob)
        request("predict", user=ann)
    mine = f"ticket:{Ticket.objects.get(owner=str(ann.pk)).pk}"
    listed = pages._listed(ann, pages.waiting_for(ann))
    assert [one["channel"] for one in listed] == [mine]
    assert [message.channel for message in outstanding(ann)] == [mine]


def test_an_acknowledged_broadcast_touches_only_what_is_the_users(
    rooms, make_user, django_assert_max_num_queries
):
    users = [make_user(f"u{n}") for n in range(30)]
    id_ = notify(users, "Hello")
    with noted(Note(always=True)):
        broadcast([f"user:{user.pk}" for user in users], "x", idempotency_key="same")
    with django_assert_max_num_queries(12) as asked:
        assert [one.hex for one in acknowledge(users[0], [id_])] == [id_]
    assert not [query for query in asked.captured_queries if '"content"' in query["sql"]]
    assert Acknowledgement.objects.count() == 1
    assert Message.objects.filter(uuid=id_).count() == 30

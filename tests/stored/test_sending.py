"""Sending in the name of a user, channels that a message makes, and sending again."""

import pytest
from django.contrib.auth.models import AnonymousUser, Permission
from django.core.exceptions import PermissionDenied
from django.test import override_settings

from instant import Namespace
from instant.deliveries import Stored
from instant.exceptions import PublishError
from instant.handlers import Refused
from instant.messages import acknowledge, asend, outstanding, resend, send
from instant.models import Channel, Message
from instant.stored import resending
from instant.testing import publish_as
from tests.views.test_centrifugo_proxy import DENIED, SECRET, ask

pytestmark = pytest.mark.django_db


@pytest.fixture
def creator(make_user):
    """A user who may add channels."""
    ann = make_user("ann")
    ann.user_permissions.add(Permission.objects.get(codename="add_channel"))
    return ann


@pytest.fixture
def creating(store):
    store(MESSAGES="cacheall", CREATE=True)


def test_a_sender_needs_the_right_and_is_noted(store, make_user, make_channel, captured):
    store(MESSAGES="store")
    ann, eve = make_user("ann"), make_user("eve")
    make_channel("$team", "groups", members=[ann], publish_level="subscribers")
    with pytest.raises(PermissionDenied, match=r"\$team"):
        send(eve, "$team", "x")
    assert len(captured) == 0
    sent = send(ann, "$team", "hi", data={"x": 1}, context={"run": 7}, event_class="chat")
    captured.assert_published("$team", "hi", data={"x": 1}, event_class="chat", count=1)
    message = Message.objects.get()
    assert (message.uuid.hex, message.sender, message.context) == (sent.id, ann, '{"run": 7}')
    assert "context" not in message.payload


def test_a_namespace_is_asked(registry, make_user, captured):
    class Room(Namespace):
        name, pattern, delivery, client_publish = "room", "<int:pk>", Stored("store"), "ask"

        def can_publish(self, user, pk):
            return pk == 1

    ann = make_user("ann")
    send(ann, "room:1", "x")
    with pytest.raises(PermissionDenied):
        send(ann, "room:2", "x")
    assert [one.sender for one in Message.objects.all()] == [ann]


def test_f1_a_message_makes_its_channel(creating, creator, make_user, captured):
    sent = send(creator, "$run-7", data={"x": 1})
    channel = Channel.objects.get()
    assert (channel.name, channel.level, channel.publish_level) == ("$run-7", "groups", "listed")
    assert (*channel.members.all(), *channel.publishers.all()) == (creator, creator)
    assert [one.uuid.hex for one in outstanding(creator, "$run-7")] == [sent.id]
    send(creator, "$run-7", "again")
    assert Channel.objects.count() == 1
    with pytest.raises(PermissionDenied):
        send(make_user("bob"), "$run-7", "x")
    with pytest.raises(PermissionDenied):
        outstanding(make_user("eve"), "$run-7")
    assert acknowledge(creator, [sent.id])


def test_f1_only_for_those_who_may_add_channels(creating, make_user):
    for user in (make_user("bob"), AnonymousUser(), None):
        with pytest.raises(PermissionDenied):
            send(user, "$new", "x")
    assert not Channel.objects.exists()


@pytest.mark.parametrize("name", ["new", "user:1", "$user:1", "$a b", "room:1"])
def test_f1_no_name_that_isn_t_a_private_rows(creating, creator, registry, name):
    with pytest.raises(PermissionDenied):
        send(creator, name, "x")
    assert not Channel.objects.exists()


def test_f1_off_by_default(store, creator):
    store(MESSAGES="store")
    with pytest.raises(PermissionDenied):
        send(creator, "$new", "x")
    assert not Channel.objects.exists()


def test_a_row_that_refuses_is_not_made_anew(creating, creator, make_channel):
    row = make_channel("$team", "superuser")
    with pytest.raises(PermissionDenied):
        send(creator, "$team", "x")
    row.refresh_from_db()
    assert (row.level, row.members.count()) == ("superuser", 0)


@pytest.mark.django_db(transaction=True)
def test_without_its_message_no_channel_is_made(creating, creator):
    with pytest.raises(TypeError):
        send(creator, "$new", data=object())
    assert not Channel.objects.exists()


def test_a_page_that_publishes_makes_it_too(creating, creator, make_user):
    with override_settings(CENTRIFUGO_PROXY_SECRET=SECRET):
        assert ask("publish", make_user("bob"), "$new", data={"message": "x"}) == DENIED
        answer = ask("publish", creator, "$new", data={"message": "x"})
    assert answer["result"]["data"] == Message.objects.get().payload
    assert Channel.objects.get().publishers.get() == creator


def test_publish_as_stores_as_a_page_does(store, make_user, make_channel, captured):
    store(MESSAGES="store")
    ann = make_user("ann")
    make_channel("$team", "groups", members=[ann], publish_level="subscribers")
    found = publish_as(ann, "$team", {"message": "hi"})
    message = Message.objects.get()
    assert (found, message.sender) == (message.payload, ann)
    assert len(captured) == 0
    with pytest.raises(Refused):
        publish_as(make_user("eve"), "$team", {"message": "hi"})
    assert Message.objects.count() == 1


def test_publish_as_leaves_alone_what_the_server_does_not_ask_about(registry, make_user):
    class Room(Namespace):
        name, pattern, client_publish = "room", "<int:pk>", "subscribers"
        delivery = Stored("store")

        def can_subscribe(self, user, pk):
            return True

    assert publish_as(make_user("ann"), "room:1", {"message": "x"}) == {"message": "x"}
    assert not Message.objects.exists()


@pytest.mark.django_db(transaction=True)
async def test_from_an_event_loop(store, make_user, make_channel, in_threads, captured):
    from asgiref.sync import sync_to_async

    store(MESSAGES="store")
    ann = await sync_to_async(make_user)("ann")
    await sync_to_async(make_channel)("news", publish_level="subscribers")
    sent = await asend(ann, "news", "x")
    assert (await Message.objects.aget()).uuid.hex == sent.id


def test_resend_takes_one_or_several(store, make_user, make_channel, captured):
    store(MESSAGES="store")
    ann = make_user("ann")
    make_channel("$team", "groups", members=[ann], publish_level="subscribers")
    first, second = (send(ann, "$team", text).id for text in ("1", "2"))
    assert resend(Message.objects.get(uuid=first)) == 1
    assert resend(Message.objects.all()) == 2
    assert resend([]) == 0
    again = [one.payload["id"] for one in captured][:3]  # the others wait for a commit
    assert again == [first, first, second]
    assert Message.objects.count() == 2


def test_resend_asks_for_rights_first(store, make_user, make_channel, captured, monkeypatch):
    store(MESSAGES="store")
    make_channel("news", publish_level="subscribers")
    send(make_user("ann"), "news", "x")
    asked = []

    def enforce(affected):
        asked.extend((one.channels, len(captured)) for one in affected)
        return errors

    monkeypatch.setattr(resending, "is_on", lambda: True)
    monkeypatch.setattr(resending, "enforce", enforce)
    errors = [None]
    resend(Message.objects.all())
    assert asked == [({"news"}, 1)]
    errors = [PublishError("it is away")]
    with pytest.raises(PublishError):
        resend(Message.objects.all())
    assert len(captured) == 2

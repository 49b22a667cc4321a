"""Channels, users and messages that are deleted: what goes with them, and at what cost."""

import pytest
from django.db.models.deletion import Collector

from instant import publish
from instant.messages import acknowledge, notify
from instant.models import Acknowledgement, Channel, Message, Notification
from instant.stored.note import Note, noted

pytestmark = pytest.mark.django_db


@pytest.fixture
def filled(make_channel, make_user, store):
    """Two channels with messages, answers to them, acknowledgements, and notifications."""
    store(MESSAGES="store")
    ann, bob = make_user("ann"), make_user("bob")
    for name in ("$one", "$two"):
        make_channel(name, "users")
        for number in range(3):
            with noted(Note(sender=ann)):
                id_ = publish(name, number).id
            for user in (ann, bob):
                acknowledge(user, [id_])
        with noted(Note(is_reply=True, request=Message.objects.get(uuid=id_).pk, always=True)):
            publish(f"user:{bob.pk}", name)
    acknowledge(ann, [notify([ann, bob], "Hello")])
    return ann, bob


def test_a_channel_goes_with_its_messages_and_leaves_others(filled):
    Channel.objects.get(name="$one").delete()
    assert {m.channel for m in Message.objects.filter(is_reply=False, sender__isnull=False)} == {
        "$two"
    }
    replies = Message.objects.filter(is_reply=True).order_by("pk")
    assert [reply.request is None for reply in replies] == [True, False]
    assert Acknowledgement.objects.count() == 6 + 1
    assert Notification.objects.count() == 2


def test_several_channels_at_once(filled):
    Channel.objects.all().delete()
    assert {message.is_reply for message in Message.objects.filter(row=None)} == {True, False}
    assert not Message.objects.filter(row__isnull=False).exists()
    assert Acknowledgement.objects.count() == 1


def test_a_user_goes_with_acknowledgements_and_notifications(filled):
    ann, bob = filled
    sent = Message.objects.filter(sender=ann).count()
    ann.delete()
    assert Message.objects.filter(row__isnull=False, sender=None).count() == sent
    assert set(Acknowledgement.objects.values_list("user", flat=True)) == {bob.pk}
    assert [one.user for one in Notification.objects.all()] == [bob]
    assert [m.channel for m in Message.objects.filter(row=None, is_reply=False)] == [
        f"user:{bob.pk}"
    ]


def test_a_message_goes_with_what_leads_to_it(filled):
    _, bob = filled
    Message.objects.filter(notification__user=bob).delete()
    assert Notification.objects.count() == 1
    Message.objects.filter(row__isnull=False).first().delete()
    assert Acknowledgement.objects.count() == 12 - 2 + 1


def test_nothing_is_loaded_to_be_deleted_or_asked_about(filled, admin_client, monkeypatch):
    made = []
    for model in (Message, Acknowledgement, Notification):
        real = model.__init__
        monkeypatch.setattr(
            model,
            "__init__",
            lambda self, *a, _real=real, **k: (made.append(type(self)), _real(self, *a, **k))[0],
        )
    ann, _ = filled
    row = Channel.objects.get(name="$one")
    page = admin_client.get(f"/admin/instant/channel/{row.pk}/delete/")
    assert page.status_code == 200
    assert "cannot" not in page.content.decode()
    ann.delete()
    Channel.objects.filter(name="$one").delete()
    collector = Collector("default")
    collector.collect([Channel.objects.get(name="$two")])
    assert not made
    # Who only looks what would be deleted has deleted nothing.
    assert Message.objects.filter(row__isnull=False).count() == 3

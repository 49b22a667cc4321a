"""Sending stored messages once more, as the server gets them."""

import pytest

from instant import publish
from instant.backends import get_backend, replaced
from instant.backends.locmem import LocmemBackend
from instant.models import Channel, Message
from instant.stored.resending import resend

pytestmark = pytest.mark.django_db


class Noting(LocmemBackend):
    def __init__(self):
        super().__init__()
        self.envelopes = []

    def send(self, envelopes):
        self.envelopes += envelopes
        super().send(envelopes)


def test_the_server_takes_it_for_another_one_and_a_page_for_the_same(make_channel, store):
    """It drops what comes with a key that it knows."""
    store(MESSAGES="store")
    make_channel("news")
    first = publish("news", "x", data={"n": 1})
    with replaced(Noting()):
        backend = get_backend()
        assert resend(Message.objects.all()) == 1
        Channel.objects.update(name="moved")
        assert resend(Message.objects.all()) == 1
        assert resend([]) == 0
    one, two = backend.envelopes
    keys = {first.id, one.idempotency_key, two.idempotency_key}
    assert len(keys) == 3
    assert one.publications[0].payload == first.payload
    assert two.publications[0].payload == {**first.payload, "channel": "moved"}
    assert list(two.channels) == ["moved"]
    assert Message.objects.count() == 1

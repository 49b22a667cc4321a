"""``instant.testing``: what a page does with handlers, without a page."""

from datetime import date

import pytest
from django.test import override_settings

from instant import Namespace, on_publish, on_rpc
from instant.handlers import Policy, Proceed, Refused
from instant.testing import acall_rpc, apublish_as, call_rpc, publish_as

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]


class Noting(Policy):
    def __init__(self):
        self.notes = []

    def around(self, call, handler):
        self.notes.append((call.method or call.channel, call.user.username, call.id))
        return (yield Proceed())


@pytest.fixture
def policy(registry):
    policy = Noting()

    @on_rpc("add", policies=[policy])
    def add(call, when: date, n: int = 1):
        assert call.client
        return {"when": when, "n": n, "meta": call.meta, "session": call.session}

    @on_rpc("async", anonymous=True, session=True)
    async def asynchronous(call):
        return [(await call.auser()).username, call.session]

    @on_rpc("staff", can="auth.add_user")
    def staff(call): ...

    class Room(Namespace):
        name, pattern, client_publish = "room", "<int:pk>", "ask"

        def can_publish(self, user, pk):
            return pk == 1 or (pk == 2 and user.is_authenticated)

    @on_publish("room:1", policies=[policy])
    def moderate(call, text: str):
        if text == "spam":
            raise Refused(409, "no spam")
        return {"text": text.upper(), "at": date(2026, 1, 2)}

    class Open(Namespace):
        name, pattern, client_publish = "open", "<int:pk>", "subscribers"

        def can_subscribe(self, user, pk):
            return pk == 1

    return policy


def refusal(function, *args, **kwargs):
    with pytest.raises(Refused) as caught:
        function(*args, **kwargs)
    return caught.value.code


def test_a_call(policy, make_user):
    ann = make_user("ann")
    answer = call_rpc(ann, "add", {"when": date(2026, 1, 2), "instant:id": "a"}, meta={"a": (1,)})
    assert answer == {"when": "2026-01-02", "n": 1, "meta": {"a": [1]}, "session": None}
    assert policy.notes == [("add", "ann", "a")]
    assert call_rpc(None, "async", session={"a": 1}) == ["", {"a": 1}]


def test_what_is_refused(policy, make_user):
    ann, bob = make_user("ann"), make_user("bob", is_active=False)
    assert refusal(call_rpc, ann, "add", {"when": "x"}) == 422
    assert refusal(call_rpc, None, "add", {"when": "2026-01-02"}) == 401
    assert refusal(call_rpc, bob, "add", {"when": "2026-01-02"}) == 401
    assert refusal(call_rpc, ann, "staff") == 403
    assert refusal(call_rpc, ann, "nothing") == 404
    assert policy.notes == []
    with override_settings(INSTANT={"ANONYMOUS": False}):
        assert refusal(call_rpc, None, "async") == 403


def test_a_publication(policy, make_user):
    ann = make_user("ann")
    assert publish_as(None, "room:1", {"text": "a"}) == {"text": "A", "at": "2026-01-02"}
    assert policy.notes == [("room:1", "", "")]
    assert publish_as(ann, "room:2", {"instant:id": "a"}) == {"instant:id": "a"}  # no handler
    assert refusal(publish_as, ann, "room:1", {"text": "spam"}) == 409
    assert refusal(publish_as, ann, "room:1", {"txt": "a"}) == 422
    assert refusal(publish_as, ann, "room:1", ["a"]) == 400
    assert refusal(publish_as, None, "room:2", {}) == 403
    assert refusal(publish_as, ann, "room:3", {}) == 403
    assert refusal(publish_as, ann, "nothing:1", {}) == 403
    assert publish_as(None, "open:1", {"a": 1}) == {"a": 1}
    assert refusal(publish_as, None, "open:2", {}) == 403


@pytest.mark.django_db(transaction=True)
async def test_async(policy, in_threads):
    assert await acall_rpc(None, "async") == ["", None]
    assert await apublish_as(None, "room:1", {"text": "a"}) == {"text": "A", "at": "2026-01-02"}
    with pytest.raises(Refused):
        await acall_rpc(None, "add", {})
    with pytest.raises(Refused):
        await apublish_as(None, "room:2", {})

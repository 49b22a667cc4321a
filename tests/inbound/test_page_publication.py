"""What the page's script publishes: it is wrapped, and handlers see what pages will show of it."""

from dataclasses import dataclass

import pytest
from django.test import override_settings

from instant import Namespace, on_publish
from instant.handlers import Published, Refused
from instant.testing import publish_as
from tests.inbound.asking import SECRET, error, publish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]

MARKS = {"channel": "room:1", "id": "a1", "tab": "t1"}
"""What the page's script says beside data."""


@pytest.fixture(autouse=True)
def _secret():
    with override_settings(CENTRIFUGO_PROXY_SECRET=SECRET):
        yield


@pytest.fixture
def room(registry):
    class Room(Namespace):
        name, pattern = "room", "<int:pk>"
        client_publish = "ask"

        def can_publish(self, user, pk):
            return user.is_authenticated

    return Room


@pytest.fixture
def say(room, make_user):
    """Publishes as the server hands it on: what is published, or the error."""
    ann = make_user("ann")

    def ask(**sent):
        answer = publish(ann, "room:1", sent)
        return answer["result"]["data"] if "result" in answer else answer

    return ask


def test_arguments_are_those_of_the_data_and_a_dict_is_the_new_data(room, say):
    @on_publish(room)
    def moderate(call, pk, text: str):
        return {"text": text.upper(), "room": pk, "class": call.event_class}

    said = say(**MARKS, event_class="chat", site="x", bucket="y", data={"text": "hi"})
    assert said == {
        **MARKS,
        "event_class": "chat",
        "data": {"text": "HI", "room": 1, "class": "chat"},
    }
    wrong = say(**MARKS, data={"txt": "hi"})
    assert wrong == error(422, "text: Field required; txt: is not expected")
    assert say(**MARKS) == error(422, "text: Field required")
    assert say(**MARKS, data="hi")["error"]["code"] == 422
    # Another client may publish without our keys: it is data as a whole.
    assert say(text="hi") == {"text": "HI", "room": 1, "class": ""}


def test_nothing_passes_beside_what_was_looked_at(room, say):
    """What pages show is data and message, and neither comes past the arguments."""

    @on_publish(room)
    def moderate(call, pk, text: str):
        if text == "spam":
            raise Refused(409, "no spam")

    assert say(text="fine", data={"text": "spam"}) == error(409, "no spam")
    assert say(text="spam", data={"text": "fine"}) == {"data": {"text": "fine"}}
    extra = "message: is not expected"
    assert say(**MARKS, message="spam", data={"text": "fine"}) == error(422, extra)
    assert say(**MARKS, message="spam", data=[1]) == error(422, extra)
    assert say(**MARKS, message="a", data={"text": "a", "message": "a"}) == error(422, extra)
    assert say(**MARKS, message={"no": "text"}, event_class=7, data={"text": "fine"}) == {
        **MARKS, "data": {"text": "fine"},
    }  # fmt: skip
    assert say(**{**MARKS, "tab": [1]}, data={"text": "a"}, more=1) == {
        "channel": "room:1", "id": "a1", "data": {"text": "a"},
    }  # fmt: skip


def test_a_message_is_an_argument(room, say):
    @on_publish(room)
    def moderate(call, pk, message: str, size: int = 1):
        call.message = f"{message}!" * size

    assert say(**MARKS, message="hi") == {**MARKS, "message": "hi!"}
    assert say(**MARKS, message="hi", data={"size": 2}) == {
        **MARKS, "message": "hi!hi!", "data": {"size": 2},
    }  # fmt: skip
    assert say(**MARKS, data={"message": "in data"})["data"] == {"message": "in data"}


def test_a_dict_leaves_no_message_and_published_says_everything(room, say):
    @on_publish(room)
    def moderate(call, pk):
        if call.data is None:
            return Published({"by": call.user.username}, message=call.message, event_class="said")
        return {"by": call.user.username} if call.data else Published(event_class="typing")

    assert say(**MARKS, message="x", data={"a": 1}) == {**MARKS, "data": {"by": "ann"}}
    assert say(**MARKS, event_class="mine", data={}) == {**MARKS, "event_class": "typing"}
    assert say(**MARKS, message="x", event_class="mine") == {
        **MARKS, "message": "x", "event_class": "said", "data": {"by": "ann"},
    }  # fmt: skip
    assert say(other=1) == {"by": "ann"}
    assert say() == {"event_class": "typing"}


def test_what_is_returned_as_none_is_what_was_sent_and_changed(room, say):
    @on_publish(room)
    def moderate(call, pk):
        call.data["by"] = call.user.username
        call.event_class = "said"

    said = say(**MARKS, bucket="b", site="s", message="m", data={"a": 1})
    assert said == {
        **MARKS, "bucket": "b", "site": "s", "message": "m", "event_class": "said",
        "data": {"a": 1, "by": "ann"},
    }  # fmt: skip


def test_a_record_is_the_data(room, say):
    @dataclass
    class Line:
        text: str

    @on_publish(room)
    def moderate(call, line: Line):
        return {"text": line.text}

    assert say(**MARKS, data={"text": "hi"}) == {**MARKS, "data": {"text": "hi"}}


@pytest.mark.parametrize("returned", [["x"], "x", 7])
def test_what_is_no_data_is_not_published(room, say, returned):
    @on_publish(room)
    def moderate(call, pk):
        call.data = returned if call.data == {} else call.data
        return None if call.data == returned else returned

    assert say(**MARKS, data={"a": 1}) == error(500, "internal error")
    assert say() == error(500, "internal error")


def test_a_test_sees_what_a_page_sees(room, make_user):
    @on_publish(room)
    def moderate(call, text: str):
        return {"text": text.upper()}

    ann = make_user("ann")
    assert publish_as(ann, "room:1", {**MARKS, "data": {"text": "hi"}})["data"] == {"text": "HI"}
    assert publish_as(ann, "room:1", {"text": "hi"}) == {"text": "HI"}

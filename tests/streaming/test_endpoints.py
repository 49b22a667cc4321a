"""The endpoints of <instant-stream>."""

import json

import pytest
from django.test import Client

from instant.streams import read, stream
from tests.streaming.conftest import abandoned
from tests.views.test_channel_data import use

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("answers")]


@pytest.fixture
def web():
    return Client(headers={"Sec-Fetch-Site": "same-origin"}, raise_request_exception=False)


@pytest.fixture
def ann(make_user, web):
    user = make_user("ann")
    web.force_login(user)
    return user


def ask(web, name="", status=200, **body):
    answer = web.post(f"/instant/streams/{name}", json.dumps(body), content_type="application/json")
    assert answer.status_code == status, answer.content
    assert answer["Cache-Control"] == "private, no-store"
    return answer.json()


def written(text="Hello 🎈!", **options):
    with stream("answer:1", **options) as out:
        out.write(text)


def test_the_text(web, ann):
    nothing = {"run": "", "at": 0, "text": "", "length": 0, "state": "none"}
    assert ask(web, channel="answer:1") == nothing
    written()
    whole = ask(web, channel="answer:1")
    run = whole.pop("run")
    assert whole == {"at": 0, "text": "Hello 🎈!", "length": 9, "state": "done"}
    rest = ask(web, channel="answer:1", run=run, after=8)
    assert (rest["at"], rest["text"]) == (8, "!")
    assert ask(web, channel="answer:1", run="old", after=8)["at"] == 0


def test_a_long_text_comes_in_parts(web, ann):
    written("x" * 600_000)
    found, after, run = "", 0, ""
    for _part in range(3):
        part = ask(web, channel="answer:1", run=run, after=after)
        run, after = part["run"], part["at"] + len(part["text"])
        found += part["text"]
        assert part["length"] == 600_000
    assert len(found) == 600_000


def test_who_may_not_subscribe_may_not_read(web):
    written()
    with stream("open:1") as out:
        out.write("For all")
    ask(web, channel="answer:1", status=403)
    ask(web, channel="other:1", status=403)
    assert ask(web, channel="open:1")["text"] == "For all"
    with use(1, ANONYMOUS=False):
        ask(web, channel="open:1", status=403)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"channel": 1},
        {"channel": "answer:1", "run": 1},
        {"channel": "answer:1", "run": "x" * 65},
        {"channel": "answer:1", "after": -1},
        {"channel": "answer:1", "after": True},
        {"channel": "answer:1", "after": "1"},
        {"channel": "answer:1", "after": 2**53},
    ],
)
def test_what_is_no_request(web, ann, body):
    ask(web, status=400, **body)


def test_a_page_finds_that_the_writer_is_gone(web, ann, captured):
    abandoned()
    answer = ask(web, channel="answer:1")
    assert (answer["text"], answer["state"]) == ("Half", "interrupted")


def test_whoever_it_is_written_for_may_stop_it(web, ann, make_user, captured):
    other = Client(headers={"Sec-Fetch-Site": "same-origin"})
    ask(other, "stop/", channel="answer:1", status=403)
    other.force_login(make_user("bob"))
    ask(web, "stop/", channel="answer:1", status=403)
    with stream("answer:1", user=ann) as out:
        out.write("Half")
        out.flush()
        ask(other, "stop/", channel="answer:1", status=403)
        assert read("answer:1").state == "writing"
        assert ask(web, "stop/", channel="answer:1") == {"stopped": True}
        assert ask(web, "stop/", channel="answer:1") == {"stopped": False}
        out.write(" and half")
        out.flush()
        pytest.fail("not reached")
    assert read("answer:1") == ("Half", "cancelled")


def test_what_is_written_for_nobody_no_page_can_stop(web, ann):
    with stream("answer:1"):
        ask(web, "stop/", channel="answer:1", status=403)
    ask(web, "stop/", status=400)


@pytest.mark.parametrize("name", ["a\0b", "\ud83d", "", "a b", "x" * 300])
def test_what_is_no_channel_is_refused(web, ann, name):
    for view in ("", "stop/"):
        ask(web, view, channel=name, status=403)


def test_another_site_may_not_ask(ann, web):
    web.defaults["HTTP_SEC_FETCH_SITE"] = "cross-site"
    ask(web, channel="answer:1", status=403)
    ask(web, "stop/", channel="answer:1", status=403)

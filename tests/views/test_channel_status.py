"""Whether somebody is there, asked over HTTP: 200, 503 and 400, and who may ask."""

import pytest
from django.test import Client, override_settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from instant import Namespace, presence
from instant.exceptions import InstantConfigError, ServerUnreachable
from instant.models import Channel
from instant.presence import Present
from instant.testing import capture_publications
from tests.views import authenticators

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]

JSON = "application/json"
LAB = "/instant/channels/$lab"


@pytest.fixture
def page(make_user):
    """Return a browser of a user's, whose pages are the site's own."""

    def page(name, **fields):
        web = Client(
            enforce_csrf_checks=True,
            raise_request_exception=False,
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        web.force_login(make_user(name, **fields))
        return web

    return page


@pytest.fixture
def lab(make_channel):
    def lab(**fields):
        return make_channel("$lab", "users", **{"answers_pings": True, **fields})

    return lab


@pytest.fixture(autouse=True)
def captured():
    with capture_publications() as captured:
        yield captured


def test_f16_the_codes(page, lab):
    lab()
    web = page("dan", is_staff=True)
    answer = web.get(f"{LAB}/status/")
    assert (answer.status_code, answer.json()["status"]) == (503, "unknown")
    assert answer["Cache-Control"] == "private, no-store"
    now = timezone.now()
    Channel.objects.update(last_ping=now)
    answer = web.get(f"{LAB}/status/")
    assert (answer.status_code, answer.json()["status"]) == (503, "offline")
    Channel.objects.update(last_pong=now)
    answer = web.get(f"{LAB}/status/")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "online")
    assert body["by"] == "ping"
    assert abs((parse_datetime(body["last_pong"]) - now).total_seconds()) < 0.001
    Channel.objects.update(answers_pings=False)
    answer = web.get(f"{LAB}/status/")
    assert (answer.status_code, answer.json()) == (400, {"error": "This channel answers no pings."})


def test_f16_who_may_see_the_status(page, lab):
    row = lab(status_level="listed")
    web = page("ann")
    refused = web.get(f"{LAB}/status/")
    assert refused.status_code == 403
    missing = web.get("/instant/channels/$other/status/")
    assert (missing.status_code, missing.content) == (403, refused.content)
    row.status_viewers.set(row.status_viewers.model.objects.all())
    assert web.get(f"{LAB}/status/").status_code == 503
    assert Client().get(f"{LAB}/status/").status_code == 403
    assert web.post(f"{LAB}/status/", content_type=JSON).status_code == 405


def test_f16_ping_is_post_for_whoever_may_publish(page, lab, captured):
    lab(publish_level="subscribers", status_level="subscribers")
    web = page("ann")
    assert web.get(f"{LAB}/ping/").status_code == 405
    assert not list(captured)
    answer = web.post(f"{LAB}/ping/", content_type=JSON)
    assert (answer.status_code, answer.json()["status"]) == (503, "offline")
    [ping] = captured
    assert (ping.channel, ping.payload["event_class"]) == ("$lab", "instant:ping")
    assert web.post(f"{LAB}/pong/", content_type=JSON).json()["status"] == "online"
    assert web.post(f"{LAB}/ping/", content_type=JSON).status_code == 200
    Channel.objects.update(answers_pings=False)
    for name in ("ping", "pong"):
        assert web.post(f"{LAB}/{name}/", content_type=JSON).status_code == 400
    Channel.objects.update(publish_level="nobody", answers_pings=True)
    assert web.post(f"{LAB}/ping/", content_type=JSON).status_code == 403
    assert len(captured) == 2


def test_who_may_not_see_the_status_learns_nothing_of_it(page, lab):
    row = lab(publish_level="subscribers", status_level="staff")
    web = page("ann")
    for name in ("ping", "pong"):
        answer = web.post(f"{LAB}/{name}/", content_type=JSON)
        assert (answer.status_code, list(answer.json())) == (202, ["message"])
    row.refresh_from_db()
    assert row.availability == "online"
    assert web.get(f"{LAB}/status/").status_code == 403


def test_another_sites_page_pings_and_answers_nothing(page, lab, captured):
    lab(publish_level="subscribers")
    web = page("ann")
    for name in ("ping", "pong"):
        answer = web.post(
            f"{LAB}/{name}/", content_type=JSON, headers={"Sec-Fetch-Site": "cross-site"}
        )
        assert answer.status_code == 403
    assert not list(captured)
    assert Channel.objects.get().last_pong is None


def test_a_visitor_is_not_there_by_saying_so(make_channel):
    make_channel("lab", answers_pings=True)
    answer = Client(headers={"Sec-Fetch-Site": "same-origin"}).post(
        "/instant/channels/lab/pong/", content_type=JSON
    )
    assert answer.status_code == 403
    assert Channel.objects.get().last_pong is None


def test_f20_a_bearer_token_is_enough(make_user, lab):
    ann = make_user("ann")
    lab(publish_level="subscribers", status_level="subscribers")
    paths = [f"{authenticators.__name__}.bearer"]
    with override_settings(INSTANT={"DIR": "/nonexistent", "AUTHENTICATION": paths}):
        native = Client(enforce_csrf_checks=True)
        mine = {"Authorization": f"Bearer {ann.username}"}
        assert native.post(f"{LAB}/ping/", content_type=JSON, headers=mine).status_code == 503
        assert native.post(f"{LAB}/pong/", content_type=JSON, headers=mine).status_code == 200
        assert native.get(f"{LAB}/status/", headers=mine).status_code == 200
        wrong = native.get(f"{LAB}/status/", headers={"Authorization": "Bearer nobody"})
        assert wrong.status_code == 401
        assert native.get(f"{LAB}/status/").status_code == 403


@pytest.mark.parametrize(
    ("there", "code", "status"),
    [
        ([Present("c1", "7")], 200, "online"),
        ([], 503, "offline"),
        (ServerUnreachable("away"), 503, "unknown"),
        (InstantConfigError("no server"), 503, "unknown"),
    ],
)
def test_of_a_namespace_presence_says_it(page, monkeypatch, there, code, status):
    class Room(Namespace):
        name, pattern = "room", "<int:pk>"

        def can_see_status(self, user, pk):
            return user.username == "ann" and pk == 1

    def present(channel):
        assert channel == "room:1"
        if isinstance(there, Exception):
            raise there
        return there

    monkeypatch.setattr(presence, "present", present)
    web = page("ann")
    answer = web.get("/instant/channels/room:1/status/")
    body = answer.json()
    assert (answer.status_code, body["status"], body["by"]) == (code, status, "presence")
    assert web.get("/instant/channels/room:2/status/").status_code == 403
    assert page("bob").get("/instant/channels/room:1/status/").status_code == 403


def test_of_a_namespace_whose_server_knows_nobody(page):
    class Room(Namespace):
        name, pattern, authorize = "room", "<int:pk>", "open"

        def can_see_status(self, user, pk):
            return True

        def can_publish(self, user, pk):
            return True

        client_publish = "ask"

    web = page("ann")
    answer = web.get("/instant/channels/room:1/status/")
    assert (answer.status_code, "no presence" in answer.json()["error"]) == (400, True)
    assert web.post("/instant/channels/room:1/ping/", content_type=JSON).status_code == 400

"""Pages that begin with a state, on both servers, behind a cache and through restarts."""

import itertools
import json

import pytest

from tests.client.hall.cache import Cache
from tests.client.hall.running import Hall
from tests.real_server import KINDS
from tests.soak import pages

_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=KINDS)
def hall(request, tmp_path_factory):
    with Hall(tmp_path_factory.mktemp("state"), request.param) as running:
        yield running


@pytest.fixture
def name():
    """A channel of this test's own, in a namespace that it names."""
    number = next(_numbers)
    return lambda namespace: f"{namespace}:{number}"


@pytest.fixture
def cache(hall, tmp_path):
    with Cache(tmp_path, hall) as running:
        yield running


class Viewer:
    """A browser on pages with a state; ``asked`` counts their requests for one."""

    def __init__(self, context, url):
        self.context, self.url, self.asked = context, url, 0
        context.on("request", self._note)
        self.page = context.new_page()

    def _note(self, request):
        self.asked += request.url.endswith("/snapshot/")

    def log_in(self, user):
        self.page.goto(self.url)
        self.page.evaluate("(user) => instant.login(user, 'pw').then(() => undefined)", user)

    def open(self, name, *, late=0):
        """Open the channel's page, and return what the cache said of it."""
        response = self.page.goto(f"{self.url}/state/{name}/?late={late}")
        return response.headers.get("x-cache")

    def draws(self, *numbers):
        """Wait until it has drawn these numbers and no other."""
        self.page.wait_for_function(
            "(numbers) => JSON.stringify(seen.drawn) === numbers",
            arg=json.dumps(numbers, separators=(",", ":")),
            timeout=30_000,
        )
        assert self.seen["wrong"] == []

    def becomes(self, status):
        self.page.wait_for_function(
            "(status) => channel.status === status", arg=status, timeout=60_000
        )

    @property
    def seen(self):
        return self.page.evaluate("seen")


@pytest.fixture
def view(hall, chromium):
    contexts = []

    def open_browser(url=None):
        context = chromium.new_context()
        contexts.append(context)
        return Viewer(context, url or hall.url)

    yield open_browser
    for context in contexts:
        context.close()


def test_what_was_published_between_rendering_and_subscribing_arrives_once(hall, view, name):
    channel = name("score")
    hall.change("count", channel)
    viewer = view()
    viewer.open(channel, late=3)
    viewer.draws(1, 2, 3, 4)
    viewer.becomes("live")
    hall.change("count", channel)
    viewer.draws(1, 2, 3, 4, 5)
    assert viewer.asked == 0
    assert viewer.seen["errors"] == []


def test_who_may_sees_their_own_state_and_who_may_not_sees_none(hall, view, name, cache):
    channel = name("tally")
    user = hall.change("register", f"ann{channel}", "guests") and f"ann{channel}"
    hall.change("register", f"bob{channel}")
    ann, bob, nobody = view(cache.url), view(cache.url), view(cache.url)
    ann.log_in(user)
    bob.log_in(f"bob{channel}")
    for _ in range(2):
        # The cache keeps what isn't private: hers never.
        assert ann.open(channel, late=1) == "MISS"
    ann.draws(1, 2)
    assert ann.seen["for"] == user
    assert ann.asked == 0
    for other in (bob, nobody):
        other.open(channel)
        other.becomes("denied")
        assert (
            other.page.locator("[data-instant-state], script[type='application/json']").count() == 0
        )
        assert other.seen["drawn"] == []


def test_a_page_from_a_shared_cache_catches_up(hall, view, name, cache):
    channel = name("score")
    first = view(cache.url)
    assert first.open(channel) == "MISS"
    first.becomes("live")
    hall.change("count", channel, times=3)
    first.draws(0, 1, 2, 3)
    second = view(cache.url)
    assert second.open(channel) == "HIT"
    second.draws(0, 1, 2, 3)
    hall.change("count", channel)
    for viewer in (first, second):
        viewer.draws(0, 1, 2, 3, 4)
        assert viewer.asked == 0


def test_a_page_from_a_shared_cache_asks_where_the_history_does_not_reach(hall, view, name, cache):
    channel = name("brief")
    first, second = view(cache.url), view(cache.url)
    assert first.open(channel) == "MISS"
    first.becomes("live")
    hall.change("count", channel, times=5)
    assert second.open(channel) == "HIT"
    second.draws(0, 5)
    second.becomes("live")
    assert second.seen["statuses"] == ["subscribing", "lost", "live"]
    assert second.asked == 1
    hall.change("count", channel)
    second.draws(0, 5, 6)


@pytest.mark.back_forward_cache
def test_a_page_from_the_back_forward_cache_goes_on(hall, view, name):
    channel = name("score")
    viewer = view()
    viewer.open(channel)
    viewer.becomes("live")
    viewer.page.evaluate(
        "() => addEventListener('pageshow', ({ persisted }) => { window.wasCached = persisted; })"
    )
    viewer.page.goto(hall.url)
    hall.change("count", channel, times=2)
    viewer.page.go_back(wait_until="commit")
    viewer.draws(0, 1, 2)
    assert viewer.page.evaluate("wasCached")
    hall.change("count", channel)
    viewer.draws(0, 1, 2, 3)
    assert viewer.asked == 0


def test_a_page_that_is_loaded_again_by_going_back_begins_anew(hall, view, name):
    """Without that cache, from whatever the browser has kept of the page."""
    channel = name("score")
    viewer = view()
    viewer.open(channel)
    viewer.becomes("live")
    # A page with a listener for “unload” is not kept.
    viewer.page.evaluate("() => { addEventListener('unload', () => {}); window.isFirst = true; }")
    viewer.page.goto(hall.url)
    hall.change("count", channel, times=2)
    viewer.page.go_back(wait_until="commit")
    viewer.page.wait_for_function("() => window.seen && seen.drawn.at(-1) === 2", timeout=30_000)
    hall.change("count", channel)
    viewer.page.wait_for_function("() => seen.drawn.at(-1) === 3", timeout=30_000)
    assert viewer.seen["wrong"] == []


def test_a_channel_that_keeps_nothing_asks_when_it_is_live(hall, view, name):
    channel = name("blink")
    viewer = view()
    viewer.open(channel, late=2)
    viewer.draws(0, 2)
    hall.change("count", channel)
    viewer.draws(0, 2, 3)
    assert viewer.asked == 1


def test_a_server_that_was_restarted_has_lost_its_history(hall, view, name):
    """Those of other tests in this file get on with another server, too."""
    channel = name("score")
    viewer = view()
    viewer.open(channel)
    viewer.becomes("live")
    hall.change("count", channel)
    viewer.draws(0, 1)
    hall.restart_server()
    viewer.page.wait_for_function("() => seen.statuses.includes('lost')", timeout=60_000)
    viewer.becomes("live")
    viewer.draws(0, 1, 1)  # the state again
    hall.change("count", channel)
    viewer.draws(0, 1, 1, 2)
    assert viewer.seen["statuses"] == ["subscribing", "live", "subscribing", "lost", "live"]


@pytest.mark.parametrize("namespace", ["score", "brief"])
@pytest.mark.parametrize("is_cached", [False, True], ids=["django", "cached"])
def test_page_loads_that_race_a_publisher(hall, chromium, name, tmp_path, namespace, is_cached):
    """A short form of “make soak”."""
    loads = 40
    with Cache(tmp_path, hall, seconds=1) as cache:
        url = cache.url if is_cached else hall.url
        found = pages.race(chromium, hall, url, name(namespace), loads)
    assert pages.problems(found, loads) == []
    assert found["fromState"] == loads
    if is_cached and namespace == "brief":
        assert found["lost"] > 0  # the history did not go back to what the cache had

"""The lite script in Chromium: both of its ways, on both servers, without a token in a URL."""

import itertools
import json
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.relay import Relay
from tests.client.hall.running import Hall
from tests.ports import free_port
from tests.real_server import KINDS

_numbers = itertools.count(1)

WAYS = {"fetch": "uni_http_stream", "sse": "uni_sse"}


@pytest.fixture(scope="module")
def relay():
    """Stands between pages and message server, so that a test can cut the connection."""
    with Relay(free_port()) as between:
        yield between


@pytest.fixture(scope="module", params=KINDS)
def hall(request, relay, tmp_path_factory):
    sockets = f"ws://127.0.0.1:{relay.port}/connection/websocket"
    with Hall(tmp_path_factory.mktemp("lite"), request.param, sockets=sockets) as running:
        relay.target = running.ws_port
        yield running


@pytest.fixture
def name():
    return f"ticker:{next(_numbers)}"


class Page:
    """A page with the lite script, and the URLs that it has asked."""

    def __init__(self, context, hall):
        self.page = context.new_page()
        self.asked = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(f"{hall.url}/lite/")

    def listen(self, *names):
        self.page.evaluate(
            """(names) => {
              window.heard = [];
              window.statuses = {};
              window.lost = [];
              window.channels = names.map((name) => {
                const channel = instant.channel(name);
                statuses[name] = [];
                channel.onStatus((status) => statuses[name].push(status));
                channel.onLost(({ channel }) => lost.push(channel));
                channel.on("*", ({ channel, message, recovered }) => heard.push([channel, message, recovered]));
                return channel;
              });
            }""",
            names,
        )

    def wait(self, what, arg=None):
        self.page.wait_for_function(what, arg=arg, timeout=50_000)

    def is_live(self):
        self.wait("() => channels.every(({ status }) => status === 'live')")
        assert self.page.evaluate("() => instant.status") == "live"

    def hears(self, *messages):
        wanted = json.dumps([list(one) for one in messages], separators=(",", ":"))
        self.wait("(wanted) => JSON.stringify(heard) === wanted", wanted)

    @property
    def connections(self):
        return [url for url in self.asked if "/connection/" in url]


@pytest.fixture
def open_page(chromium, hall):
    """Open a browser that goes one of the ways, as a user or as nobody."""
    contexts = []

    def open_page(way="fetch", user=None):
        context = chromium.new_context()
        contexts.append(context)
        if way == "sse":  # as in browsers that can't read a body while it comes
            context.add_init_script("delete window.TextDecoderStream")
        else:
            context.add_init_script("delete window.EventSource")
        if user:
            page = context.new_page()
            page.goto(hall.url)
            page.evaluate("(user) => instant.login(user, 'pw').then(() => undefined)", user)
            page.close()
        return Page(context, hall)

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_visitor_hears_and_catches_up(hall, relay, open_page, name, way):
    page = open_page(way)
    page.listen(name)
    page.is_live()
    hall.change("say", name, "one")
    page.hears([name, "one", False])
    relay.cut()
    hall.change("say", name, "two", "three")
    relay.heal()
    page.hears([name, "one", False], [name, "two", True], [name, "three", True])
    page.is_live()
    assert page.page.evaluate("() => lost") == []
    assert all(urlsplit(url).path.endswith(WAYS[way]) for url in page.connections)
    # Whatever a JWT is, it has two dots and begins so.
    assert not [url for url in page.asked if "eyJ" in url or "token" in url]


@pytest.mark.parametrize("way", WAYS)
def test_several_channels_and_those_that_are_denied(hall, open_page, name, way):
    other, denied = f"{name}00", "room:1"
    page = open_page(way)
    page.listen(name, other, denied)
    page.wait("() => channels.map(({ status }) => status).join() === 'live,live,denied'")
    assert len(page.connections) == 1
    hall.change("say", other, "x")
    hall.change("say", name, "y")
    page.wait("() => heard.length === 2")
    late = f"{name}11"
    page.page.evaluate(
        "(late) => instant.channel(late).on('*', ({ message }) => heard.push(message))", late
    )
    page.wait("(late) => instant.channel(late).status === 'live'", late)
    hall.change("say", late, "z")
    page.wait("() => heard[2] === 'z'")


@pytest.mark.parametrize("way", WAYS)
def test_a_user_whose_right_ends(hall, open_page, name, way):
    number = name.partition(":")[2]
    user, room = f"guest{number}{way}", f"room:9{number}"
    hall.change("register", user, "guests")
    page = open_page(way, user)
    page.listen(room)
    page.is_live()
    hall.change("say", room, "one")
    page.hears([room, "one", False])
    hall.change("take", user, "guests")
    page.wait("() => channels[0].status === 'denied'")
    hall.change("say", room, "two")
    hall.change("put", user, "guests")
    assert page.page.evaluate("() => heard.length") == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_remembers_nothing(hall, open_page, name, way):
    page = open_page(way)
    page.listen(name)
    page.is_live()
    hall.change("say", name, "one")
    page.hears([name, "one", False])
    hall.restart_server()
    page.wait("(name) => lost[0] === name", name)
    page.is_live()
    hall.change("say", name, "two")
    page.hears([name, "one", False], [name, "two", False])


def test_a_ticket_opens_one_connection(hall, relay, open_page, name):
    page = open_page("sse")
    page.listen(name)
    page.is_live()
    [url] = page.connections
    connect = json.loads(parse_qs(urlsplit(url).query)["cf_connect"][0])
    assert set(connect) == {"data"}
    assert set(connect["data"]) == {"ticket"}
    with urllib.request.urlopen(url, timeout=20) as response:
        answer = next(line for line in response if line.startswith(b"data:"))
    assert json.loads(answer[5:])["disconnect"] == {"code": 4403, "reason": "no ticket"}
    relay.cut()
    relay.heal()
    page.wait("(name) => statuses[name].filter((status) => status === 'live').length === 2", name)
    assert len(set(page.connections)) == len(page.connections) > 1


def test_a_ticket_is_the_sessions_that_asked(hall, open_page, name, chromium):
    """Whoever finds it in a log before it was used has no such session."""
    number = name.partition(":")[2]
    user = f"owner{number}"
    hall.change("register", user, "guests")
    page = open_page("sse", user)
    room = f"room:8{number}"
    page.page.route("**/uni_sse*", lambda route: route.abort())
    page.listen(room)
    page.wait("() => channels[0].status === 'subscribing'")
    with page.page.expect_request("**/uni_sse*") as found:
        pass
    with urllib.request.urlopen(found.value.url, timeout=20) as response:
        answer = next(line for line in response if line.startswith(b"data:"))
    assert json.loads(answer[5:])["disconnect"]["code"] == 4403
    page.page.unroute("**/uni_sse*")
    page.is_live()


@pytest.mark.parametrize("way", WAYS)
def test_no_visitor_can_end_the_server(hall, open_page, name, way):
    """Where a connection begins with subscriptions, one frame ends Centrifugo 6.9.1."""
    page = open_page(way)
    page.listen(name)
    page.is_live()
    hall.change("say", name, "x")
    page.page.evaluate(
        """async ([name, url]) => {
          const ask = async (body) => (await fetch("/instant/lite/", {
            method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
          })).json();
          const { token, ticket } = { ...await ask({}), ...await ask({ ticket: true }) };
          const bad = [{ token, subs: { [name]: null } }, { data: { ticket }, subs: { [name]: null } }];
          for (const body of bad) {
            const controller = new AbortController();
            const answer = await fetch(url, { method: "POST", body: JSON.stringify(body), signal: controller.signal });
            await answer.body.getReader().read();
            controller.abort();
          }
        }""",
        [name, f"http://127.0.0.1:{hall.ws_port}/connection/uni_http_stream"],
    )
    hall.change("say", name, "y")
    page.hears([name, "x", False], [name, "y", False])


@pytest.mark.back_forward_cache
def test_a_page_that_comes_back_from_the_cache(hall, open_page, name):
    page = open_page()
    page.listen(name)
    page.is_live()
    page.page.goto(f"{hall.url}/strict/")
    hall.change("say", name, "one")
    page.page.go_back(wait_until="commit")
    page.hears([name, "one", True])
    page.is_live()

"""
What Django's rules allow, in pages of a small site of its own (`hall/`).

Each way in which a channel may be allowed has a namespace there; these tests see what the page gets
of it, and what it asks Django for.
"""

import itertools
import json
from urllib.parse import urlsplit

import pytest

from tests.client.hall.running import Hall
from tests.real_server import KINDS

# Each test has channels and users of its own: the site is the same for all.
_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=KINDS)
def hall(request, tmp_path_factory):
    with Hall(tmp_path_factory.mktemp("hall"), request.param) as running:
        yield running


@pytest.fixture
def number():
    return next(_numbers)


@pytest.fixture
def register(hall, number):
    """Make a user of this test, and return their primary key as text."""

    def make(name, *groups, **fields):
        return hall.change("register", f"{name}{number}", *groups, **fields)

    return make


@pytest.fixture
def arrive(hall, chromium, number):
    """Open a browser, for one of the test's users or for nobody."""
    contexts = []

    def open_browser(name=None, *, without=None):
        context = chromium.new_context()
        contexts.append(context)
        if without:
            context.add_init_script(f"delete window.{without}")
        visitor = Guest(context, hall)
        visitor.open()
        if name:
            visitor.run(
                "([name]) => instant.login(name, 'pw').then(() => instant.connect())",
                f"{name}{number}",
            )
            visitor.asked.clear()
        return visitor

    yield open_browser
    for context in contexts:
        context.close()


LISTEN = """([name]) => {
  const channel = instant.channel(name);
  const seen = { channel, heard: [], statuses: [], people: [] };
  channel.on("*", ({ message, data }) => seen.heard.push(message || data));
  channel.onStatus((status) => seen.statuses.push(channel.denial ?? status));
  (window.seen ??= {})[name] = seen;
}"""
WATCH = """([name]) => {
  const { channel, people } = seen[name];
  const short = (some) => some.map(({ user, connections, info }) => [user, connections, info?.name]);
  channel.onPresence(({ people: all, joined, left }) =>
    people.push({ all: short(all), joined: short(joined), left: short(left) }));
}"""
JOINS = """([name]) => {
  window.joins = 0;
  instant.getClient().getSubscription(name).on("join", () => { joins += 1; });
}"""
FAILS = """async ([name, call, argument]) => {
  try {
    await instant.channel(name)[call](argument ?? undefined);
    return "it did not fail";
  } catch ({ name, message, code, channel }) {
    return { name, message, code, channel };
  }
}"""


class Guest:
    """Somebody's browser; ``asked`` is what its pages ask Django for, as (view, body)."""

    def __init__(self, context, hall):
        self.context, self.hall, self.asked = context, hall, []
        context.on("request", self._note)

    def open(self):
        self.page = self.context.new_page()
        self.page.goto(self.hall.url)
        self.page.evaluate(
            "() => { window.errors = []; instant.on('error', (e) => errors.push(e)); }"
        )
        return self.page

    def run(self, script, *arguments):
        return self.page.evaluate(script, list(arguments))

    def wait(self, script, *arguments):
        self.page.wait_for_function(script, arg=list(arguments), timeout=60_000)

    def listen(self, name, *, watch=False):
        """Listen to a channel and wait for what comes of it."""
        self.run(LISTEN, name)
        if watch:
            self.run(WATCH, name)
        self.wait("([name]) => seen[name].channel.status !== 'subscribing'", name)
        return self.status(name)

    def status(self, name):
        return self.run("([name]) => seen[name].channel.denial ?? seen[name].channel.status", name)

    def becomes(self, name, status):
        self.wait(
            "([name, s]) => (seen[name].channel.denial ?? seen[name].channel.status) === s",
            name,
            status,
        )

    def hears(self, name, *heard):
        self.wait(
            "([name, heard]) => JSON.stringify(seen[name].heard) === heard",
            name,
            json.dumps(list(heard), separators=(",", ":")),
        )

    def rights(self, name):
        return self.run("([name]) => instant.channel(name).rights", name)

    def fails(self, name, call, argument=None):
        return self.run(FAILS, name, call, argument)

    def presence(self, name):
        people = self.run("([name]) => seen[name].channel.presence()", name)
        return sorted((one["user"], one["connections"], one["info"]) for one in people)

    def told(self, name, *last):
        """Wait until presence said this last."""
        self.wait(
            "([name, last]) => JSON.stringify(seen[name].people.slice(-JSON.parse(last).length)) === last",
            name,
            json.dumps(list(last), separators=(",", ":")),
        )

    def views(self):
        return [view for view, _ in self.asked]

    def _note(self, request):
        path = urlsplit(request.url).path
        if path.startswith("/instant/"):
            self.asked.append((path.split("/")[2], json.loads(request.post_data or "{}")))


def refusal(name, code, message):
    return {"name": "ChannelError", "message": message, "code": code, "channel": name}


@pytest.mark.parametrize("namespace", ["deal", "room", "ward"])
def test_who_may_subscribe(hall, arrive, register, number, namespace):
    name = f"{namespace}:{number}"
    register("ann", "guests")
    register("bob")
    ann, bob, nobody = arrive("ann"), arrive("bob"), arrive()
    assert ann.listen(name) == "live"
    assert bob.listen(name) == "refused"
    assert nobody.listen(name) == "refused"
    hall.change("say", name, "hello")
    ann.hears(name, "hello")
    # What was refused does not touch others, and nothing was heard there.
    for other in (bob, nobody):
        street = f"street:{number}"
        assert other.listen(street) == "live"
        hall.change("say", street, "outside")
        other.wait("([name]) => seen[name].heard.includes('outside')", street)
        other.hears(name)


@pytest.mark.parametrize("namespace", ["deal", "room", "ward"])
def test_a_right_is_taken_and_given_back(hall, arrive, register, number, namespace):
    name, street = f"{namespace}:{number}", f"street:{number}"
    register("ann", "guests")
    ann = arrive("ann")
    assert ann.listen(name) == ann.listen(street) == "live"
    hall.change("take", f"ann{number}", "guests")
    ann.becomes(name, "revoked")
    hall.change("say", name, "behind closed doors")
    hall.change("say", street, "outside")
    ann.hears(street, "outside")
    ann.hears(name)
    assert ann.rights(name) == []
    # Who asks again gets the same answer.
    ann.run("() => instant.refresh()")
    ann.becomes(name, "revoked")
    hall.change("put", f"ann{number}", "guests")
    ann.run("() => instant.refresh()")
    ann.becomes(name, "live")
    hall.change("say", name, "welcome")
    ann.wait("([name]) => seen[name].heard.at(-1) === 'welcome'", name)


def test_no_token_is_asked_for_where_the_server_asks(hall, arrive, register, number):
    name = f"deal:{number}"
    register("ann", "guests")
    ann = arrive("ann")
    assert ann.listen(name) == "live"
    assert ann.asked == []
    ann.run("() => instant.refresh()")
    ann.becomes(name, "live")
    assert ann.asked == [("get_token", {"channels": []})]
    # Nothing tells what else is allowed, before somebody asks.
    assert ann.rights(name) == []


def test_an_open_channel_costs_django_only_the_connection(hall, arrive, number):
    name = f"street:{number}"
    nobody = arrive()
    assert nobody.listen(name) == "live"
    assert nobody.asked == [("get_token", {"channels": [name]})]
    hall.change("say", name, "hello")
    nobody.hears(name, "hello")


def test_rights(arrive, register, number):
    register("ann", "guests", "speakers", is_staff=True)
    register("bob", "guests")
    names = [f"{namespace}:{number}" for namespace in ("room", "ward", "stage")]
    found = {}
    for who in ("ann", "bob"):
        guest = arrive(who)
        for name in names:
            assert guest.listen(name) == "live"
        found[who] = [sorted(guest.rights(name)) for name in names]
    assert found == {
        "ann": [["history", "presence"], ["history", "presence"], ["publish"]],
        "bob": [["history", "presence"], [], []],
    }


@pytest.mark.parametrize("namespace", ["room", "ward"])
def test_who_is_here(arrive, register, number, namespace):
    name = f"{namespace}:{number}"
    a = register("ann", "guests", is_staff=True)
    b = register("bob", "guests")
    ann = arrive("ann")
    assert ann.listen(name, watch=True) == "live"
    me, two, him = [a, 1, f"ann{number}"], [a, 2, f"ann{number}"], [b, 1, f"bob{number}"]
    ann.told(name, {"all": [me], "joined": [me], "left": []})
    bob = arrive("bob")
    assert bob.listen(name) == "live"
    ann.told(name, {"all": [me, him], "joined": [him], "left": []})
    first = ann.page
    ann.open()
    assert ann.listen(name) == "live"
    # By the text of their primary keys: "10" comes before "9".
    assert ann.presence(name) == sorted(
        [(a, 2, {"name": f"ann{number}"}), (b, 1, {"name": f"bob{number}"})]
    )
    ann.page.close()
    ann.page = first
    # A second page of hers is nobody new, and one page less is nobody who left.
    ann.told(
        name,
        {"all": [two, him], "joined": [], "left": []},
        {"all": [me, him], "joined": [], "left": []},
    )
    bob.context.close()
    ann.told(name, {"all": [me], "joined": [], "left": [him]})
    # Where a rule decides the server tells no subscriber, so Django is asked.
    asked = [body for view, body in ann.asked if view == "presence"]
    assert asked == ([] if namespace == "room" else [{"channel": name}] * 2)


def test_a_rule_keeps_presence_and_history_to_itself(hall, arrive, register, number):
    name = f"ward:{number}"
    register("ann", "guests", is_staff=True)
    register("bob", "guests")
    ann, bob = arrive("ann"), arrive("bob")
    assert bob.listen(name, watch=True) == "live"
    bob.wait("() => errors.length === 1")
    assert bob.run("() => [errors[0].name, errors[0].code]") == ["ChannelError", 103]
    refused = refusal(name, 103, "permission denied")
    assert bob.fails(name, "presence") == refused
    assert bob.fails(name, "history") == refused
    # Nor is he told who comes, though his page wants to know: it would come before what is said then.
    bob.run(JOINS, name)
    assert ann.listen(name) == "live"
    hall.change("say", name, "hello")
    bob.hears(name, "hello")
    assert bob.run("([name]) => [joins, seen[name].people, errors.length]", name) == [0, [], 1]


@pytest.mark.parametrize("namespace", ["room", "ward"])
def test_what_was_said(hall, arrive, register, number, namespace):
    name = f"{namespace}:{number}"
    register("ann", "guests", is_staff=True)
    hall.change("say", name, "one", "two", "three", "four")
    ann = arrive("ann")
    assert ann.listen(name) == "live"
    read = """async ([name, options]) => {
      const { messages, offset, epoch } = await seen[name].channel.history(options);
      return { texts: messages.map(({ message }) => message), offsets: messages.map(({ offset }) => offset), offset, epoch };
    }"""
    found = ann.run(read, name, {})
    assert found["texts"] == ["one", "two", "three", "four"]
    assert found["offsets"] == [1, 2, 3, 4]
    assert found["offset"] == 4
    epoch = found["epoch"]
    assert ann.run(read, name, {"limit": 2, "newestFirst": True})["texts"] == ["four", "three"]
    since = {"offset": 3, "epoch": epoch}
    assert ann.run(read, name, {"since": since})["texts"] == ["four"]
    assert ann.run(read, name, {"since": since, "newestFirst": True})["texts"] == ["two", "one"]
    asked = [body for view, body in ann.asked if view == "history"]
    assert len(asked) == (0 if namespace == "room" else 4)


def test_publishing_from_the_page(arrive, register, number):
    name = f"stage:{number}"
    register("ann", "speakers")
    register("bob")
    ann, bob, nobody = arrive("ann"), arrive("bob"), arrive()
    for guest in (ann, bob, nobody):
        assert guest.listen(name) == "live"
    ann.run("([name]) => seen[name].channel.publish({ data: { text: 'hello' } })", name)
    for guest in (ann, bob, nobody):
        guest.hears(name, {"text": "hello"})
    refused = refusal(name, 403, "permission denied")
    for guest in (bob, nobody):
        assert guest.fails(name, "publish", {"data": 1}) == refused
        assert guest.status(name) == "live"
    # Who may not get in publishes nothing either, and is told at once.
    room = f"room:{number}"
    assert bob.fails(room, "publish", {"data": 1}) == refusal(room, 103, "permission denied")


def test_whoever_is_deactivated_is_signed_out(hall, arrive, register, number):
    register("ann", "guests")
    ann = arrive("ann")
    assert ann.listen(f"room:{number}") == "live"
    ann.asked.clear()
    hall.change("deactivate", f"ann{number}")
    ann.wait("() => instant.status === 'signed-out'")
    # For good: neither a socket nor a request is on its way, and none is planned.
    assert ann.run("() => instant.getClient().state") == "disconnected"
    assert ann.asked == []


def test_who_changes_the_password_stays_signed_in_however_long_it_takes(
    hall, arrive, register, number
):
    register("ann", "guests")
    ann = arrive("ann")
    assert ann.listen(f"room:{number}") == "live"
    ann.run(
        """() => {
          window.all = [];
          window.connections = 0;
          instant.on("status", (status) => all.push(status));
          instant.getClient().on("connected", () => { connections += 1; });
        }"""
    )
    first = ann.page
    ann.open()
    changed = ann.run("() => fetch('/password/', { method: 'POST' }).then(({ status }) => status)")
    assert changed == 200
    ann.page = first
    ann.wait("() => connections > 0")
    ann.becomes(f"room:{number}", "live")
    assert "signed-out" not in ann.run("() => all")
    hall.change("say", f"room:{number}", "still here")
    ann.hears(f"room:{number}", "still here")


def test_a_logout_in_another_tab(hall, arrive, register, number):
    register("ann", "guests")
    ann = arrive("ann")
    assert ann.listen(f"room:{number}") == ann.listen(f"street:{number}") == "live"
    first = ann.page
    ann.open()
    ann.run("() => instant.logout()")
    ann.page = first
    ann.wait("() => instant.status === 'signed-out'")
    hall.change("say", f"street:{number}", "outside")
    # Not silently somebody else: only when the page says so it goes on as nobody.
    ann.hears(f"street:{number}")
    ann.run("() => instant.refresh()")
    ann.becomes(f"street:{number}", "live")
    ann.becomes(f"room:{number}", "revoked")


@pytest.mark.back_forward_cache
def test_a_page_from_the_back_forward_cache_after_a_logout(arrive, register, number):
    register("ann", "guests")
    ann = arrive("ann")
    assert ann.listen(f"room:{number}") == "live"
    ann.run(
        "() => addEventListener('pageshow', (event) => { window.wasCached = event.persisted; })"
    )
    ann.page.goto(f"{ann.hall.url}/?next")
    ann.run("() => instant.logout()")
    # A page that is restored does not load again: it still shows what she saw.
    ann.page.go_back(wait_until="commit")
    ann.wait("() => window.wasCached === true")
    ann.wait("() => instant.status === 'signed-out'")


# A tab notices it by the cookie and by what other tabs tell; a browser may lack either. (Tabs without
# a window, as here, never get the focus, which would do as well.)
@pytest.mark.parametrize("missing", ["BroadcastChannel", "cookieStore"])
def test_somebody_else_logs_in_in_another_tab(arrive, register, number, missing):
    name, own = f"room:{number}", f"user:{register('ann', 'guests')}"
    b = register("bob", "guests")
    ann = arrive("ann", without=missing)
    assert ann.listen(name) == ann.listen(own) == "live"
    ann.run("() => { window.users = []; instant.on('user', (user) => users.push(user)); }")
    first = ann.page
    ann.open()
    ann.run("([name]) => instant.login(name, 'pw')", f"bob{number}")
    ann.page = first
    ann.becomes(own, "revoked")
    ann.becomes(name, "live")
    assert ann.run("() => users") == [b]
    assert ann.presence(name) == [(b, 1, {"name": f"bob{number}"})]

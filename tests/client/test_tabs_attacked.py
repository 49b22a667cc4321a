"""Tabs that share one connection, and those of the lite script, where something is against them."""

import itertools

import pytest

from tests.client import test_tabs
from tests.client.test_tabs import HEARD, LISTEN, LIVE, Tab, becomes, has_one_connection

hall = test_tabs.hall
browser = test_tabs.browser

_numbers = itertools.count(5001)
LOGIN = "(name) => instant.login(name, 'pw')"
MANY = 30


@pytest.fixture
def number():
    return str(next(_numbers))


def listens_to(*names):
    """Return a script with which a page listens to channels as soon as it is there."""
    wants = "".join(
        f"channel = instant.channel({name!r}); channel.on('*', hear);" for name in names
    )
    return f"""addEventListener("DOMContentLoaded", () => {{
      window.heard = [];
      const hear = ({{ message }}) => heard.push(message);
      window.channel = undefined;
      {wants}
    }});"""


def test_thirty_tabs_that_open_at_once_have_one_connection(hall, chromium, number):
    name = f"score:{number}"
    context = chromium.new_context()
    context.add_init_script(listens_to(name))
    first = context.new_page()
    first.goto(f"{hall.url}/")
    first.evaluate(
        "([url, many]) => { for (let n = 0; n < many; n += 1) open(url); }",
        [f"{hall.url}/shared/", MANY],
    )
    becomes(first, lambda: len(context.pages), MANY + 1)
    tabs = [page for page in context.pages if page is not first]
    first.close()
    for tab in tabs:
        tab.wait_for_function(LIVE, timeout=60_000)
    becomes(tabs[0], lambda: hall.change("clients"), 1)
    hall.change("say", name, "one", "two")
    for tab in tabs:
        tab.wait_for_function(HEARD, arg=["one", "two"])
    context.close()


@pytest.mark.parametrize("path", ["/shared/", "/lite/"])
def test_what_was_for_the_user_before_reaches_no_tab_of_the_next_one(hall, chromium, number, path):
    names = [f"una{number}", f"vic{number}"]
    una, vic = (f"user:{hall.change('register', name)}" for name in names)
    room = f"room:{number}"
    hall.change("put", names[0], "guests")
    context = chromium.new_context()
    context.add_init_script(listens_to(una, vic, room))
    entrance = Tab(context, f"{hall.url}/")
    entrance.evaluate(LOGIN, names[0])
    tabs = [Tab(context, hall.url + path) for _ in range(2)]
    for tab in tabs:
        tab.wait_for_function(LIVE)
    hall.change("say", una, "for una")
    hall.change("say", room, "for guests")
    for tab in tabs:
        tab.wait_for_function("() => heard.length === 2")
    entrance.evaluate(LOGIN, names[1])
    is_next = "(name) => instant.channel(name).status === 'live'"
    for tab in tabs:
        tab.wait_for_function(is_next, arg=vic)
        tab.wait_for_function("(name) => instant.channel(name).status === 'denied'", arg=una)
        tab.evaluate("heard.length = 0")
    hall.change("say", una, "for una")
    hall.change("say", room, "for guests")
    hall.change("say", vic, "for vic")
    for tab in tabs:
        tab.wait_for_function(HEARD, arg=["for vic"])
    context.close()


def test_a_right_that_ends_ends_in_all_tabs(hall, browser, number):
    una, room = f"una{number}", f"room:{number}"
    hall.change("register", una, "guests")
    tabs = browser(3)
    tabs[0].evaluate(LOGIN, una)
    for tab in tabs:
        tab.evaluate(LISTEN, room)
        tab.wait_for_function(LIVE)
    hall.change("take", una, "guests")
    for tab in tabs:
        tab.wait_for_function("() => channel.denial === 'revoked' && instant.status === 'live'")
    hall.change("say", room, "for guests")
    # And it comes back to all.
    hall.change("put", una, "guests")
    for tab in tabs:
        tab.evaluate("() => instant.disconnect()")
        tab.evaluate("() => { instant.connect(); }")
        tab.wait_for_function(LIVE)
    hall.change("say", room, "last")
    for tab in tabs:
        tab.wait_for_function("() => heard.at(-1) === 'last'")
    has_one_connection(hall, tabs)


def test_a_tab_with_an_older_script_has_its_own_connection(hall, chromium, number):
    name = f"score:{number}"
    context = chromium.new_context()
    context.add_init_script(listens_to(name))
    versions = iter((b"instant 2", b"instant 2", b"instant 1", b"instant 1"))

    def serve(route):
        script = route.fetch()
        assert b"instant 2" in script.body()
        route.fulfill(response=script, body=script.body().replace(b"instant 2", next(versions)))

    context.route("**/instant.shared.min.js*", serve)
    tabs = []
    for _ in range(4):
        tabs.append(Tab(context, f"{hall.url}/shared/"))
        tabs[-1].wait_for_function(LIVE)
    assert next(versions, None) is None
    becomes(tabs[0], lambda: [tab.leads for tab in tabs], [True, False, True, False])
    hall.change("say", name, "one")
    for tab in tabs:
        tab.wait_for_function(HEARD, arg=["one"])
    context.close()


DENIED = """(() => {
  const deny = () => { throw new DOMException("denied", "SecurityError"); };
  const define = (where, name, value) => Object.defineProperty(where, name, { configurable: true, ...value });
  %s
})();"""


@pytest.mark.parametrize(
    "denied",
    [
        "define(window, 'BroadcastChannel', { value: undefined });",
        "define(window, 'BroadcastChannel', { value: function () { deny(); } });",
        "navigator.locks.request = () => Promise.reject(new DOMException('denied', 'SecurityError'));",
        "navigator.locks.request = deny;",
        "define(window, 'localStorage', { get: deny }); define(window, 'sessionStorage', { get: deny });",
    ],
)
def test_a_browser_that_stores_nothing_listens_all_the_same(hall, chromium, number, denied):
    name = f"score:{number}"
    context = chromium.new_context()
    context.add_init_script(DENIED % denied)
    context.add_init_script(listens_to(name))
    tabs = [Tab(context, f"{hall.url}/shared/") for _ in range(2)]
    for tab in tabs:
        tab.wait_for_function(LIVE)
    hall.change("say", name, "one")
    for tab in tabs:
        tab.wait_for_function(HEARD, arg=["one"])
    context.close()


def test_a_frame_in_a_page_shares_and_may_be_taken_away(hall, chromium, number):
    name = f"score:{number}"
    context = chromium.new_context()
    context.add_init_script(listens_to(name))
    page = Tab(context, f"{hall.url}/state/{name}/")
    page.evaluate(
        """(url) => {
          const frame = document.createElement("iframe");
          frame.src = url;
          document.body.append(frame);
        }""",
        f"{hall.url}/shared/",
    )
    becomes(page, lambda: len(page.frames), 2)
    frame = page.frames[1]
    frame.wait_for_function(LIVE)
    other = Tab(context, f"{hall.url}/shared/")
    other.wait_for_function(LIVE)
    assert not other.leads
    hall.change("say", name, "one")
    for tab in (frame, other):
        tab.wait_for_function(HEARD, arg=["one"])
    page.evaluate("() => document.querySelector('iframe').remove()")
    hall.change("say", name, "two")
    other.wait_for_function(HEARD, arg=["one", "two"])
    assert other.leads
    context.close()

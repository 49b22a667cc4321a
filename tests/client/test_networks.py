"""What happens to a page happens to its connection: each case must end with nothing missed."""

import contextlib
import json
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

LISTEN = """(name) => {
  window.heard = [];
  window.channel = instant.channel(name);
  channel.on("*", ({ message }) => heard.push(message));
  return new Promise((resolve) => {
    const look = () => { if (channel.status === "live" || channel.status === "denied") resolve(channel.status); };
    channel.onStatus(look);
    look();
  });
}"""


def requests_of(page):
    """Return the list of what the page asks the message server for, as it grows."""
    asked = []

    def note(request):
        path = urlsplit(request.url).path
        if path.startswith("/connection/"):
            asked.append(path)

    page.on("request", note)
    return asked


def listen(page, name="public"):
    return page.evaluate(LISTEN, name)


def say(site, *texts, channel="public"):
    calls = "; ".join(f"publish({channel!r}, {text!r})" for text in texts)
    site.shell(f"from instant import publish; {calls}")


def hears(page, *texts):
    page.wait_for_function(
        "(texts) => JSON.stringify(window.heard) === texts",
        arg=json.dumps(list(texts), separators=(",", ":")),
        timeout=60_000,
    )


def is_live(page):
    page.wait_for_function("() => instant.status === 'live'", timeout=60_000)


@contextlib.contextmanager
def cut(relay, *pages):
    """Break all connections; go on inside when the pages know it."""
    relay.cut()
    try:
        for page in pages:
            page.wait_for_function("() => instant.status !== 'live'")
        yield
    finally:
        relay.heal()


def test_the_page_tells_people_about_trouble(visit, relay):
    page = visit().open("/")
    page.evaluate("""() => {
      const status = document.createElement("instant-status");
      status.setAttribute("offline", "Keine Verbindung");
      document.body.append(status);
    }""")
    status = page.locator("instant-status")
    expect(status).to_have_attribute("status", "live")
    expect(status).to_have_attribute("aria-live", "polite")
    expect(status).to_have_text("")
    with cut(relay, page):
        expect(status).to_have_attribute("status", "offline")
        expect(status).to_have_text("Keine Verbindung")
    is_live(page)
    expect(status).to_have_text("Connected again.")


def test_no_upgrade_gets_through_so_streaming_does(visit, site, behind):
    behind()
    visitor = visit()
    asked = requests_of(visitor.page)
    page = visitor.open("/")
    assert listen(page) == "live"
    assert asked[-1] == "/connection/http_stream"
    say(site, "one", "two")
    hears(page, "one", "two")


def test_the_next_page_of_the_tab_knows_the_way(visit, site, behind):
    behind()
    visitor = visit()
    attempts = []
    visitor.page.on("websocket", lambda socket: attempts.append(socket.url))
    page = visitor.open("/")
    assert listen(page) == "live"
    assert len(attempts) == 1
    del attempts[:]
    asked = requests_of(visitor.page)
    visitor.open("/catalogue/")
    assert listen(page) == "live"
    say(site, "here too")
    hears(page, "here too")
    assert attempts == []
    assert asked[0] == "/connection/http_stream"
    # Another tab finds out by itself.
    other = visitor.context.new_page()
    other.on("websocket", lambda socket: attempts.append(socket.url))
    visitor.open("/", page=other)
    assert len(attempts) == 1


def test_neither_upgrades_nor_streams_so_events_do(visit, site, relay, behind):
    behind(blocks_streams=True)
    visitor = visit()
    asked = requests_of(visitor.page)
    page = visitor.open("/")
    assert listen(page) == "live"
    assert asked[-1] == "/connection/sse"
    say(site, "one")
    hears(page, "one")
    with cut(relay, page):
        say(site, "two", "three")
    hears(page, "one", "two", "three")


def test_a_laptop_that_changes_networks(visit, site, behind):
    page = visit().open("/")
    listen(page)
    say(site, "at home")
    hears(page, "at home")
    behind()
    say(site, "in the office")
    hears(page, "at home", "in the office")
    is_live(page)


@pytest.mark.back_forward_cache
def test_a_page_from_the_back_forward_cache(visit, site):
    page = visit().open("/")
    listen(page)
    say(site, "before")
    hears(page, "before")
    page.evaluate(
        "() => addEventListener('pageshow', ({ persisted }) => { window.wasCached = persisted; })"
    )
    page.goto("about:blank")
    say(site, "while away")
    # A page that is restored does not load again.
    page.go_back(wait_until="commit")
    page.wait_for_function("() => window.wasCached === true")
    hears(page, "before", "while away")
    say(site, "after")
    hears(page, "before", "while away", "after")


def test_a_tab_that_slept(visit, site, relay):
    visitor = visit()
    page = visitor.open("/")
    listen(page)
    say(site, "before")
    hears(page, "before")
    session = visitor.context.new_cdp_session(page)
    session.send("Page.setWebLifecycleState", {"state": "frozen"})
    # Meanwhile the network forgot the connection, and the tokens are too old.
    relay.cut()
    say(site, "while asleep")
    relay.heal()
    session.send("Page.setWebLifecycleState", {"state": "active"})
    hears(page, "before", "while asleep")
    is_live(page)


def test_offline_and_online(visit, site):
    visitor = visit()
    page = visitor.open("/")
    listen(page)
    visitor.context.set_offline(True)
    # Chromium keeps open sockets through this switch, but says what the page then believes.
    page.wait_for_function("() => instant.status === 'offline'")
    say(site, "while offline")
    visitor.context.set_offline(False)
    hears(page, "while offline")
    is_live(page)


def test_eight_tabs_and_a_cut(visit, site, relay):
    visitor = visit()
    pages = [visitor.open("/", page=visitor.context.new_page()) for _ in range(8)]
    for page in pages:
        listen(page)
    say(site, "before")
    for page in pages:
        hears(page, "before")
    with cut(relay, *pages):
        say(site, "missed")
    for page in pages:
        hears(page, "before", "missed")
        is_live(page)


def test_a_server_that_was_restarted(visit, site, restart):
    page = visit().open("/")
    listen(page)
    say(site, "before")
    hears(page, "before")
    page.evaluate("() => { window.lost = 0; channel.onLost(() => { lost += 1; }); }")
    restart()
    page.wait_for_function("() => lost === 1 && channel.status === 'live'", timeout=60_000)
    is_live(page)
    say(site, "after")
    hears(page, "before", "after")


def test_a_session_that_ends_is_signed_out_and_not_somebody_else(visit, site, relay):
    page = visit("bob").open("/")
    listen(page)
    site.shell(
        "from django.contrib.sessions.models import Session\n"
        "for session in Session.objects.all():\n"
        "    if session.get_decoded().get('_auth_user_id'): session.delete()"
    )
    site.cookies.clear()
    relay.cut()
    relay.heal()
    page.wait_for_function("() => instant.status === 'signed-out'")
    say(site, "while signed out")
    assert page.evaluate("() => [instant.status, heard.length]") == ["signed-out", 0]
    # Only when the page says so it goes on as whoever is there now: nobody, who may hear this too.
    page.evaluate("() => instant.refresh()")
    is_live(page)
    hears(page, "while signed out")


def test_a_right_is_taken_and_given_back(visit, site, relay):
    page = visit("bob").open("/")
    assert listen(page, "$wholesale") == "live"
    member = (
        "from django.contrib.auth.models import Group, User\n"
        "User.objects.get(username='bob').groups.{}(Group.objects.get(name='wholesale'))"
    )
    try:
        site.shell(member.format("remove"))
        relay.cut()
        relay.heal()
        page.wait_for_function("() => channel.status === 'denied' && channel.denial === 'revoked'")
        is_live(page)
        say(site, "secret", channel="$wholesale")
    finally:
        site.shell(member.format("add"))
    relay.cut()
    relay.heal()
    page.wait_for_function("() => channel.status === 'live' || channel.status === 'lost'")
    say(site, "welcome back", channel="$wholesale")
    page.wait_for_function("() => heard.at(-1) === 'welcome back'")
    assert listen(visit("ada").open("/"), "$wholesale") == "denied"

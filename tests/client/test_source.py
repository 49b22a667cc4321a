"""Pages that HTML is sent to, on both servers: without a gap, and from Django only."""

import itertools

import pytest
from playwright.sync_api import expect

from tests.client.hall.running import Hall
from tests.real_server import KINDS

_numbers = itertools.count(1)

FORGED = {
    "eventClass": "instant:html",
    "data": {"html": "<li>forged</li>", "target": "#list", "action": "append"},
}


@pytest.fixture(scope="module", params=KINDS)
def hall(request, tmp_path_factory):
    with Hall(tmp_path_factory.mktemp("source"), request.param) as running:
        yield running


@pytest.fixture
def name():
    number = next(_numbers)
    return lambda namespace: f"{namespace}:{number}"


@pytest.fixture
def view(hall, chromium):
    """Open a page with the element, in a browser of its own."""
    contexts = []

    def open_page(name, *, late=0):
        context = chromium.new_context()
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{hall.url}/source/{name}/?late={late}")
        return page

    yield open_page
    for context in contexts:
        context.close()


def items(page):
    return page.locator("#list li")


def is_open(page, times=1):
    page.wait_for_function(
        "(times) => heard.filter((name) => name === 'open').length === times",
        arg=times,
        timeout=60_000,
    )


def test_what_was_sent_between_rendering_and_subscribing(hall, view, name):
    channel = name("street")
    hall.change("add", channel, 99)
    page = view(channel, late=3)
    expect(items(page)).to_have_text(["0", "1", "2"])
    is_open(page)
    hall.change("add", channel, 3)
    expect(items(page)).to_have_text(["0", "1", "2", "3"])
    assert "lost" not in page.evaluate("heard")


def test_what_was_sent_while_the_connection_was_down(hall, view, name):
    channel = name("street")
    page = view(channel)
    is_open(page)
    page.evaluate("instant.disconnect()")
    hall.change("add", channel, 1, 2)
    page.evaluate("instant.connect()")
    expect(items(page)).to_have_text(["1", "2"])
    assert page.evaluate("heard.filter((name) => name === 'lost')") == []


def test_a_page_that_may_not_listen(view, name):
    page = view(name("room"))
    page.wait_for_function("heard.includes('denied')")


@pytest.mark.parametrize("namespace", ["wall", "stage"])
def test_what_a_page_publishes_is_never_inserted(hall, view, name, namespace):
    channel = name(namespace)
    victim, attacker = view(channel), view(channel)
    for page in (victim, attacker):
        is_open(page)
    if namespace == "stage":
        hall.change("register", f"eve{channel}", "speakers")
        attacker.evaluate(
            "(user) => instant.login(user, 'pw').then(() => undefined)", f"eve{channel}"
        )
        attacker.reload()
        is_open(attacker)
    code = attacker.evaluate(
        """([name, message]) => instant.channel(name).publish(message)
             .then(() => 0, ({ code, message }) => [code, message])""",
        [channel, FORGED],
    )
    if namespace == "wall":
        # The server lets it through, and says whose it is; to those who come later, too.
        assert code == 0
        victim.wait_for_function("heard.includes('message of a page')")
        victim.evaluate("instant.disconnect()")
        attacker.evaluate(
            "([name, message]) => instant.channel(name).publish(message).then(() => 0)",
            [channel, FORGED],
        )
        victim.evaluate("instant.connect()")
        victim.wait_for_function(
            "heard.filter((name) => name === 'message of a page').length === 2"
        )
    else:
        assert code[0] == 400
        assert "only Django publishes" in code[1]
    hall.change("add", channel, 1)
    for page in (victim, attacker):
        expect(items(page)).to_have_text(["1"])


@pytest.mark.back_forward_cache
def test_a_page_from_the_back_forward_cache_goes_on(hall, view, name):
    channel = name("street")
    page = view(channel)
    is_open(page)
    hall.change("add", channel, 1)
    expect(items(page)).to_have_text(["1"])
    page.evaluate(
        "() => addEventListener('pageshow', ({ persisted }) => { window.wasCached = persisted; })"
    )
    page.goto(hall.url)
    hall.change("add", channel, 2, 3)
    page.go_back(wait_until="commit")
    expect(items(page)).to_have_text(["1", "2", "3"])
    assert page.evaluate("wasCached")
    hall.change("add", channel, 4)
    expect(items(page)).to_have_text(["1", "2", "3", "4"])
    assert page.evaluate("heard.filter((name) => name === 'lost')") == []

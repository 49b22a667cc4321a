"""Pages in a browser: stored messages that wait, and tabs that acknowledge once."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from django.utils import timezone

from instant import html, publish
from instant.models import Acknowledgement, Message
from tests import urls as project
from tests.live.servers import LiveServer, use
from tests.real_server import KINDS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.browser.test_stored"),
]

LISTEN = """(bad = "") => {
  window.seen = []
  window.posts = []
  const { fetch } = window
  window.fetch = async (url, ...rest) => {
    const response = await fetch(url, ...rest)
    window.posts.push(url)
    return response
  }
  instant.channel("$team").on("*", async ({ message }) => {
    seen.push(message)
    if (message === bad) throw new Error("not now")
  }, { ack: true })
}"""
POSTS = '() => posts.filter((url) => url.includes("acknowledge")).length'
# As page.wait_for_function(), which doesn't wait for promises.
ONLY_WAITS = """async (wanted) => {
  for (let n = 0; ; n++) {
    const found = (await instant.channel("$team").outstanding()).map(({ message }) => message).join()
    if (found === wanted) return
    if (n === 300) throw new Error(`It is ${found} that waits.`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}"""
AFTER_THE_OTHERS = (
    "() => navigator.locks.request('instant acknowledged /instant/get_token/', () => 1)"
)


def page_of_the_site(_request):
    return HttpResponse(f"<!doctype html><title>x</title>{html.script()}")


urlpatterns = [path("page/", page_of_the_site), *project.urlpatterns]


@pytest.fixture(autouse=True, scope="module")
def _beside_playwright():
    """Its loop only seems to run in this thread, where Django would not ask the database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield


@pytest.fixture(scope="module", params=KINDS)
def server(request, tmp_path_factory):
    folder, origins = tmp_path_factory.mktemp(request.param), ["http://localhost:*"]
    live = LiveServer(request.param, folder, client={"allowed_origins": origins})
    live.start()
    yield live
    live.kill()


@pytest.fixture
def tabs(chromium, server, live_server, make_user, make_channel):
    """Open a page of ann's, whose listener refuses the message ``bad``."""
    ann = make_user("ann")
    with use(server, PUBLIC_URL=server.url, STORE={"MESSAGES": "store"}):
        make_channel("$team", "groups", members=[ann])
        client = Client()
        client.force_login(ann)
        context = chromium.new_context()
        value = client.cookies["sessionid"].value
        context.add_cookies([{"name": "sessionid", "value": value, "url": live_server.url}])

        def visit(bad=""):
            page = context.new_page()
            page.goto(f"{live_server.url}/page/")
            page.evaluate(LISTEN, bad)
            return page

        yield visit
        context.close()


def send(*texts):
    """While no page asks: SQLite in memory locks whole tables, and doesn't wait."""
    with transaction.atomic():
        for text in texts:
            publish("$team", text)


def subscribed(page):
    page.evaluate("async () => { await instant.channel('$team').subscribed() }")


def read(page):
    page.wait_for_function("() => posts.some((url) => url.includes('outstanding'))")


def test_what_waited_arrives_once_and_tabs_acknowledge_once(tabs):
    send("while nobody was there")
    page = tabs()
    page.wait_for_function("() => seen.length === 1")
    page.wait_for_function(f"({POSTS})() === 1")
    page.evaluate(ONLY_WAITS, "")
    page.reload()
    page.evaluate(LISTEN)
    other = tabs()
    for tab in (page, other):
        subscribed(tab)
        read(tab)
    send("to two tabs")
    for tab in (page, other):
        tab.wait_for_function("() => seen.length > 0")
        assert tab.evaluate("() => seen") == ["to two tabs"]
    page.evaluate(ONLY_WAITS, "")
    for tab in (page, other):  # both have had their turn when this has come to both
        tab.evaluate(AFTER_THE_OTHERS)
    assert page.evaluate(POSTS) + other.evaluate(POSTS) == 1
    assert Message.objects.count() == Acknowledgement.objects.count() == 2


def test_what_a_listener_fails_at_is_not_acknowledged_and_comes_again(tabs):
    send("good", "bad", "also good")
    page = tabs("bad")
    page.wait_for_function("() => seen.length === 3")
    page.evaluate(ONLY_WAITS, "bad")
    page.evaluate(AFTER_THE_OTHERS)
    assert Acknowledgement.objects.count() == 2
    page.reload()
    page.evaluate(LISTEN)
    page.evaluate(ONLY_WAITS, "")
    assert page.evaluate("() => seen") == ["bad"]


def test_what_was_missed_for_a_day_comes_in_order_once(tabs):
    days = [str(number) for number in range(230)]  # more than Django answers at once
    send(*days)
    Message.objects.update(created_at=timezone.now() - timedelta(days=1))
    page = tabs()
    page.evaluate(ONLY_WAITS, "")
    send("today")
    page.wait_for_function("() => seen.includes('today')")
    page.evaluate(ONLY_WAITS, "")
    assert page.evaluate("() => seen") == [*days, "today"]


def test_what_came_while_the_page_was_away_comes_once(tabs):
    """The server has it still, and so has Django."""
    page = tabs()
    subscribed(page)
    read(page)
    page.evaluate("() => instant.disconnect()")
    send("1", "2")
    page.evaluate("() => instant.connect()")
    page.wait_for_function("() => seen.length === 2")
    page.evaluate(ONLY_WAITS, "")
    send("3")
    page.wait_for_function("() => seen.length === 3")
    page.evaluate(ONLY_WAITS, "")
    page.evaluate(AFTER_THE_OTHERS)
    assert page.evaluate("() => seen") == ["1", "2", "3"]
    assert Acknowledgement.objects.count() == 3

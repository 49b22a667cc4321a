"""Lists that follow a queryset, on both servers: each viewer sees what the queryset gives them."""

import json

import pytest

from instant.testing import wait_until_live
from tests.client.hall.running import Hall
from tests.real_server import KINDS

PATIENCE = 30_000


@pytest.fixture(scope="module", params=KINDS)
def hall(request, tmp_path_factory):
    with Hall(tmp_path_factory.mktemp("lists"), request.param) as running:
        running.change("register", "ann")
        running.change("register", "bob", is_staff=True)
        yield running


@pytest.fixture(autouse=True)
def without_orders(hall):
    hall.change("remove")


class Viewer:
    """A browser on a page with a list; ``asked`` counts its requests for rows and lists."""

    def __init__(self, context, url):
        self.url, self.asked, self.problems = url, {"rows": 0, "snapshot": 0}, []
        context.on("request", self._note)
        context.on("weberror", lambda error: self.problems.append(str(error.error)))
        self.page = context.new_page()

    def _note(self, request):
        name = request.url.rstrip("/").rpartition("/")[2]
        if name in self.asked:
            self.asked[name] += 1

    def log_in(self, user):
        self.page.goto(self.url)
        self.page.evaluate("(user) => instant.login(user, 'pw').then(() => undefined)", user)
        return self

    def open(self, path="/orders/"):
        self.page.goto(self.url + path)
        wait_until_live(self.page)
        return self

    def shows(self, *titles):
        """Wait until the rows have these titles and no others are there."""
        self.page.wait_for_function(
            "(titles) => JSON.stringify([...document.querySelectorAll('tr > td:first-child')]"
            ".map(({ textContent }) => textContent)) === titles",
            arg=json.dumps(titles, separators=(",", ":")),
            timeout=PATIENCE,
        )
        assert self.problems == []

    @property
    def seen(self):
        return self.page.evaluate("seen.splice(0)")


@pytest.fixture
def view(hall, chromium):
    contexts = []

    def open_browser(user):
        context = chromium.new_context()
        contexts.append(context)
        return Viewer(context, hall.url).log_in(user)

    yield open_browser
    for context in contexts:
        context.close()


def test_two_viewers_see_what_the_queryset_gives_each(hall, view):
    hall.change("order", "b", owner="ann")
    ann, bob = view("ann").open(), view("bob").open()
    ann.shows("b")
    bob.shows("b")
    hall.change("order", "c")
    bob.shows("b", "c")
    hall.change("order", "a", owner="ann")
    for viewer, titles in ((ann, ("a", "b")), (bob, ("a", "b", "c"))):
        viewer.shows(*titles)
    assert bob.page.locator("tr").first.inner_text().split() == ["a", "bob"]
    assert ann.page.locator("tr").first.inner_text().split() == ["a", "ann"]
    hall.change("order", "a", owner="ann", status="paid")
    ann.shows("b")
    bob.shows("b", "c")
    assert ann.seen == [["enter", "a"], ["leave", "a"]]
    assert bob.seen == [["enter", "c"], ["enter", "a"], ["leave", "a"]]
    hall.change("order", "b")  # it is nobody's now: she may not see it any more
    ann.shows()
    bob.shows("b", "c")
    assert ann.page.locator("tbody[data-instant-empty]").count() == 1
    # A row is asked for when it enters or changes, and the list never.
    assert (ann.asked, bob.asked["snapshot"]) == ({"rows": 1, "snapshot": 0}, 0)


def test_a_row_moves_and_changes_and_what_people_do_in_it_goes_on(hall, view):
    for title in "abc":
        hall.change("order", title)
    bob = view("bob").open()
    bob.shows("a", "b", "c")
    field = bob.page.locator("tr", has_text="a").locator("input")
    field.fill("written")
    bob.page.evaluate("window.row = document.querySelector('tr')")
    hall.change("rename", "a", "d")
    bob.shows("b", "c", "d")
    assert bob.page.evaluate(
        "row.isConnected && document.activeElement === row.querySelector('input')"
    )
    assert bob.page.evaluate("row.querySelector('input').value") == "written"
    assert ["move", "a"] in bob.seen
    assert bob.page.evaluate("row.id") == ""


def test_a_slice_lets_the_next_one_in(hall, view):
    for title in "bcde":
        hall.change("order", title)
    bob = view("bob").open("/orders/3/")
    bob.shows("b", "c", "d")
    hall.change("order", "a")
    bob.shows("a", "b", "c")
    hall.change("remove", "b")
    bob.shows("a", "c", "d")


def test_what_was_missed_comes_with_the_connection(hall, view):
    hall.change("order", "a")
    bob = view("bob").open()
    bob.shows("a")
    hall.stop_server()
    hall.change("order", "b")
    hall.change("remove", "a")
    hall.start_server()
    bob.shows("b")
    hall.change("order", "c")
    bob.shows("b", "c")


def test_what_no_signal_tells_of_comes_with_the_next_page(hall, view):
    for title in "abc":
        hall.change("order", title)
    bob = view("bob").open()
    bob.shows("a", "b", "c")
    hall.change("secretly", "b", status="paid")
    view("bob").open().shows("a", "c")
    bob.shows("a", "c")


def test_a_list_that_has_ended_is_asked_for_at_its_own_page(hall, view):
    hall.change("order", "a")
    bob = view("bob").open()
    bob.shows("a")
    hall.change("forget_lists")
    bob.page.evaluate("instant.refresh()")  # the right is asked for again, and there is none
    hall.change("order", "b")
    bob.shows("a", "b")
    hall.change("order", "c")
    bob.shows("a", "b", "c")


def test_a_list_rests_when_nobody_watches_it_and_is_there_for_who_comes_back(hall, view):
    hall.change("forget_lists")
    hall.change("order", "a")
    bob = view("bob").open()
    bob.shows("a")
    hall.change("age_lists", 200)
    hall.change("order", "b")
    bob.shows("a", "b")
    assert hall.change("followed_lists") == 1
    bob.page.evaluate("instant.disconnect()")
    hall.change("age_lists", 200)
    hall.change("order", "c")
    assert hall.change("followed_lists") == 0
    hall.change("rename", "a", "d")
    bob.page.evaluate("instant.connect()")
    bob.shows("b", "c", "d")
    assert hall.change("followed_lists") == 1
    hall.change("order", "e")
    bob.shows("b", "c", "d", "e")


def test_where_no_more_lists_may_be_followed_the_page_shows_its_rows(hall, view):
    hall.change("order", "a")
    bob = view("bob").open()
    bob.shows("a")
    hall.change("fill_lists", True)
    try:
        hall.change("forget_lists")
        hall.change("order", "b")
        bob.page.evaluate("instant.refresh()")
        bob.shows("a", "b")
        assert bob.page.locator('tbody[data-instant-list=""]').count() == 1
        assert ["denied", ""] not in bob.seen
    finally:
        hall.change("fill_lists", False)
    bob.open().shows("a", "b")
    hall.change("order", "c")
    bob.shows("a", "b", "c")


def test_who_may_not_see_the_page_any_more_sees_no_rows(hall, view):
    hall.change("order", "a")
    bob = view("bob").open()
    bob.shows("a")
    hall.change("forget_lists")
    bob.page.evaluate("fetch('/instant/logout/', {method: 'POST'})")
    bob.page.evaluate("instant.refresh().catch(() => undefined)")
    bob.shows()
    assert ["denied", ""] in bob.seen


def test_whose_right_ends_is_shown_what_the_view_gives_them_now(hall, view):
    hall.change("register", "carl", is_staff=True)
    hall.change("order", "a", owner="carl")
    hall.change("order", "b")
    carl, bob = view("carl").open(), view("bob").open()
    carl.shows("a", "b")
    hall.change("demote", "carl")
    carl.shows("a")
    hall.change("order", "c", owner="carl")
    hall.change("order", "d")
    carl.shows("a", "c")
    bob.shows("a", "b", "c", "d")


def test_lists_that_come_and_go_with_the_page(hall, view):
    hall.change("order", "a")
    bob = view("bob").open()
    bob.shows("a")
    bob.page.evaluate("window.table = document.querySelector('table'); table.remove()")
    hall.change("order", "b")
    bob.page.evaluate("document.body.append(table)")
    bob.shows("a", "b")
    bob.page.evaluate(
        "async () => { const text = await (await fetch('/orders/3/')).text();"
        "table.outerHTML = text.match(/<table>.*<.table>/s)[0]; }"
    )
    hall.change("order", "c")
    bob.shows("a", "b", "c")


def test_a_row_without_a_box_has_its_cells_in_the_grid(hall, view):
    for title in "ab":
        hall.change("order", title)
    bob = view("bob").open("/recipe/_cells.html/")
    bob.page.locator(".order").nth(1).wait_for(state="attached")
    hall.change("order", "c")
    bob.page.locator(".order").nth(2).wait_for(state="attached")
    boxes = bob.page.evaluate(
        "[...document.querySelectorAll('.order')].map((row) => [row.getBoundingClientRect().width,"
        " ...[...row.children].map((cell) => cell.getBoundingClientRect().x)])"
    )
    assert len({tuple(row) for row in boxes}) == 1, "all have the columns of one grid"
    width, first, second = boxes[0]
    assert (width, second > first) == (0, True)


def test_a_row_of_two_lines_is_a_tbody(hall, view):
    hall.change("order", "a")
    bob = view("bob").open("/recipe/_lines.html/")
    hall.change("order", "b")
    bob.page.locator("table > tbody[data-instant-key]").nth(1).wait_for(state="attached")
    assert bob.page.locator("table > tbody > tr").count() == 4
    hall.change("remove", "a")
    bob.page.wait_for_function("document.querySelectorAll('tr').length === 2")


def test_json_for_pages_that_draw_by_themselves(hall, view):
    hall.change("order", "b")
    bob = view("bob").open("/orders/json/")

    def draws(*titles):
        bob.page.wait_for_function(
            "(titles) => JSON.stringify(window.drawn) === titles",
            arg=json.dumps(titles, separators=(",", ":")),
            timeout=PATIENCE,
        )

    draws("b")
    hall.change("order", "a")
    draws("a", "b")
    hall.change("rename", "a", "c")
    draws("b", "c")
    hall.change("forget_lists")
    bob.page.evaluate("instant.refresh()")
    hall.change("order", "d")
    draws("b", "c", "d")


def test_a_test_waits_until_its_lists_are_live(view):
    bob = view("bob")
    bob.page.goto(f"{bob.url}/orders/")
    wait_until_live(bob.page)
    name = "JSON.parse(document.querySelector('tbody').dataset.instantList).channel"
    assert bob.page.evaluate(f"instant.channel({name}).status") == "live"

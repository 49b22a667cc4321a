"""{% live %} in Chromium, on both servers: each viewer sees what is theirs, and misses nothing."""

import pytest

from instant.testing import wait_until_live
from tests.client.hall.cache import Cache
from tests.client.hall.running import Hall
from tests.real_server import KINDS

ATTRIBUTES = """() => Object.fromEntries(
  [...document.querySelector("main > instant-live").attributes].map(({ name, value }) => [name, value]))"""
# And notes what is shown from then on.
PUT_ANOTHER = """fresh => {
  window.main = document.querySelector("main > instant-live");
  window.shown = ["other"];
  main.querySelector("b").textContent = "other";
  for (const [name, value] of Object.entries(fresh)) main.setAttribute(name, value);
  const note = () => {
    const { textContent } = main.querySelector("b");
    if (textContent !== shown.at(-1)) shown.push(textContent);
  };
  new MutationObserver(note).observe(main, { subtree: true, childList: true, characterData: true });
}"""


@pytest.fixture(scope="module", params=KINDS)
def hall(request, tmp_path_factory):
    with Hall(tmp_path_factory.mktemp("fragments"), request.param) as running:
        running.change("register", "ann", "guests")
        running.change("register", "bob", "guests")
        yield running


@pytest.fixture
def note(hall):
    return hall.change("make_note", "first")


class Viewer:
    """A browser; ``asked`` has its requests for fragments."""

    def __init__(self, context, url):
        self.context, self.url = context, url
        self.asked, self.problems = [], []
        context.on("request", self._note)
        context.on("weberror", lambda error: self.problems.append(str(error.error)))
        self.page = context.new_page()

    def _note(self, request):
        if "/instant/fragments/" in request.url:
            self.asked.append(request)

    def log_in(self, user):
        self.page.goto(self.url)
        self.page.evaluate("(user) => instant.login(user, 'pw').then(() => undefined)", user)
        return self

    def open(self, path):
        self.page.goto(self.url + path)
        wait_until_live(self.page, timeout=30)
        return self

    def shows(self, selector, text):
        self.page.wait_for_function(
            "([selector, text]) => document.querySelector(selector)?.textContent === text",
            arg=[selector, text],
            timeout=30_000,
        )
        assert self.problems == []

    def becomes(self, status, selector="main > instant-live"):
        self.page.wait_for_function(
            "([selector, status]) => document.querySelector(selector).status === status",
            arg=[selector, status],
            timeout=30_000,
        )

    @property
    def seen(self):
        return self.page.evaluate("seen.splice(0)")


@pytest.fixture
def view(hall, chromium):
    contexts = []

    def open_browser(user=None, url=hall.url):
        context = chromium.new_context()
        contexts.append(context)
        viewer = Viewer(context, url)
        return viewer.log_in(user) if user else viewer

    yield open_browser
    for context in contexts:
        context.close()


def test_two_viewers_see_each_their_own(hall, view, note):
    viewers = {name: view(name).open(f"/fragment/{note}/") for name in ("ann", "bob")}
    assert [viewer.asked for viewer in viewers.values()] == [[], []]  # nothing is missing
    hall.change("rename_note", note, "second")
    for name, viewer in viewers.items():
        viewer.shows("main b", "second")
        viewer.shows("main u", name)
        viewer.shows("section i", "SECOND")
        assert len(viewer.asked) == 1  # for both fragments
        assert viewer.seen == [["updated", "main"], ["updated", "section"]]


def test_what_is_there_stays_where_nothing_differs(hall, view, note):
    viewer = view("ann").open(f"/fragment/{note}/")
    viewer.page.evaluate("document.querySelector('main u').mine = true")
    hall.change("rename_note", note, "second")
    viewer.shows("main b", "second")
    assert viewer.page.evaluate("document.querySelector('main u').mine")


def test_a_change_between_rendering_and_subscribing_isnt_missed(hall, view, note):
    viewer = view("ann")
    viewer.page.goto(f"{hall.url}/fragment/{note}/?late=later")
    viewer.shows("main b", "later")
    viewer.shows("section i", "LATER")
    assert len(viewer.asked) == 1


def test_who_loses_the_right_sees_it_let_go(hall, view, note):
    ann, bob = (view(name).open(f"/fragment/{note}/") for name in ("ann", "bob"))
    hall.change("take", "ann", "guests")
    try:
        ann.shows("main > instant-live", "")
        ann.shows("section > instant-live", "")
        ann.becomes("denied")
        hall.change("rename_note", note, "secret")
        bob.shows("main b", "secret")
        assert "secret" not in ann.page.content()
        assert ["denied", "main"] in ann.seen
    finally:
        hall.change("put", "ann", "guests")
    # The right is there again: the next connection shows it again.
    ann.page.evaluate("instant.refresh().then(() => undefined)")
    ann.shows("main b", "secret")


def test_a_right_that_is_lost_while_the_page_is_away(hall, view, note):
    ann = view("ann").open(f"/fragment/{note}/")
    ann.page.evaluate("instant.disconnect()")
    hall.change("take", "ann", "guests")
    try:
        ann.page.evaluate("instant.connect().then(() => undefined)")
        ann.shows("main > instant-live", "")
    finally:
        hall.change("put", "ann", "guests")


def test_a_stolen_reference_shows_nothing(hall, view, note):
    ann = view("ann").open(f"/fragment/{note}/")
    ref = ann.page.locator("main > instant-live").get_attribute("ref")
    answer = view().page
    answer.goto(hall.url)
    told = answer.evaluate(
        """(ref) => fetch("/instant/fragments/", {
             method: "POST", headers: { "Content-Type": "application/json" },
             body: JSON.stringify({ refs: [ref] }) }).then((response) => response.text())""",
        ref,
    )
    assert told == '{"fragments": [{"state": "denied"}]}'


def test_what_is_deleted_is_gone(hall, view, note):
    viewer = view("ann").open(f"/fragment/{note}/")
    hall.change("remove_note", note)
    viewer.shows("main > instant-live", "")
    viewer.becomes("gone")
    assert ["gone", "main"] in viewer.seen


def test_a_reference_that_has_ended_is_replaced_from_the_page(hall, view, note):
    viewer = view("ann").open(f"/fragment/{note}/")
    pages = []
    viewer.page.on(
        "request", lambda one: pages.append(one.url) if "/fragment/" in one.url else None
    )
    viewer.page.evaluate(
        "for (const one of document.querySelectorAll('instant-live')) one.setAttribute('ref', 'old')"
    )
    hall.change("rename_note", note, "second")
    viewer.shows("main b", "second")
    viewer.shows("section i", "SECOND")
    assert pages == [f"{hall.url}/fragment/{note}/"]
    hall.change("rename_note", note, "third")
    viewer.shows("main b", "third")
    assert len(pages) == 1


def test_one_that_has_ended_and_isnt_on_the_page_any_more(hall, view, note):
    viewer = view("ann").open(f"/fragment/{note}/")
    viewer.page.evaluate(
        """const one = document.querySelector("main > instant-live");
           one.setAttribute("ref", "old"); one.setAttribute("key", "none")"""
    )
    hall.change("rename_note", note, "second")
    viewer.becomes("old")
    viewer.shows("section i", "SECOND")
    assert ["lost", "main"] in viewer.seen
    viewer.shows("main b", "first")


def test_it_is_shown_again_in_the_language_of_its_page(hall, view, note):
    viewer = view("ann").open(f"/fragment/{note}/?language=de")
    viewer.shows("main em", "Januar")
    hall.change("rename_note", note, "second")
    viewer.shows("main b", "second")
    viewer.shows("main em", "Januar")


def test_content_that_is_loaded_later_is_picked_up_and_lets_go(hall, view, note):
    viewer = view("ann")
    page = viewer.page
    other = hall.change("make_note", "other")
    viewer.open(f"/fragment/{note}/")
    page.evaluate(
        """async (path) => {
             const html = await (await fetch(path)).text();
             const main = new DOMParser().parseFromString(html, "text/html").querySelector("main");
             document.body.append(Object.assign(document.createElement("aside"), { innerHTML: main.innerHTML }));
           }""",
        f"/fragment/{other}/",
    )
    wait_until_live(page)
    hall.change("rename_note", other, "changed")
    viewer.shows("aside b", "changed")
    page.evaluate("document.querySelector('aside').remove()")
    page.wait_for_function("(name) => instant.channel(name).status === 'idle'", arg=f"desk:{other}")
    asked = len(viewer.asked)
    hall.change("rename_note", other, "again")
    hall.change("rename_note", note, "second")
    viewer.shows("main b", "second")
    assert len(viewer.asked) == asked + 1


def test_what_comes_late_to_a_channel_that_is_heard_misses_nothing(hall, view, note):
    viewer = view("ann").open(f"/fragment/{note}/")
    page = viewer.page
    old = page.evaluate("document.querySelector('main').innerHTML")
    hall.change("rename_note", note, "second")
    viewer.shows("main b", "second")
    # Rendered before the change, and put in after it.
    page.evaluate(
        "(innerHTML) => document.body.append(Object.assign(document.createElement('aside'), { innerHTML }))",
        old,
    )
    viewer.shows("aside b", "second")


def test_an_answer_to_what_was_there_before_is_not_shown(hall, view, note):
    other = hall.change("make_note", "other")
    viewer = view("ann").open(f"/fragment/{note}/")
    fresh = view("ann").open(f"/fragment/{other}/").page.evaluate(ATTRIBUTES)
    late = []
    viewer.page.route("**/instant/fragments/", lambda route: late.append(route), times=1)  # noqa: PLW0108
    hall.change("rename_note", note, "second")
    while not late:
        viewer.page.wait_for_timeout(20)
    # What is around it shows another object there, before the answer comes.
    viewer.page.evaluate(PUT_ANOTHER, fresh)
    late[0].continue_()
    viewer.shows("section i", "SECOND")  # the answer is there
    hall.change("rename_note", other, "third")
    viewer.shows("main b", "third")
    assert viewer.page.evaluate("shown") == ["other", "third"]
    assert fresh["ref"] in viewer.asked[1].post_data


def test_a_server_that_has_forgotten_everything_costs_one_question(hall, view, note):
    viewer = view("ann").open(f"/fragment/{note}/")
    hall.stop_server()
    try:
        viewer.page.wait_for_function("instant.status === 'offline'")
        hall.change("rename_quietly", note, "second")
    finally:
        hall.start_server()
    viewer.shows("main b", "second")
    viewer.shows("section i", "SECOND")
    assert len(viewer.asked) == 1
    hall.change("rename_note", note, "third")
    viewer.shows("main b", "third")


@pytest.mark.back_forward_cache
def test_a_page_from_the_back_forward_cache_goes_on(hall, view, note):
    viewer = view("ann").open(f"/fragment/{note}/")
    page = viewer.page
    page.evaluate(
        "() => addEventListener('pageshow', ({ persisted }) => { window.wasCached = persisted; })"
    )
    page.goto(hall.url)
    hall.change("rename_note", note, "second")
    page.go_back(wait_until="commit")
    viewer.shows("main b", "second")
    assert page.evaluate("wasCached")
    assert len(viewer.asked) == 1


def test_a_public_one_comes_from_the_cache(hall, view, note, tmp_path):
    with Cache(tmp_path, hall) as cache:
        viewers = [view(url=cache.url).open(f"/public/{note}/") for _ in range(3)]
        said = []
        for viewer in viewers:
            viewer.page.on(
                "response",
                lambda one: said.append(one.headers.get("x-cache")) if "v=" in one.url else None,
            )
        for name in ("second", "third"):
            hall.change("rename_note", note, name)
            for viewer in viewers:
                viewer.shows("main b", name)
        assert all("cookie" not in one.all_headers() for viewer in viewers for one in viewer.asked)
        assert len(said) == 6
        assert said.count("MISS") == 2

"""The real htmx, Alpine and Turbo: they hear the events, and bring and take elements."""

import pytest
from playwright.sync_api import expect

from tests.browser.fragments import MODULES, URL, Page
from tests.browser.held import Held

HTMX = {2: MODULES / "htmx.org/dist/htmx.min.js", 4: MODULES / "htmx-4/dist/htmx.min.js"}
ALPINE = MODULES / "alpinejs/dist/cdn.min.js"
TURBO = MODULES / "@hotwired/turbo/dist/turbo.es2017-umd.js"

pytestmark = pytest.mark.skipif(
    not TURBO.exists(), reason="the client's packages are not installed (npm ci)"
)


@pytest.fixture
def live(chromium):
    context = chromium.new_context()
    page = Page(context.new_page())
    yield page
    context.close()
    assert page.problems == []


def load(live, path, **options):
    live.serve("/library.js", path.read_text(), "text/javascript")
    return '<script src="/library.js" defer></script>'


def listens(page, name, count=1):
    page.wait_for_function(f"(count) => instant.heard({name!r}) === count", arg=count)


@pytest.fixture(params=HTMX)
def htmx(live, request):
    return load(live, HTMX[request.param])


def test_htmx_asks_again(live, htmx):
    live.serve("/orders", "<b>new</b>")
    page = live.open(
        '<div hx-get="/orders" hx-trigger="instant:message, instant:lost" hx-target="#list">'
        '<instant-source channel="user:1"></instant-source><p id="list">old</p></div>',
        head=htmx,
    )
    page.evaluate(
        "instant.tell('user:1', 'message', { channel: 'user:1', client: '', eventClass: 'moved' })"
    )
    expect(page.locator("#list")).to_have_text("new")
    page.evaluate("instant.tell('user:1', 'lost', { channel: 'user:1' })")
    page.wait_for_function(
        "() => performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/orders')).length === 2"
    )


def test_htmx_loads_and_removes_elements(live, htmx):
    live.serve("/part", '<instant-source channel="user:1"></instant-source><b>part</b>')
    live.serve("/other", "<b>other</b>")
    page = live.open(
        '<div id="target">none</div><button hx-get="/part" hx-target="#target">Part</button>'
        '<a hx-get="/other" hx-target="#target" href="#">Other</a>',
        head=htmx,
    )
    page.get_by_text("Part").click()
    expect(page.locator("#target b")).to_have_text("part")
    listens(page, "user:1")
    page.get_by_text("Other").click()
    expect(page.locator("#target b")).to_have_text("other")
    listens(page, "user:1", 0)


@pytest.mark.parametrize("action", ["update", "append", "replace", "morph"])
def test_htmx_knows_new_content(live, htmx, action):
    live.serve("/more", "more")
    page = live.open('<div id="target"><p>1</p></div><p id="list"></p>', head=htmx)
    button = '<button hx-get="/more" hx-target="#list">More</button>'
    live.arrive(
        f'<div id="target">{button}</div>' if action == "replace" else button, action=action
    )
    page.get_by_text("More").click()
    expect(page.locator("#list")).to_have_text("more")


def test_a_request_of_htmx_that_is_on_its_way(live, htmx):
    """A morph in between takes neither the element nor what it waits for."""
    page = live.open(
        '<div id="target"><b>1</b><button id="go" hx-get="/slow" hx-target="#list">Go</button>'
        '<p id="list"></p></div>',
        head=htmx,
    )
    slow = Held(page, f"{URL}slow")
    page.get_by_text("Go").click()
    page.wait_for_function("() => document.querySelector('#go').classList.contains('htmx-request')")
    live.arrive(
        '<b>2</b><button id="go" hx-get="/slow" hx-target="#list">Go</button><p id="list"></p>'
    )
    expect(page.locator("b")).to_have_text("2")
    slow.first().fulfill(body="done", content_type="text/html")
    expect(page.locator("#list")).to_have_text("done")
    assert "htmx-request" not in (page.locator("#go").get_attribute("class") or "")


def test_alpine_hears_events(live):
    page = live.open(
        """<div x-data="{ n: 0, last: '' }" @instant:message="n++; last = $event.detail.data.text">
        <instant-source channel="user:1"></instant-source><b x-text="n + last"></b></div>""",
        head=load(live, ALPINE),
    )
    expect(page.locator("b")).to_have_text("0")
    page.evaluate(
        "instant.tell('user:1', 'message', { eventClass: '', client: '', data: { text: '!' } })"
    )
    expect(page.locator("b")).to_have_text("1!")


def test_alpine_shows_and_takes_elements(live):
    page = live.open(
        """<div x-data="{ on: false }"><button @click="on = !on">Turn</button>
        <template x-if="on"><instant-source channel="user:1"></instant-source></template></div>""",
        head=load(live, ALPINE),
    )
    page.get_by_text("Turn").click()
    listens(page, "user:1")
    page.get_by_text("Turn").click()
    listens(page, "user:1", 0)


def test_what_alpine_has_made_stays(live):
    def content(number):
        return f"""<b>{number}</b><div x-data="{{ open: false, rows: [1, 2] }}" id="box">
          <button @click="open = !open; rows.push(3)">Open</button>
          <p x-show="open" :class="open && 'on'">shown {number}</p>
          <ul><template x-for="(row, i) in rows" :key="i"><li x-text="row"></li></template></ul>
          <template x-if="open"><i>made</i></template><u>{number}</u></div>"""

    page = live.open(f'<div id="target">{content(1)}</div>', head=load(live, ALPINE))
    page.get_by_text("Open").click()
    expect(page.locator("li")).to_have_text(["1", "2", "3"])
    for number in (2, 3):
        live.arrive(content(number))
        expect(page.locator("u")).to_have_text(str(number))
        expect(page.locator("p")).to_be_visible()
        expect(page.locator("p")).to_have_text(f"shown {number}")
        expect(page.locator("p.on")).to_have_count(1)
        expect(page.locator("li")).to_have_text(["1", "2", "3"])
        expect(page.locator("i")).to_have_count(1)
    page.get_by_text("Open").click()
    expect(page.locator("p")).to_be_hidden()
    expect(page.locator("i")).to_have_count(0)
    expect(page.locator("li")).to_have_count(4)


def test_what_alpine_has_set_in_content_of_others(live):
    """Which nobody has seen as the server has sent it."""
    content = '<b>{}</b><div x-data="{{ open: true }}"><p x-show="!open" :class="open && \'on\'">shown</p></div>'
    page = live.open('<div id="target"></div>', head=load(live, ALPINE))
    page.evaluate("(html) => { target.innerHTML = html }", content.format(1))
    expect(page.locator("p.on")).to_be_hidden()
    live.arrive(content.format(2))
    expect(page.locator("b")).to_have_text("2")
    expect(page.locator("p.on")).to_be_hidden()
    expect(page.locator("p.on")).to_have_count(1)


def test_alpine_knows_new_content(live):
    page = live.open('<div id="target"></div>', head=load(live, ALPINE))
    live.arrive('<p x-data="{ n: 1 }"><button @click="n++" x-text="n"></button></p>')
    page.locator("button").click()
    expect(page.locator("button")).to_have_text("2")


def turbo_page(live, channel, link):
    return (
        f'<h1>{channel}</h1><a href="{link}">go</a>'
        f'<turbo-frame id="frame" src="/frame"></turbo-frame>'
        f'<instant-source channel="{channel}"></instant-source>'
    )


def test_turbo_visits_and_restores_pages(live):
    library = load(live, TURBO)
    head = f"{library}<script src=/live.js defer></script>"
    live.serve("/frame", '<turbo-frame id="frame">framed</turbo-frame>')
    live.serve(
        "/two", f"<!doctype html><head>{head}</head><body>{turbo_page(live, 'user:2', '/')}</body>"
    )
    page = live.open(turbo_page(live, "user:1", "/two"), head=library)
    listens(page, "user:1")
    page.evaluate("window.same = true")
    page.get_by_text("go", exact=True).click()
    expect(page.locator("h1")).to_have_text("user:2")
    listens(page, "user:2")
    listens(page, "user:1", 0)
    page.go_back()
    expect(page.locator("h1")).to_have_text("user:1")
    listens(page, "user:1")
    listens(page, "user:2", 0)
    assert page.evaluate("same")  # it was Turbo each time


def test_turbo_reloads_a_frame(live):
    live.serve(
        "/frame",
        '<turbo-frame id="frame"><instant-source channel="user:1"></instant-source>framed</turbo-frame>',
    )
    page = live.open('<turbo-frame id="frame" src="/frame"></turbo-frame>', head=load(live, TURBO))
    expect(page.locator("turbo-frame")).to_contain_text("framed")
    page.evaluate(
        "addEventListener('instant:message', ({ target }) => target.closest('turbo-frame')?.reload())"
    )
    listens(page, "user:1")
    live.serve(
        "/frame",
        '<turbo-frame id="frame"><instant-source channel="user:1"></instant-source>again</turbo-frame>',
    )
    page.evaluate("instant.tell('user:1', 'message', { eventClass: 'moved', client: '' })")
    expect(page.locator("turbo-frame")).to_contain_text("again")
    listens(page, "user:1")


def test_turbo_streams_in_a_message(live):
    page = live.open('<b id="target">1</b>', head=load(live, TURBO))
    page.evaluate(
        "addEventListener('instant:message', ({ detail }) => Turbo.renderStreamMessage(detail.data.stream))"
    )
    stream = '<turbo-stream action="update" target="target"><template>2</template></turbo-stream>'
    live.tell(eventClass="stream", data={"stream": stream})
    expect(page.locator("b")).to_have_text("2")

"""The element that listens: what it tells the page, shows, picks up and lets go, and what it never inserts."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser.fragments import Page


@pytest.fixture
def live(chromium):
    context = chromium.new_context()
    page = Page(context.new_page())
    yield page
    context.close()
    assert page.problems == []


HEAR = """<script>
  window.heard = [];
  for (const name of ["message", "open", "lost", "denied", "updated"])
    addEventListener("instant:" + name, ({ target, detail }) => heard.push([name, target.localName, detail]));
</script>"""


def heard(page):
    return page.evaluate("heard.splice(0)")


def test_what_is_done_with_the_target(live):
    page = live.open('<ul id="list"><li id="a">a</li></ul>')
    items = page.locator("#list > li")
    for html, target, action, left in (
        ("<li>b</li><li>c</li>", "#list", "append", "a b c"),
        ("<li>0</li>", "#list", "prepend", "0 a b c"),
        ("<li>1</li>", "#a", "before", "0 1 a b c"),
        ("<li>2</li>", "#a", "after", "0 1 a 2 b c"),
        ("<li id=a>A</li>", "#a", "replace", "0 1 A 2 b c"),
        ("A!", "#a", "update", "0 1 A! 2 b c"),
        ("", "#a", "remove", "0 1 2 b c"),
        ("<li>x</li>", "#list", "morph", "x"),
        ("<i>y</i>", "#list > li, .none", "update", "y"),
    ):
        live.arrive(html, target, action)
        expect(items).to_have_text(left.split())


@pytest.mark.parametrize("action", ["append", "prepend", "before", "after"])
def test_what_comes_again_stands_there_once(live, action):
    page = live.open('<ul id="list"><li id="a">a</li><li id="b">b</li></ul>')
    target = "#list" if "end" in action else "#a"
    for text in ("new", "newer"):
        live.arrive(f"<li id=n>{text}</li>", target, action)
    expect(page.locator("#n")).to_have_count(1)
    expect(page.locator("#n")).to_have_text("newer")
    live.arrive("<li id=a>A</li>", target, action)
    assert page.locator("#a").count() == (2 if target == "#a" else 1)


def test_each_element_that_matches(live):
    page = live.open('<b class="n">1</b><p></p><b class="n">1</b>')
    live.arrive("2", ".n", "update")
    expect(page.locator(".n")).to_have_text(["2", "2"])


def test_a_selector_that_is_wrong_harms_nothing_else(live):
    page = live.open('<b id="target">1</b>')
    with pytest.raises(Exception, match="not a valid selector"):
        live.arrive("2", "#1", "update")
    live.arrive("2", "#target", "update")
    expect(page.locator("b")).to_have_text("2")


def test_html_of_a_browser_is_never_inserted(live):
    page = live.open('<b id="target">1</b>')
    live.arrive("<i>forged</i>", "#target", "update", client="6a1f")
    live.arrive("<i>forged</i>", "#target", "update", client="6a1f", own=True)
    live.tell(
        eventClass="instant.html", data={"html": "x", "target": "#target", "action": "update"}
    )
    expect(page.locator("b")).to_have_text("1")


def test_events(live):
    page = live.open('<b id="target">1</b>', head=HEAR)
    page.evaluate("instant.tell('news', 'status', 'subscribing')")
    assert heard(page) == []
    for status in ("live", "lost", "live", "subscribing", "live"):
        page.evaluate("(status) => instant.tell('news', 'status', status)", status)
    opened = ["open", "instant-source", {"channel": "news"}]
    assert heard(page) == [opened, opened]
    page.evaluate("instant.tell('news', 'lost', { channel: 'news' })")
    page.evaluate("instant.tell('news', 'status', 'denied')")
    assert [name for name, _target, _detail in heard(page)] == ["lost", "denied"]
    live.tell(eventClass="moved", data={"pk": 7})
    live.arrive("2", action="update")
    told = heard(page)
    assert [(name, target) for name, target, _detail in told] == [
        ("message", "instant-source"), ("message", "instant-source"), ("updated", "b"),
    ]  # fmt: skip
    assert told[0][2] == {"channel": "news", "client": "", "eventClass": "moved", "data": {"pk": 7}}
    assert told[2][2] == {"action": "update"}


def test_where_the_channel_is_live_already(live):
    page = live.open("", head=HEAR)
    page.evaluate("instant.tell('news', 'status', 'live'); heard.length = 0")
    page.evaluate(
        """() => {
          const source = document.createElement("instant-source");
          source.setAttribute("channel", "news");
          source.id = "second";
          document.body.append(source);
        }"""
    )
    assert heard(page) == [["open", "instant-source", {"channel": "news"}]]


def test_some_events_only(live):
    page = live.open('<b id="target">1</b>', head=HEAR)
    page.locator("instant-source").evaluate(
        "(one) => one.setAttribute('events', 'moved, gone shipped')"
    )
    for name in ("moved", "gone", "shipped", "move", ""):
        live.tell(eventClass=name)
    live.arrive("2", action="update")
    names = [detail.get("eventClass", detail.get("action")) for _n, _t, detail in heard(page)]
    assert names == ["moved", "gone", "shipped", "update"]
    expect(page.locator("b")).to_have_text("2")


def test_a_listener_may_keep_html_away(live):
    page = live.open('<b id="target">1</b>')
    page.evaluate(
        "addEventListener('instant:message', (event) => event.preventDefault(), { once: true })"
    )
    live.arrive("2", action="update")
    expect(page.locator("b")).to_have_text("1")
    live.arrive("3", action="update")
    expect(page.locator("b")).to_have_text("3")


def test_two_elements_show_it_once(live):
    body = '<ul id="target"></ul><instant-source channel="news"></instant-source>'
    page = live.open(body, head=HEAR, sources=2)
    live.arrive("<li>1</li>", action="append")
    expect(page.locator("li")).to_have_count(1)
    assert [name for name, _t, _d in heard(page)].count("message") == 2


def test_content_that_comes_and_goes(live):
    page = live.open('<div id="target"></div>')
    count = "(name) => instant.heard(name)"
    live.arrive('<instant-source channel="user:1"></instant-source>', action="update")
    assert page.evaluate(count, "user:1") == 1
    live.arrive('<p></p><instant-source channel="user:1"></instant-source>')
    assert page.evaluate(count, "user:1") == 1
    live.arrive('<p></p><instant-source channel="user:2"></instant-source>')
    assert [page.evaluate(count, name) for name in ("user:1", "user:2")] == [0, 1]
    # Moved, and taken out and put back.
    page.evaluate("document.body.prepend(target)")
    assert page.evaluate(count, "user:2") == 1
    live.arrive("", action="update")
    assert page.evaluate(count, "user:2") == 0
    # One without a channel waits for it.
    live.arrive("<instant-source></instant-source>", action="update")
    page.locator("#target instant-source").evaluate(
        "(one) => one.setAttribute('channel', 'user:3')"
    )
    assert page.evaluate(count, "user:3") == 1


def test_the_position_goes_along(live):
    page = live.open('<b id="target"></b>')
    page.evaluate(
        """() => {
          const channel = instant.channel;
          instant.channel = (name) => {
            const found = channel(name), { on } = found;
            return { ...found, get status() { return found.status },
                     on: (event, call, options) => { window.since = options.since; on(event, call, options); } };
          };
        }"""
    )
    page.locator("instant-source").evaluate("(one) => one.remove()")
    page.evaluate(
        """document.body.insertAdjacentHTML("beforeend",
             '<instant-source channel="news" offset="7" epoch="ep"></instant-source>')"""
    )
    assert page.evaluate("since") == {"offset": 7, "epoch": "ep"}
    live.tell(offset=9)
    # As Turbo does with a page that it shows again.
    page.locator("instant-source").evaluate("(one) => one.replaceWith(one.cloneNode(true))")
    assert page.evaluate("since") == {"offset": 9, "epoch": "ep"}


def test_it_takes_no_place(live):
    page = live.open("<div style='display:grid;gap:10px'><b>1</b></div>")
    page.evaluate("document.querySelector('div').append(document.querySelector('instant-source'))")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('instant-source')).display")
        == "contents"
    )


# Scripts and the page's Content Security Policy

RUN = "<script>window.ran = true</script><b>2</b>"
ACTIONS = ["update", "append", "replace", "morph"]


def run(live, html, action):
    live.arrive(f'<div id="target">{html}</div>' if action == "replace" else html, action=action)
    live.page.evaluate("new Promise(requestAnimationFrame)")
    return live.page.evaluate("window.ran === true")


@pytest.mark.parametrize("action", ACTIONS)
def test_scripts_run_where_nothing_forbids_it(live, action):
    live.open('<div id="target"></div>')
    assert run(live, RUN, action)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "policy", ["script-src 'nonce-n1'", "script-src 'nonce-n1' 'strict-dynamic'"]
)
def test_a_page_with_a_nonce(live, action, policy):
    live.is_refused = True
    live.serve("/more.js", "window.ran = true", "text/javascript")
    live.open('<div id="target"></div>', nonce="n1", policy=policy)
    assert not run(live, RUN, action)
    assert not run(live, RUN.replace("<script", "<script nonce=n2"), action)
    assert not run(live, "<p><script src=/more.js></script></p>", action)
    assert not run(live, "<img src=x: onerror='window.ran = true'>", action)
    assert live.files["/more.js"] == 0
    assert run(live, RUN.replace("<script", "<script nonce=n1"), action)


def test_a_page_that_allows_its_own_scripts_only(live):
    live.serve("/connection.js", "", "text/javascript")
    live.open('<div id="target"></div>', policy="script-src 'self' 'unsafe-inline'")
    assert run(live, RUN, "update")


def test_a_page_without_inline_scripts(live):
    from tests.browser import fragments

    live.is_refused = True
    body = '<div id="target"></div><instant-source channel="news"></instant-source>'
    live.serve("/connection.js", fragments.CONNECTION, "text/javascript")
    live.serve("/live.js", fragments.SCRIPT, "text/javascript")
    html = f"<!doctype html><script src=/connection.js></script><script src=/live.js defer></script>{body}"
    live.serve("/", html, headers={"Content-Security-Policy": "script-src 'self'"})
    live.page.goto(fragments.URL)
    assert not run(live, RUN, "morph")
    live.serve("/more.js", "window.ran = true", "text/javascript")
    live.arrive("<script src=/more.js></script>")
    live.page.wait_for_function("() => window.ran === true")


def test_data_is_no_script(live):
    page = live.open('<div id="target"></div>', nonce="n1", policy="script-src 'nonce-n1'")
    live.arrive('<script type="application/json" id="data">{"n": 1}</script>')
    assert json.loads(page.locator("#data").text_content()) == {"n": 1}


def test_trusted_types(live):
    page = live.open(
        '<div id="target"></div>',
        policy="require-trusted-types-for 'script'; trusted-types instant",
    )
    for action in ACTIONS:
        live.arrive(
            f'<div id="target">{action}</div>' if action == "replace" else action, action=action
        )
        expect(page.locator("#target")).to_contain_text(action)

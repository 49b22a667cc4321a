"""What a page does itself is on it at once, and confirmed by the message that it caused."""

import re

from playwright.sync_api import expect

from tests.browser.held import Held

NUMBER = re.compile(r"^[0-9]+$")
MESSAGES = """() => {
  window.heard = [];
  instant.channel("$staff").on("activity", ({ id, own, recovered }) => heard.push({ id, own, recovered }));
}"""


def write(visitor, text="Your bolts are behind the counter."):
    page = visitor.page
    page.get_by_label("To").select_option(label="ada")
    page.get_by_label("Text").fill(text)
    page.get_by_role("button", name="Send").click()


def at_the_desk(visit, user):
    visitor = visit(user)
    visitor.open("/desk/")
    visitor.page.evaluate(MESSAGES)
    visitor.lines = visitor.page.locator("#feed li").filter(has_text="sent ada a note")
    visitor.before = visitor.lines.count()
    return visitor


def hears(visitor, count=1):
    visitor.page.wait_for_function("(count) => window.heard.length === count", arg=count)
    return visitor.page.evaluate("window.heard")


def is_confirmed(visitor, lines=1):
    """Its newest line came true, and nothing is there twice."""
    line = visitor.lines.first
    expect(line).to_have_attribute("data-instant-key", NUMBER)
    expect(line).not_to_have_attribute("aria-busy", "true")
    expect(visitor.lines).to_have_count(visitor.before + lines)


def test_a_line_is_there_before_django_has_heard_of_it(visit):
    sam, root = at_the_desk(visit, "sam"), at_the_desk(visit, "root")
    held = Held(sam.page, "**/desk/note/")
    write(sam)
    expect(sam.lines.first).to_have_attribute("aria-busy", "true")
    assert root.lines.count() == root.before
    expect(sam.page.get_by_label("Text")).to_have_value("")
    held.first().continue_()
    is_confirmed(sam)
    expect(root.lines).to_have_count(root.before + 1)
    # One publication; whose page caused it is known to that page alone.
    [own], [other] = hears(sam), hears(root)
    assert own["id"] == other["id"] != ""
    assert (own["own"], other["own"]) == (True, False)


def test_the_message_may_be_faster_than_the_answer(visit):
    sam = at_the_desk(visit, "sam")
    held = Held(sam.page, "**/desk/note/")
    write(sam)
    route = held.first()
    # Django has answered, the page hasn't heard it.
    response = route.fetch()
    [message] = hears(sam)
    expect(sam.lines.first).to_have_attribute("aria-busy", "true")
    assert response.json() == {"id": message["id"]}
    route.fulfill(response=response)
    is_confirmed(sam)


def test_a_lost_connection_confirms_it_later(visit, relay):
    sam = at_the_desk(visit, "sam")
    sam.is_cut = True
    relay.cut()
    try:
        expect(sam.page.locator("#connection")).not_to_have_attribute("data-status", "live")
        with sam.page.expect_response("**/desk/note/"):
            write(sam)
        expect(sam.lines.first).to_have_attribute("aria-busy", "true")
    finally:
        relay.heal()
    is_confirmed(sam)
    assert hears(sam) == [{"id": hears(sam)[0]["id"], "own": True, "recovered": True}]


def test_what_django_refuses_is_taken_back(visit):
    sam = at_the_desk(visit, "sam")
    sam.page.get_by_label("To").select_option(label="ada")
    sam.page.get_by_label("Text").evaluate("(field) => field.removeAttribute('maxlength')")
    sam.page.get_by_label("Text").fill("x" * 281)
    sam.page.get_by_role("button", name="Send").click()
    expect(sam.page.get_by_role("alert")).to_contain_text("at most 280 characters")
    expect(sam.lines).to_have_count(sam.before)
    expect(sam.page.get_by_label("Text")).to_have_value("x" * 281)
    # The browser says that an answer was 400.
    assert [problem for problem in sam.problems if "400" not in problem] == []
    sam.problems.clear()


def test_without_the_script_it_is_a_form(visit):
    sam = visit("sam")
    # Before the module has loaded, or where it cannot.
    sam.context.route(
        "**/shop/js/desk.js", lambda route: route.fulfill(body="", content_type="text/javascript")
    )
    sam.open("/desk/")
    write(sam, "By form")
    expect(sam.page.locator(".message-success")).to_contain_text("Your note is with ada")

"""Answers that are written while one watches: whole on each page, whatever happens meanwhile."""

import re

import pytest
from playwright.sync_api import expect

QUESTION = "Which M8 screws do you have, and what about rust?"


def ask(visitor, text=QUESTION):
    visitor.page.get_by_label("Your question").fill(text)
    visitor.page.get_by_role("button", name="Ask").click()
    answer = newest(visitor.page)
    expect(answer).to_have_attribute("state", "writing")
    return answer


def newest(page):
    return page.locator("instant-stream").first


def kept(site):
    """Return what the database has of the newest answer."""
    said = site.shell(
        "from assistant.models import Question; from instant.streams import read; "
        "print('>>>', read(Question.objects.first().channel).text, sep='', end='')"
    )
    return said.partition(">>>")[2]


def test_a_reload_and_a_second_tab_show_all_of_it(visit):
    ada = visit("ada")
    ada.open("/assistant/")
    answer = ask(ada)
    expect(answer).to_contain_text("This is what we have in M8")
    other = ada.open("/assistant/", page=ada.context.new_page())
    for _ in range(3):
        ada.page.reload()
        ada.live()
        expect(newest(ada.page)).to_have_attribute("state", "writing")
    for page in (ada.page, other):
        expect(newest(page)).to_have_attribute("state", "done")
    text = kept(ada.site)
    assert text.endswith("Is there anything else?")
    for page in (ada.page, other):
        assert newest(page).evaluate("(one) => one.textContent") == text
        assert newest(page).evaluate("(one) => one.text") == text
    # And a page that comes later asks and hears nothing: all of it is there.
    asked = []
    other.on("request", lambda request: asked.append(request.url))
    other.reload()
    ada.live(other)
    assert newest(other).evaluate("(one) => one.textContent") == text
    assert not [url for url in asked if "/streams/" in url]


def test_a_connection_that_breaks_loses_and_doubles_nothing(visit, relay):
    ada = visit("ada")
    ada.open("/assistant/")
    answer = ask(ada)
    expect(answer).to_contain_text("what we have")
    ada.is_cut = True
    relay.cut()
    try:
        expect(ada.page.locator("#connection")).not_to_have_attribute("data-status", "live")
        ada.page.wait_for_timeout(1000)  # what is written meanwhile
    finally:
        relay.heal()
    expect(answer).to_have_attribute("state", "done")
    assert answer.evaluate("(one) => one.textContent") == kept(ada.site)


def test_it_is_stopped_and_another_user_sees_nothing_of_it(visit):
    ada, bob = visit("ada"), visit("bob")
    ada.open("/assistant/")
    answer = ask(ada)
    expect(answer).to_contain_text("This is")
    # Another answer may still be written, which a test before has asked for.
    stop = ada.page.locator("li.entry").first.locator("button.stop")
    stop.click()
    expect(answer).to_have_attribute("state", "cancelled")
    expect(answer.get_by_text("Stopped.")).to_be_visible()
    expect(stop).to_be_hidden()
    assert "anything else" not in kept(ada.site)
    ada.page.reload()
    expect(newest(ada.live()).get_by_text("Stopped.")).to_be_visible()
    channel = newest(ada.page).get_attribute("channel")
    bob.open("/assistant/")
    bob.expects_403 = True
    bob.page.evaluate(
        """(channel) => {
          const element = document.createElement("instant-stream");
          element.setAttribute("channel", channel);
          document.querySelector("main").append(element);
        }""",
        channel,
    )
    expect(newest(bob.page)).to_have_attribute("state", "denied")
    assert newest(bob.page).evaluate("(one) => one.textContent") == ""


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits(visit, width):
    ada = visit("ada", viewport={"width": width, "height": 900})
    ada.open("/assistant/")
    answer = ask(ada)
    expect(answer).to_contain_text(re.compile("stock"))
    assert (
        ada.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        <= 0
    )

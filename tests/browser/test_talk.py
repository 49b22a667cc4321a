"""The talk at the counter: pages publish, and Python sees it first."""

import re

from playwright.sync_api import expect


def say(visitor, text):
    visitor.page.get_by_label("Say something").fill(text)
    visitor.page.get_by_role("button", name="Say it").click()


def test_a_line_is_stored_moderated_and_shown_to_everybody(visit):
    ada, bob = visit("ada"), visit("bob")
    for visitor in (ada, bob):
        visitor.open("/talk/")
    say(ada, "  Darn,   who has shoddy screws? ")
    for visitor in (ada, bob):
        newest = visitor.page.locator("#lines li").first
        expect(newest.locator(".entry-text")).to_have_text("****, who has ****** screws?")
        expect(newest.locator(".meta")).to_contain_text("ada")
    expect(ada.page.get_by_label("Say something")).to_have_value("")
    # Enter says it too, and Shift makes a new line.
    field = bob.page.get_by_label("Say something")
    field.press_sequentially("Not")
    field.press("Shift+Enter")
    field.press_sequentially("me!")
    field.press("Enter")
    expect(ada.page.locator("#lines li .entry-text").first).to_have_text("Not me!")
    bob.page.reload()
    expect(bob.live().locator("#lines li .entry-text").nth(1)).to_contain_text("screws?")


def test_what_is_refused_says_why_and_is_kept(visit):
    ada = visit("ada")
    ada.open("/talk/")
    before = ada.page.locator("#lines li").count()
    say(ada, "   ")
    expect(ada.page.get_by_role("alert")).to_have_text("A line has 1 to 280 characters.")
    expect(ada.page.get_by_label("Say something")).to_have_value("   ")
    say(ada, "Better")
    expect(ada.page.locator("#lines li")).to_have_count(before + 1)
    expect(ada.page.get_by_role("alert")).to_be_hidden()


def test_what_is_typed_while_a_line_is_under_way_is_kept(visit):
    bob = visit("bob").open("/talk/")
    bob.evaluate(
        """() => {
          const form = document.getElementById("talk");
          for (const text of ["Now", "next"]) {
            form.elements.text.value = text;
            if (text === "Now") form.requestSubmit();
          }
        }"""
    )
    expect(bob.locator("#lines .entry-text").first).to_have_text("Now")
    expect(bob.get_by_role("button", name="Say it")).to_be_enabled()
    expect(bob.get_by_label("Say something")).to_have_value("next")


def test_nobody_talks_without_a_break(visit):
    sam = visit("sam")
    sam.open("/talk/")
    lines = sam.page.locator("#lines .entry-text")
    for number in range(1, 11):
        say(sam, f"Line {number}")
        expect(lines.first).to_have_text(f"Line {number}")
    say(sam, "Line 11")
    expect(sam.page.get_by_role("alert")).to_have_text(
        re.compile(r"^That was a lot\. Try again in \d+ seconds?\.$")
    )
    expect(sam.page.get_by_label("Say something")).to_have_value("Line 11")
    expect(lines.first).to_have_text("Line 10")


def test_who_is_here_and_who_is_writing(visit):
    ada, bob = visit("ada"), visit("bob")
    ada.open("/talk/")
    expect(ada.page.locator("#here")).to_have_text("Only you are here")
    bob.open("/talk/")
    expect(ada.page.locator("#here")).to_have_text("You and bob are here")
    expect(bob.page.locator("#here")).to_have_text("You and ada are here")
    bob.page.get_by_label("Say something").press_sequentially("Hm")
    expect(ada.page.locator("#typing")).to_have_text("bob is writing…")
    expect(bob.page.locator("#typing")).to_have_text("")
    bob.page.get_by_role("button", name="Say it").click()
    expect(ada.page.locator("#typing")).to_have_text("")
    expect(ada.page.locator("#lines li .entry-text").first).to_have_text("Hm")
    # Nobody writes in another's name.
    bob.page.evaluate(
        """() => instant.channel("typing:counter").publish({
          eventClass: "typing", data: { name: "root" },
        })"""
    )
    expect(ada.page.locator("#typing")).to_have_text("bob is writing…")
    # And nobody writes for ever.
    expect(ada.page.locator("#typing")).to_have_text("")
    bob.page.goto("about:blank")
    expect(ada.page.locator("#here")).to_have_text("Only you are here")

"""An order that moves on one screen moves on the others."""

import re

from playwright.sync_api import expect


def new_order(ada):
    """Let ada order again what she once had; return the path of the new order's page."""
    ada.open("/orders/1002/")
    ada.page.get_by_role("button", name="Order the same again").click()
    expect(ada.page).not_to_have_url(re.compile("/orders/1002/$"))
    ada.live()
    return ada.page.url.removeprefix(ada.site.url)


def test_the_page_moves_with_the_order(visit):
    ada, sam = visit("ada"), visit("sam")
    path = new_order(ada)
    sam.open(path)
    badge, steps = (
        ada.page.get_by_role("status").filter(has_text="Placed"),
        ada.page.locator(".step"),
    )
    expect(badge).to_be_visible()
    ada.page.evaluate("window.isSamePage = true")
    for number, label in enumerate(("Packed", "Shipped", "Delivered"), 1):
        sam.page.get_by_role("button", name=f"Mark as {label.lower()}").click()
        expect(ada.page.locator("[data-badge]")).to_have_text(label)
        expect(steps.nth(number)).to_have_attribute("aria-current", "step")
        expect(steps.nth(number).locator("time")).to_have_text(re.compile(r"^today, \d\d:\d\d$"))
        expect(steps.nth(number - 1)).to_have_attribute("data-state", "done")
        expect(sam.page.locator("[data-badge]")).to_have_text(label)
        sam.live()
    expect(sam.page.get_by_role("button", name="Mark as")).to_have_count(0)
    assert ada.page.evaluate("window.isSamePage"), "The page was loaded again."


def test_a_move_between_page_and_subscription_is_not_missed(visit):
    ada, sam = visit("ada"), visit("sam")
    path = new_order(ada)
    sam.open(path)
    held, asked = [], []
    # The page is there; it can't subscribe before the order has moved.
    ada.context.route("**/instant/get_token/", lambda route: held.extend([route]))
    ada.page.on("request", lambda request: asked.append(request.url))
    with ada.page.expect_request("**/instant/get_token/"):
        ada.goto(path)
    expect(ada.page.locator("[data-badge]")).to_have_text("Placed")
    sam.page.get_by_role("button", name="Mark as packed").click()
    expect(sam.page.locator("[data-badge]")).to_have_text("Packed")
    for route in held:
        route.continue_()
    expect(ada.page.locator("[data-badge]")).to_have_text("Packed")
    ada.live()
    assert not [url for url in asked if "/snapshot/" in url or url.endswith(".json")]


def test_lists_and_other_pages_hear_of_it(visit):
    ada, sam, root = visit("ada"), visit("sam"), visit("root")
    root.open("/desk/")
    path = new_order(ada)
    number = int(path.strip("/").split("/")[-1])
    expect(root.page.locator("#feed li").first).to_contain_text(f"ada placed Order {number}")
    ada.open("/orders/")
    tab = ada.open("/catalogue/", page=ada.context.new_page())
    sam.open(path)
    sam.page.get_by_role("button", name="Mark as packed").click()
    expect(ada.page.locator("#orders li").first).to_contain_text("Packed")
    expect(tab.locator(".toast")).to_contain_text(f"Order {number}: Packed")
    expect(root.page.locator("#feed li").first).to_contain_text("sam moved")
    expect(root.page.locator("#feed li").first.get_by_role("link")).to_have_attribute("href", path)


def test_two_of_the_staff_cannot_move_it_twice(visit):
    ada, sam = visit("ada"), visit("sam")
    path = new_order(ada)
    # A page that hears nothing keeps the button that is out of date.
    sam.context.route("**/instant/get_token/", lambda route: route.abort("aborted"))
    sam.goto(path)
    root = visit("root")
    root.open(path)
    root.page.get_by_role("button", name="Mark as packed").click()
    expect(root.page.locator("[data-badge]")).to_have_text("Packed")
    sam.page.get_by_role("button", name="Mark as packed").click()
    expect(sam.page.locator(".message-error")).to_contain_text("was moved in the meantime")
    expect(sam.page.locator("[data-badge]")).to_have_text("Packed")


def test_somebody_elses_order_is_not_there(visit):
    bob = visit("bob")
    bob.expects_404 = True
    for path in ("/orders/1004/", "/orders/987654/"):
        bob.open(path)
        expect(bob.page.get_by_role("heading", level=1)).to_have_text(
            "There is nothing here for you"
        )

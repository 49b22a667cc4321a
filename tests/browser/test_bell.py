"""The bell: what it counts, lists and says, on all pages of a user."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser.test_orders import new_order


def bell(page):
    return page.get_by_role("button", name="Notifications")


def badge(page):
    return page.locator("instant-bell .badge")


def panel(page):
    return page.get_by_role("dialog", name="Notifications")


def read_all(visitor):
    """Begin with none that is unread."""
    page = visitor.page
    bell(page).click()
    expect(page.locator("instant-bell .body")).not_to_have_attribute("aria-busy", "true")
    button = panel(page).get_by_role("button", name="Mark all as read")
    if button.is_visible():
        button.click()
    expect(badge(page)).to_be_hidden()
    page.keyboard.press("Escape")


def move(sam, path, label):
    sam.open(path)
    sam.page.get_by_role("button", name=f"Mark as {label}").click()
    expect(sam.page.locator("[data-badge]")).to_have_text(label.title())


def test_a_notification_arrives_and_is_read_everywhere(visit):
    ada, phone, sam = visit("ada"), visit("ada"), visit("sam")
    path = new_order(ada)
    title = f"Order {path.strip('/').split('/')[-1]}: Packed"
    read_all(ada)
    ada.open("/catalogue/")
    tab = ada.open("/notes/", page=ada.context.new_page())
    phone.open("/catalogue/")
    move(sam, path, "packed")
    for page in (ada.page, tab, phone.page):
        expect(badge(page)).to_have_text("1")
        expect(bell(page)).to_have_accessible_name("Notifications, 1 unread")
        expect(page.locator("instant-bell [role=status]")).to_have_text(f"1 unread: {title}")
    bell(phone.page).click()
    row = panel(phone.page).get_by_role("link").first
    expect(row).to_have_accessible_name(f"Unread: {title} sam moved it. now")
    row.click()
    phone.page.wait_for_url(f"**{path}")
    for page in (ada.page, tab, phone.page):
        expect(badge(page)).to_be_hidden()


def test_a_browsers_first_page_asks_once_and_misses_nothing(visit):
    ada, sam = visit("ada"), visit("sam")
    path = new_order(ada)
    read_all(ada)
    page = ada.context.new_page()
    forget = "localStorage.removeItem('instant-bell')"
    ada.page.evaluate(forget)
    asked = []
    page.on("request", lambda one: one.url.endswith("/notifications/") and asked.append(one.url))
    # Something comes between Django's answer and the subscription: it is counted once.
    page.route(
        "**/instant/get_token/", lambda route: (move(sam, path, "packed"), route.continue_())
    )
    ada.open("/catalogue/", page=page)
    expect(badge(page)).to_have_text("1")
    page.unroute("**/instant/get_token/")
    between = len(asked)
    ada.page.evaluate(forget)
    asked.clear()
    ada.open("/catalogue/", page=page)
    expect(badge(page)).to_have_text("1")
    page.wait_for_timeout(3000)  # in which it would ask again
    assert (between, len(asked)) == (2, 1)


def test_all_are_marked_as_read(visit):
    ada, sam = visit("ada"), visit("sam")
    path = new_order(ada)
    read_all(ada)
    other = ada.open("/notes/", page=ada.context.new_page())
    for label in ("packed", "shipped"):
        move(sam, path, label)
    expect(badge(ada.page)).to_have_text("2")
    ada.page.reload()
    ada.live()
    expect(badge(ada.page)).to_have_text("2")
    bell(ada.page).click()
    expect(ada.page.locator("instant-bell .unread")).to_have_count(2)
    panel(ada.page).get_by_role("button", name="Mark all as read").click()
    expect(ada.page.locator("instant-bell .unread")).to_have_count(0)
    expect(badge(ada.page)).to_be_hidden()
    expect(badge(other)).to_be_hidden()
    expect(bell(other)).to_have_accessible_name("Notifications")


def test_it_is_used_by_keyboard(visit):
    ada, sam = visit("ada"), visit("sam")
    path = new_order(ada)
    for label in ("packed", "shipped"):
        move(sam, path, label)
    page = ada.page
    bell(page).focus()
    expect(bell(page)).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    expect(bell(page)).to_have_attribute("aria-expanded", "true")
    rows = page.locator("instant-bell .one")
    expect(rows.nth(1)).to_be_visible()
    expect(panel(page)).to_be_focused()
    for key, number in (("ArrowDown", 0), ("ArrowDown", 1), ("ArrowUp", 0)):
        page.keyboard.press(key)
        expect(rows.nth(number)).to_be_focused()
    page.keyboard.press("Escape")
    expect(panel(page)).to_be_hidden()
    expect(bell(page)).to_be_focused()
    bell(page).click()
    page.get_by_role("main").click(position={"x": 1, "y": 1})
    expect(panel(page)).to_be_hidden()


def test_older_ones_come_by_page(visit):
    ada = visit("ada")
    ids = [f"{n:032x}" for n in range(25)]

    def answer(route):
        before = json.loads(route.request.post_data).get("before")
        start = ids.index(before) + 1 if before else 0
        shown = ids[start : start + 20]
        listed = [
            {"id": one, "title": f"No. {ids.index(one)}", "body": "", "url": "", "kind": "",
             "created": "2026-01-02T03:04:05+00:00", "read": True}
            for one in shown
        ]  # fmt: skip
        body = {"channel": "user:1", "unread": 0, "notifications": listed, "has_more": start == 0}
        route.fulfill(json=body)

    ada.page.route("**/instant/notifications/", answer)
    ada.goto("/catalogue/")
    bell(ada.page).click()
    rows = ada.page.locator("instant-bell .one")
    expect(rows).to_have_count(20)
    panel(ada.page).get_by_role("button", name="Show older ones").click()
    expect(rows).to_have_count(25)
    expect(rows.nth(20)).to_be_focused()
    expect(panel(ada.page).get_by_role("button", name="Show older ones")).to_have_count(0)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen(visit, width, scheme):
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    ada, sam = visit("ada", **options), visit("sam")
    path = new_order(ada)
    move(sam, path, "packed")
    expect(badge(ada.page)).to_be_visible()
    bell(ada.page).click()
    expect(ada.page.locator("instant-bell .one").first).to_be_visible()
    box = ada.page.locator("instant-bell .panel").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] + box["height"] <= 800
    assert ada.page.evaluate("document.documentElement.scrollWidth") <= width
    target = bell(ada.page).bounding_box()
    assert target["width"] >= 44
    assert target["height"] >= 44


def test_a_visitor_has_none(visit):
    nobody = visit()
    nobody.open("/")
    expect(nobody.page.locator("instant-bell")).to_have_count(0)

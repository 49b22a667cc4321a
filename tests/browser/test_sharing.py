"""An order that is shared, and a right that ends: open pages let go, and only those."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_messages import say
from tests.browser.test_orders import new_order

REVOKED = "You no longer have access to this order"
CREATE_EVE = """
from django.contrib.auth.models import User
User.objects.create_user("eve", password="demo")
"""
# What happens to the channel from now on.
WATCH = """() => {
  window.statuses = [];
  const { channel } = document.querySelector("article").dataset;
  instant.channel(channel).onStatus((status) => window.statuses.push(status));
}"""


def share(owner, path, name):
    owner.open(path)
    owner.page.get_by_label("User name").fill(name)
    owner.page.get_by_role("button", name="Share", exact=True).click()
    expect(owner.page.locator("#shares")).to_contain_text(name)
    owner.live()


def move(sam, path, label):
    sam.open(path)
    sam.page.get_by_role("button", name=f"Mark as {label.lower()}").click()
    expect(sam.page.locator("[data-badge]")).to_have_text(label)
    sam.live()


def lets_go(viewer):
    expect(viewer.page.get_by_role("heading", level=1)).to_have_text(REVOKED)
    expect(viewer.page.get_by_role("article")).to_have_count(0)


def by_the_staff(visit, path):
    sam = visit("sam")
    sam.open(path)
    sam.page.get_by_role("button", name="Take back from bob").click()
    expect(sam.page.locator(".message-success")).to_have_text("bob no longer sees this order.")


def from_a_shell(visit, path):
    visit("sam").site.shell(
        f"from orders.models import Share; Share.objects.filter(order={number(path)}).delete()"
    )


def in_the_admin(visit, path):
    root = visit("root")
    root.goto(f"/admin/orders/order/{number(path)}/change/")
    root.page.locator("#id_shares-0-DELETE").check()
    root.page.get_by_role("button", name="Save", exact=True).click()
    expect(root.page.locator(".messagelist")).to_contain_text("was changed successfully")


def number(path):
    return int(path.strip("/").split("/")[-1])


def test_whoever_it_is_shared_with_sees_it_move(visit):
    ada, bob, sam = visit("ada"), visit("bob"), visit("sam")
    bob.open("/")
    path = new_order(ada)
    share(ada, path, "bob")
    expect(ada.page.locator(".message-success")).to_have_text("bob can see this order now.")
    toast = bob.page.locator(".toast")
    expect(toast).to_contain_text(f"Shared with you: Order {number(path)} of ada")
    toast.get_by_role("link", name="Show").click()
    expect(bob.page).to_have_url(bob.site.url + path)
    bob.live()
    expect(bob.page.locator(".lede")).to_contain_text("Shared by ada")
    expect(bob.page.get_by_role("main").get_by_role("button")).to_have_count(0)
    row = bob.open("/orders/", page=bob.context.new_page()).locator("#orders li").first
    expect(row).to_contain_text("shared by ada")
    bob.page.evaluate("window.isSamePage = true")
    move(sam, path, "Packed")
    expect(bob.page.locator("[data-badge]")).to_have_text("Packed")
    expect(row).to_contain_text("Packed")
    assert bob.page.evaluate("window.isSamePage"), "The page was loaded again."


@pytest.mark.parametrize("take_back", [by_the_staff, from_a_shell, in_the_admin])
def test_an_open_page_lets_go_when_it_is_taken_back(visit, site, take_back):
    ada, bob, sam = visit("ada"), visit("bob"), visit("sam")
    path = new_order(ada)
    share(ada, path, "bob")
    bob.open(path)
    bob.page.evaluate("window.isSamePage = true")
    ada.page.evaluate(WATCH)
    take_back(visit, path)
    lets_go(bob)
    # His other channels go on, and hers of the order without a gap.
    say(site, "still open")
    expect(bob.page.locator(".toast")).to_contain_text("still open")
    expect(bob.page.locator("#connection")).to_have_attribute("data-status", "live")
    move(sam, path, "Packed")
    expect(ada.page.locator("[data-badge]")).to_have_text("Packed")
    # Reconnecting is no gap: the logout of an earlier test makes her do it, when old tokens are over.
    assert not {"denied", "lost"} & set(ada.page.evaluate("window.statuses"))
    assert bob.page.evaluate("window.isSamePage"), "The page was loaded again."
    bob.expects_404 = True
    bob.open(path)
    expect(bob.page.get_by_role("heading", level=1)).to_have_text("There is nothing here for you")


def test_it_is_taken_back_from_one_and_left_to_the_other(visit, site):
    site.shell(CREATE_EVE.replace("eve", "eva"))
    ada, bob, eva, sam = visit("ada"), visit("bob"), visit("eva"), visit("sam")
    path = new_order(ada)
    share(ada, path, "eva")
    share(ada, path, "bob")
    bob.open(path)
    eva.open(path)
    by_the_staff(visit, path)
    lets_go(bob)
    # The list on her page, by what the staff did on theirs.
    expect(ada.page.locator("#shares li")).to_have_count(1)
    move(sam, path, "Packed")
    expect(eva.page.locator("[data-badge]")).to_have_text("Packed")
    ada.page.get_by_role("button", name="Take back from eva").click()
    lets_go(eva)
    expect(ada.page.get_by_text("Only you and our staff see it.")).to_be_visible()


def test_an_order_that_changes_hands_leaves_its_customer(visit, site):
    ada, bob = visit("ada"), visit("bob")
    path = new_order(ada)
    site.shell(
        "from django.contrib.auth.models import User\n"
        "from orders.models import Order\n"
        f"order = Order.objects.get(pk={number(path)})\n"
        "order.customer = User.objects.get(username='bob')\n"
        "order.save()"
    )
    lets_go(ada)
    bob.open(path)
    expect(bob.page.locator(".lede")).to_have_text(re.compile("^Placed today"))


def test_a_page_that_let_go_offers_the_order_when_it_is_shared_again(visit):
    ada, bob = visit("ada"), visit("bob")
    path = new_order(ada)
    share(ada, path, "bob")
    bob.open(path)
    ada.page.get_by_role("button", name="Take back from bob").click()
    lets_go(bob)
    share(ada, path, "bob")
    expect(bob.page.get_by_role("heading", level=1)).to_have_text("You can see this order again")
    bob.page.get_by_role("link", name="Open it").click()
    bob.live()
    expect(bob.page.locator("[data-badge]")).to_have_text("Placed")


def test_a_right_that_ends_before_the_page_is_connected(visit):
    ada, bob = visit("ada"), visit("bob")
    path = new_order(ada)
    share(ada, path, "bob")

    def late(route):
        from_a_shell(visit, path)
        route.continue_()

    bob.context.route("**/instant/get_token/", late)
    bob.open(path)
    lets_go(bob)


def test_they_see_who_else_looks_at_it(visit):
    ada, sam = visit("ada"), visit("sam")
    path = new_order(ada)
    lookers = ada.page.locator("#lookers")
    sam.open(path)
    expect(lookers).to_have_text("sam is looking at this order too")
    root = visit("root")
    root.open(path)
    expect(lookers).to_have_text("root and sam are looking at this order too")
    root.open("/")
    sam.open("/")
    expect(lookers).to_have_text("")


def test_only_its_customer_and_the_staff_share_it(visit):
    ada, bob = visit("ada"), visit("bob")
    path = new_order(ada)
    share(ada, path, "bob")
    bob.open(path)
    cookies = {cookie["name"]: cookie["value"] for cookie in bob.context.cookies()}
    form = {"user": "bob", "csrfmiddlewaretoken": cookies["csrftoken"]}
    for action in ("share", "take-back"):
        answer = bob.context.request.post(f"{bob.site.url}{path}{action}/", form=form)
        assert answer.status == 404
    field, wrong = ada.page.get_by_label("User name"), ada.page.locator("#share .message-error")
    for name in ("ada", "sam", "nobody"):
        field.fill(name)
        ada.page.get_by_role("button", name="Share", exact=True).click()
        expect(wrong).to_contain_text("no other customer of that name")
        # It stands where the field is, which is in sight and keeps what was typed.
        expect(wrong).to_be_in_viewport()
        expect(field).to_have_value(name)
        expect(field).to_have_attribute("aria-invalid", "true")
    expect(ada.page.locator("#shares li")).to_have_count(1)


def test_logging_out_in_one_browser_leaves_the_other_live(visit, site):
    ada, other, sam = visit(), visit("ada"), visit("sam")
    ada.log_in("ada")
    path = new_order(other)
    ada.open(path)
    # Not by the button: the page stays, and only the server can tell it.
    cookies = {cookie["name"]: cookie["value"] for cookie in ada.context.cookies()}
    form = {"csrfmiddlewaretoken": cookies["csrftoken"]}
    assert ada.context.request.post(f"{site.url}/logout/", form=form).ok
    expect(ada.page.locator("#connection")).to_have_attribute("data-status", "signed-out")
    other.live()
    move(sam, path, "Packed")
    expect(other.page.locator("[data-badge]")).to_have_text("Packed")
    expect(ada.page.locator("[data-badge]")).to_have_text("Placed")


def test_a_user_who_is_deactivated_is_signed_out(visit, site):
    site.shell(CREATE_EVE)
    ada, eve, root = visit("ada"), visit(), visit("root")
    path = new_order(ada)
    share(ada, path, "eve")
    eve.log_in("eve")
    eve.open(path)
    root.goto("/admin/auth/user/?q=eve")
    root.page.get_by_role("link", name="eve", exact=True).click()
    root.page.get_by_label(re.compile("^Active")).uncheck()
    root.page.get_by_role("button", name="Save", exact=True).click()
    expect(root.page.locator(".messagelist")).to_contain_text("was changed successfully")
    expect(eve.page.locator("#connection")).to_have_attribute("data-status", "signed-out")

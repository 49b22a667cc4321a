"""The admin's form of a channel: what it shows, in a browser with and without JavaScript."""

from playwright.sync_api import expect

PICKERS = ("groups", "members", "publish_groups", "publishers")


def expect_shown(page, *names):
    for name in PICKERS:
        expect(page.locator(f".form-row.field-{name}")).to_be_visible(visible=name in names)


def test_only_the_pickers_that_count_are_shown(visit, site):
    page = visit("root").page
    page.goto(f"{site.url}/admin/instant/channel/add/")
    expect_shown(page)
    level, publish = page.locator("#id_level"), page.locator("#id_publish_level")
    level.select_option("groups")
    expect_shown(page, "groups", "members")
    publish.select_option("listed")
    expect_shown(page, *PICKERS)
    # What is chosen stays while it is hidden, and is there again.
    page.locator("#id_groups_from").select_option(label="wholesale")
    page.locator(".field-groups .selector-add").click()
    level.select_option("staff")
    publish.select_option("staff")
    expect_shown(page)
    level.select_option("groups")
    expect(page.locator("#id_groups_to option")).to_have_text(["wholesale"])
    expect_shown(page, "groups", "members")


def test_a_channel_that_is_made_by_hand(visit, site):
    """Nothing is chosen for whoever makes one, and what was done to the name is said."""
    page = visit("root").page
    page.goto(f"{site.url}/admin/instant/channel/add/")
    page.locator("#id_name").fill("by-hand")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".field-level .errorlist")).to_have_text("This field is required.")
    page.locator("#id_level").select_option("groups")
    page.get_by_role("button", name="Save", exact=True).click()
    messages = page.locator(".messagelist")
    expect(messages).to_contain_text("The channel is named “$by-hand”")
    expect(messages).to_contain_text("Nobody may subscribe yet")
    page.get_by_role("link", name="$by-hand").first.click()
    expect_shown(page, "groups", "members")
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Yes, I’m sure").click()


def test_all_fields_are_there_without_javascript(visit, site):
    root = visit("root")
    cookies = root.context.cookies()
    plain = visit(java_script_enabled=False)
    plain.context.add_cookies(cookies)
    plain.goto("/admin/instant/channel/add/")
    expect_shown(plain.page, *PICKERS)

"""The notice board: for everybody, live, and with a corner for one group."""

from playwright.sync_api import expect


def post(sam, text, audience="Everyone"):
    sam.open("/")
    sam.page.get_by_label("New notice").fill(text)
    sam.page.get_by_label("For").select_option(label=audience)
    sam.page.get_by_role("button", name="Post").click()
    expect(sam.page.locator("#notices .entry-text").first).to_have_text(text)


def test_visitors_without_an_account_see_a_notice_arrive(visit):
    nobody, sam = visit(), visit("sam")
    nobody.open("/")
    post(sam, "Fresh coffee at the counter")
    newest = nobody.page.locator("#notices li").first
    expect(newest).to_contain_text("Fresh coffee at the counter")
    expect(newest).to_contain_text("sam")
    expect(newest.get_by_text("Wholesale only")).to_be_hidden()


def test_a_notice_for_wholesale_stays_among_them(visit):
    nobody, ada, bob, sam = visit(), visit("ada"), visit("bob"), visit("sam")
    nobody.open("/")
    post(sam, "Pallets at half price", "Wholesale customers")
    post(sam, "New bags at the door")
    expect(bob.page.locator("#notices li").nth(1)).to_contain_text("Pallets at half price")
    expect(bob.page.locator("#notices li").nth(1).get_by_text("Wholesale only")).to_be_visible()
    for visitor in (nobody, ada):
        expect(visitor.page.locator("#notices li").first).to_contain_text("New bags at the door")
        expect(visitor.page.locator("#notices")).not_to_contain_text("Pallets")


def test_what_happened_before_the_subscription_is_fetched(visit, site):
    """A page that was made before a notice and joins the channel after it has it all the same."""
    nobody = visit()
    nobody.context.route("**/instant/get_token/", lambda route: late(route, site))
    nobody.open("/")
    expect(nobody.page.locator("#notices li").first).to_contain_text("In between")


def late(route, site):
    site.shell(
        "from django.contrib.auth.models import User\n"
        "from notices.models import Notice\n"
        "Notice(text='In between', author=User.objects.get(username='sam')).post()"
    )
    route.continue_()


def test_an_empty_board_says_only_what_it_knows(visit, site):
    """What was said on air before the page was opened is not stored."""
    nobody = visit()
    nobody.open("/")
    site.shell("from instant import publish; publish('public', 'Mind the step')")
    expect(nobody.page.locator("#air li")).to_contain_text("Mind the step")
    nobody.page.reload()
    expect(nobody.page.get_by_text("Nobody has said anything since you opened")).to_be_visible()


def test_a_notice_that_is_refused_is_kept_in_its_field(visit):
    sam = visit("sam")
    sam.open("/")
    sam.page.get_by_label("For").select_option(label="Wholesale customers")
    sam.page.get_by_label("New notice").evaluate("field => field.removeAttribute('maxlength')")
    sam.page.get_by_label("New notice").fill("x" * 281)
    sam.page.get_by_role("button", name="Post").click()
    expect(sam.page.locator("form .message-error")).to_contain_text("at most 280 characters")
    expect(sam.page.get_by_label("New notice")).to_have_value("x" * 281)
    expect(sam.page.get_by_label("For")).to_have_value("wholesale")


def test_a_phone_says_who_is_logged_in(visit):
    phone = visit("ada", viewport={"width": 390, "height": 844})
    expect(phone.page.locator(".account-name")).to_be_visible()
    assert phone.page.evaluate("document.documentElement.scrollWidth") == 390

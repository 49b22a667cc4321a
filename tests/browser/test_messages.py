"""From publish() to the page: to everybody, to one user, and after a loss of the connection."""

from playwright.sync_api import expect


def say(site, *texts):
    """Publish from a management shell, as somebody would at the terminal."""
    calls = "; ".join(f'publish("public", {text!r})' for text in texts)
    site.shell(f"from instant import publish; {calls}")


def heard(visitor):
    """Return what is on air on the visitor's board, oldest first."""
    return visitor.page.locator("#air .entry-text").all_inner_texts()[::-1]


def test_a_message_from_a_shell_appears(visit, site):
    ada = visit()
    ada.log_in("ada")
    say(site, "Hello <b>Ada</b>")
    # As text: nothing of a message is ever markup.
    expect(ada.page.locator("#air .entry-text")).to_have_text("Hello <b>Ada</b>")


def test_it_appears_on_other_pages_too(visit, site):
    ada = visit("ada")
    ada.open("/orders/")
    say(site, "We close at six")
    expect(ada.page.locator(".toast")).to_contain_text("We close at six")
    ada.page.get_by_role("button", name="Dismiss").click()
    expect(ada.page.locator(".toast")).to_have_count(0)


def test_what_was_missed_arrives_once_and_in_order(visit, site, relay):
    ada = visit("ada")
    ada.open("/")
    say(site, "before")
    expect(ada.page.locator("#air li")).to_have_count(1)
    ada.is_cut = True
    relay.cut()
    try:
        expect(ada.page.locator("#connection")).not_to_have_attribute("data-status", "live")
        say(site, "missed 1", "missed 2", "missed 3")
        assert heard(ada) == ["before"]
    finally:
        relay.heal()
    expect(ada.page.locator("#air li")).to_have_count(4)
    ada.live()
    say(site, "after")
    expect(ada.page.locator("#air .entry-text").first).to_have_text("after")
    assert heard(ada) == ["before", "missed 1", "missed 2", "missed 3", "after"]


def test_a_note_reaches_its_recipient_and_nobody_else(visit, site):
    sam, ada, bob = visit("sam"), visit("ada"), visit("bob")
    ada.open("/notes/")
    bob.open("/notes/")
    ada_channel = ada.page.locator("body").get_attribute("data-own-channel")
    # Bob's page asks for her channel by itself, and waits until it knows better.
    refused = bob.page.evaluate(
        """(name) => new Promise((resolve) => {
          const channel = instant.channel(name);
          channel.on("*", resolve);
          channel.onStatus((status) => { if (status === "denied") resolve(status); });
        })""",
        ada_channel,
    )
    assert refused == "denied"
    sam.open("/desk/")
    sam.page.get_by_label("To").select_option(label="ada")
    sam.page.get_by_label("Text").fill("Your bolts are behind the counter.")
    sam.page.get_by_role("button", name="Send").click()
    expect(ada.page.locator("#notes .entry-text").first).to_have_text(
        "Your bolts are behind the counter."
    )
    say(site, "the last word")
    expect(bob.page.locator(".toast")).to_contain_text("the last word")
    expect(bob.page.locator("body")).not_to_contain_text("behind the counter")


def test_a_note_shows_on_every_page(visit, site):
    ada = visit("ada")
    ada.open("/catalogue/")
    site.shell(
        "from django.contrib.auth.models import User\n"
        "from desk.models import Note\n"
        "people = {user.username: user for user in User.objects.all()}\n"
        "Note(author=people['sam'], recipient=people['ada'], text='Call us').send()"
    )
    toast = ada.page.locator(".toast")
    expect(toast).to_contain_text("Note from sam: Call us")
    toast.get_by_role("link", name="Show").click()
    expect(ada.page.locator("#notes .entry-text").first).to_have_text("Call us")


def test_logging_out_stops_it_in_all_tabs(visit, site):
    ada = visit()
    ada.log_in("ada")
    channel = ada.page.locator("body").get_attribute("data-own-channel")
    other = ada.open("/", page=ada.context.new_page())
    ada.log_out()
    expect(other.get_by_role("link", name="Log in")).to_be_visible()
    ada.live(other)
    site.shell(
        "from instant import publish\n"
        f"publish({channel!r}, 'a secret')\n"
        "publish('public', 'no secret')"
    )
    for page in (ada.page, other):
        expect(page.locator("#air .entry-text")).to_have_text("no secret")
        expect(page.locator("body")).not_to_contain_text("a secret")

"""Notifications without a page: the bell's switch, and the service worker that is woken."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import launch
from tests.browser.test_bell import badge, bell, move, panel, read_all
from tests.browser.test_orders import new_order

# No push service can be reached here: a browser's own keys, and an address that is never used.
FAKE_SERVICE = """
PushManager.prototype.getSubscription = async () => window.subscription ?? null;
PushManager.prototype.subscribe = async (options) => {
  if (window.isBroken) throw new DOMException("Registration failed", "AbortError");
  const pair = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
  const point = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const text = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/[+]/g, "-").replace(/[/]/g, "_").replace(/=/g, "");
  const endpoint = `https://fcm.googleapis.com/fcm/send/${text(crypto.getRandomValues(new Uint8Array(9)))}`;
  const keys = { p256dh: text(point), auth: text(crypto.getRandomValues(new Uint8Array(16))) };
  window.subscription = {
    endpoint, options,
    toJSON: () => ({ endpoint, expirationTime: null, keys }),
    unsubscribe: async () => { window.subscription = null; return true; },
  };
  return window.subscription;
};
"""
SHOWN = """async () => {
  const registration = await navigator.serviceWorker.getRegistration("/instant/push/worker.js");
  const shown = await registration.getNotifications();
  return shown.map(({ title, body, tag, data }) => ({ title, body, tag, url: data.url }));
}"""
# Chromium itself, which shows notifications, needs three times the processor of its headless shell.
pytestmark = pytest.mark.slow

MODEL = "from instant.models import PushSubscription as P; "


def count(site):
    return int(site.shell(f"{MODEL}print(P.objects.count())").split()[-1])


def forget(site):
    site.shell(f"{MODEL}P.objects.all().delete()")


@pytest.fixture(scope="module")
def chromium(playwright):
    """Chromium itself: its headless shell shows no notifications."""
    browser = launch(playwright, whole=True)
    yield browser
    browser.close()


def switch(page):
    return panel(page).get_by_role("switch", name="Notify me on this device")


class Worker:
    """The service worker of a page's browser, which DevTools can wake as a push service does."""

    def __init__(self, visitor):
        self._page, self._site = visitor.page, visitor.site
        self._session = visitor.context.new_cdp_session(visitor.page)
        self._known = None
        self._session.on("ServiceWorker.workerRegistrationUpdated", self._updated)
        self._session.send("ServiceWorker.enable")

    def _updated(self, event):
        for one in event["registrations"]:
            if one["scopeURL"].endswith("/instant/push/") and not one["isDeleted"]:
                self._known = one["registrationId"]

    def push(self, id_):
        while self._known is None:
            self._page.wait_for_timeout(20)
        self._session.send(
            "ServiceWorker.deliverPushMessage",
            {
                "origin": self._site.url,
                "registrationId": self._known,
                "data": json.dumps({"id": id_}),
            },
        )

    def shown(self, count):
        """Return what the browser shows, as soon as it is so many."""
        return self._page.evaluate(
            f"""async () => {{
              for (;;) {{
                const shown = await ({SHOWN})();
                if (shown.length === {count}) return shown;
                await new Promise((resolve) => setTimeout(resolve, 20));
              }}
            }}"""
        )


@pytest.fixture
def ada(visit):
    ada = visit("ada", permissions=["notifications"])
    forget(ada.site)  # the tests' browsers share a session
    ada.context.add_init_script(FAKE_SERVICE)
    ada.open("/catalogue/")
    return ada


def turn_on(visitor):
    page = visitor.page
    bell(page).click()
    expect(switch(page)).to_have_attribute("aria-checked", "false")
    switch(page).click()
    expect(switch(page)).to_have_attribute("aria-checked", "true")
    page.keyboard.press("Escape")


def newest(visitor):
    code = "() => fetch('/instant/notifications/', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'}).then((r) => r.json())"
    return visitor.page.evaluate(code)["notifications"][0]


def test_the_switch_subscribes_and_unsubscribes(ada):
    page = ada.page
    turn_on(ada)
    assert count(ada.site) == 1
    bell(page).click()
    switch(page).focus()
    page.keyboard.press("Space")
    expect(switch(page)).to_have_attribute("aria-checked", "false")
    assert count(ada.site) == 0
    assert page.evaluate("window.subscription") is None


def test_what_is_pushed_is_asked_for_and_shown_and_opened(ada, visit):
    sam = visit("sam")
    path = new_order(ada)
    read_all(ada)
    turn_on(ada)
    worker = Worker(ada)
    # Nobody looks at a page with a bell.
    ada.goto("/instant/push/worker.js")
    move(sam, path, "packed")
    one = newest(ada)
    worker.push(one["id"])
    [shown] = worker.shown(1)
    assert shown == {"title": one["title"], "body": one["body"], "tag": one["id"], "url": path}


def test_a_page_that_is_looked_at_shows_it_itself(ada, visit):
    sam = visit("sam")
    path = new_order(ada)
    read_all(ada)
    turn_on(ada)
    worker = Worker(ada)
    ada.page.bring_to_front()
    move(sam, path, "packed")
    expect(badge(ada.page)).to_have_text("1")
    page = ada.page
    page.evaluate(
        "navigator.serviceWorker.addEventListener('message', ({ data }) => window.asked = data.instantPush)"
    )
    worker.push(first := newest(ada)["id"])
    page.wait_for_function(f"() => window.asked === '{first}'")
    # The second one, for which no bell speaks, shows that the first has been dealt with.
    page.evaluate("document.querySelector('instant-bell').remove()")
    move(sam, path, "shipped")
    second = newest(ada)
    worker.push(second["id"])
    [shown] = worker.shown(1)
    assert shown["tag"] == second["id"]


def test_what_is_read_is_taken_back(ada, visit):
    sam, phone = visit("sam"), visit("ada")
    path = new_order(ada)
    read_all(ada)
    turn_on(ada)
    worker = Worker(ada)
    ada.page.evaluate("document.querySelector('instant-bell').remove()")
    move(sam, path, "packed")
    worker.push(newest(ada)["id"])
    worker.shown(1)
    ada.page.reload()
    ada.live()
    expect(badge(ada.page)).to_have_text("1")
    read_all(phone)
    expect(badge(ada.page)).to_be_hidden()
    worker.shown(0)


def test_after_a_logout_nothing_is_shown_and_the_browser_unsubscribes(ada):
    turn_on(ada)
    worker = Worker(ada)
    ada.site.cookies.pop("ada")
    ada.log_out()
    assert count(ada.site) == 0
    ada.expects_403 = True
    with ada.context.expect_event("response", lambda r: "push/notification" in r.url) as answered:
        worker.push("0" * 32)
    assert answered.value.status == 403
    assert worker.shown(0) == []


def test_it_comes_back_with_the_same_user(ada, visit):
    turn_on(ada)
    forget(ada.site)
    with ada.page.expect_response("**/push/subscribe/"):
        ada.page.reload()
    bell(ada.page).click()
    expect(switch(ada.page)).to_have_attribute("aria-checked", "true")


def test_why_it_is_not_switched_on_is_said(visit):
    ada = visit("ada")
    forget(ada.site)
    ada.context.add_init_script(FAKE_SERVICE)
    ada.open("/catalogue/")
    page = ada.page
    bell(page).click()
    switch(page).click()  # Chromium without a window denies what nobody is asked
    expect(panel(page).get_by_text("Your browser blocks notifications")).to_be_visible()
    expect(switch(page)).to_have_attribute("aria-checked", "false")


def test_a_push_service_that_fails_is_said(ada):
    page = ada.page
    page.evaluate("window.isBroken = true")
    bell(page).click()
    switch(page).click()
    expect(panel(page).get_by_text("That did not work.")).to_be_visible()
    expect(switch(page)).to_have_attribute("aria-checked", "false")
    expect(switch(page)).not_to_have_attribute("aria-busy", "true")

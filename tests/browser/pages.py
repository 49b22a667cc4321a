"""A person's browser on the example."""

from playwright.sync_api import expect

PASSWORD = "demo"
expect.set_options(timeout=60_000)

# Chromium's own message on the console is for people; the event is what counts.
LISTEN_FOR_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
"""


class Visitor:
    def __init__(self, context, site):
        self.context, self.site = context, site
        self.problems = []
        self.is_cut = False
        """True while the browser itself is expected to complain about the connection."""
        self.expects_404 = self.expects_403 = False
        context.add_init_script(LISTEN_FOR_VIOLATIONS)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.problems.append(str(error.error)))
        context.on("requestfailed", self._failed)
        context.on("response", self._response)
        self._page = context.new_page()
        self._has_arrived = True

    @property
    def page(self):
        """The first page; of who came back it shows the site's first page until another one is opened."""
        if not self._has_arrived:
            self.open("/")
        return self._page

    def open(self, path, *, page=None):
        """Open a page and wait until it is connected."""
        page = page or self._page
        self.goto(path, page=page)
        return self.live(page)

    def goto(self, path, *, page=None):
        """Open a page that may not connect."""
        self._has_arrived = True
        return (page or self._page).goto(self.site.url + path)

    def live(self, page=None):
        page = page or self.page
        # Not at each frame, which would have to be drawn for it.
        page.wait_for_function(LIVE, polling=30, timeout=60_000)
        return page

    def arrive_as(self, user):
        """Come back as somebody who logged in earlier, or log in."""
        cookies = self.site.cookies.get(user)
        if cookies is None:
            self.log_in(user)
            self.site.cookies[user] = self.context.cookies()
            return
        self.context.add_cookies(cookies)
        self._has_arrived = False

    def log_in(self, user):
        page = self.page
        self.goto("/login/")
        page.get_by_label("User name").fill(user)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("main").get_by_role("button", name="Log in").click()
        expect(page.locator(".account-name")).to_have_text(user)
        return self.live()

    def log_out(self):
        self.page.get_by_role("button", name="Log out").click()
        expect(self.page.get_by_role("link", name="Log in")).to_be_visible()
        return self.live()

    def _console(self, message):
        if message.type in {"error", "warning"} and not (
            (self.is_cut and "WebSocket connection" in message.text)
            or self._is_cut_off(message.location["url"])
            or (self.expects_404 and "status of 404" in message.text)
            or (self.expects_403 and "status of 403" in message.text)
        ):
            self.problems.append(f"{message.type}: {message.text}")

    def _failed(self, request):
        # A page that is left takes its open requests along.
        if request.failure != "net::ERR_ABORTED" and not self._is_cut_off(request.url):
            self.problems.append(f"{request.url}: {request.failure}")

    def _response(self, response):
        if (
            response.status >= 400
            and not (self.expects_404 and response.status == 404)
            and not (self.expects_403 and response.status == 403)
            and not self._is_cut_off(response.url)
        ):
            self.problems.append(f"{response.url}: {response.status}")

    def _is_cut_off(self, url):
        """Tell whether it is another way to the message server, tried while there is none."""
        return self.is_cut and "/connection/" in url


# The pill tells of the connection; a listener hears once its channel is joined. That is the SDK's own view: no
# subscription is under way any more. One may have been refused.
LIVE = """() => {
  if (document.querySelector("#connection")?.dataset.status !== "live") return false;
  const subscriptions = Object.values(instant.getClient()?.subscriptions() ?? {});
  return subscriptions.length > 0 && subscriptions.every(({ state }) => state !== "subscribing");
}"""

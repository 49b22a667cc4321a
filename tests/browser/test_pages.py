"""What holds on every page; the console and the network are watched by ``visit``."""

import pytest
from playwright.sync_api import expect

PAGES = {
    None: ("/", "/login/", "/catalogue/", "/catalogue/?q=nothing+fits"),
    "ada": ("/", "/orders/", "/orders/1002/", "/notes/", "/catalogue/", "/talk/", "/assistant/"),
    "sam": ("/", "/orders/", "/orders/1001/", "/desk/", "/catalogue/import/", "/report/"),
}
# Whatever the state of the connection is called.
OVERFLOW = """() => {
  document.querySelector("#connection .pill-text").textContent = "Connecting…";
  const { scrollWidth, clientWidth } = document.documentElement;
  return scrollWidth - clientWidth;
}"""

# How many links the main navigation has in each of its rows.
ROWS = """() => {
  const rows = {};
  for (const link of document.querySelectorAll(".nav a")) {
    const top = link.getBoundingClientRect().top;
    rows[top] = (rows[top] ?? 0) + 1;
  }
  return Object.values(rows);
}"""


@pytest.mark.parametrize("user", PAGES)
def test_pages_are_live_and_fit_a_phone(visit, user):
    visitor = visit(user, viewport={"width": 390, "height": 800})
    for path in PAGES[user]:
        visitor.open(path)
        for width in (390, 360):
            visitor.page.set_viewport_size({"width": width, "height": 800})
            assert visitor.page.evaluate(OVERFLOW) <= 0, (path, width)
            rows = visitor.page.evaluate(ROWS)
            assert len(rows) == 1 or min(rows) > 2, (path, width, rows)  # no link is left over
        expect(visitor.page.get_by_role("heading", level=1)).to_have_count(1)


def test_strangers_are_sent_to_the_login(visit):
    nobody = visit()
    for path in ("/desk/", "/catalogue/import/", "/report/", "/orders/", "/notes/", "/assistant/"):
        nobody.goto(path)
        expect(nobody.page).to_have_url(f"{nobody.site.url}/login/?next={path}")
    nobody.live()


def test_the_policy_forbids_what_the_page_did_not_bring(visit):
    nobody = visit()
    response = nobody.goto("/")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    nobody.page.evaluate(
        """() => document.head.append(
          Object.assign(document.createElement("script"), { textContent: "window.isRun = true" }))"""
    )
    assert nobody.page.evaluate("window.isRun") is None
    # And the watch in visit() sees it.
    expect(nobody.page.locator("#connection")).to_have_attribute("data-status", "live")
    assert any("CSP: script-src" in problem for problem in nobody.problems)
    nobody.problems.clear()


def test_the_admin_publishes_a_test_message(visit):
    ada, root = visit("ada"), visit("root")
    ada.open("/")
    root.goto("/admin/instant/channel/")
    root.page.get_by_role("checkbox", name="for an action - public").check()
    root.page.locator("select[name=action]").select_option(label="Publish a test message")
    root.page.get_by_role("button", name="Run").or_(
        root.page.get_by_role("button", name="Go")
    ).click()
    expect(root.page.locator(".messagelist")).to_contain_text("Published a test message")
    expect(ada.page.locator("#air .entry-text").first).to_have_text("Test message from root")

"""The example site in a real browser; nothing here touches the tests' own Django."""

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.chromium import launch
from tests.browser.pages import Visitor
from tests.browser.relay import Relay
from tests.browser.site import Site
from tests.ports import free_port


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


# Of this folder's tests, which come one after the other: an idle site costs all others some of the machine.
@pytest.fixture(scope="package")
def relay():
    """Stands between browsers and message server, so that a test can cut the connection."""
    with Relay(free_port()) as between:
        yield between


@pytest.fixture(scope="package")
def site(relay, tmp_path_factory):
    with Site(tmp_path_factory.mktemp("site"), relay) as running:
        yield running


# Not for the session: while Playwright's sync API is open an event loop runs in this thread, and
# neither other rooms' async tests nor Django's database take that.
@pytest.fixture(scope="package")
def playwright():
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def chromium(playwright):
    browser = launch(playwright)
    yield browser
    browser.close()


@pytest.fixture
def visit(site, chromium):
    """
    Open a browser for a user (None: nobody); each call is another person's browser.

    At the end every page must have been quiet: no error on its console, no failed request,
    nothing that its Content Security Policy forbids.
    """
    visitors = []

    def open_browser(user=None, **options):
        visitor = Visitor(chromium.new_context(**options), site)
        visitors.append(visitor)
        if user is not None:
            visitor.arrive_as(user)
        return visitor

    yield open_browser
    problems = [problem for visitor in visitors for problem in visitor.problems]
    for visitor in visitors:
        visitor.context.close()
    assert problems == []

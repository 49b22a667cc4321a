"""The browser client in Chromium, on the example site, behind networks that fail."""

import json

import pytest

from tests.browser.chromium import launch
from tests.browser.pages import Visitor
from tests.browser.relay import Relay
from tests.browser.site import Site
from tests.interpreters import Python
from tests.ports import free_port
from tests.servers import Nginx, wait_for_http


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/client/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)
            if item.path.name != "test_vitest.py":
                item.add_marker(pytest.mark.timed)
            if item.get_closest_marker("back_forward_cache"):
                item.add_marker(pytest.mark.slow)  # Chromium itself needs three times the processor


class StreamingSite(Site):
    """The example, whose message server also speaks HTTP-streaming and server-sent events."""

    def __enter__(self):
        folder = self.folder / "centrifugo"
        folder.mkdir(parents=True)
        config = {"sse": {"enabled": True}, "http_stream": {"enabled": True}}
        (folder / "config.json").write_text(json.dumps(config))
        return super().__enter__()


@pytest.fixture(scope="module")
def relay():
    with Relay(free_port()) as between:
        yield between


@pytest.fixture(scope="module")
def site(relay, tmp_path_factory):
    with StreamingSite(tmp_path_factory.mktemp("client"), relay) as running:
        yield running


@pytest.fixture(scope="package")
def playwright():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def shell(playwright):
    browser = launch(playwright)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def whole(playwright):
    browser = launch(playwright, whole=True)
    yield browser
    browser.close()


@pytest.fixture
def chromium(request):
    """The headless shell; Chromium for tests about its back/forward cache."""
    needs = request.node.get_closest_marker("back_forward_cache")
    return request.getfixturevalue("whole" if needs else "shell")


@pytest.fixture
def visit(site, chromium):
    """Open a browser for a user (None: nobody). Pages may complain: their network fails."""
    visitors = []

    def open_browser(user=None, **options):
        visitor = Visitor(chromium.new_context(**options), site)
        visitors.append(visitor)
        if user is not None:
            visitor.arrive_as(user)
        return visitor

    yield open_browser
    for visitor in visitors:
        visitor.context.close()


@pytest.fixture
def restart(site, relay):
    """
    Do what a restart of the message server does: another process, and nothing is remembered.

    The demo's own stays for the other tests, which come back to it at the end.
    """
    before, port = relay.target, free_port()
    started = []

    def switch():
        config = site.folder / "centrifugo" / "config.json"
        options = ("--config", str(config), "--port", str(port))
        started.append(Python(["-m", "instant.embedded", *options]))
        wait_for_http(port)
        move(port)

    def move(target):
        relay.target, site.env["EXAMPLE_WS_PORT"] = target, str(target)
        relay.cut()
        relay.heal()

    yield switch
    move(before)
    for process in started:
        process.terminate()
        process.wait(60)


def without_upgrades(folder, target, *, blocks_streams=False):
    """Return a reverse proxy in front of the message server that lets no WebSocket through."""
    port = free_port()
    more = "location /connection/http_stream { return 403; }" if blocks_streams else ""
    # No “Upgrade” header is passed on: nginx as it is out of the box.
    sites = f"""server {{
      listen 127.0.0.1:{port};
      location / {{
        proxy_pass http://127.0.0.1:{target}; proxy_http_version 1.1; proxy_set_header Connection "";
      }}
      {more}
    }}"""
    return Nginx(folder, sites, port)


@pytest.fixture
def behind(site, relay, tmp_path):
    """Move all browsers behind an nginx that blocks upgrades; they come back at the end."""
    direct = relay.target
    opened = []

    def move(**options):
        nginx = without_upgrades(tmp_path, direct, **options).__enter__()
        opened.append(nginx)
        relay.target = nginx.port
        relay.cut()
        relay.heal()

    yield move
    relay.target = direct
    relay.cut()
    relay.heal()
    for nginx in opened:
        nginx.__exit__()

"""Eight tabs behind the shipped nginx.conf, on a network that lets no WebSocket through."""

from pathlib import Path

import pytest
import trustme

from tests.client.hall.running import Hall
from tests.ports import free_port
from tests.servers import Nginx

SHIPPED = Path(__file__).resolve().parents[2] / "centrifugo" / "deploy" / "nginx.conf"
TABS = 8
LISTEN = """(name) => {
  window.heard = [];
  window.channel = instant.channel(name);
  channel.on("*", ({ message }) => heard.push(message));
  channel.onStatus((status) => { window.wasLive ||= status === "live"; });
}"""
PROTOCOL = "() => performance.getEntriesByType('navigation')[0].nextHopProtocol"


def replaced(text, *pairs):
    for before, after in pairs:
        assert before in text, before
        text = text.replace(before, after)
    return text


def shipped(folder, hall, port, *, http2):
    """Return the shipped file with names, ports and certificate of this machine, and no WebSocket."""
    certificate = trustme.CA().issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for part in certificate.cert_chain_pems:
        part.write_to_path(folder / "chain.pem", append=True)
    location = r"location ~ ^/(connection/|emulation$) {"
    text = replaced(
        SHIPPED.read_text(),
        ("127.0.0.1:8427", f"127.0.0.1:{hall.ws_port}"),
        ("127.0.0.1:8000", f"127.0.0.1:{hall.port}"),
        ("listen 80;", f"listen 127.0.0.1:{free_port()};"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("server_name example.com", "server_name localhost"),
        ("/etc/letsencrypt/live/example.com/fullchain.pem", str(folder / "chain.pem")),
        ("/etc/letsencrypt/live/example.com/privkey.pem", str(folder / "key.pem")),
        (location, f"{location} if ($http_upgrade) {{ return 403; }}"),
    )
    return Nginx(folder, text if http2 else replaced(text, (" http2", "")), port)


@pytest.fixture(scope="module")
def hall(tmp_path_factory):
    config = {"sse": {"enabled": True}, "http_stream": {"enabled": True}}
    folder = tmp_path_factory.mktemp("hall")
    with Hall(folder, "embedded", public_port=free_port(), config=config) as running:
        yield running


@pytest.fixture
def tabs(hall, chromium, tmp_path):
    """Open tabs of one browser behind nginx; all but the last are hidden, as in a window."""
    opened = []

    def open_tabs(count, *, http2):
        nginx = shipped(tmp_path, hall, hall.public_port, http2=http2).__enter__()
        context = chromium.new_context(ignore_https_errors=True)
        opened.extend((context, nginx))
        # Without a window each tab is shown; this says what a browser with one would.
        context.add_init_script(
            "Object.defineProperty(document, 'hidden', { get: () => window.name !== 'shown' })"
        )
        streams = []
        context.on(
            "request",
            lambda request: streams.append(1) if "/connection/http_stream" in request.url else None,
        )
        pages = []
        for _ in range(count):
            page = context.new_page()
            page.goto(f"https://localhost:{hall.public_port}/", timeout=10_000)
            page.evaluate(LISTEN, "street:1")
            pages.append(page)
        return pages, streams

    yield open_tabs
    if opened:
        context, nginx = opened
        context.close()
        nginx.__exit__()


def test_over_http_2_all_are_connected_at_once(hall, tabs):
    pages, streams = tabs(TABS, http2=True)
    for page in pages:
        page.wait_for_function("() => channel.status === 'live'")
    hall.change("say", "street:1", "hello")
    for page in pages:
        page.wait_for_function("() => heard.length === 1")
    assert {page.evaluate(PROTOCOL) for page in pages} == {"h2"}
    assert len(streams) == TABS


def show(pages, shown):
    """Do what a person does who turns to a tab."""
    for page in pages:
        page.evaluate(
            "(name) => { window.name = name; document.dispatchEvent(new Event('visibilitychange')); }",
            "shown" if page is shown else "",
        )


def test_over_http_1_they_take_turns_and_nothing_is_missed(hall, tabs):
    pages, _streams = tabs(TABS, http2=False)
    assert {page.evaluate(PROTOCOL) for page in pages} == {"http/1.1"}
    for page in pages:
        show(pages, page)
        page.wait_for_function("() => window.wasLive")
    hall.change("say", "street:1", "one", "two")
    # Whoever had no connection then gets it with the next one.
    for page in pages:
        show(pages, page)
        page.wait_for_function("() => heard.join() === 'one,two'")
    # And there is room for what pages load.
    pages[0].context.new_page().goto(f"https://localhost:{hall.public_port}/", timeout=10_000)

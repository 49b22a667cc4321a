"""A page that Vite serves in development, with the lines of the client's README."""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.client.hall.running import Hall
from tests.live.servers import free_port
from tests.servers import wait_for_http

CLIENT = Path(__file__).resolve().parents[2] / "js-client"
MODULES = CLIENT / "node_modules"


@pytest.fixture(scope="module")
def hall(tmp_path_factory):
    with Hall(tmp_path_factory.mktemp("hall"), "embedded") as running:
        yield running


def readme_block(text):
    blocks = re.findall(r"```ts\n(.*?)```", (CLIENT / "README.md").read_text(), re.DOTALL)
    [found] = [block for block in blocks if text in block]
    return found


@pytest.fixture
def vite(hall, tmp_path):
    """Serve a page with the README's two blocks, and return the port."""
    assert (MODULES / "vite").is_dir(), "Vite is not installed: cd js-client && npm ci"
    config = readme_block('from "vite"').replace("http://127.0.0.1:8000", hall.url)
    assert hall.url in config
    page = readme_block("location.origin").replace('"djangoinstant"', '"./djangoinstant.js"')
    (tmp_path / "vite.config.ts").write_text(config)
    (tmp_path / "main.ts").write_text(f"{page}\nwindow.instant = instant;\n")
    (tmp_path / "index.html").write_text('<script type="module" src="/main.ts"></script>')
    (tmp_path / "node_modules").symlink_to(MODULES)
    bundle = ("--bundle", "--format=esm", f"--outfile={tmp_path / 'djangoinstant.js'}")
    subprocess.run(
        [MODULES / ".bin" / "esbuild", "src/index.ts", *bundle, "--log-level=error"],
        cwd=CLIENT,
        check=True,
    )
    port = free_port()
    command = ("node", MODULES / "vite" / "bin" / "vite.js", "--host", "127.0.0.1")
    with subprocess.Popen(
        [*command, "--port", str(port), "--strictPort"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as server:
        wait_for_http(port)
        yield port
        server.terminate()


def test_page_and_django_are_one_site_and_the_socket_is_on_the_pages_host(hall, vite, chromium):
    context = chromium.new_context()
    try:
        page = context.new_page()
        sockets = []
        page.on("websocket", lambda socket: sockets.append(urlsplit(socket.url)))
        # Django is asked at 127.0.0.1; the page is somewhere else.
        page.goto(f"http://localhost:{vite}/")
        page.wait_for_function("() => window.instant")
        user = hall.change("register", "ann")
        page.evaluate("() => instant.login('ann', 'pw')")
        page.evaluate(
            """(name) => {
              window.heard = [];
              window.channel = instant.channel(name);
              channel.on("*", ({ message }) => heard.push(message));
            }""",
            f"user:{user}",
        )
        page.wait_for_function("() => channel.status === 'live'")
        hall.change("say", f"user:{user}", "hello")
        page.wait_for_function("() => heard[0] === 'hello'")
        [address] = [url for url in sockets if url.path == "/connection/websocket"]
        assert address.hostname == "localhost"
    finally:
        context.close()

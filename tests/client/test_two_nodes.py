"""Pages behind nginx in front of two nodes, of which one is killed."""

import json
import time

import pytest

from tests import engines
from tests.client.hall.running import Hall
from tests.live.servers import LiveServer
from tests.ports import free_port
from tests.servers import Nginx

pytestmark = pytest.mark.real_server

PAGES = 4
SITES = """
upstream nodes {{ server 127.0.0.1:{a} fail_timeout=1s; server 127.0.0.1:{b} fail_timeout=1s; }}
server {{
  listen 127.0.0.1:{port};
  location / {{
    proxy_pass http://nodes; proxy_http_version 1.1; proxy_read_timeout 60s;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
  }}
}}
"""
LISTEN = """() => {
  window.heard = [];
  window.lost = 0;
  window.times = [];
  window.channel = instant.channel("street:1");
  channel.on("*", ({ message }) => heard.push(message));
  channel.onLost(() => { lost += 1; });
  channel.onStatus((status) => times.push([status, Date.now() / 1000]));
}"""


@pytest.fixture
def redis():
    with engines.redis() as url:
        yield url


@pytest.fixture
def front():
    return free_port()


@pytest.fixture
def hall(redis, front, tmp_path):
    (tmp_path / "hall").mkdir()
    config = {"engine": {"type": "redis", "redis": {"address": redis}}}
    sockets = f"ws://127.0.0.1:{front}/connection/websocket"
    with Hall(tmp_path / "hall", "centrifugo", config=config, sockets=sockets) as running:
        yield running


@pytest.fixture
def second(hall, front, tmp_path):
    """Another node with the config of the first; nginx is in front of both."""
    for name in ("second", "nginx"):
        (tmp_path / name).mkdir()
    node = LiveServer("centrifugo", tmp_path / "second")
    config = json.loads((tmp_path / "hall" / "centrifugo" / "config.json").read_text())
    config["http_server"]["port"] = node.port
    node.path.write_text(json.dumps(config))
    node.start()
    sites = SITES.format(a=hall.ws_port, b=node.port, port=front)
    with Nginx(tmp_path / "nginx", sites, front):
        yield node
    node.kill()


def test_pages_of_a_killed_node_come_back_with_what_they_missed(hall, second, chromium):
    context = chromium.new_context()
    pages = [context.new_page() for _ in range(PAGES)]
    for page in pages:
        page.goto(hall.url)
        page.evaluate(LISTEN)
        page.wait_for_function("() => channel.status === 'live'")
    hall.change("say", "street:1", *map(str, range(10)))
    killed = time.time()
    second.kill()
    for number in range(10, 50):
        hall.change("say", "street:1", str(number))
    back = []
    for page in pages:
        page.wait_for_function("() => heard.length >= 50 && channel.status === 'live'")
        assert page.evaluate("() => heard") == [str(number) for number in range(50)]
        assert page.evaluate("() => lost") == 0
        back += [
            at - killed
            for what, at in page.evaluate("() => times")
            if what == "live" and at > killed
        ]
    context.close()
    assert 0 < len(back) < PAGES  # nginx had given the nodes some each
    print(f"back after {', '.join(f'{seconds:.2f}' for seconds in sorted(back))} s")

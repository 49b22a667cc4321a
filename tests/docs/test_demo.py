"""The README's “Try it”, in a fresh clone, as a newcomer types it."""

import contextlib
import http.cookiejar
import json
import os
import re
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.live.subscriber import Subscriber
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


class Browser:
    """Just enough of one to log in and ask for tokens."""

    def __init__(self, site):
        self.site = site
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        )

    def post(self, path, body):
        request = urllib.request.Request(
            f"{self.site}{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Origin": self.site},
        )
        with self._opener.open(request) as response:
            return json.load(response)


@pytest.fixture
def clone(tmp_path):
    """What is committed and nothing else; pip keeps its cache."""
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, tmp_path / "instant"], check=True)
    return tmp_path / "instant"


def test_make_demo_ends_in_a_live_message(clone):
    port, ws_port = free_port(), free_port()
    environment = {name: value for name, value in os.environ.items() if name != "CENTRIFUGO_BIN"}
    demo = subprocess.Popen(
        ["make", "demo", f"DEMO=--port {port} --ws-port {ws_port} --server embedded"],
        cwd=clone, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        said = ""
        for line in demo.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        found = re.search(r"(http://\S+)", said)
        assert found, said
        site = found[1].rstrip("/")
        browser = Browser(site)
        grants = browser.post("/instant/login/", {"username": "ada", "password": "demo"})
        subscriber = Subscriber(grants["url"].replace("localhost", "127.0.0.1"), origin=site)
        with contextlib.closing(subscriber):
            assert "connect" in subscriber.connect(grants["ws_token"])
            tokens = {channel["name"]: channel["token"] for channel in grants["channels"]}
            assert "subscribe" in subscriber.subscribe("public", tokens["public"])
            code = "from instant import publish; publish('public', 'from a shell')"
            subprocess.run(
                [clone / ".venv/bin/python", "example/manage.py", "shell", "-v0", "-c", code],
                cwd=clone, env=environment | {"DJANGO_SETTINGS_MODULE": "shop.settings"}, check=True,
            )  # fmt: skip
            [(channel, data)] = subscriber.publications(1)
        assert (channel, data["message"]) == ("public", "from a shell")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
        rest = demo.communicate(timeout=60)[0]
    assert "Stopped." in rest, said + rest
    assert "Traceback" not in said + rest
    # Nothing of it is in the way of git, and no key was printed.
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""
    config = json.loads((clone / "example/centrifugo/config.json").read_text())
    for secret in (config["http_api"]["key"], config["client"]["token"]["hmac_secret_key"]):
        assert secret not in said + rest
    shutil.rmtree(clone)

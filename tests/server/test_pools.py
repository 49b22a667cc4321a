"""What is slow is answered by processes of its own: config, nginx, gunicorn and servers together."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import override_settings

from instant import Namespace, conf, on_rpc
from instant.exceptions import InstantConfigError
from instant.inbound import registry as inbound
from instant.rights.tokens import Signer
from instant.server import proxy_urls
from instant.server.balancer import nginx_config
from instant.server.sync import compare
from tests import interpreters
from tests.interpreters import Python
from tests.live import servers as live
from tests.live.subscriber import Subscriber
from tests.ports import free_port
from tests.real_server import KINDS
from tests.servers import Nginx, wait_for_http

ROOT = Path(__file__).resolve().parents[2]
WEB = "http://127.0.0.1:8000"


def use(folder, **instant):
    return override_settings(INSTANT={"DIR": folder, "PROXY_URL": WEB, **instant})


@pytest.fixture
def declared(registry):
    class Hall(Namespace):
        name, pattern, authorize, pool = "hall", "<int:pk>", "proxy", "heavy"

    for method, pool in (("cart.add", ""), ("report.*", "heavy"), ("report.small", "")):
        on_rpc(method, pool=pool)(lambda call: None)


# The config


def test_each_pool_is_asked_where_it_is(declared, tmp_path):
    with use(tmp_path, POOLS={"heavy": ["http://127.0.0.1:8001/app"]}):
        wanted = compare(conf.current()).wanted
    assert wanted["rpc"]["proxy"]["endpoint"] == f"{WEB}/instant/proxy/rpc/"
    assert wanted["rpc"]["namespaces"] == [
        {"name": "heavy", "proxy_enabled": True, "proxy_name": "heavy.rpc"}
    ]
    secret = wanted["rpc"]["proxy"]["http"]
    assert {p["name"]: (p["endpoint"], p["http"]) for p in wanted["proxies"]} == {
        f"heavy.{kind}": (f"http://127.0.0.1:8001/app/instant/proxy/{kind}/heavy/", secret)
        for kind in ("subscribe", "publish", "sub_refresh", "rpc")
    }
    [hall] = [n for n in wanted["channel"]["namespaces"] if n["name"] == "hall"]
    assert hall["subscribe_proxy_name"] == "heavy.subscribe"
    assert hall["sub_refresh_proxy_name"] == "heavy.sub_refresh"
    assert "publish_proxy_name" not in hall


def test_a_pool_without_addresses_is_asked_with_the_others(declared, tmp_path):
    with use(tmp_path):
        urls = proxy_urls.pool_urls(conf.current())
    assert urls["heavy"]["rpc"] == f"{WEB}/instant/proxy/rpc/heavy/"


def test_a_pool_with_several_addresses_is_asked_through_nginx(declared, tmp_path):
    several = {"heavy": ["http://127.0.0.1:8001", "http://127.0.0.1:8002"]}
    with use(tmp_path, POOLS=several, POOLS_URL="http://127.0.0.1:9000"):
        urls = proxy_urls.pool_urls(conf.current())
        text = nginx_config(conf.current())
    assert urls["heavy"]["rpc"] == "http://127.0.0.1:9000/instant/proxy/rpc/heavy/"
    assert "listen 127.0.0.1:9000;" in text
    assert "server 127.0.0.1:8001;" in text
    assert "server 127.0.0.1:8002;" in text


def test_each_pool_has_an_upstream_of_its_own(registry, tmp_path):
    names = ("big.one", "big_one", "big-one")
    for name in names:
        on_rpc(name, pool=name)(lambda call: None)
    pools = {name: ["http://127.0.0.1:8001", "http://127.0.0.1:8002"] for name in names}
    with use(tmp_path, POOLS=pools, POOLS_URL="http://127.0.0.1:9000"):
        text = nginx_config(conf.current())
    upstreams = re.findall(r"^upstream (\S+)", text, re.MULTILINE)
    assert len(set(upstreams)) == 3
    asked = re.findall(r"proxy_pass http://(\S+);", text)
    assert asked == upstreams
    config = tmp_path / "nginx.conf"
    config.write_text(f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ {text} }}")
    if program := shutil.which("nginx"):
        subprocess.run([program, "-t", "-c", config], check=True, capture_output=True)


def test_what_is_no_longer_declared_goes_and_what_a_person_wrote_stays(
    declared, registry, tmp_path
):
    theirs = {"name": "other", "endpoint": "http://other.example/"}
    path = tmp_path / "config.json"
    rpc = {"namespaces": [{"name": "own", "proxy_name": "other", "proxy_enabled": True}]}
    path.write_text(json.dumps({"proxies": [theirs], "rpc": rpc}))
    with use(tmp_path):
        first = compare(conf.current()).wanted
        assert theirs in first["proxies"]
        first = json.loads(json.dumps(first))
        [mine] = [p for p in first["proxies"] if p["name"] == "heavy.rpc"]
        mine["timeout"] = "60s"  # an option by hand
        path.write_text(json.dumps(first))
        assert compare(conf.current()).wanted == first
        inbound._registry.clear()
        [hall] = registry  # stays, without its pool
        hall.pool = ""
        last = compare(conf.current()).wanted
    assert last["proxies"] == [theirs]
    assert last["rpc"] == rpc
    [hall] = [n for n in last["channel"]["namespaces"] if n["name"] == "hall"]
    assert "subscribe_proxy_name" not in hall


def test_nothing_to_balance(declared, tmp_path):
    nothing = pytest.raises(InstantConfigError, match="nothing to balance")
    with use(tmp_path, POOLS={"heavy": "http://127.0.0.1:8001"}), nothing:
        nginx_config(conf.current())
    several = ["http://127.0.0.1:8001", "http://127.0.0.1:8002"]
    nowhere = pytest.raises(InstantConfigError, match="where nginx listens")
    with use(tmp_path, POOLS={"heavy": several}, POOLS_URL="https://x.example/a"), nowhere:
        nginx_config(conf.current())


@pytest.mark.parametrize(
    ("pools", "match"),
    [
        ([], "dict of pools"),
        ({"x": "http://a"}, "two or more"),
        ({"heavy": []}, "a list of addresses"),
        ({"heavy": ["ftp://a"]}, "a list of addresses"),
        ({"heavy": ["http://a", "https://b"]}, "differ in more than host and port"),
    ],
)
def test_pools_that_are_none(tmp_path, pools, match):
    with use(tmp_path, POOLS=pools), pytest.raises(InstantConfigError, match=match):
        conf.current()


def test_what_a_page_is_told(declared):
    assert inbound.pools() == {"report.*": "heavy", "report.small": ""}


# Two pools, one of which is blocked

SITE = """
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent
SECRET_KEY = "pools"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "pools_urls"
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "instant", "hall",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
"""
URLS = """
from django.urls import include, path
urlpatterns = [path("instant/", include("instant.urls"))]
"""
REALTIME = """
import os, time
from pathlib import Path
from instant import on_rpc

HERE = Path(os.environ["POOLS_FOLDER"])

@on_rpc("fast", anonymous=True)
def fast(call):
    return os.environ["POOLS_ME"]

@on_rpc("slow", anonymous=True, pool="heavy")
def slow(call):
    me = os.environ["POOLS_ME"]
    (HERE / f"began-{me}").touch()
    while not (HERE / "end").exists():
        time.sleep(0.01)
    return me
"""


class Deployment:
    """A site, its pool of two processes behind nginx, and a message server."""

    def __init__(self, kind, folder):
        self.folder = folder
        self.server = live.LiveServer(kind, folder)
        self.ports = {name: free_port() for name in ("web", "one", "two", "nginx")}
        self._stack = contextlib.ExitStack()
        self.processes = {}
        (folder / "hall").mkdir()
        (folder / "hall" / "__init__.py").touch()
        (folder / "hall" / "realtime.py").write_text(REALTIME)
        (folder / "pools_urls.py").write_text(URLS)
        at = {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}
        (folder / "pools_settings.py").write_text(
            f"{SITE}\nINSTANT = {{'DIR': {str(folder)!r}, 'PROXY_URL': {at['web']!r}, "
            f"'POOLS': {{'heavy': [{at['one']!r}, {at['two']!r}]}}, "
            f"'POOLS_URL': {at['nginx']!r}}}\n"
        )
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("CENTRIFUGO_", "DJANGO_"))},
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "DJANGO_SETTINGS_MODULE": "pools_settings",
            "POOLS_FOLDER": str(folder),
        }

    def start(self):
        self._manage("syncws")
        self._manage("syncws", "--nginx", str(self.folder / "pools.conf"))
        # A slow method may take longer than the three seconds that the server waits.
        path = self.folder / "config.json"
        config = json.loads(path.read_text())
        for proxy in config["proxies"]:
            proxy["timeout"] = "60s"
        path.write_text(json.dumps(config))
        for name in ("web", "one", "two"):
            command = [
                "-m", "gunicorn", "--bind", f"127.0.0.1:{self.ports[name]}",
                "--log-level", "error", "django.core.wsgi:get_wsgi_application()",
            ]  # fmt: skip
            environ = {**self.env, "POOLS_ME": name}
            self.processes[name] = Python(command, cwd=self.folder, env=environ)
        for name in ("web", "one", "two"):
            wait_for_http(self.ports[name])
        folder = self.folder / "nginx"
        folder.mkdir()
        sites = f"include {self.folder / 'pools.conf'};"
        self._stack.enter_context(Nginx(folder, sites, self.ports["nginx"]))
        self.server.start()
        return self

    def _manage(self, *arguments):
        done = interpreters.run(
            ["-m", "django", *arguments],
            env=self.env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def connect(self):
        page = self._stack.enter_context(contextlib.closing(Subscriber(self.server.url)))
        with live.use(self.server):
            assert "connect" in page.connect(Signer(AnonymousUser()).connection_token().value)
        return page

    def call_slow(self, answers):
        page = self.connect()

        def call():
            answers.append(page.ask(rpc={"method": "heavy:slow", "data": {}})["rpc"]["data"])

        thread = threading.Thread(target=call)
        thread.start()
        return thread

    def began(self, *names):
        until = time.monotonic() + 60
        while not all((self.folder / f"began-{name}").exists() for name in names):
            assert time.monotonic() < until
            time.sleep(0.01)

    def stop(self):
        (self.folder / "end").touch()
        self._stack.close()
        self.server.kill()
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(60)


@pytest.fixture(params=KINDS)
def deployment(request, tmp_path):
    made = Deployment(request.param, tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.slow
def test_what_is_slow_does_not_hold_up_the_rest(deployment):
    deployment.start()
    page, answers = deployment.connect(), []
    threads = [deployment.call_slow(answers) for _ in range(2)]
    deployment.began("one", "two")  # nginx gave each its own: both are blocked now
    assert page.ask(rpc={"method": "fast", "data": {}})["rpc"] == {"data": "web"}
    refused = page.ask(rpc={"method": "slow", "data": {}})
    assert refused["error"]["code"] == 404  # of a pool, and called at the others' endpoint
    assert not answers
    (deployment.folder / "end").touch()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == ["one", "two"]
    deployment.processes["one"].terminate()
    deployment.processes["one"].wait(60)
    for _ in range(3):  # a process that is gone is passed over
        reply = page.ask(rpc={"method": "heavy:slow", "data": {}})
        assert reply["rpc"] == {"data": "two"}

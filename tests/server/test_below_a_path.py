"""A site below a path: gunicorn and nginx as people set them up, asked at what syncws writes."""

import contextlib
import json
import os
import time
from pathlib import Path

import pytest
import requests

from tests import interpreters
from tests.interpreters import Python
from tests.ports import free_port
from tests.servers import Nginx

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

SITE = """
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent
SECRET_KEY = "below a path"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "below_site"
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "instant", "hall",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
"""
URLS = """
from django.urls import include, path
urlpatterns = [path("live/", include("instant.urls"))]
"""
REALTIME = """
from instant import Namespace

class Hall(Namespace):
    name, pattern, authorize = "hall", "<int:pk>", "proxy"

    def can_subscribe(self, user, pk):
        return pk == 1
"""
SITES = """server {{
  listen 127.0.0.1:{port};
  location /app/ {{ proxy_pass http://127.0.0.1:{target}{path}; proxy_set_header Host $host; }}
}}"""


class Deployment:
    def __init__(self, folder):
        self.folder = folder
        self.web, self.front = free_port(), free_port()
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("CENTRIFUGO_", "DJANGO_"))},
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "DJANGO_SETTINGS_MODULE": "below_settings",
            "NO_PROXY": "*",
        }
        (folder / "hall").mkdir()
        (folder / "hall" / "__init__.py").touch()
        (folder / "hall" / "realtime.py").write_text(REALTIME)
        (folder / "below_site.py").write_text(URLS)
        self._processes = []
        self._nginx = None

    def start(self, *, settings, environ, strips):
        (self.folder / "below_settings.py").write_text(f"{SITE}\n{settings}\n")
        self.manage("syncws")
        self._run(
            "-m", "gunicorn", "--bind", f"127.0.0.1:{self.web}",
            "django.core.wsgi:get_wsgi_application()",
            env=environ,
        )  # fmt: skip
        path = "/" if strips else ""
        sites = SITES.format(port=self.front, target=self.web, path=path)
        self._nginx = Nginx(self.folder, sites, self.front).__enter__()
        self._wait_for(f"http://127.0.0.1:{self.front}/app/live/logout/")

    def manage(self, *arguments):
        done = interpreters.run(
            ["-m", "django", *arguments],
            env=self.env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def ask(self, channel):
        """Ask as the message server would: at the address and with the header of its config."""
        config = json.loads((self.folder / "centrifugo" / "config.json").read_text())
        proxy = config["channel"]["proxy"]["subscribe"]
        answer = requests.post(
            proxy["endpoint"],
            json={"client": "c", "transport": "websocket", "protocol": "json", "encoding": "json",
                  "user": "", "channel": channel},
            headers=proxy["http"]["static_headers"],
            timeout=30,
        )  # fmt: skip
        assert answer.status_code == 200, (proxy["endpoint"], answer.status_code)
        return answer.json()

    def _run(self, *command, env=()):
        self._processes.append(
            Python([str(part) for part in command], env={**self.env, **dict(env)})
        )

    def _wait_for(self, url):
        until = time.monotonic() + 20
        while True:
            status = 0
            with contextlib.suppress(requests.ConnectionError):
                status = requests.get(url, timeout=5).status_code
            if status == 405:  # a GET; the view is found
                return
            assert time.monotonic() < until, status
            assert all(process.poll() is None for process in self._processes)
            time.sleep(0.05)

    def stop(self):
        if self._nginx is not None:
            self._nginx.__exit__()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(60)


@pytest.fixture
def deployment(tmp_path):
    made = Deployment(tmp_path)
    yield made
    made.stop()


STRIPPED = {"settings": 'FORCE_SCRIPT_NAME = "/app"', "environ": {}, "strips": True}
BY_GUNICORN = {"settings": "", "environ": {"SCRIPT_NAME": "/app"}, "strips": False}


@pytest.mark.parametrize(
    ("how", "asked", "path"),
    [
        pytest.param(STRIPPED, "web", "", id="nginx strips it, gunicorn is asked"),
        pytest.param(STRIPPED, "front", "/app", id="nginx strips it, and is asked"),
        pytest.param(BY_GUNICORN, "web", "/app", id="gunicorn's SCRIPT_NAME, which is asked"),
        pytest.param(BY_GUNICORN, "front", "/app/", id="gunicorn's SCRIPT_NAME behind nginx"),
    ],
)
def test_the_server_finds_a_site_below_a_path(deployment, how, asked, path):
    url = f"http://127.0.0.1:{getattr(deployment, asked)}{path}"
    settings = f"{how['settings']}\nINSTANT = {{'PROXY_URL': {url!r}}}"
    deployment.start(**{**how, "settings": settings})
    assert "result" in deployment.ask("hall:1")
    assert deployment.ask("hall:2")["error"]["code"] == 403
    assert "W007" not in deployment.manage("check")

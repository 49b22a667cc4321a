"""Logins, logouts and passwords under the web servers that people run, with async views too."""

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path

import jwt
import pytest
import requests
from websockets.exceptions import ConnectionClosed

from tests import interpreters
from tests.interpreters import Python
from tests.live.servers import LiveServer
from tests.live.subscriber import Subscriber
from tests.ports import free_port
from tests.real_server import KINDS

pytestmark = pytest.mark.conformance

SETTINGS = """
from tests.settings import *
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "{folder}/db.sqlite3"}}}}
ROOT_URLCONF = "web_urls"
CENTRIFUGO_HMAC_KEY = CENTRIFUGO_API_KEY = None
CENTRIFUGO_PORT = {port}
# Nobody looks: what isn't enforced at the end of the request isn't enforced at all.
INSTANT = {{"DIR": "{folder}", "ENFORCE_IN_BACKGROUND": False, "TIMEOUT": 60,
           "BACKEND": "instant.backends.centrifugo.CentrifugoBackend"}}
"""

URLS = """
from django.contrib.auth import (
    alogin, alogout, aupdate_session_auth_hash, get_user_model, login, update_session_auth_hash
)
from django.http import HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from instant import apublish, publish, user_channel

BACKEND = "django.contrib.auth.backends.ModelBackend"

@csrf_exempt
def password(request):
    user = request.user
    user.set_password("pw")
    user.save()
    publish(user_channel(user), "mail", on_commit=False)
    update_session_auth_hash(request, user)
    return HttpResponse()

@csrf_exempt
async def apassword(request):
    user = request.user = await request.auser()  # where Django's function looks for it
    user.set_password("pw")
    await user.asave()
    await apublish(user_channel(user), "mail")
    await aupdate_session_auth_hash(request, user)
    return HttpResponse()

@csrf_exempt
async def aleave(request):
    await alogout(request)
    return HttpResponse()

@csrf_exempt
def act(request):
    user = get_user_model().objects.exclude(pk=request.user.pk).get()
    login(request, user, BACKEND)
    publish(user_channel(user), "mail", on_commit=False)
    return HttpResponse()

@csrf_exempt
async def aact(request):
    user = await get_user_model().objects.exclude(pk=(await request.auser()).pk).aget()
    await alogin(request, user, BACKEND)
    return HttpResponse()

urlpatterns = [
    path("instant/", include("instant.urls")),
    *(path(f"{view.__name__}/", view) for view in (password, apassword, aleave, act, aact)),
]
"""

APPLICATION = """
from django.core.{kind} import get_{kind}_application
application = get_{kind}_application()
"""

SET_UP = """
from django.contrib.auth.models import User
for name in ("ann", "boss"):
    User.objects.create_user(name, password="pw")
"""

COMMANDS = {
    "gunicorn": ["gunicorn", "--bind", "127.0.0.1:{port}", "web_wsgi:application"],
    "uvicorn": ["uvicorn", "--host", "127.0.0.1", "--port", "{port}", "web_asgi:application"],
    "daphne": ["daphne", "-b", "127.0.0.1", "-p", "{port}", "web_asgi:application"],
}


class Web:
    """A site of its own behind a web server, beside a message server."""

    def __init__(self, name, live):
        self.live, self.port = live, free_port()
        self.folder = live.folder
        (self.folder / "web_settings.py").write_text(
            SETTINGS.format(folder=self.folder, port=live.port)
        )
        (self.folder / "web_urls.py").write_text(URLS)
        for kind in ("wsgi", "asgi"):
            (self.folder / f"web_{kind}.py").write_text(APPLICATION.format(kind=kind))
        path = os.pathsep.join([str(self.folder), str(Path.cwd())])
        env = os.environ | {"DJANGO_SETTINGS_MODULE": "web_settings", "PYTHONPATH": path}
        if not (self.folder / "db.sqlite3").exists():
            for arguments in (["migrate", "-v0"], ["shell", "-v0", "-c", SET_UP]):
                interpreters.run(["-m", "django", *arguments], env=env, check=True)
        command = [part.format(port=self.port) for part in COMMANDS[name]]
        self._process = Python(
            ["-m", *command],
            env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self):
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            assert self._process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def __exit__(self, *_exception):
        self._process.terminate()
        self._process.wait(60)


class Browser:
    """A session, and one page that was opened with it."""

    def __init__(self, web, name):
        self._web, self._http = web, requests.Session()
        self._http.trust_env = False
        self._http.headers["Sec-Fetch-Site"] = "same-origin"
        token = self.post("instant/login/", username=name, password="pw").json()["ws_token"]
        self.socket = Subscriber(web.live.url)
        self.sub = self.subscribe(token)

    def post(self, where, **body):
        answer = self._http.post(
            f"http://127.0.0.1:{self._web.port}/{where}", json=body, timeout=60
        )
        assert answer.status_code == 200, answer.text
        return answer

    def subscribe(self, token):
        """Connect as whoever the token says, to this user's own channel; return who it is."""
        sub = jwt.decode(token, options={"verify_signature": False})["sub"]
        self.socket.connect(token)
        if sub:
            [channel] = self.post("instant/subscribe/", channels=[f"user:{sub}"]).json()["channels"]
            assert "subscribe" in self.socket.subscribe(f"user:{sub}", channel.get("token"))
        return sub

    def comes_back(self):
        """Let the page do what the server's 4000 asks of it; return who the session says it is."""
        self.socket.close()
        self.socket = Subscriber(self._web.live.url)
        return self.subscribe(self.post("instant/get_token/").json()["ws_token"])

    def story(self):
        """Return what the page heard until its connection was ended, and how that was."""
        heard = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                heard += [data["message"] for _, data in self.socket.publications(1)]
        return heard, self.socket.close_code()


@pytest.fixture(scope="module", params=KINDS)
def live(request, tmp_path_factory):
    server = LiveServer(request.param, tmp_path_factory.mktemp("sessions"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module", params=list(COMMANDS))
def web(request, live):
    with Web(request.param, live) as running:
        yield running


@pytest.fixture
def arrive(web):
    browsers = []

    def open_browser(name):
        browsers.append(Browser(web, name))
        return browsers[-1]

    yield open_browser
    for one in browsers:
        one.socket.close()


@pytest.mark.parametrize("where", ["instant/logout/", "aleave/"])
def test_logging_out_is_enforced_at_the_end_of_the_request(arrive, where):
    ann = arrive("ann")
    ann.post(where)
    assert ann.story() == ([], 4000)
    assert ann.comes_back() == ""


@pytest.mark.parametrize("where", ["password/", "apassword/"])
def test_a_password_is_enforced_when_the_session_is_good_again(arrive, where):
    ann = arrive("ann")
    other = arrive("ann")
    ann.post(where)
    assert ann.story() == (["mail"], 4000)
    assert ann.comes_back() == ann.sub
    assert other.story() == (["mail"], 4000)
    assert other.comes_back() == ""


@pytest.mark.parametrize("where", ["act/", "aact/"])
def test_pages_follow_a_session_that_goes_on_as_another_users(arrive, where):
    boss, ann, elsewhere = arrive("boss"), arrive("ann"), arrive("boss")
    boss.post(where)
    assert boss.story()[1] == elsewhere.story()[1] == 4000
    assert boss.comes_back() == ann.sub
    assert elsewhere.comes_back() == boss.sub
    boss.post(where)  # the impersonation ends
    assert boss.story()[1] == ann.story()[1] == 4000
    assert boss.comes_back() == boss.sub
    assert ann.comes_back() == ann.sub
    boss.post("instant/logout/")
    assert boss.story() == ([], 4000)
    assert boss.comes_back() == ""

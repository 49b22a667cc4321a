"""All policies together, under the web servers that people run, with views of both kinds."""

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.inbound.policies.conftest import shared_cache
from tests.interpreters import Python
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timed]

SETTINGS = """
from tests.settings import *
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "{folder}/db.sqlite3"}}}}
ROOT_URLCONF = "policies_urls"
CACHES = {caches}
"""

URLS = """
import asyncio, json, os, threading, time
from types import SimpleNamespace
from django.db import connection
from django.http import JsonResponse
from django.urls import path
from instant import on_rpc
from instant.handlers import Call, Refused
from instant.inbound import deadline
from instant.inbound.dispatch import arun, run
from instant.inbound.registry import find_handler

def note(call):
    file = os.open({folder!r} + "/ran", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{{call.method}} {{call.data}}\\n".encode())
    os.close(file)
    return {{"pid": os.getpid()}}

ALL = dict(rate="30/m", once=True, cache=60, timeout=30)

@on_rpc("sync", **ALL)
def function(call):
    time.sleep(0.2)
    return note(call)

@on_rpc("async", **ALL)
async def afunction(call):
    await asyncio.sleep(0.2)
    return note(call)

@on_rpc("slow", timeout=0.2)
def slow(call):
    with connection.cursor() as cursor:
        cursor.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                       "SELECT max(i) FROM (SELECT i FROM n LIMIT 10000000000)")

@on_rpc("aslow", timeout=0.2)
async def aslow(call):
    await asyncio.sleep(60)

def asked(request, method):
    user = SimpleNamespace(pk=request.GET["user"], is_authenticated=True, is_active=True)
    return find_handler("rpc", method), Call(
        user=user, method=method, data=request.GET.get("data"), id=request.GET.get("id", ""))

def view(request, method):
    try:
        return JsonResponse(run(*asked(request, method)))
    except Refused as exc:
        return JsonResponse({{"refused": exc.code}})

async def aview(request, method):
    try:
        return JsonResponse(await arun(*asked(request, method)))
    except Refused as exc:
        return JsonResponse({{"refused": exc.code}})

def left(request):
    named = [t.name for t in threading.enumerate()]
    return JsonResponse({{"overdue": len(deadline._overdue), "threads": named.count("instant-handler")}})

urlpatterns = [path("view/<method>/", view), path("aview/<method>/", aview), path("left/", left)]
"""

COMMANDS = {
    "gunicorn": ["gunicorn", "-w2", "--threads=8", "--bind=127.0.0.1:{port}", "policies_wsgi:it"],
    "uvicorn": ["uvicorn", "--workers=2", "--host=127.0.0.1", "--port={port}", "policies_asgi:it"],
}


class Site:
    """Two processes of a web server."""

    def __init__(self, name, folder, caches):
        self.port, self.folder = free_port(), folder
        files = {
            "settings": SETTINGS.format(folder=folder, caches=caches),
            "urls": URLS.format(folder=str(folder)),
        }
        for kind in ("wsgi", "asgi"):
            files[kind] = (
                f"from django.core.{kind} import get_{kind}_application as get\nit = get()"
            )
        for file, text in files.items():
            (folder / f"policies_{file}.py").write_text(text)
        path = os.pathsep.join([str(folder), str(Path.cwd())])
        env = os.environ | {"DJANGO_SETTINGS_MODULE": "policies_settings", "PYTHONPATH": path}
        command = [part.format(port=self.port) for part in COMMANDS[name]]
        self._process = Python(
            ["-m", *command],
            env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def wait(self):
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            assert self._process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self):
        self._process.terminate()
        self._process.wait(60)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=60) as found:
            return json.load(found)

    def together(self, *paths):
        with ThreadPoolExecutor(len(paths)) as pool:
            return list(pool.map(self.get, paths))

    def ran(self):
        file = self.folder / "ran"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture(scope="module", params=COMMANDS)
def site(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with shared_cache("redis", folder) as given:
        found = Site(request.param, folder, given["CACHES"])
        try:
            found.wait()
            yield found
        finally:
            found.stop()


@pytest.fixture(params=["view", "aview"])
def view(request):
    return request.param


@pytest.mark.parametrize("method", ["sync", "async"])
def test_fifty_that_are_limited_kept_and_answered_once(site, view, method):
    user = f"{view}{method}"
    path = f"{view}/{method}/?user={user}&id=a&data={user}"
    answers = site.together(*[path] * 50)
    codes = Counter(a.get("refused", "in") for a in answers)
    assert codes == {"in": 30, 429: 20}
    assert len({a["pid"] for a in answers if "pid" in a}) == 1
    assert site.ran().count(f"{method} {user}") == 1
    # Others ask for it with ids of their own.
    paths = [f"{view}/{method}/?user={user}{n % 5}&id={n}&data={user}-" for n in range(50)]
    assert not [a for a in site.together(*paths) if "pid" not in a]
    assert site.ran().count(f"{method} {user}-") == 5


@pytest.mark.parametrize("method", ["slow", "aslow"])
def test_what_takes_too_long_leaves_nothing(site, view, method):
    answers = site.together(*[f"{view}/{method}/?user=1"] * 8)
    assert Counter(a["refused"] for a in answers) == {504: 8}
    for _ in range(6):  # whichever of the two it asks
        deadline = time.monotonic() + 60
        while site.get("left/") != {"overdue": 0, "threads": 0}:
            assert time.monotonic() < deadline
            time.sleep(0.05)

"""A site of one page with fragments, and a server that knows positions and audiences."""

import html
import json
import re

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.http import HttpResponse
from django.template.loader import get_template
from django.test import Client, override_settings
from django.urls import include, path

from instant.broadcasting import receivers
from instant.broadcasts import broadcasts
from instant.pages.fragments import places
from tests.pages.conftest import SESSIONS, STATE
from tests.servers import RawServer
from tests.views.test_channel_data import declare, everybody, use


class Server:
    """Answers with positions and numbers of viewers; ``hook`` is called before it does."""

    def __init__(self):
        self.asked = []
        self.offsets, self.viewers = {}, {}
        self.epoch = "ep"
        self.hook = lambda: None
        self.status = None

    def __call__(self, sock):
        while True:
            _head, body = sock.read_request()
            self.hook()
            commands = json.loads(body)["commands"]
            self.asked.append(commands)
            if self.status:
                sock.answer(b"", status=f"{self.status} Wrong")
            else:
                replies = [self._reply(*one.popitem()) for one in commands]
                sock.answer(json.dumps({"replies": replies}).encode())

    def _reply(self, method, given):
        if method == "history":
            offset = self.offsets.get(given["channel"], 7)
            return {"history": {"offset": offset, "epoch": self.epoch}}
        name = given["pattern"].replace("\\", "")
        number = self.viewers.get(name, 1)
        return {"channels": {"channels": {name: {"num_clients": number}}}}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(places, "_heard", {})
    told = Server()
    with RawServer(told) as raw:
        told.raw = raw
        with use(raw.port):
            yield told


class Site:
    """A page whose templates a test writes; groups are its objects."""

    def __init__(self, templates):
        self.templates = templates
        self.context = {}

    def view(self, request):
        return HttpResponse(get_template("page.html").render(dict(self.context), request))

    def page(self, text, client=None, **headers):
        """Return the page, whose template has the text."""
        self.templates["page.html"] = "{% load instant %}" + text
        response = (client or Client()).get("/page/", headers=headers)
        assert response.status_code == 200
        return response.content.decode()

    def element(self, text, client=None, **headers):
        """Return the page's one fragment."""
        [found] = elements(self.page(text, client, **headers))
        return found

    def ask(self, *refs, client=None, **headers):
        """Ask for fragments, and return the answers."""
        headers = {"Sec-Fetch-Site": "same-origin", **headers}
        response = (client or Client()).post(
            "/instant/fragments/", json.dumps({"refs": refs}), "application/json", headers=headers
        )
        assert response.status_code == 200, response.content
        assert response["Cache-Control"] == "private, no-store"
        return response.json()["fragments"]


class Element(dict):
    """The attributes of an <instant-live>, and its HTML."""


def elements(page):
    found = []
    for match in re.finditer(r"<instant-live([^>]*)>(.*?)</instant-live>", page, re.DOTALL):
        names = re.findall(r'([\w-]+)="([^"]*)"', match[1])
        element = Element({name: html.unescape(value) for name, value in names})
        element.html = match[2]
        found.append(element)
    return found


@pytest.fixture
def site(registry, db, server):
    templates = {"group.html": "<b>{{ group.name }}</b>"}
    found = Site(templates)
    urls = type(
        "Urls",
        (),
        {"urlpatterns": [path("page/", found.view), path("instant/", include("instant.urls"))]},
    )
    cache.clear()
    engine = {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [("django.template.loaders.locmem.Loader", templates)],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ],
        },
    }
    with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=[STATE, *SESSIONS], TEMPLATES=[engine]):
        yield found


@pytest.fixture
def group(site):
    """A group that tells its channel, which everybody may hear."""
    told(channels=lambda group: f"group:{group.pk}")
    declare("group", can_subscribe=everybody)
    site.context["group"] = Group.objects.create(name="<Ann & Co>")
    return site.context["group"]


def told(model=Group, **options):
    broadcasts(model)(type("Told", (), options))
    receivers.connect()

"""A server that says positions, and pages with a state."""

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.template import RequestContext, Template
from django.test import Client, override_settings
from django.urls import path

from tests.servers import RawServer
from tests.urls import urlpatterns
from tests.views.test_channel_data import Server, use

SESSIONS = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
STATE = "instant.middleware.StateMiddleware"


@pytest.fixture
def server():
    told = Server()
    with RawServer(told) as raw:
        told.raw = raw
        with use(raw.port):
            yield told


class Pages:
    """A site of one page, whose template a test writes."""

    template = '{% load instant %}{% instant_state "order:1" %}'
    context = None

    def view(self, request):
        text = "{% load instant %}" + self.template
        return HttpResponse(Template(text).render(RequestContext(request, self.context)))

    def get(self, client=None, url="/page/"):
        return (client or Client()).get(url)


@pytest.fixture
def pages():
    found = Pages()
    urls = type("Urls", (), {"urlpatterns": [path("page/", found.view), *urlpatterns]})
    cache.clear()
    with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=[STATE, *SESSIONS]):
        yield found
    cache.clear()

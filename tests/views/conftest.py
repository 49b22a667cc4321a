"""What the tests of the endpoints share."""

import json

import pytest
from django.core.cache import cache
from django.test import Client


@pytest.fixture(autouse=True)
def no_failed_logins():
    """Each test begins as if nobody had failed to log in."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def web(db):
    """A browser on the site's own pages."""
    return Client(enforce_csrf_checks=True, headers={"Sec-Fetch-Site": "same-origin"})


@pytest.fixture
def post():
    """``post(client, "login", body)`` as JSON."""

    def send(client, name, body=None, **extra):
        data = "" if body is None else json.dumps(body)
        return client.post(f"/instant/{name}/", data, content_type="application/json", **extra)

    return send

"""Moments on a site without time zones: pages are elsewhere."""

from datetime import datetime

import pytest

from instant import publish
from instant.messages import notify, ping
from instant.stored import pages
from instant.stored.notifications import inbox

pytestmark = pytest.mark.django_db


def test_what_pages_are_told_has_an_offset(settings, make_channel, make_user, store, client):
    settings.USE_TZ = False
    settings.TIME_ZONE = "Asia/Tokyo"
    store(MESSAGES="store")
    root = make_user("root", is_superuser=True)
    make_channel("lab", answers_pings=True)
    publish("lab", "x")
    notify(root, "Hello")
    ping("lab")
    client.force_login(root)
    shown = pages.page_of(root, {"channel": "lab"})["messages"][0]["created"]
    [one], _ = inbox.listed(root)
    status = client.get("/instant/channels/lab/status/").json()
    for moment in (shown, one["created"], status["last_ping"]):
        assert moment.endswith("+09:00")
        seconds = (datetime.now().astimezone() - datetime.fromisoformat(moment)).total_seconds()
        assert abs(seconds) < 60

"""The position with which the bell's first answer comes, so that a page need not ask twice."""

import pytest

from instant.stored.notifications import inbox
from tests.views import test_channel_data
from tests.views.test_channel_data import positions

server = test_channel_data.server


@pytest.fixture
def ann(make_user, web):
    user = make_user("ann")
    web.force_login(user)
    return user


def test_the_channels_position_is_read_before_the_count(ann, web, post, server, monkeypatch):
    server.answers["batch"] = positions({"offset": 7, "epoch": "ep"})
    seen = []
    monkeypatch.setattr(inbox, "unread", lambda user: seen.append("count") or 3)
    server.hook = lambda: seen.append("position")
    found = post(web, "notifications", {"limit": 0, "position": True}).json()
    assert found["position"] == {"offset": 7, "epoch": "ep"}
    assert seen == ["position", "count"]
    command = {"history": {"channel": f"user:{ann.pk}", "limit": 0}}
    assert server.asked == [("batch", {"commands": [command]})]
    assert "position" not in post(web, "notifications", {"limit": 0}).json()
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"replies": [{"error": {"code": 108, "message": "not available"}}]},
        {"replies": [{"history": {"offset": 0, "epoch": ""}}]},
        {"error": {"code": 100, "message": "internal server error"}},
    ],
)
def test_where_no_position_is_known_there_is_the_rest(ann, web, post, server, answer):
    server.answers["batch"] = answer
    found = post(web, "notifications", {"limit": 0, "position": True}).json()
    assert "position" not in found
    assert found["unread"] == 0


def test_an_old_view_of_the_database_has_no_position(ann, web, post, server, monkeypatch):
    monkeypatch.setattr("instant.views.notifications.is_fresh", lambda: False)
    assert "position" not in post(web, "notifications", {"position": True}).json()
    assert server.asked == []

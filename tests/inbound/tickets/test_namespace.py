"""The namespace “ticket” in the server's config."""

import json

import pytest
from django.core.management import call_command
from django.test import override_settings

from instant import conf, on_rpc, permissions
from instant.checks.engine import engine
from instant.inbound.tickets.channel import channel_of

pytestmark = pytest.mark.usefixtures("registry")


def compiled(folder, **more):
    given = {"DIR": folder, "ALLOWED_ORIGINS": [], "PROXY_URL": "http://127.0.0.1:8000", **more}
    with override_settings(INSTANT=given, CENTRIFUGO_API_KEY=None, CENTRIFUGO_HMAC_KEY=None):
        call_command("syncws", verbosity=0)
    content = json.loads((folder / "config.json").read_text())
    return {entry["name"]: entry for entry in content["channel"]["namespaces"]}


def test_it_is_there_only_with_a_queue(tmp_path):
    on_rpc("x")(lambda call: None)
    assert "ticket" not in compiled(tmp_path)
    on_rpc("y", queue="q")(lambda call: None)
    entry = compiled(tmp_path)["ticket"]
    assert (entry["history_size"], entry["history_ttl"]) == (1, "3600s")
    assert entry["force_recovery_mode"] == "cache"
    assert "allow_publish_for_subscriber" not in entry
    assert "allow_history_for_subscriber" not in entry


def test_nats_keeps_nothing_and_pages_ask(tmp_path):
    nats = {"broker": "nats://nats", "nodes": ["http://a:8427"]}
    on_rpc("y", queue="q")(lambda call: None)
    assert "history_size" not in compiled(tmp_path, ENGINE=nats)["ticket"]
    with override_settings(INSTANT={"DIR": tmp_path, "ENGINE": nats}):
        assert list(engine(conf.current())) == []


def test_a_queue_for_publications_is_an_error():
    from instant import on_publish
    from instant.inbound.registry import handlers

    on_publish("chat:*", queue="q")(lambda call: None)
    [problem] = [p for h in handlers("publish") for p in h.problems()]
    assert "queue= is for methods" in problem
    assert [str(p) for p in handlers("publish")[0].policies] == ["queue='q'"]


@pytest.mark.django_db
def test_who_may_follow(queued, make_user, anonymous):
    allowed = {"ann", "bob"}
    on_rpc("x", queue="q", can=lambda call: call.user.username in allowed)(lambda call: None)
    ann, bob = make_user("ann"), make_user("bob", is_superuser=True)
    name = channel_of(queued(ann, "x").pk)

    def may(user):
        asked = permissions.ask(user, "subscribe", name)
        assert bool(permissions.grants(user, [name])) is asked
        assert (user.pk in permissions.permitted([user], name)) is asked
        assert not permissions.ask(user, "publish", name)
        assert not permissions.ask(user, "history", name)
        return asked

    assert [may(user) for user in (ann, bob, anonymous)] == [True, False, False]
    allowed.clear()
    assert not may(ann)
    allowed.add("ann")
    type(ann).objects.update(is_active=False)
    ann.refresh_from_db()
    assert not may(ann)
    assert not permissions.ask(ann, "subscribe", "ticket:nothing")


@pytest.mark.django_db
def test_a_visitor_may_stay_and_comes_in_by_the_ticket_alone(queued, make_user, anonymous):
    on_rpc("x", queue="q", anonymous=True)(lambda call: None)
    name = channel_of(queued(None, "x").pk)
    assert not permissions.ask(anonymous, "subscribe", name)
    assert permissions.grants(anonymous, [name]) == []
    ann = make_user("ann")
    assert permissions.permitted([anonymous, ann], name) == {None}

"""What the checks say about enforcement, and the command."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from instant import Namespace
from instant.checks import check_enforcement
from instant.exceptions import ServerUnreachable
from instant.models import Revocation
from instant.revoking import follow_up


@pytest.fixture
def rule(registry):
    attributes = {"name": "doc", "pattern": "<int:pk>", "can_subscribe": lambda *a, **k: False}
    return type("Doc", (Namespace,), attributes)


def told(settings, **instant):
    settings.INSTANT = {
        **settings.INSTANT,
        "ENFORCE_IN_BACKGROUND": True,
        "ENFORCE": True,
        "SWEEP": 600,
        **instant,
    }
    return [message.id for message in check_enforcement(None)]


def test_the_checks(settings, registry, monkeypatch):
    assert told(settings, SWEEP=None) == [], "Nobody has a rule."
    attributes = {"name": "doc", "pattern": "<int:pk>", "can_subscribe": lambda *a, **k: False}
    type("Doc", (Namespace,), attributes)
    if connection.vendor == "sqlite":
        assert told(settings) == ["instant.W009"]
    options = {"transaction_mode": "IMMEDIATE"}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    assert told(settings) == []
    assert told(settings, SWEEP=None) == ["instant.W010"]
    assert told(settings, SWEEP=60, ENFORCE_IN_BACKGROUND=False) == ["instant.W010"]
    assert told(settings, ENFORCE=False) == ["instant.W010"]
    settings.DEBUG = True
    assert told(settings, ENFORCE=False) == []


@pytest.mark.parametrize(
    "wrong",
    [{"SWEEP": 0}, {"SWEEP": "x"}, {"CHECK_QUERIES": 0}, {"ENFORCE": 1}, {"CHECK_QUERIES": True}],
)
def test_what_is_no_setting_is_named(settings, wrong):
    from instant import conf
    from instant.exceptions import InstantConfigError

    settings.INSTANT = {**settings.INSTANT, **wrong}
    with pytest.raises(InstantConfigError, match=next(iter(wrong))):
        conf.current()


def test_a_sweep_by_hand(client, db, rule, capsys, make_user):
    ann = make_user("ann")
    client.inside = {"doc:1": {str(ann.pk)}, "foreign:1": {"x"}}
    call_command("enforce", sweep=True)
    assert capsys.readouterr().out.startswith("1 channels checked.\nChecks made: 0. Waiting: 0")
    assert [c.user for c in client.changes] == [str(ann.pk)]
    client.error = ServerUnreachable("away")
    with pytest.raises(CommandError, match="away"):
        call_command("enforce", sweep=True)


def test_watch_looks_until_it_is_stopped(client, db, monkeypatch):
    class Looker:
        def run(self):
            looked.append(follow_up.look())
            raise KeyboardInterrupt

    looked = []
    monkeypatch.setattr(follow_up, "new_looker", Looker)
    Revocation.objects.create(
        loss={"reconnects": ["7"]}, created_at=timezone.now(), due_at=timezone.now(), is_last=True
    )
    with pytest.raises(KeyboardInterrupt):
        call_command("enforce", watch=True)
    assert [c.user for c in client.changes] == ["7"]


def test_watch_without_a_server_says_so(db):
    with pytest.raises(CommandError, match="No server"):
        call_command("enforce", watch=True)

"""Rights that end in one tenant end nothing in another, whose users have the same primary keys."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.management import call_command
from django.db import ProgrammingError, transaction
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from instant import Namespace
from instant.centrifugo.api.commands import (
    Channels,
    Disconnect,
    Presence,
    PresenceStats,
    Unsubscribe,
)
from instant.enforcement import recheck, revoke
from instant.exceptions import ServerUnreachable
from instant.models import Revocation
from instant.revoking import follow_up, host, ledger, needed, notes, tables
from instant.revoking.affected import Affected
from instant.revoking.pending import Change
from instant.revoking.run import immediate_check
from instant.revoking.sweep import Sweep
from instant.server import listen
from instant.tenancy.commands import in_own_names
from tests.tenancy import fake

LATER = timedelta(minutes=5)


@pytest.fixture
def ann(tenants, make_user, make_channel, registry):
    make_channel("$red", "groups", groups=["red"])
    return make_user("ann", groups=["red"])


@pytest.fixture
def order(ann):
    """Acme has taken all orders back; globex hasn't."""

    class OrderChannel(Namespace):
        name, pattern = "order", "<int:pk>"

        def can_subscribe(self, user, pk):
            return fake.CURRENT.get() == "globex"

    return OrderChannel


def look():
    """Make everything that is due."""
    while follow_up.follow_up(now=timezone.now() + LATER):
        continue


def test_a_group_that_is_left_ends_this_tenants_channel_only(tenants, ann, client, committed):
    with committed(), tenants.activate("acme"):
        ann.groups.clear()
    assert client.changes == [Unsubscribe(f"acme/{ann.pk}", "$acme/red")]


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_was_in_two_tenants_has_a_row_of_each(tenants, ann, client):
    with transaction.atomic():
        with tenants.activate("acme"):
            ann.groups.clear()
        with tenants.activate("globex"):
            revoke(ann, "$red")
            revoke(ann, "$blue")
        # What whoever finds them would do, should this process be killed at the commit.
        found = {row.loss["tenant"]: row.loss for row in Revocation.objects.all()}
        assert found["acme"]["subscriptions"] == {str(ann.pk): ["$red"]}
        assert found["globex"]["all"]
    assert client.changes == [
        Unsubscribe(f"acme/{ann.pk}", "$acme/red"),
        Unsubscribe(f"globex/{ann.pk}", "$globex/blue"),
        Unsubscribe(f"globex/{ann.pk}", "$globex/red"),
    ]
    found = {row.loss["tenant"]: row.loss["subscriptions"] for row in Revocation.objects.all()}
    assert found == {
        "acme": {str(ann.pk): ["$red"]},
        "globex": {str(ann.pk): ["$blue", "$red"]},
    }


def test_a_row_says_whose_it_is_where_tenants_share_the_table(tenants, ann, client, committed):
    """Whoever looks, and in whatever context, checks it in its own."""
    with committed(), tenants.activate("acme"):
        ann.groups.clear()
    client.batches.clear()
    with tenants.activate("globex"):
        look()
    assert client.changes == [Unsubscribe(f"acme/{ann.pk}", "$acme/red")]
    assert not Revocation.objects.exists()


def test_a_row_from_before_there_were_tenants_is_the_contexts(tenants, ann, client):
    row = Revocation.objects.create(
        loss={"subscriptions": {str(ann.pk): ["$blue"]}},
        created_at=timezone.now(),
        due_at=timezone.now(),
        is_last=True,
    )
    with tenants.activate("globex"):
        assert ledger.tenant_of(row) == "globex"
        look()
    assert client.changes == [Unsubscribe(f"globex/{ann.pk}", "$globex/blue")]


def test_a_tenant_that_is_gone_holds_up_no_other(tenants, ann, client, committed, monkeypatch):
    for name in ("acme", "globex"):
        with committed(), tenants.activate(name):
            revoke(ann, "$blue")
    client.batches.clear()
    monkeypatch.setattr(fake.ContextTenants, "names", ("globex",))
    look_once = follow_up.follow_up(now=timezone.now() + LATER)
    assert look_once == 2
    assert client.changes == [Unsubscribe(f"globex/{ann.pk}", "$globex/blue")]
    assert [row.loss["tenant"] for row in Revocation.objects.all()] == ["acme"]


def test_a_commit_in_one_tenant_that_fails_holds_up_no_other(
    tenants, ann, client, monkeypatch, caplog
):
    real = fake.ContextTenants.activate

    def fails(self, name):
        if name == "acme":
            raise OSError("Its database is away.")
        return real(self, name)

    monkeypatch.setattr(fake.ContextTenants, "activate", fails)
    lost = Affected(subscriptions={str(ann.pk): {"$blue"}})
    immediate_check([Change(lost, None, tenant=name) for name in ("acme", "globex")])
    assert client.changes == [Unsubscribe(f"globex/{ann.pk}", "$globex/blue")]
    assert "tried again" in caplog.text


def test_presence_tells_of_the_tenants_own_only(tenants, order, client, committed, make_user):
    bob = make_user("bob")
    client.inside = {
        "order:acme/1": {f"acme/{bob.pk}", "", f"globex/{bob.pk}"},
        "order:globex/1": {f"globex/{bob.pk}"},
    }
    with committed(), tenants.activate("acme"):
        order.recheck()
    assert client.batches[0] == [Channels("order:acme/*")]
    # One of another tenant's in it would be a mistake, and goes.
    assert client.changes == [
        Unsubscribe("", "order:acme/1"),
        Unsubscribe(f"acme/{bob.pk}", "order:acme/1"),
        Unsubscribe(f"globex/{bob.pk}", "order:acme/1"),
    ]


def test_what_is_shared_has_what_no_tenant_has(tenants, order, client, committed, make_user):
    bob = make_user("bob")
    client.inside = {"order:acme/1": {f"acme/{bob.pk}"}, "order:1": {str(bob.pk)}}
    with committed():
        recheck("order:*")
    assert client.changes == [Unsubscribe(str(bob.pk), "order:1")]


def test_all_commands_are_about_the_tenant(tenants, client):
    with tenants.activate("acme"):
        own = in_own_names(client)
    client.inside = {"$acme/red": {"acme/7", ""}, "$globex/red": {"globex/7"}}
    commands = [
        Unsubscribe("7", "$red"), Unsubscribe("", "news"), Disconnect("7", 4000, "why"),
        Presence("$red"), PresenceStats("$red"), Channels("$*"),
    ]  # fmt: skip
    assert own.run(commands, 1) == [None, None, None, {"7", ""}, (2, 2), {"$red"}]
    assert client.batches == [
        [
            Unsubscribe("acme/7", "$acme/red"), Unsubscribe("", "acme/news"),
            Disconnect("acme/7", 4000, "why"),
            Presence("$acme/red"), PresenceStats("$acme/red"), Channels("$acme/*"),
        ]
    ]  # fmt: skip
    client.answer = lambda command: {"order:acme/1", "acme/x", "xacme/x", "globex/acme", "news"}
    assert own.run([Channels("*")], 1) == [{"order:1", "x"}]
    assert client.batches[-1] == [Channels("*acme/*")]


def test_the_sweep_asks_each_tenant_that_is_there(tenants, order, client, make_user):
    bob = make_user("bob")
    client.inside = {
        "order:acme/1": {f"acme/{bob.pk}"},
        "order:globex/1": {f"globex/{bob.pk}"},
        "order:nosuch/1": {f"nosuch/{bob.pk}"},
        "elsewhere:acme/1": {"x"},
    }
    assert Sweep().all_at_once() == 3
    assert client.changes == [Unsubscribe(f"acme/{bob.pk}", "order:acme/1")]


def test_logging_out_ends_the_sessions_of_this_tenants_user(tenants, ann, client):
    web = Client(headers={"Sec-Fetch-Site": "same-origin", "X-Tenant": "acme"})
    web.force_login(ann)
    web.post("/instant/logout/", content_type="application/json")
    assert client.changes == [Disconnect(f"acme/{ann.pk}", 4000, "permissions changed")]


def test_whether_anybody_has_channels_is_known_by_tenant(
    tenants, db, registry, make_channel, monkeypatch
):
    monkeypatch.setattr(needed, "_known", {})
    asked = []
    monkeypatch.setattr(needed.Channel.objects, "using", lambda alias: _Rows(asked))
    for name in ("acme", "globex", "acme"):
        with tenants.activate(name):
            assert needed.any_rows() is (name == "acme")
    assert asked == ["acme", "globex"]


class _Rows:
    def __init__(self, asked):
        self.asked = asked

    def exists(self):
        self.asked.append(fake.CURRENT.get())
        return fake.CURRENT.get() == "acme"


def test_enforce_goes_over_all_tenants(tenants, ann, client, capsys):
    for name in ("acme", "globex"):
        with tenants.activate(name):
            ledger.write(Affected(subscriptions={"7": {"$blue"}}), timezone.now(), held=False)
    call_command("enforce")
    assert [c.user for c in client.changes] == ["acme/7", "globex/7"]
    assert capsys.readouterr().out.startswith("Checks made: 2.")


def test_enforce_says_which_tenant_it_could_not_ask(tenants, db, client, monkeypatch, capsys):
    monkeypatch.setattr(fake.ContextTenants, "all", lambda self: ["nosuch", "acme"])
    with pytest.raises(SystemExit):
        call_command("enforce")
    assert "'nosuch'" in capsys.readouterr().err


def test_a_server_that_is_away_is_told_once_it_is_back(tenants, ann, client, committed):
    client.error = ServerUnreachable("away")
    with committed(), tenants.activate("acme"):
        ann.groups.clear()
    client.error = None
    look()
    assert Unsubscribe(f"acme/{ann.pk}", "$acme/red") in client.changes


def test_tenants_without_tables_are_asked_for_them_seldom(tenants, db, client, monkeypatch, caplog):
    """The shared part of a site may never have any; it saves users all the same."""
    monkeypatch.setattr(tables, "_found", set())
    monkeypatch.setattr(tables, "_missed_until", 0.0)
    tables._log_once.cache_clear()
    asked, missing = [], {""}

    def first(_self):
        asked.append(fake.CURRENT.get())
        if fake.CURRENT.get() in missing:
            raise ProgrammingError("no such table")

    monkeypatch.setattr(QuerySet, "first", first)
    for name in ("", "acme", "", "acme"):
        with tenants.activate(name):
            assert tables.are_there() is (name == "acme")
    assert asked == ["", "acme", "acme"]
    missing.add("globex")
    for _ in range(2):  # one that is being made has them soon
        with tenants.activate("globex"):
            assert not tables.are_there()
    assert asked[3:] == ["globex", "globex"]
    assert "migrate" not in caplog.text
    assert [r.args[0] for r in caplog.records if r.levelname == "ERROR"] == ["globex"]


def test_the_bell_says_for_which_tenant_it_rings(
    tenants, db, client, settings, tmp_path, monkeypatch
):
    settings.INSTANT = {**settings.INSTANT, "DIR": tmp_path, "ENFORCE_IN_BACKGROUND": True}
    monkeypatch.setattr(follow_up, "wake", lambda **_: None)
    bell = host.Bell()
    try:
        with tenants.activate("globex"):
            follow_up.call_looker()
        assert bell.clear() == {"globex"}
    finally:
        bell.close()


def test_each_database_has_notes_of_its_own(tenants, db, tmp_path, settings):
    settings.INSTANT = {**settings.INSTANT, "DIR": tmp_path}
    paths = {notes._path(name) for name in ("/db/acme.sqlite3", "/db/globex.sqlite3")}
    with tenants.activate("acme"):
        assert notes._path("/db/acme.sqlite3") in paths
    assert len(paths) == 2


def test_an_idle_tenant_costs_one_query(tenants, db, client, django_assert_num_queries):
    with tenants.activate("acme"), django_assert_num_queries(1):
        assert follow_up._look_here() is None


def test_who_revokes_calls_for_the_tenant(tenants, ann, client, committed, monkeypatch):
    called = []
    monkeypatch.setattr(follow_up._rounds, "call", called.extend)
    with committed(), tenants.activate("globex"):
        ann.groups.clear()
    assert called == ["globex"]


def test_the_command_says_that_no_tenant_was_active(tenants, db, capsys):
    call_command("publish", "news", "hi")
    assert "No tenant was active" in capsys.readouterr().err
    with tenants.activate("acme"):
        call_command("publish", "news", "hi")
    assert "Nobody can subscribe" in capsys.readouterr().err


def test_listening_is_the_tenants_too(tenants, make_channel, db):
    make_channel("news")
    found = listen.subscription(AnonymousUser(), "news", "acme")
    assert found.channel == "acme/news"

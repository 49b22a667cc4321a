"""The outbox of a site with tenants."""

import pytest
from django.db import transaction

from instant import apublish, publish, user_channel
from instant.models import OutboxRow
from instant.publishing.outbox.relay import Relay
from instant.publishing.outbox.state import count
from instant.testing import outbox as outbox_in_tests
from tests.outbox.conftest import OUTBOX, api, rows  # noqa: F401  fixtures
from tests.tenancy.fake import CURRENT

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def outbox(tenants, settings):
    settings.INSTANT = {**settings.INSTANT, "BACKEND": OUTBOX}
    return tenants


def test_rows_have_the_servers_names_and_are_sent_from_any_context(outbox, api, rows):  # noqa: F811
    with outbox.activate("acme"):
        publish("order:42", "a")
        with transaction.atomic():
            publish("$users", "b")
            CURRENT.set("globex")
            publish("news", "c")
            CURRENT.set("acme")
    assert [row["channel"] for row in rows()] == ["order:acme/42", "$acme/users", "globex/news"]
    assert [row["namespace"] for row in rows()] == ["order", "", ""]
    assert count().waiting == 2 * 3, "These tenants share a table: each sees all of it."
    relay = Relay()
    relay.call(["acme"])
    relay.look()
    assert {name for name, _, _ in api.published} == {
        "order:acme/42",
        "$acme/users",
        "globex/news",
    }
    assert not OutboxRow.objects.exists()


async def test_async(outbox, rows, in_threads):  # noqa: F811
    with outbox.activate("acme"):
        await apublish("news", "x")
    row = await OutboxRow.objects.aget()
    assert '"channel":"acme/news"' in row.payload


def test_all_tenants_are_drained(outbox, api):  # noqa: F811
    with outbox.activate("globex"):
        publish("news", "x")
    Relay().drain()
    assert api.messages() == ["x"]


def test_what_is_deleted_after_sending_is_the_tenants(outbox, api, settings, monkeypatch):  # noqa: F811
    """Where each has a table of its own, an id says nothing without the tenant."""
    from instant.backends import outbox as module

    settings.INSTANT = {**settings.INSTANT, "OUTBOX_IMMEDIATE": True}
    seen = []
    monkeypatch.setattr(
        module.tables, "delete", lambda found: seen.append(CURRENT.get()) or found.delete()
    )
    with transaction.atomic():
        with outbox.activate("acme"):
            publish("news", "x")
        with outbox.activate("globex"):
            publish("news", "y")
    assert api.messages() == ["x", "y"]
    assert seen in (["acme", "globex"], []), seen  # SQLite leaves them to the relay


def test_a_user_who_is_deleted_is_the_tenants(outbox, make_user, rows):  # noqa: F811
    ann = make_user("ann")
    for tenant in ("acme", "globex"):
        with outbox.activate(tenant):
            publish(user_channel(ann), tenant)
    with transaction.atomic(), outbox.activate("acme"):  # whose context ends before the commit
        ann.delete()
    assert [row["data"]["message"] for row in rows()] == ["globex"]


def test_in_a_projects_tests(outbox):
    with outbox.activate("acme"), outbox_in_tests() as found:
        publish("order:42", "x")
        found.assert_published("order:42", "x")
        assert len(found.relay()) == 1

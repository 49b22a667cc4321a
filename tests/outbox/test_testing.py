"""What instant.testing has for the outbox, in every kind of test."""

import pytest
from django.db import transaction
from django.test import TestCase, TransactionTestCase, override_settings

from instant import apublish, backends, broadcast, publish
from instant.exceptions import ServerUnreachable
from instant.models import OutboxRow
from instant.testing import capture_publications, instant_server, outbox


class InATestCase(TestCase):
    """Which asks the default database alone, and never commits."""

    def test_rows_are_publications(self):
        with outbox() as rows:
            with transaction.atomic():
                publish("order:1", data={"a": 1}, event_class="shipped")
                broadcast(["a", "b"], "x")
            rows.assert_published("order:1", data={"a": 1}, event_class="shipped", count=1)
            rows.assert_published("b", "x")
            assert rows[0].state == "queued"
            assert len(rows.relay()) == 3
            rows.assert_nothing_published()
        assert not OutboxRow.objects.exists()

    def test_what_is_rolled_back_is_none(self):
        with outbox() as rows:
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                publish("a", "x")
                1 / 0  # noqa: B018
            rows.assert_nothing_published()

    def test_on_a_server(self):
        with instant_server(), outbox() as rows:
            publish("public", "x")
            assert [p.payload["message"] for p in rows.relay()] == ["x"]
            rows.assert_nothing_published()

    def test_captured_inside(self):
        with outbox() as rows, capture_publications() as captured:
            publish("a", "x")
            captured.assert_published("a", "x")
            rows.assert_nothing_published()

    def test_afterwards_all_is_as_before(self):
        before = backends.get_backend()
        with outbox():
            assert backends.get_backend() is not before
        assert backends.get_backend() is before


class InATransactionTestCase(TransactionTestCase):
    def test_rows_are_publications(self):
        with outbox() as rows:
            with transaction.atomic():
                publish("a", "x")
            rows.assert_published("a", "x")
            assert len(rows.relay()) == 1

    async def test_async(self):
        from asgiref.sync import sync_to_async

        with outbox() as rows:
            await apublish("a", "x")
            await sync_to_async(rows.assert_published)("a", "x")


@pytest.mark.django_db
def test_a_server_that_is_gone_is_told():
    with instant_server(), outbox() as rows:
        publish("a", "x")
        with override_settings(CENTRIFUGO_PORT=9), pytest.raises(ServerUnreachable):
            rows.relay()
        rows.assert_published("a", "x")

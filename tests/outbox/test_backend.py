"""Publications as rows: what is written, when, and with how many statements."""

import json
from zlib import crc32

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from instant import abroadcast, apublish, batch, broadcast, publish
from instant.backends import get_backend, replaced
from instant.backends.locmem import LocmemBackend
from instant.exceptions import InstantConfigError, InvalidChannelName, PayloadTooLarge
from instant.models import OutboxRow
from instant.publishing.payload import MAX_PAYLOAD
from instant.testing import capture_publications
from tests.outbox.conftest import with_outbox

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


class Rollback(Exception):
    pass


def test_a_publication_is_a_row_of_its_transaction(outbox, rows):
    with transaction.atomic():
        publication = publish("order:42", "x", data={"a": 1}, idempotency_key="k")
        assert publication.state == "queued"
        [row] = rows()
    assert row == {
        "method": "publish",
        "partition": crc32(b"order:42") % 8,
        "namespace": "order",
        "channel": "order:42",
        "data": dict(publication.payload),
        "idempotency_key": "k",
    }
    assert rows() == [row]


def test_what_is_rolled_back_is_no_row(outbox, rows):
    with pytest.raises(Rollback), transaction.atomic():
        publish("a", "x")
        raise Rollback
    assert rows() == []


def test_what_a_savepoint_rolls_back_is_no_row(outbox, rows):
    with transaction.atomic():
        publish("a", "before")
        with pytest.raises(Rollback), transaction.atomic():
            publish("a", "in it")
            raise Rollback
        publish("a", "after")
    assert [row["data"]["message"] for row in rows()] == ["before", "after"]


def test_outside_a_transaction_it_is_one_statement(outbox, rows):
    with CaptureQueriesContext(connection) as queries:
        assert publish("a", "x").state == "queued"
    assert [query["sql"].split()[0] for query in queries] == ["INSERT"]
    assert len(rows()) == 1


@pytest.mark.parametrize(
    "act",
    [
        lambda: publish("a", "x"),
        lambda: broadcast([f"room:{n}" for n in range(1000)], "x"),
        lambda: broadcast(["a", "room:1", "$order:7"], "x"),
    ],
)
def test_one_insert_a_call(outbox, act):
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        act()
    assert [query["sql"].split()[0] for query in queries] == ["INSERT"]


def test_a_batch_in_its_atomic_block_is_one_insert_at_its_end(outbox, rows):
    with transaction.atomic():
        with CaptureQueriesContext(connection) as queries:
            with batch():
                first = publish("a", "1")
                broadcast(["a", "b"], "2")
                assert (first.state, rows(), len(queries)) == ("deferred", [], 1)
            assert first.state == "queued"
        assert [query["sql"].split()[0] for query in queries] == ["SELECT", "INSERT"]
        assert rows()[0]["data"]["message"] == "1"


def test_batches_inside_each_other_are_one_insert(outbox):
    with transaction.atomic(), CaptureQueriesContext(connection) as queries, batch():
        publish("a", "1")
        with batch():
            publish("a", "2")
        publish("a", "3")
    assert [query["sql"].split()[0] for query in queries] == ["INSERT"]


def test_a_batch_outside_of_a_transaction_is_one_insert(outbox):
    with CaptureQueriesContext(connection) as queries, batch():
        publish("a", "1")
        publish("b", "2")
    assert [query["sql"].split()[0] for query in queries] == ["INSERT"]


def test_a_savepoint_in_a_batch_takes_its_own_back_only(outbox, rows):
    with transaction.atomic(), batch():
        publish("a", "1")
        with pytest.raises(Rollback), transaction.atomic():
            publish("a", "rolled back")
            raise Rollback
        with transaction.atomic():
            publish("a", "2")
    assert {row["data"]["message"] for row in rows()} == {"1", "2"}


def test_a_transaction_in_a_batch_is_written_at_the_call(outbox, rows):
    with batch():
        with transaction.atomic():
            publish("a", "1")
            assert len(rows()) == 1
        with pytest.raises(Rollback), transaction.atomic():
            publish("a", "2")
            raise Rollback
    assert [row["data"]["message"] for row in rows()] == ["1"]


def test_a_batch_that_raises_writes_nothing(outbox, rows):
    with transaction.atomic():
        with pytest.raises(Rollback), batch():
            publication = publish("a", "1")
            raise Rollback
        assert publication.state == "failed"
    assert rows() == []


def test_a_batch_is_left_in_its_atomic_block(outbox, rows):
    opened = batch()
    with transaction.atomic():
        opened.__enter__()
        publication = publish("a", "1")
    with pytest.raises(RuntimeError, match="atomic block"):
        opened.__exit__(None, None, None)
    assert (publication.state, rows()) == ("failed", [])


def test_where_all_will_be_rolled_back_nothing_is_written(outbox, rows):
    with transaction.atomic():
        transaction.set_rollback(True)
        assert publish("a", "x").state == "deferred"
    assert rows() == []


def test_on_commit_false_goes_to_the_server_at_once(outbox, api, rows):
    with transaction.atomic():
        assert publish("a", "x", on_commit=False).state == "sent"
        with batch():
            publish("a", "y", on_commit=False)
    assert api.messages() == ["x", "y"]
    assert rows() == []


def test_a_database_that_is_named_gets_the_row(outbox, rows):
    with transaction.atomic(using="other"):
        publish("a", "in it", using="other")
        publish("a", "elsewhere")
    publish("a", "outside", using="other")
    assert [row["data"]["message"] for row in rows("other")] == ["in it", "outside"]
    assert [row["data"]["message"] for row in rows()] == ["elsewhere"]


class NotOnOther:
    def allow_migrate(self, db, app_label, **hints):
        return db != "other"


def test_a_database_without_the_table_is_refused(outbox, rows):
    with (
        override_settings(DATABASE_ROUTERS=[NotOnOther()]),
        transaction.atomic(using="other"),
        pytest.raises(InstantConfigError, match="DATABASE_ROUTERS keep Instant's tables"),
    ):
        publish("a", "x", using="other")


def test_a_broadcast_is_one_row_a_partition_and_namespace(outbox, rows):
    names = [*(f"room:{n}" for n in range(100)), *(f"order:{n}" for n in range(100)), "news"]
    broadcast(names, "x")
    found = rows()
    keys = [(row["partition"], row["namespace"]) for row in found]
    assert len(set(keys)) == len(keys)
    assert {row["idempotency_key"] for row in found} == {found[0]["idempotency_key"]}
    listed = [name for row in found for name in row.get("channels", [row.get("channel")])]
    assert sorted(listed) == sorted(names)
    for row in found:
        for name in row.get("channels", [row.get("channel")]):
            assert crc32(name.encode()) % 8 == row["partition"]
            assert (name.partition(":")[0] if ":" in name else "") == row["namespace"]


def test_partitions_are_as_many_as_the_settings_say(rows):
    with with_outbox(OUTBOX_PARTITIONS=1):
        broadcast([f"a{n}" for n in range(50)], "x")
    assert {row["partition"] for row in rows()} == {0}


def test_a_broadcast_over_the_size_of_a_request_is_several_rows(outbox, rows):
    with with_outbox(OUTBOX_PARTITIONS=1):
        broadcast([f"{'a' * 200}{n}" for n in range(4000)], "x")
    found = rows()
    assert len(found) > 1
    assert sum(len(row["channels"]) for row in found) == 4000


def test_large_rows_are_several_statements(outbox):
    with transaction.atomic(), CaptureQueriesContext(connection) as queries, batch():
        for number in range(6):
            publish("a", "x" * 900_000, data=number)
    assert [query["sql"].split()[0] for query in queries] == ["INSERT", "INSERT"]
    assert OutboxRow.objects.count() == 6


def test_many_rows_are_as_many_statements_as_the_database_needs(outbox):
    with transaction.atomic(), batch():
        for number in range(3000):
            publish("a", number)
    messages = [
        json.loads(p)["data"]["message"]
        for p in OutboxRow.objects.order_by("pk").values_list("payload", flat=True)
    ]
    assert messages == list(range(3000))


def test_nul_and_all_of_unicode_are_text_for_the_database(outbox, rows):
    publish("a", "a\x00b\u2028\U0001f600ä", idempotency_key="k\x00ä")
    [row] = rows()
    assert row["data"]["message"] == "a\x00b\u2028\U0001f600ä"
    assert row["idempotency_key"] == "k\x00ä"


def test_what_http_refuses_is_refused(outbox, rows):
    with transaction.atomic():
        with pytest.raises(InvalidChannelName):
            publish("a b", "x")
        with pytest.raises(PayloadTooLarge):
            publish("a", "x" * MAX_PAYLOAD)
        with pytest.raises(ValueError, match="surrogates"):
            publish("a", "\ud800")
        publish("a", "good")
    assert [row["data"]["message"] for row in rows()] == ["good"]


async def test_async(outbox, in_threads):
    publication = await apublish("a", "x")
    await abroadcast(["a", "b"], "y")
    async with batch():
        await apublish("a", "z")
    assert publication.state == "queued"
    payloads = [
        json.loads(payload)["data"]["message"]
        async for payload in OutboxRow.objects.order_by("pk").values_list("payload", flat=True)
    ]
    assert payloads[0] == "x"
    assert payloads[-1] == "z"
    assert set(payloads[1:-1]) == {"y"}


async def test_async_in_a_sync_transaction_is_part_of_it(outbox, rows, in_threads):
    """Django runs synchronous code of a task in one thread, whose connection has the transaction."""

    def work():
        from asgiref.sync import async_to_sync

        with pytest.raises(Rollback), transaction.atomic():
            async_to_sync(apublish)("a", "x")
            raise Rollback

    await sync_to_async(work)()
    assert await OutboxRow.objects.acount() == 0


def test_captured_publications_are_no_rows(outbox, rows):
    with capture_publications() as captured, transaction.atomic():
        publish("a", "x")
        captured.assert_published("a", "x")
    assert rows() == []


def test_rights_are_enforced_on_the_server(outbox, api):
    assert outbox.reaches_server
    assert outbox.client() is not None


def test_in_a_transaction_that_was_begun_by_hand(outbox, rows):
    connection.ensure_connection()
    connection.set_autocommit(False)
    try:
        publish("a", "1")
        connection.rollback()
        publish("a", "2")
        connection.commit()
    finally:
        connection.set_autocommit(True)
    assert [row["data"]["message"] for row in rows()] == ["2"]


def test_the_default_backend_makes_no_query(rows):
    with (
        override_settings(
            INSTANT={"DIR": "/x", "BACKEND": "instant.backends.locmem.LocmemBackend"}
        ),
        CaptureQueriesContext(connection) as queries,
        transaction.atomic(),
    ):
        publication = publish("a", "x")
        assert publication.state == "deferred"
    assert not [query for query in queries if "outbox" in query["sql"]]


def test_both_a_row_and_sent_at_once(api, rows):
    with with_outbox(OUTBOX_IMMEDIATE=True):
        with transaction.atomic():
            publication = publish("a", "x", idempotency_key="k")
            assert (publication.state, api.messages()) == ("queued", [])
            broadcast(["a", "b"], "y")
        assert publication.state == "sent"
        assert api.messages("a") == ["x", "y"]
        assert ("a", "x", "k") in api.published
        # On SQLite no row is deleted beside requests that doesn't have to be: the relay does it.
        assert bool(rows()) is (connection.vendor == "sqlite")
        get_backend().close()


def test_what_is_not_sent_at_once_stays_a_row(rows, caplog):
    with with_outbox(OUTBOX_IMMEDIATE=True), override_settings(CENTRIFUGO_PORT=9):
        with transaction.atomic():
            publication = publish("a", "x")
        assert publication.state == "queued"
        assert publish("a", "y").state == "queued"
        get_backend().close()
    assert len(rows()) == 2
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_backend_that_cannot_be_loaded_fails_no_transaction(caplog):
    """As before there was an outbox: what keeps publications from being sent is told later."""
    with override_settings(INSTANT={"DIR": "/x", "BACKEND": "nowhere.Backend"}):
        with transaction.atomic():
            publication = publish("a", "x")
        assert publication.state == "failed"
    assert "nothing was sent" in caplog.text


def test_a_backend_of_ones_own_can_be_part_of_the_transaction():
    class Own(LocmemBackend):
        transactional = True

        def in_transaction(self, envelopes, connection):
            assert connection.in_atomic_block
            self.taken = [envelope.channels for envelope in envelopes]

    own = Own()
    with replaced(own), transaction.atomic(), batch():
        publish("a", "x")
        publish("b", "x")
    assert [list(names) for names in own.taken] == [["a"], ["b"]]
    assert own.outbox == []

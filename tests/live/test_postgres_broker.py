"""Publications in the transaction that they tell about, on Centrifugo's PostgreSQL broker."""

import re
import threading
import uuid
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connections, transaction

from instant import apublish, batch, broadcast, publish
from instant.backends import get_backend, postgres
from instant.centrifugo.api import channel_state
from instant.exceptions import PublishError, UnknownNamespace
from instant.publishing.publication import Envelope, Publication
from instant.rights.tokens import Signer
from tests.live.nodes import database, pair
from tests.live.servers import use
from tests.live.subscriber import Subscriber

pytestmark = [pytest.mark.conformance, pytest.mark.real_server]

ALIAS = "broker"
CONFIG = {
    # So that publications to several channels lock several shards.
    "broker": {"postgres": {"num_shards": 8}},
    "channel": {
        "namespaces": [
            {
                "name": "keep",
                "history_size": 3,
                "history_ttl": "1m30s",
                "force_recovery": True,
            },
            {"name": "once"},
        ]
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_blocker):
    """Two nodes on a PostgreSQL, in which Instant's tables are too."""
    with (
        pair(tmp_path_factory.mktemp("broker"), "postgres", CONFIG) as nodes,
        django_db_blocker.unblock(),
        database(nodes, ALIAS),
    ):
        yield nodes


@pytest.fixture
def live(server, django_db_blocker):
    backend = "instant.backends.postgres.PostgresBrokerBackend"
    with use(server.a, ENGINE=server.engine, BACKEND=backend), django_db_blocker.unblock():
        yield server
        assert waiting() == 0


@pytest.fixture
def page():
    """Connect to the other node than the one that Django knows."""
    opened = []

    def connect(server, *channels):
        signer = Signer(User(pk=7))
        socket = Subscriber(server.b.url)
        opened.append(socket)
        socket.connect(signer.connection_token().value)
        for name in channels:
            assert "subscribe" in socket.subscribe(name, signer.channel_token(name).value)
        return socket

    yield connect
    for socket in opened:
        socket.close()


def close():
    connections[ALIAS].close()


def waiting():
    """Return how many rows wait for a commit, seen from outside of transactions."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM instant_broker")
        return cursor.fetchone()[0]


def heard(socket, count):
    return [data["message"] for _, data in socket.publications(count)]


def say(channel, message, **more):
    return publish(channel, message, using=ALIAS, **more)


def test_what_is_committed_arrives_in_order_and_what_is_not_does_not(live, page):
    socket = page(live, "keep:1")
    with pytest.raises(ZeroDivisionError), transaction.atomic(ALIAS):
        say("keep:1", "rolled back")
        raise ZeroDivisionError
    with transaction.atomic(ALIAS):
        first = say("keep:1", "first")
        with pytest.raises(ZeroDivisionError), transaction.atomic(ALIAS):
            say("keep:1", "rolled back to the savepoint")
            raise ZeroDivisionError
        with transaction.atomic(ALIAS):
            say("keep:1", "second")
        assert first.state == "deferred"
        assert socket.quiet()
    assert (first.state, first.offset) == ("sent", None)
    say("keep:1", "third")
    assert heard(socket, 3) == ["first", "second", "third"]
    assert socket.quiet()


def test_outside_of_transactions_the_position_is_known(live, page):
    socket = page(live, "keep:2")
    before = say("keep:2", "one")
    after = say("keep:2", "two")
    assert (before.state, before.offset, after.offset) == ("sent", 1, 2)
    assert before.epoch == after.epoch
    assert heard(socket, 2) == ["one", "two"]
    known = channel_state.history(get_backend().client(), "keep:2", 10, limit=0)
    assert (known["offset"], known["epoch"]) == (2, after.epoch)


def test_a_batch_that_ends_in_a_transaction_waits_for_its_commit(live, page):
    socket = page(live, "keep:10002")
    with transaction.atomic(ALIAS), batch():
        with batch():
            inner = say("keep:10002", "inner")
        outer = say("keep:10002", "outer")
        assert (inner.state, outer.state) == ("deferred", "deferred")
        assert socket.quiet()
    assert (inner.state, outer.state) == ("sent", "sent")
    assert heard(socket, 2) == ["inner", "outer"]
    with pytest.raises(ZeroDivisionError), transaction.atomic(ALIAS):
        # As who sends from a transaction that nobody told of.
        get_backend().send([envelope("keep:10002")])
        raise ZeroDivisionError
    connection = connections[ALIAS]
    connection.set_autocommit(False)
    get_backend().send([envelope("keep:10002", b'{"message":"by hand"}')])
    assert socket.quiet()
    connection.commit()
    connection.set_autocommit(True)
    assert heard(socket, 1) == ["by hand"]


def envelope(channel, body=b"{}"):
    publications = [Publication("i", channel, {})]
    return Envelope([channel], publications, body, uuid.uuid4().hex, using=ALIAS)


async def test_apublish(live, page, monkeypatch):
    monkeypatch.setattr(postgres, "DEFAULT_DB_ALIAS", ALIAS)
    socket = page(live, "keep:3")
    publication = await apublish("keep:3", "hello")
    await sync_to_async(close)()
    assert (publication.state, publication.offset) == ("sent", 1)
    assert heard(socket, 1) == ["hello"]


def test_an_unknown_namespace_is_refused_at_the_call(live):
    with transaction.atomic(ALIAS):
        with pytest.raises(UnknownNamespace, match="syncws") as caught:
            say("nowhere:1", "x")
        with pytest.raises(UnknownNamespace):
            broadcast(["keep:1", "$nowhere:1"], "x", using=ALIAS)
        assert waiting() == 0  # the transaction is as usable as before
    assert caught.value.channel == "nowhere:1"


def test_a_payload_that_jsonb_does_not_take_is_refused_at_the_call(live, page):
    socket = page(live, "keep:4")
    with transaction.atomic(ALIAS):
        with pytest.raises(PublishError, match="u0000"):
            say("keep:4", "a\0b")
        say("keep:4", "a\\u0000b")  # a backslash, which is no escape
    assert heard(socket, 1) == ["a\\u0000b"]


def test_a_namespace_keeps_what_its_options_say(live):
    with transaction.atomic(ALIAS):
        for number in range(5):
            say("keep:5", str(number))
            say("once:5", str(number))
            say("$rows", str(number))
    client = get_backend().client()
    kept = channel_state.history(client, "keep:5", 10, limit=10)["publications"]
    assert [one["data"]["message"] for one in kept] == ["2", "3", "4"]
    rows = channel_state.history(client, "$rows", 10, limit=10)["publications"]
    assert len(rows) == 5  # the default of Instant is 100
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(
            "SELECT history_size, extract(epoch FROM history_ttl)::int,"
            " round(extract(epoch FROM expires_at - now()) / 3600)::int"
            " FROM cf_stream_meta WHERE channel IN ('keep:5', '$rows') ORDER BY history_size"
        )
        assert cursor.fetchall() == [(3, 90, 720), (100, 300, 720)]


def test_a_repeated_key_is_published_once(live, page):
    socket = page(live, "keep:6")
    first = say("keep:6", "once", idempotency_key="k")
    again = say("keep:6", "once", idempotency_key="k")
    assert (first.offset, again.offset) == (1, 1)
    with transaction.atomic(ALIAS):
        say("keep:6", "once", idempotency_key="k")
    say("keep:6", "next")
    assert heard(socket, 2) == ["once", "next"]


def test_a_broadcast_and_a_batch_are_one_statement(live, page, django_assert_num_queries):
    socket = page(live, "keep:7")
    names = [f"keep:{number}" for number in range(7, 5007)]
    say("keep:7", "warm")
    with transaction.atomic(ALIAS):
        with django_assert_num_queries(1, connection=connections[ALIAS]):
            broadcast(names, "to all", using=ALIAS)
        with django_assert_num_queries(1, connection=connections[ALIAS]), batch():
            for number in range(100):
                say("keep:7", str(number))
    assert heard(socket, 102) == ["warm", "to all", *map(str, range(100))]
    publications = broadcast(names[-3:], "again", using=ALIAS)
    assert [one.offset for one in publications] == [2, 2, 2]


def test_without_waiting_for_the_commit_it_goes_to_the_api(live, page):
    socket = page(live, "keep:10000")
    with pytest.raises(ZeroDivisionError), transaction.atomic(ALIAS):
        assert say("keep:10000", "at once", on_commit=False).offset == 1
        assert heard(socket, 1) == ["at once"]
        raise ZeroDivisionError


def test_the_rights_that_the_documents_name_are_enough(live, page):
    socket = page(live, "keep:10001")
    text = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
    grants = re.findall(r"^GRANT .*;$", text, re.MULTILINE)
    assert len(grants) == 4
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("CREATE ROLE site")
        cursor.execute(" ".join(grants))
        cursor.execute("ALTER TABLE instant_broker OWNER TO site")  # it would have migrated
        try:
            cursor.execute("SET ROLE site")
            with transaction.atomic(ALIAS):
                say("keep:10001", "a")
            say("keep:10001", "b")
        finally:
            cursor.execute("RESET ROLE")
    assert heard(socket, 2) == ["a", "b"]


def in_thread(work):
    """Run it in a thread with database connections of its own; return what it raised."""
    raised = []

    def run():
        try:
            work()
        except BaseException as exc:
            raised.append(exc)
        finally:
            connections[ALIAS].close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, raised


def test_an_open_transaction_holds_up_no_other_publisher(live, page):
    socket = page(live, "keep:9")
    published, may_commit = threading.Event(), threading.Event()

    def slow():
        with transaction.atomic(ALIAS):
            say("keep:9", "slow")
            published.set()
            assert may_commit.wait(60)

    thread, raised = in_thread(slow)
    assert published.wait(60)
    with transaction.atomic(ALIAS):
        with connections[ALIAS].cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '10s'")
        say("keep:9", "quick")
    assert heard(socket, 1) == ["quick"]
    may_commit.set()
    thread.join(60)
    assert raised == []
    assert heard(socket, 1) == ["slow"]


def test_transactions_that_publish_in_opposite_order_do_not_wait_for_each_other(live):
    names = [f"keep:9{number}" for number in range(20)]  # in several of the broker's shards
    begin = threading.Barrier(2)

    def publish_all(order):
        def work():
            for _ in range(30):
                begin.wait(60)
                with transaction.atomic(ALIAS):
                    for name in order:
                        say(name, "x")

        return work

    running = [in_thread(publish_all(order)) for order in (names, names[::-1])]
    for thread, raised in running:
        thread.join(60)
        assert raised == []

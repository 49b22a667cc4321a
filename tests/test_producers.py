"""publish() and its relatives, up to the backend and through it to a server."""

import asyncio
import contextvars
import datetime
import decimal
import json
import pickle
import re
import threading
import uuid
from contextlib import suppress

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction
from django.db.migrations.state import ProjectState
from django.test import override_settings
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy

from instant import (
    abroadcast,
    apublish,
    backends,
    batch,
    broadcast,
    publish,
    user_channel,
    user_channels,
)
from instant.backends.base import BaseBackend
from instant.centrifugo.api import breaker
from instant.exceptions import (
    BatchError,
    InstantConfigError,
    InvalidAPIKey,
    InvalidChannelName,
    PayloadTooLarge,
    PublishError,
    PublishTimeout,
    ServerNotAsked,
    ServerUnreachable,
)
from instant.models import Channel
from instant.publishing import commit_hook, origin_tab
from instant.signals import publication_failed
from tests.conftest import close_connections
from tests.servers import RawServer, answering, echoing

pytestmark = pytest.mark.timed

CENTRIFUGO = "instant.backends.centrifugo.CentrifugoBackend"


class Recorder(BaseBackend):
    """Records each hand-over; fails where it is told to."""

    def __init__(self):
        self.calls = []
        self.error = None
        self.gives_up = True

    def send(self, envelopes):
        self.calls.append([p.channel for e in envelopes for p in e.publications])
        if self.error:
            for envelope in envelopes if self.gives_up else ():
                envelope.give_up()
            raise self.error
        for envelope in envelopes:
            envelope.mark("sent")


@pytest.fixture
def recorder():
    with backends.replaced(Recorder()):
        yield backends.get_backend()


@pytest.fixture
def failures():
    """What publication_failed told: errors, each with its publications."""
    seen = []

    def receive(publications, error, **kwargs):
        error.publications = publications
        seen.append(error)

    publication_failed.connect(receive)
    yield seen
    publication_failed.disconnect(receive)


@pytest.fixture
def server_settings():
    """Publish to a raw server."""
    managers = []

    def use(server, **instant):
        manager = override_settings(
            CENTRIFUGO_HOST=server.url.rsplit(":", 1)[0],
            CENTRIFUGO_PORT=server.port,
            INSTANT={"DIR": "/nonexistent", "BACKEND": CENTRIFUGO, **instant},
        )
        manager.enable()
        managers.append(manager)

    yield use
    for manager in managers:
        manager.disable()


# What is published


def test_payload_has_the_seeds_names(publications):
    publish("$users", "A message", data={"foo": "bar"}, event_class="important", bucket="notes")
    assert publications[0].payload == {
        "channel": "$users",
        "site": "Tests",
        "message": "A message",
        "data": {"foo": "bar"},
        "event_class": "important",
        "bucket": "notes",
        "id": publications[0].id,
    }


def test_what_is_sent_carries_the_id_of_its_publication(server_settings):
    with RawServer(echoing) as server:
        server_settings(server)
        one = publish("public", "x")
        keyed = publish("public", "x", idempotency_key="mine")
        asyncio.run(apublish("public", "x"))
    sent = [json.loads(body)["data"]["id"] for _head, body in server.requests]
    assert sent[:2] == [one.id, keyed.id]
    assert len(set(sent)) == 3


def test_a_broadcast_has_one_id(publications):
    first, second = broadcast(["a", "b"], "x")
    assert first.id == second.id == first.payload["id"]
    assert asyncio.run(abroadcast(["a"], "x"))[0].payload["id"] != first.id


def test_the_tab_that_caused_the_request_is_named(publications):
    token = origin_tab.TAB.set("tab-1")
    try:
        publish("public", "x")
    finally:
        origin_tab.TAB.reset(token)
    publish("public", "x")
    assert publications[0].payload["tab"] == "tab-1"
    assert "tab" not in publications[1].payload


def test_an_empty_event_class_is_one(publications):
    publish("public", "x", event_class="")
    assert publications[0].payload["event_class"] == ""


def test_what_is_not_given_is_left_out(publications):
    publish("public", "Message for everyone")
    assert publications[0].payload == {
        "channel": "public",
        "site": "Tests",
        "message": "Message for everyone",
        "id": publications[0].id,
    }


def test_message_or_data_is_required(publications):
    with pytest.raises(ValueError, match="message or data"):
        publish("public")
    with pytest.raises(ValueError, match="message or data"):
        broadcast(["public"], event_class="x")
    with pytest.raises(TypeError, match="positional"):
        publish("public", "a", "b")  # 4.2.0 lost the message and complained of its absence
    assert len(publications) == 0


@pytest.mark.parametrize("empty", ["", 0, False, [], {}])
def test_an_empty_value_is_a_value(publications, empty):
    publish("public", empty)
    publish("public", data=empty)
    assert len(publications) == 2


def test_the_body_is_one_json_object(server_settings):
    value = uuid.uuid4()
    with RawServer(answering) as server:
        server_settings(server)
        sent = publish(
            "public",
            gettext_lazy("Löwe"),
            data={
                "at": datetime.datetime(2026, 11, 21, 8, 30, tzinfo=datetime.UTC),
                "price": decimal.Decimal("1.50"),
                "id": value,
            },
        )
    body = json.loads(server.requests[0][1])
    assert body["channel"] == "public"
    assert body["data"] == {
        "channel": "public",
        "site": "Tests",
        "message": "Löwe",
        "data": {"at": "2026-11-21T08:30:00Z", "price": "1.50", "id": str(value)},
        "id": sent.id,
    }


def test_settings_are_read_when_used(publications):
    with override_settings(SITE_NAME="Another"):
        publish("public", "a")
    publish("public", "b")
    publish("public", "c", site="Given")
    assert [p.payload["site"] for p in publications] == ["Another", "Tests", "Given"]


@pytest.mark.parametrize("name", ["", "a b", "ü", "a*", "x" * 256, "a\n", "x:1", "ns:$x"])
def test_bad_names_are_refused_at_once(publications, name):
    with pytest.raises(InvalidChannelName):
        publish(name, "x")
    with pytest.raises(InvalidChannelName):
        broadcast(["good", name], "x")
    assert len(publications) == 0


def test_a_channel_is_a_str(publications):
    with pytest.raises(TypeError, match="int"):
        publish(5, "x")
    with pytest.raises(TypeError, match="list of channels"):
        broadcast("public", "x")


@pytest.mark.parametrize(
    "data", [float("nan"), {"x": float("inf")}, "\ud800", {1: object()}, {(1, 2): 3}]
)
def test_what_is_not_json_is_refused_at_once(publications, data):
    with pytest.raises((TypeError, ValueError)):
        publish("public", data=data)
    assert len(publications) == 0


def test_too_large(publications):
    with pytest.raises(PayloadTooLarge, match="Publish a reference") as info:
        publish("public", "ü" * 600_000)
    assert info.value.channel == "public"
    rest = {"channel": "public", "site": "Tests", "message": "", "id": "0" * 32}
    room = 1_000_000 - len(json.dumps(rest, separators=(",", ":")))
    publish("public", "x" * room)
    with pytest.raises(PayloadTooLarge):
        publish("public", "x" * (room + 1))
    assert len(publications) == 1


def test_the_payload_is_that_of_the_call(server_settings):
    data = {"n": 1}
    with RawServer(answering) as server:
        server_settings(server)
        with batch():
            publish("public", data=data)
            data["n"] = 2
        assert b'"n":1' in server.requests[0][1]


def test_each_publication_has_its_own_idempotency_key(server_settings):
    with RawServer(echoing) as server:
        server_settings(server)
        first, second = publish("public", "a"), publish("public", "a")
        given = publish("public", "a", idempotency_key="mine")
    assert first.id != second.id
    assert first.epoch == first.id  # the server echoes the key as epoch
    assert given.epoch == "mine"
    assert given.id != "mine"
    assert (first.state, first.offset) == ("sent", 1)


def test_one_idempotency_key_is_one_id(publications):
    """The server publishes the first only; a page that waits for the second waits for its id."""
    first = publish("a", "x", idempotency_key="order-42")
    second = publish("a", "another text", idempotency_key="order-42")
    many = broadcast(["a", "b"], "x", idempotency_key="order-42")
    later = asyncio.run(apublish("a", "x", idempotency_key="order-42"))
    assert {p.id for p in (first, second, *many, later)} == {first.id}
    assert {p.payload["id"] for p in publications} == {first.id}
    assert publish("a", "x", idempotency_key="order-43").id != first.id
    assert publish("a", "x", idempotency_key="").id != publish("a", "x", idempotency_key="").id
    assert re.fullmatch("[0-9a-f]{32}", first.id)


def test_an_id_of_a_key_is_a_uuid_that_every_database_takes(publications):
    for number in range(50):
        found = uuid.UUID(publish("a", "x", idempotency_key=str(number)).id)
        assert (found.variant, found.version) == (uuid.RFC_4122, 8)


def test_an_id_can_not_be_told_from_its_key(publications):
    """A reader who may publish would send one like it first, and pages drop the second."""
    one = publish("a", "x", idempotency_key="order-42")
    with override_settings(SECRET_KEY="another site's"):
        assert publish("a", "x", idempotency_key="order-42").id != one.id


@pytest.mark.parametrize("key", [42, b"order", "\ud800"])
def test_a_bad_idempotency_key_is_refused_at_once(publications, key):
    with pytest.raises((TypeError, ValueError)):
        publish("a", "x", idempotency_key=key)
    assert len(publications) == 0


# broadcast and batch


def test_broadcast_is_one_request(server_settings):
    def two(connection):
        connection.read_request()
        connection.answer(
            b'{"result":{"responses":[{"result":{"offset":3,"epoch":"x"}},{"result":{}}]}}'
        )

    with RawServer(two) as server:
        server_settings(server)
        first, second = broadcast(["a", "$b", "a"], data={"x": 1})
    assert (first.channel, first.offset, second.channel) == ("a", 3, "$b")
    body = json.loads(server.requests[0][1])
    assert body["channels"] == ["a", "$b"]
    # It can't name one of the channels.
    assert body["data"] == {"site": "Tests", "data": {"x": 1}, "id": first.id}


def test_broadcast_to_nobody_sends_nothing(recorder):
    assert list(broadcast([], "x")) == []
    assert recorder.calls == []


def test_broadcast_takes_any_iterable(recorder):
    broadcast((f"c{n}" for n in range(3)), "x")
    assert recorder.calls == [["c0", "c1", "c2"]]


def test_batch_is_one_request(recorder):
    with batch():
        first = publish("a", "x")
        broadcast(["b", "c"], "x")
        assert first.state == "deferred"
        assert recorder.calls == []
    assert recorder.calls == [["a", "b", "c"]]
    assert first.state == "sent"


def test_batch_that_raises_sends_nothing(recorder):
    def work():
        with batch():
            publish("a", "x")
            raise LookupError

    with pytest.raises(LookupError):
        work()
    publish("b", "x")
    assert recorder.calls == [["b"]]


def test_batches_in_batches_leave_with_the_outermost(recorder):
    with batch():
        publish("a", "x")
        with batch():
            publish("b", "x")
        assert recorder.calls == []
        publish("c", "x")
    assert recorder.calls == [["a", "b", "c"]]


def test_empty_batch_sends_nothing(recorder):
    with batch():
        pass
    assert recorder.calls == []


def test_a_batch_is_entered_once(recorder):
    one = batch()
    with one:
        pass
    with pytest.raises(RuntimeError, match="make a new one"), one:
        pass


def test_batch_belongs_to_its_thread(recorder):
    with batch():
        thread = threading.Thread(target=publish, args=("other", "x"))
        thread.start()
        thread.join()
        publish("mine", "x")
    assert recorder.calls == [["other"], ["mine"]]


def test_batch_tells_refused_items(server_settings):
    def refuse(connection):
        connection.read_request()
        connection.answer(
            b'{"replies":[{"publish":{}},{"error":{"code":102,"message":"unknown channel"}}]}'
        )

    with RawServer(refuse) as server:
        server_settings(server)
        one = batch()
        one.__enter__()
        good, bad = publish("a", "x"), publish("nope:1", "x")
        with pytest.raises(BatchError) as info:
            one.__exit__(None, None, None)
    assert [error.channel for error in info.value.errors] == ["nope:1"]
    assert (good.state, bad.state) == ("sent", "failed")


# Transactions


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    def test_waits_for_the_outermost_commit_and_leaves_as_one_batch(self, recorder):
        with transaction.atomic():
            first = publish("a", "x")
            with transaction.atomic():
                publish("b", "x")
            broadcast(["c", "d"], "x")
            assert recorder.calls == []
            assert first.state == "deferred"
        assert recorder.calls == [["a", "b", "c", "d"]]
        assert first.state == "sent"

    def test_a_rollback_drops_all(self, recorder):
        with pytest.raises(LookupError), transaction.atomic():
            publish("a", "x")
            raise LookupError
        assert recorder.calls == []
        with transaction.atomic():
            publish("b", "x")
        assert recorder.calls == [["b"]]

    @pytest.mark.parametrize("place", ["first", "middle", "last"])
    def test_a_rolled_back_savepoint_drops_its_own(self, recorder, place):
        def lost():
            try:
                with transaction.atomic():
                    publish("lost", "x")
                    raise LookupError
            except LookupError as exc:
                return exc

        kept = []  # an exception that is kept must not keep what was rolled back
        with transaction.atomic():
            if place == "first":
                kept.append(lost())
            publish("a", "x")
            if place == "middle":
                kept.append(lost())
            publish("b", "x")
            if place == "last":
                kept.append(lost())
        assert recorder.calls == [["a", "b"]]

    def test_whoever_holds_a_hook_brings_back_nothing(self, recorder):
        """Our own capture_publications() holds some, as a debugger or a toolbar may."""
        with transaction.atomic():
            publish("before", "x")
            with suppress(LookupError), transaction.atomic():
                publish("rolled-back", "x")
                held = [entry[1] for entry in transaction.get_connection().run_on_commit]
                raise LookupError
            publish("after", "x")
        assert recorder.calls == [["before", "after"]]
        assert len(held) == 2

    def test_where_djangos_list_cannot_be_read_each_leaves_for_itself(self, recorder, monkeypatch):
        monkeypatch.setattr(commit_hook, "_RUNS_HOOKS", None)
        with transaction.atomic():
            publish("a", "x")
            with suppress(LookupError), transaction.atomic():
                publish("rolled-back", "x")
                held = [entry[1] for entry in transaction.get_connection().run_on_commit]
                raise LookupError
            publish("b", "x")
        assert recorder.calls == [["a"], ["b"]]
        assert len(held) == 2

    def test_two_transactions_leave_apart(self, recorder):
        for name in "ab":
            with transaction.atomic():
                publish(name, "x")
        assert recorder.calls == [["a"], ["b"]]

    def test_on_commit_false_does_not_wait(self, recorder):
        with pytest.raises(LookupError), transaction.atomic():
            assert publish("a", "x", on_commit=False).state == "sent"
            raise LookupError
        assert recorder.calls == [["a"]]

    def test_an_on_commit_hook_publishes_after_its_transaction(self, recorder):
        with transaction.atomic():
            publish("a", "x")
            transaction.on_commit(lambda: publish("hook", "x"))
            publish("b", "x")
        assert recorder.calls == [["a", "b"], ["hook"]]

    def test_another_hook_that_raises_does_not_lose_what_was_committed(self, recorder):
        def broken():
            raise LookupError

        with pytest.raises(LookupError) as kept, transaction.atomic():
            publish("a", "x")
            transaction.on_commit(broken)
            publish("b", "x")  # Django itself drops the hooks behind a broken one
        assert recorder.calls == [["a", "b"]]
        assert kept  # with its traceback, in whose frames Django's list of hooks is

    def test_begun_by_hand_there_are_no_hooks(self, recorder):
        transaction.set_autocommit(False)
        try:
            with pytest.raises(transaction.TransactionManagementError):
                publish("a", "x")
            publish("b", "x", on_commit=False)
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)
        assert recorder.calls == [["b"]]

    def test_a_worker_that_is_stopped_while_it_sends(self, recorder):
        recorder.error = SystemExit()
        recorder.gives_up = False
        with pytest.raises(SystemExit), transaction.atomic():
            one = publish("a", "x")
        assert one.state == "failed"

    def test_only_what_failed_is_signalled(self, recorder, failures):
        def half(envelopes):
            envelopes[0].mark("sent")
            raise ServerUnreachable("gone")

        recorder.send = half
        with transaction.atomic():
            publish("a", "x")
            publish("b", "x")
        assert [p.channel for p in failures[0].publications] == ["b"]

    def test_committed_publications_survive_a_batch_that_raises(self, recorder):
        found = []

        def work():
            with batch():
                found.append(publish("lost", "x"))
                with transaction.atomic():
                    publish("committed", "x")
                raise LookupError

        with pytest.raises(LookupError):
            work()
        assert recorder.calls == [["committed"]]
        assert found[0].state == "failed"

    def test_batch_around_a_transaction_keeps_the_order(self, recorder):
        with batch():
            publish("a", "x")
            with transaction.atomic():
                publish("b", "x")
            publish("c", "x")
        assert recorder.calls == [["a", "b", "c"]]

    def test_batch_inside_a_transaction_waits_and_honours_savepoints(self, recorder):
        with transaction.atomic():
            with batch():
                publish("a", "x")
                with pytest.raises(LookupError), transaction.atomic():
                    publish("lost", "x")
                    raise LookupError
            assert recorder.calls == []
        assert recorder.calls == [["a"]]

    def test_threads_have_transactions_of_their_own(self, recorder):
        with transaction.atomic():
            publish("mine", "x")
            thread = threading.Thread(target=publish, args=("other", "x"))
            thread.start()
            thread.join()
            assert recorder.calls == [["other"]]
        assert recorder.calls == [["other"], ["mine"]]

    def test_a_failure_after_the_commit_is_logged_and_signalled(self, recorder, caplog):
        seen = []

        def receive(sender, publications, error, **kwargs):
            seen.append((sender, [p.channel for p in publications], error))

        recorder.error = ServerUnreachable("gone")
        publication_failed.connect(receive)
        try:
            with transaction.atomic():
                one = publish("a", "x")
        finally:
            publication_failed.disconnect(receive)
        assert seen == [(Recorder, ["a"], recorder.error)]
        assert one.state == "failed"
        assert "gone" in caplog.text

    def test_a_broken_backend_and_a_broken_receiver_do_not_break_the_request(
        self, recorder, caplog
    ):
        def receive(**kwargs):
            raise LookupError

        recorder.error = RuntimeError("bug")
        recorder.gives_up = False
        publication_failed.connect(receive)
        try:
            with transaction.atomic():
                one = publish("a", "x")
        finally:
            publication_failed.disconnect(receive)
        assert "bug" in caplog.text
        assert "LookupError" in caplog.text
        assert one.state == "failed"

    def test_a_misconfigured_backend_does_not_break_the_request(self, failures, caplog):
        with override_settings(INSTANT={"DIR": "/nonexistent", "BACKEND": "nowhere.Backend"}):
            with transaction.atomic():
                one = publish("a", "x")
            with pytest.raises(InstantConfigError, match="nowhere"):
                publish("a", "x")
        assert "Nothing was sent: InstantConfigError" in str(failures[0])
        assert "nothing was sent." in caplog.text
        assert "Traceback" not in caplog.text, "a line says it all, as before the first runserver"
        assert one.state == "failed"

    def test_a_silent_server_costs_the_commit_one_timeout(self, server_settings, caplog):
        done = threading.Event()

        def silent(connection):
            connection.read_request()
            done.wait(60)

        with RawServer(silent) as server:
            server_settings(server, TIMEOUT=0.5)
            with transaction.atomic():
                for n in range(100):
                    publish("a", data={"n": n})
            # In one request under one deadline; 100 requests would cost 50 s.
            assert server.connections == 1
            done.set()
        assert "No reply" in caplog.text


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_using_names_the_database(recorder):
    with transaction.atomic(using="other"):
        publish("now", "x")
        publish("later", "x", using="other")
        assert recorder.calls == [["now"]]
    assert recorder.calls == [["now"], ["later"]]


@pytest.mark.django_db
def test_publish_makes_no_query(recorder, django_assert_num_queries):
    with django_assert_num_queries(0):
        publish("public", "x")


# Outside a transaction failures are raised


def test_unreachable(server_settings):
    server = RawServer(answering)
    server.close()
    server_settings(server)
    with pytest.raises(ServerUnreachable) as info:
        publish("a", "x")
    assert info.value.channel == "a"
    assert isinstance(info.value, ConnectionError)
    assert info.value.__cause__ is not None


def test_timeout(server_settings):
    done = threading.Event()

    def silent(connection):
        connection.read_request()
        done.wait(60)

    with RawServer(silent) as server:
        server_settings(server, TIMEOUT=0.1)
        with pytest.raises(PublishTimeout) as info:
            publish("a", "x")
        assert isinstance(info.value, TimeoutError)
        done.set()


def test_wrong_key(server_settings):
    def refuse(connection):
        connection.read_request()
        connection.answer(b"", status="401 Unauthorized")

    with RawServer(refuse) as server:
        server_settings(server)
        with pytest.raises(InvalidAPIKey) as info:
            publish("a", "x")
    assert "test-api-key" not in str(info.value)


def test_no_key():
    with (
        override_settings(
            CENTRIFUGO_API_KEY=None, INSTANT={"DIR": "/nonexistent", "BACKEND": CENTRIFUGO}
        ),
        pytest.raises(InstantConfigError, match="installws.*CENTRIFUGO_HTTP_API_KEY"),
    ):
        publish("a", "x")


def test_errors_can_be_pickled():
    error = pickle.loads(pickle.dumps(ServerUnreachable("gone", channel="a", code=5)))
    assert (type(error), str(error), error.channel, error.code) == (
        ServerUnreachable,
        "gone",
        "a",
        5,
    )
    batch_error = BatchError("two", errors=[error])
    again = pickle.loads(pickle.dumps(batch_error))
    assert isinstance(again, PublishError)
    assert again.errors[0].channel == "a"


# The async twins


async def test_apublish(server_settings):
    with RawServer(echoing) as server:
        server_settings(server)
        one = await apublish("public", "x", data={"a": 1}, event_class="e", bucket="b", site="s")
        assert (one.state, one.epoch) == ("sent", one.id)
    assert json.loads(server.requests[0][1])["data"] == {
        "channel": "public",
        "site": "s",
        "message": "x",
        "data": {"a": 1},
        "event_class": "e",
        "bucket": "b",
        "id": one.id,
    }


async def test_abroadcast_and_async_batch(recorder):
    async with batch():
        await apublish("a", "x")
        await abroadcast(["b", "c"], "x")
        assert recorder.calls == []
    assert recorder.calls == [["a", "b", "c"]]
    assert list(await abroadcast([], "x")) == []


async def test_a_task_that_outlives_its_batch_publishes_at_once(recorder):
    go = asyncio.Event()

    async def later():
        await go.wait()
        return await apublish("later", "x")

    async with batch():
        async with batch():
            task = asyncio.create_task(later())
        await apublish("a", "x")
    go.set()
    assert (await task).state == "sent"
    assert recorder.calls == [["a"], ["later"]]


def test_what_a_thread_adds_while_its_batch_ends_is_not_lost(recorder, monkeypatch):
    """Its block started it with a copy of its context, as asyncio.to_thread() does."""
    found, ended = threading.Event(), threading.Event()
    add = batch.add

    def meanwhile(self, envelopes, *, committed):
        if threading.current_thread() is thread:
            found.set()
            ended.wait(5)
        return add(self, envelopes, committed=committed)

    with batch():
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(publish, "late", "x"))
        monkeypatch.setattr(batch, "add", meanwhile)
        thread.start()
        assert found.wait(5)  # it holds the batch, which ends before it can add
    ended.set()
    thread.join(5)
    assert recorder.calls == [["late"]]


@pytest.mark.django_db(transaction=True)
async def test_committed_publications_survive_an_async_batch_that_raises(recorder, in_threads):
    def commit():
        with transaction.atomic():
            publish("committed", "x")

    async def asend(envelopes):
        calls.append([p.channel for e in envelopes for p in e.publications])

    async def work():
        async with batch():
            await apublish("lost", "x")
            await sync_to_async(commit)()
            raise LookupError

    calls = []
    recorder.asend = asend
    with pytest.raises(LookupError):
        await work()
    assert calls == [["committed"]]  # and not by send(), which would hold up the event loop
    assert recorder.calls == []


@pytest.mark.django_db(transaction=True)
async def test_their_failure_is_signalled(recorder, failures, in_threads):
    def commit():
        with transaction.atomic():
            publish("committed", "x")

    async def work():
        async with batch():
            await sync_to_async(commit)()
            raise LookupError

    recorder.error = ServerUnreachable("gone")
    with pytest.raises(LookupError):
        await work()
    assert failures == [recorder.error]
    assert [p.channel for p in failures[0].publications] == ["committed"]


def test_a_batch_in_a_generator_that_is_closed_elsewhere(recorder):
    def work():
        with batch():
            yield publish("a", "x")

    steps = work()
    contextvars.copy_context().run(next, steps)
    steps.close()
    assert publish("b", "x").state == "sent"
    assert recorder.calls == [["b"]]


async def test_async_batches_of_two_tasks_are_apart(recorder):
    async def work(name):
        async with batch():
            await apublish(f"{name}1", "x")
            await asyncio.sleep(0)
            await apublish(f"{name}2", "x")

    await asyncio.gather(work("a"), work("b"))
    assert sorted(recorder.calls) == [["a1", "a2"], ["b1", "b2"]]


@pytest.mark.django_db(transaction=True)
def test_apublish_under_wsgi(server_settings):
    """WSGI with async_to_sync, inside a transaction: it never waits for the commit."""
    with RawServer(echoing) as server:
        server_settings(server)
        with transaction.atomic():
            for _ in range(3):
                assert async_to_sync(apublish)("public", "x").state == "sent"
        assert len(server.requests) == 3


async def test_apublish_failure(server_settings):
    server = RawServer(answering)
    server.close()
    server_settings(server)
    with pytest.raises(ServerUnreachable) as info:
        await apublish("a", "x")
    assert info.value.channel == "a"


# On the thread of an event loop


async def test_nothing_that_would_block_is_done_on_an_event_loop(recorder):
    with pytest.raises(SynchronousOnlyOperation, match=r"await apublish\(…\)"):
        publish("a", "x")
    with pytest.raises(SynchronousOnlyOperation, match=r"await abroadcast\(…\)"):
        broadcast(["a"], "x")
    with pytest.raises(SynchronousOnlyOperation, match="async with batch"), batch():
        pytest.fail("entered")
    async with batch():
        with pytest.raises(SynchronousOnlyOperation):
            publish("a", "x")
    assert recorder.calls == []
    await apublish("b", "x")  # the batch that wasn't entered takes nothing along
    assert recorder.calls == [["b"]]


@pytest.mark.django_db(transaction=True)
async def test_nor_does_it_wait_for_a_commit_there(recorder, monkeypatch):
    """Which would come on this very thread."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with transaction.atomic():
        publish("a", "x")
        monkeypatch.delenv("DJANGO_ALLOW_ASYNC_UNSAFE")
        with pytest.raises(SynchronousOnlyOperation):
            publish("b", "x")
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    close_connections()
    assert recorder.calls == [["a"]]


def test_a_batch_that_is_left_on_an_event_loop(recorder):
    async def leave():
        block.__exit__(None, None, None)

    block = batch()
    block.__enter__()
    one = publish("a", "x")
    with pytest.raises(SynchronousOnlyOperation, match="async with batch"):
        asyncio.run(leave())
    assert one.state == "failed"
    assert recorder.calls == []


async def test_threads_of_an_async_program_may(recorder):
    await sync_to_async(publish)("a", "x")
    await asyncio.to_thread(broadcast, ["b"], "x")

    def together():
        with batch():
            publish("c", "x")
            publish("d", "x")

    await sync_to_async(together, thread_sensitive=False)()
    assert recorder.calls == [["a"], ["b"], ["c", "d"]]


async def test_a_notebook_may_where_django_lets_it(recorder, monkeypatch):
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    publish("a", "x")
    with batch():
        broadcast(["b"], "x")
    assert recorder.calls == [["a"], ["b"]]


# A server that is down


@pytest.fixture
def long_pauses(monkeypatch):
    for name in ("_SHORTEST", "_LONGEST"):
        monkeypatch.setattr(breaker, name, 60)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("long_pauses")
def test_a_server_that_hangs_is_asked_five_times(server_settings, failures, caplog):
    def hang(connection):
        while connection.sock.recv(65536):
            continue

    with RawServer(hang) as server:
        server_settings(server, TIMEOUT=0.5)
        for _ in range(5):
            with pytest.raises(PublishTimeout):
                publish("a", "x")
        for _ in range(50):
            with pytest.raises(ServerNotAsked):
                publish("a", "x")
        with pytest.raises(ServerNotAsked) as info:
            broadcast(["a", "b"], "x")
        assert isinstance(info.value, ConnectionError)
        caplog.clear()
        for number in range(3):
            with transaction.atomic():
                publish("a", number)
        assert caplog.records == []
        assert [error.publications[0].state for error in failures] == ["failed"] * 3
        assert backends.get_backend().breaker.is_open
        assert server.connections == 5


@pytest.mark.usefixtures("long_pauses")
async def test_apublish_asks_it_no_more_either(server_settings):
    with RawServer(answering) as server:
        server_settings(server, BREAKER=2)
    for error in (ServerUnreachable, ServerUnreachable, ServerNotAsked, ServerNotAsked):
        with pytest.raises(error) as info:
            await apublish("a", "x")
        assert type(info.value) is error


# user_channel


def test_user_channel(make_user, anonymous):
    user = make_user()
    assert user_channel(user) == f"user:{user.pk}"
    with pytest.raises(ValueError, match="saved"):
        user_channel(anonymous)
    with pytest.raises(ValueError, match="saved"):
        user_channel(type(user)(username="unsaved"))


def test_objects_of_other_models_are_no_users(make_user):
    make_user("ann")
    team = Group.objects.create(name="team")
    for names in (lambda: user_channel(team), lambda: user_channels([team])):
        with pytest.raises(TypeError, match=r"auth\.Group with the key \d+ is no user"):
            names()
    with pytest.raises(TypeError, match="users or a list of their keys"):
        user_channels("ann")


def test_users_of_a_migration_are_users(make_user):
    ann = make_user("ann")
    old = ProjectState.from_apps(apps).apps.get_model(ann._meta.label)
    assert not isinstance(old.objects.get(pk=ann.pk), type(ann))
    for users in (old.objects.filter(pk=ann.pk), [old.objects.get(pk=ann.pk)]):
        assert user_channels(users) == [user_channel(old.objects.get(pk=ann.pk))]


def test_user_channels_of_the_user_of_a_request(make_user):
    ann = make_user("ann")
    assert user_channels([SimpleLazyObject(lambda: ann)]) == [user_channel(ann)]


def test_user_channels(make_user, anonymous, django_assert_num_queries):
    ann, bob = make_user("ann"), make_user("bob")
    names = [user_channel(ann), user_channel(bob)]
    users = type(ann).objects.order_by("pk")
    with django_assert_num_queries(1):
        assert user_channels(users) == names
    assert user_channels([ann, bob]) == user_channels(iter([ann.pk, bob.pk])) == names
    assert user_channels(users.values_list("pk", flat=True)) == names
    assert user_channels([ann, bob.pk]) == names
    assert user_channels([]) == []
    for nobody in (anonymous, type(ann)(username="unsaved"), None):
        with pytest.raises(ValueError, match="saved"):
            user_channels([ann, nobody])
    with pytest.raises(TypeError, match="not a queryset of Channel"):
        user_channels(Channel.objects.all())


# timeout


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 10**9])
def test_a_timeout_that_is_none(recorder, timeout):
    with pytest.raises(ValueError, match="seconds"):
        publish("a", "x", timeout=timeout)
    assert recorder.calls == []


async def test_a_timeout_travels_with_the_publication(recorder, monkeypatch):
    found = []
    monkeypatch.setattr(recorder, "send", found.extend)
    await sync_to_async(publish)("a", "x", timeout=7)
    await sync_to_async(broadcast)(["a", "b"], "x")
    await apublish("a", "x", timeout=8)
    await abroadcast(["a"], "x", timeout=9.5)
    assert [envelope.timeout for envelope in found] == [7, None, 8, 9.5]


@pytest.mark.django_db(transaction=True)
def test_what_failed_after_a_commit_is_made_when_somebody_listens(recorder, monkeypatch, failures):
    found = []

    def fail(envelopes):
        found.extend(envelopes)
        for envelope in envelopes:
            envelope.give_up()
        raise PublishError("down")

    monkeypatch.setattr(recorder, "send", fail)
    names = [f"c{n}" for n in range(100)]
    with transaction.atomic():
        broadcast(names, "x")
    [error] = failures
    assert [p.channel for p in error.publications if p.state == "failed"] == names
    monkeypatch.setattr(publication_failed, "receivers", [])
    publication_failed.sender_receivers_cache.clear()
    with transaction.atomic():
        broadcast(names, "x")
    assert found[1].publications._made is None
    assert found[1].publications[0].state == "failed"

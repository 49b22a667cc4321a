"""The relay: what it sends, in which order, and what becomes of what can't be sent."""

import json
import socket
import threading
from datetime import timedelta
from zlib import crc32

import pytest
from django.contrib.auth.models import Group
from django.db import InternalError, OperationalError, connection, connections, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instant import broadcast, publish
from instant.centrifugo.api.client import Client
from instant.centrifugo.config.consumers import NOTIFY_CHANNEL
from instant.models import Channel, OutboxRow, Revocation
from instant.publishing.outbox import reach, sending, tables
from instant.publishing.outbox import relay as relay_module
from instant.publishing.outbox.relay import Relay
from instant.publishing.outbox.store import LOCKING
from instant.revoking import run
from tests.outbox.conftest import with_outbox

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def relay(outbox, api, clock):
    return Relay(clock=clock)


def waiting():
    return list(OutboxRow.objects.filter(partition__gte=0).order_by("pk"))


def aside():
    return list(OutboxRow.objects.filter(partition__lt=0).order_by("pk"))


def test_rows_are_sent_with_their_keys_and_deleted(relay, api):
    publish("a", "x", idempotency_key="k")
    broadcast(["a", "b"], "y")
    relay.look()
    assert ("a", "x", "k") in api.published
    assert sorted(api.messages()) == ["x", "y", "y"]
    assert OutboxRow.objects.count() == 0


def test_nothing_to_do_is_one_query_and_no_request(relay, api):
    relay.look()
    with CaptureQueriesContext(connection) as queries:
        assert relay.look() is None
    assert len(queries) == 1
    assert api.requests == []


def test_a_channels_order_is_kept(relay, api):
    for number in range(40):
        publish(f"room:{number % 3}", number)
        broadcast(["room:0", "room:2"], f"all {number}")
    relay.look()
    for channel in ("room:0", "room:2"):
        found = api.messages(channel)
        numbers = [int(str(message).removeprefix("all ")) for message in found]
        assert numbers == sorted(numbers)
    assert waiting() == []


def test_what_has_different_channels_goes_together(relay, api):
    with with_outbox(OUTBOX_PARTITIONS=1):
        for number in range(100):
            publish(f"room:{number}", number)
        relay.look()
    assert len(api.requests) == 1


def test_behind_a_temporary_refusal_its_channel_waits(relay, api, clock):
    """Also what is in the same partition, so that nothing overtakes it."""
    with with_outbox(OUTBOX_PARTITIONS=1):
        for number in range(5):
            publish("a", number)
        api.errors["a"] = [None, None, 100]
        assert relay.look() == pytest.approx(0.1)
        assert api.messages("a") == [0, 1]
        assert [row.pk for row in waiting()] == sorted(row.pk for row in waiting())
        assert len(waiting()) == 3
        relay.look()
        assert api.messages("a") == [0, 1], "It isn't tried again at once."
        clock.now += 1
        relay.look()
    assert api.messages("a") == [0, 1, 2, 3, 4]
    assert waiting() == []


def test_a_server_that_is_down_is_asked_ever_less_often(outbox, clock, caplog):
    relay = Relay(clock=clock)
    publish("a", "x")
    pauses = []
    with override_settings(CENTRIFUGO_PORT=9):
        for _ in range(9):
            pauses.append(relay.look())
            clock.now += pauses[-1]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == pytest.approx((0.1, 5.0))
    told = [r for r in caplog.records if r.name == "instant.outbox"]
    assert len(told) == 1
    assert len(waiting()) == 1


def test_it_goes_on_when_the_server_is_back(outbox, api, clock, caplog):
    relay = Relay(clock=clock)
    publish("a", "x")
    with override_settings(CENTRIFUGO_PORT=9):
        relay.look()
    clock.now += 1
    relay.look()
    assert api.messages() == ["x"]
    assert "are sent again" in caplog.text


@pytest.mark.parametrize("status", [401, 404, 502, 503])
def test_what_is_not_about_a_row_sets_none_aside(relay, api, clock, status):
    publish("a", "x")
    api.statuses = [status]
    relay.look()
    assert (len(waiting()), aside(), api.published) == (1, [], [])
    clock.now += 1
    relay.look()
    assert api.messages() == ["x"]


def test_an_unknown_namespace_waits_alone(relay, api, clock, caplog):
    with with_outbox(OUTBOX_PARTITIONS=1):
        publish("new:1", "1")
        publish("a", "x")
        publish("new:1", "2")
        publish("new:2", "3")
        api.errors = {"new:1": [102, 102], "new:2": [102, 102]}
        relay.look()
        assert api.messages() == ["x"]
        assert [row.namespace for row in waiting()] == ["new"] * 3
        publish("new:1", "4")
        publish("a", "y")
        relay.look()
        assert api.messages() == ["x", "y"]
        clock.now += 10
        relay.look()
        assert api.messages("new:1") == []
        clock.now += 10
        api.errors = {}
        relay.look()
        assert api.messages("new:1") == ["1", "2", "4"]
        assert api.messages("new:2") == ["3"]
    assert (waiting(), aside()) == ([], [])
    assert caplog.text.count("wait in the outbox") == 1
    assert "delete them in the admin if the name is wrong" in caplog.text


def test_what_is_refused_for_good_is_set_aside(relay, api, caplog):
    with with_outbox(OUTBOX_PARTITIONS=1):
        publish("a", "1")
        publish("a", "poison")
        publish("a", "2")
        api.errors["a"] = [None, 107]
        relay.look()
    assert api.messages() == ["1", "2"]
    [row] = aside()
    assert (row.partition, row.attempts, row.sent_at) == (-1, 1, None)
    assert "error 107" in row.error
    assert waiting() == []
    assert "is set aside" in caplog.text


@pytest.mark.parametrize("payload", ["{", "[]", '"x"', "", "[" * 100_000])
def test_what_is_no_command_is_set_aside(relay, api, payload):
    OutboxRow.objects.create(method="publish", payload=payload, partition=3)
    OutboxRow.objects.create(method="batch", payload="{}", partition=3)
    publish("a", "x")
    relay.look()
    assert api.messages() == ["x"]
    assert [row.partition for row in aside()] == [-4, -4]


@pytest.mark.parametrize("status", [400, 413])
def test_one_that_spoils_a_request_is_found(outbox, clock, status, api):
    """A server says of a body that it can't read only that."""
    relay = Relay(clock=clock)

    def spoiled(connection):
        while True:
            _, body = connection.read_request()
            if b"poison" in body:
                connection.answer(b"", status=f"{status} No")
            else:
                answer = {"replies": [api._one(c) for c in json.loads(body)["commands"]]}
                connection.answer(json.dumps(answer).encode())

    api.server._behave = spoiled
    with with_outbox(OUTBOX_PARTITIONS=1):
        for number in range(10):
            publish(f"room:{number}", "poison" if number == 6 else number)
        relay.look()
    assert sorted(api.messages()) == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    [poison] = aside()
    assert str(status) in poison.error
    assert "not from Centrifugo" not in poison.error
    assert waiting() == []


@pytest.mark.parametrize("status", [400, 413])
def test_another_server_at_the_address_refuses_no_row(relay, api, clock, status):
    """Django answers 400 for a host that it doesn't know, and nginx for HTTP on a port of HTTPS."""
    for number in range(10):
        publish(f"room:{number}", number)
    api.statuses = [status] * 100
    relay.look()
    assert aside() == []
    assert len(waiting()) == 10
    assert str(status) in str(relay.error)
    api.statuses = []
    clock.now += 1
    relay.look()
    assert sorted(api.messages()) == list(range(10))
    assert waiting() == []


def test_a_row_of_another_method_is_sent_too(relay, api):
    payload = json.dumps({"user": "1", "channel": "a"})
    OutboxRow.objects.create(method="unsubscribe", payload=payload, partition=0)
    relay.look()
    assert b'{"unsubscribe":{"user"' in api.requests[0][1]
    assert OutboxRow.objects.count() == 0


def test_rows_of_partitions_that_the_settings_no_longer_have_are_sent(relay, api):
    with with_outbox(OUTBOX_PARTITIONS=1024):
        broadcast([f"a{n}" for n in range(200)], "x")
    relay.look()
    assert len(api.messages()) == 200
    assert OutboxRow.objects.count() == 0


def test_rows_of_another_database_are_sent(relay, api):
    publish("a", "x", using="other")
    relay.look()
    assert api.messages() == ["x"]
    assert OutboxRow.objects.using("other").count() == 0


def test_sent_rows_are_kept_for_a_while(relay, api, clock):
    with with_outbox(OUTBOX_KEEP=60):
        publish("a", "x")
        relay.look()
        [row] = aside()
        assert row.partition == OutboxRow.KEPT
        assert row.sent_at is not None
        clock.now += 60
        relay.look()
        assert aside() == [row]
        OutboxRow.objects.update(sent_at=timezone.now() - timedelta(seconds=61))
        clock.now += 60
        relay.look()
    assert aside() == []


def test_kept_rows_go_when_the_setting_does(relay, api, clock):
    with with_outbox(OUTBOX_KEEP=60):
        publish("a", "x")
        relay.look()
    clock.now += 60
    relay.look()
    assert OutboxRow.objects.count() == 0


def test_memory_is_bounded(relay, monkeypatch, api):
    monkeypatch.setattr(tables, "_MAX_BYTES", 3000)
    with with_outbox(OUTBOX_PARTITIONS=1):
        for _ in range(5):
            publish("a", "x" * 1000)
        publish("a", "y" * 5000)
        assert len(tables.next_rows(OutboxRow.objects.all())) == 2
        relay.look()
    assert len(api.messages()) == 6


def test_a_look_ends_after_a_second(relay, api, clock, monkeypatch):
    monkeypatch.setattr(tables, "LIMIT", 10)
    real = sending.send

    def slow(*args):
        clock.now += 0.4
        return real(*args)

    monkeypatch.setattr(relay_module, "send", slow)
    with with_outbox(OUTBOX_PARTITIONS=1):
        for number in range(50):
            publish(f"a{number}", number)
        assert relay.look() == 0.0
    assert len(waiting()) == 20


@pytest.mark.only_on("postgresql")
def test_a_partition_that_another_relay_holds_is_left_to_it(relay, api):
    with with_outbox(OUTBOX_PARTITIONS=1):
        publish("a", "x")
    held, done = threading.Event(), threading.Event()

    def hold():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                # As Centrifugo's consumer does (internal/consuming/postgresql.go, v6.9.1).
                cursor.execute(
                    "SELECT pg_advisory_xact_lock(hashtext(%s))",
                    ["centrifugo_partition_lock_instant_outbox0"],
                )
                held.set()
                done.wait(20)
        finally:
            connection.close()

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(20)
    relay.look()
    assert api.published == []
    done.set()
    other.join()
    relay.look()
    assert api.messages() == ["x"]


@pytest.mark.only_on(*LOCKING)
def test_two_relays_side_by_side_send_each_row_once(outbox, api):
    for number in range(300):
        publish(f"room:{number % 20}", number)

    def run():
        try:
            mine = Relay()
            while OutboxRow.objects.filter(partition__gte=0).exists():
                mine.look()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(api.messages()) == list(range(300))
    for number in range(20):
        assert api.messages(f"room:{number}") == list(range(number, 300, 20))


@pytest.fixture
def repeatable_read():
    """As the setting ``OPTIONS["isolation_level"]`` has it."""
    from django.db.backends.postgresql.psycopg_any import IsolationLevel

    options = connection.settings_dict["OPTIONS"]
    connection.close()
    level = IsolationLevel.REPEATABLE_READ
    connection.settings_dict["OPTIONS"] = {**options, "isolation_level": level}
    yield
    connection.close()
    connection.settings_dict["OPTIONS"] = options


@pytest.mark.only_on("postgresql")
@pytest.mark.usefixtures("repeatable_read")
def test_whatever_isolation_the_settings_ask_for_a_row_that_is_gone_is_no_error(relay, api):
    """Whose process sent it at once and deleted it, for one."""

    def gone(channel, request):
        OutboxRow.objects.filter(payload__contains=f'"{channel}"').delete()
        connection.close()  # of the server's thread
        return publishes(channel, request)

    publishes, api._publish = api._publish, gone
    publish("a", "x")
    publish("b", "y")
    relay.look()
    assert api.messages() == ["x", "y"] or api.messages() == ["y", "x"]
    assert OutboxRow.objects.count() == 0


@pytest.mark.only_on("postgresql")
def test_rows_of_an_open_transaction_are_not_seen(relay, api):
    written, done = threading.Event(), threading.Event()

    def write():
        try:
            with transaction.atomic():
                publish("a", "x")
                written.set()
                done.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    assert written.wait(20)
    relay.look()
    assert api.published == []
    done.set()
    thread.join()
    relay.look()
    assert api.messages() == ["x"]


def in_partition(partition):
    """Return the name of a channel of it."""
    return next(f"c{n}" for n in range(1000) if crc32(f"c{n}".encode()) % 8 == partition)


def test_a_partition_that_waits_holds_up_no_other(relay, api, clock):
    names = [in_partition(number) for number in (2, 5)]
    for name in names:
        publish(name, "x")
    api.errors[names[0]] = [100] * 3
    for pause in (0.1, 0.2, 0.4):
        assert relay.look() == pytest.approx(pause)
        clock.now += pause
    assert api.messages() == ["x"]
    publish(names[1], "y")
    relay.look()
    assert api.messages(names[1]) == ["x", "y"]
    assert api.messages(names[0]) == ["x"]
    assert waiting() == []


def test_what_waited_and_is_gone_keeps_nobody_busy(relay, api, clock):
    publish("a", "x")
    with override_settings(CENTRIFUGO_PORT=9):
        relay.look()
    OutboxRow.objects.all().delete()  # another relay was there
    clock.now += 10
    assert relay.look() is None


def test_where_there_is_always_more_each_partition_has_its_turn(relay, api, clock, monkeypatch):
    monkeypatch.setattr(tables, "LIMIT", 5)
    busy, other = in_partition(1), in_partition(6)
    real = sending.send

    def slow(*args):
        clock.now += 1.1
        for _ in range(6):
            publish(busy, "busy")
        return real(*args)

    monkeypatch.setattr(relay_module, "send", slow)
    publish(busy, "busy")
    publish(other, "other")
    for _ in range(3):
        relay.look()
    assert "other" in api.messages()


def test_many_rows_of_one_channel_do_not_outlast_a_look(relay, api, clock, monkeypatch):
    """Each is a request of its own, and whoever stops the relay waits for the look to end."""
    real = Client.forward

    def slow(*args):
        clock.now += 0.3
        return real(*args)

    monkeypatch.setattr(Client, "forward", slow)
    for number in range(10):
        publish("a", number)
    assert relay.look() == 0.0
    assert len(api.messages()) == 4
    while relay.look() == 0.0:
        pass
    assert api.messages() == list(range(10))


@pytest.fixture
def replica(settings):
    """Let “other” be the same database, in which nothing can be written."""
    before, given = connections["other"], connections.databases["other"]
    connections.databases["other"] = {
        **connections.databases["default"],
        "PORT": "5432",  # another place, by its name
        "OPTIONS": {"options": "-c default_transaction_read_only=on"},
    }
    connections["other"] = connections.create_connection("other")
    yield
    connections["other"].close()
    connections.databases["other"] = given
    connections["other"] = before


@pytest.mark.only_on("postgresql")
def test_a_replica_is_left_alone(relay, api, replica, clock):
    publish("a", "x")
    relay.look()
    relay.look()
    assert api.messages() == ["x"]
    assert len(api.requests) == 1


def ending(**more):
    now = timezone.now()
    values = {"created_at": now, "due_at": now + timedelta(seconds=5), "claim": "someone"}
    return Revocation.objects.create(loss={}, **{**values, **more})


def test_rows_wait_until_rights_that_were_revoked_with_them_have_ended(relay, api):
    publish("a", "x")
    row = ending()
    assert relay.look() == pytest.approx(0.02)
    assert api.messages() == []
    Revocation.objects.filter(pk=row.pk).update(is_last=True, claim="")
    relay.look()
    assert api.messages() == ["x"]


@pytest.mark.parametrize(
    "more",
    [
        {"created_at": timezone.now() - timedelta(seconds=6)},
        {"due_at": timezone.now() - timedelta(seconds=1)},
        {"claim": ""},
    ],
    ids=["for too long", "nobody does", "later"],
)
def test_they_wait_only_while_somebody_ends_them(relay, api, more):
    ending(**more)
    publish("a", "x")
    relay.look()
    assert api.messages() == ["x"]


def test_once_waits_for_it_too(relay, api, monkeypatch):
    publish("a", "x")
    row = ending()
    monkeypatch.setattr(relay_module.time, "sleep", lambda _seconds: row.delete())
    relay.drain()
    assert api.messages() == ["x"]


def test_who_is_out_does_not_get_what_was_published_with_it(relay, api, make_user, monkeypatch):
    """A relay in another process sees the commit as soon as the one that ends the right."""
    user, group = make_user("ann"), Group.objects.create(name="red")
    user.groups.add(group)
    channel = Channel.objects.create(name="$red", level=Channel.Level.GROUPS)
    channel.groups.add(group)
    real, seen = run.immediate_check, []

    def check(changes):
        relay.look()
        seen.append(api.messages())
        real(changes)

    monkeypatch.setattr(run, "immediate_check", check)
    with transaction.atomic():
        user.groups.remove(group)
        publish("$red", "secret")
    assert seen == [[]]
    relay.look()
    assert api.messages() == ["secret"]


def test_a_database_that_takes_no_writes_any_more_has_nothing_sent_again(
    outbox, api, clock, monkeypatch
):
    """One that was made a replica: its rows are sent where they can be deleted."""
    relay = Relay(clock=clock, aliases=lambda: ["default"])
    publish("a", "x")
    relay.look()
    publish("a", "y")

    def refuse(*_args):
        raise InternalError("cannot execute DELETE in a read-only transaction")

    monkeypatch.setattr(relay_module.Store, "finish", refuse)
    monkeypatch.setattr(relay_module.Store, "takes_writes", lambda _store: False)
    with pytest.raises(InternalError):
        relay.look()
    for _ in range(3):
        clock.now += 31
        relay.look()
    assert api.messages() == ["x", "y"]
    monkeypatch.undo()
    clock.now += 31
    relay.look()
    assert api.messages() == ["x", "y", "y"]
    assert waiting() == []


def test_a_database_that_is_away_holds_up_no_other(outbox, api, clock, monkeypatch, caplog):
    relay = Relay(clock=clock, aliases=lambda: ["other", "default"])
    publish("a", "x")
    relay.look()
    away = Away(monkeypatch)
    publish("b", "y", using="other")
    for number in range(5):
        publish("a", number)
        relay.look()
        clock.now += 0.01
    assert api.messages() == ["x", *range(5)]
    assert away.asked == 1, "It isn't asked again at once."
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 1
    away.is_back = True
    clock.now += 1
    relay.look()
    assert api.messages() == ["x", *range(5), "y"]


def test_what_waits_in_a_database_that_is_away_is_told(outbox, api, monkeypatch):
    Away(monkeypatch)
    with pytest.raises(OperationalError):
        Relay(aliases=lambda: ["other", "default"]).drain()
    with pytest.raises(OperationalError):
        Relay(aliases=lambda: ["other"]).look()


def test_a_database_that_takes_long_to_be_away_is_asked_less_often(outbox, api, clock, monkeypatch):
    relay = Relay(clock=clock, aliases=lambda: ["other", "default"])
    away = Away(monkeypatch, lambda: setattr(clock, "now", clock.now + 2))
    relay.look()
    clock.now += 19
    relay.look()
    assert away.asked == 1
    clock.now += 2
    relay.look()
    assert away.asked == 2


class Away:
    """Has “other” answer nothing, until it is back."""

    def __init__(self, monkeypatch, first=lambda: None):
        self.asked, self.is_back = 0, False
        real = relay_module.Store.partitions

        def partitions(store, after=-1):
            if store.alias == "other" and not self.is_back:
                self.asked += 1
                first()
                raise OperationalError("server closed the connection")
            return real(store, after)

        monkeypatch.setattr(relay_module.Store, "partitions", partitions)


@pytest.mark.only_on("postgresql")
def test_a_database_that_says_nothing_holds_up_no_other(outbox, api, monkeypatch):
    """A host that is gone does so."""
    monkeypatch.setattr(reach, "_PATIENCE", 0.05)
    before, given = connections["other"], connections.databases["other"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connections.databases["other"] = {
            **connections.databases["default"],
            "HOST": "127.0.0.1",
            "PORT": str(silent.getsockname()[1]),
        }
        connections["other"] = connections.create_connection("other")
        try:
            relay = Relay(aliases=lambda: ["other", "default"])
            publish("a", "x")
            relay.look()
            assert api.messages() == ["x"]
            assert "has not answered" in str(relay.error)
        finally:
            connections.databases["other"], connections["other"] = given, before


def test_a_database_without_the_table_is_skipped(relay, api, clock):
    with connections["other"].schema_editor() as editor:
        editor.delete_model(OutboxRow)
    try:
        publish("a", "x")
        assert relay.look() is not None
        relay.look()
        assert api.messages() == ["x"]
    finally:
        with connections["other"].schema_editor() as editor:
            editor.create_model(OutboxRow)


@pytest.mark.only_on("postgresql")
def test_postgresql_tells_of_each_partition_at_the_commit(outbox):
    listening = connections.create_connection("default")
    try:
        with listening.cursor() as cursor:
            cursor.execute(f"LISTEN {NOTIFY_CHANNEL}")
        with transaction.atomic():
            publish(in_partition(2), "x")
            publish(in_partition(2), "x")
            publish(in_partition(7), "x")
            OutboxRow.objects.create(method="publish", payload="{}", partition=-1)
        with transaction.atomic():
            publish(in_partition(3), "x")
            transaction.set_rollback(True)
        told = [n.payload for n in listening.connection.notifies(timeout=20, stop_after=2)]
        told += [n.payload for n in listening.connection.notifies(timeout=0)]
    finally:
        listening.close()
    assert sorted(told) == ["2", "7"]

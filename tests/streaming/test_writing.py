"""What a block writes, and what pages are told of it."""

import asyncio
import copy
import threading
import time

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import SynchronousOnlyOperation
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)
from django.db.transaction import TransactionManagementError

from instant import Namespace
from instant.deliveries import Stored
from instant.exceptions import (
    InvalidChannelName,
    PublishError,
    StreamBusy,
    StreamCancelled,
    StreamLost,
    StreamTooLong,
)
from instant.models import Message, Stream, StreamChunk
from instant.streaming import rows, telling, writing
from instant.streaming.again import again
from instant.streams import acancel, aread, cancel, read, stream
from instant.testing import assert_stream
from tests.streaming.conftest import abandoned, die, told

pytestmark = pytest.mark.django_db


def test_the_whole_way(captured, at_once):
    with stream("answer:1") as out:
        out.write("Hello")
        out.write(", wörld 🎈")
        assert (out.state, out.length, out.channel) == ("writing", 15, "answer:1")
        out.write("!")
        assert read("answer:1") == ("Hello, wörld 🎈!", "writing")
    assert out.state == "done"
    assert told(captured) == [
        {"at": 0, "text": ""},
        {"at": 0, "text": "Hello"},
        {"at": 5, "text": ", wörld 🎈"},
        {"at": 15, "text": "!"},
        {"at": 16, "text": "", "state": "done"},
    ]
    assert {p.payload["event_class"] for p in captured.publications} == {"instant:stream"}
    assert len({p.payload["data"]["run"] for p in captured.publications}) == 1
    assert read("answer:1") == ("Hello, wörld 🎈!", "done")
    assert read("answer:2") is None


@pytest.mark.django_db(transaction=True)
async def test_async(captured, at_once, in_threads):
    async with stream("answer:1") as out:
        await out.write("Hello")
        assert await aread("answer:1") == ("Hello", "writing")
        await out.flush()
    assert out.state == "done"
    assert [one["text"] for one in told(captured)] == ["", "Hello", ""]


def test_what_is_written_fast_leaves_together(captured, by_hand):
    with stream("answer:1") as out:
        for token in "abcdefgh":
            out.write(token)
        out.flush()
        out.flush()
        out.write("")
        out.write("i")
    assert told(captured) == [
        {"at": 0, "text": ""},
        {"at": 0, "text": "abcdefgh"},
        {"at": 8, "text": "i", "state": "done"},
    ]


def test_at_most_twenty_messages_a_second(captured):
    until = time.monotonic() + 0.5
    with stream("answer:1") as out:
        while time.monotonic() < until:
            out.write("x")
    # The beginning, nine or ten parts, and the end.
    assert 3 <= len(captured.publications) <= 12
    assert len(read("answer:1").text) > 100


def test_an_exception_ends_it_and_tells_nothing_else(captured, at_once):
    with pytest.raises(ZeroDivisionError), stream("answer:1") as out:
        out.write("As far as ")
        out.write("this")
        raise ZeroDivisionError("the secret")
    assert out.state == "failed"
    assert told(captured)[-1] == {"at": 14, "text": "", "state": "failed"}
    assert "secret" not in str(captured.publications)
    assert_stream("answer:1", "As far as this", state="failed")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_process_interrupts_it(captured, error):
    with pytest.raises(error), stream("answer:1") as out:
        out.write("Half")
        raise error
    assert told(captured)[-1] == {"at": 0, "text": "Half", "state": "interrupted"}


@pytest.mark.django_db(transaction=True)
async def test_a_task_that_is_cancelled_interrupts_it(captured, in_threads):
    written = asyncio.Event()

    async def write():
        async with stream("answer:1") as out:
            await out.write("Half")
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await written.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await aread("answer:1") == ("Half", "interrupted")


def test_begun_anew(captured, at_once):
    for text in ("The first", "Second"):
        with stream("answer:1") as out:
            out.write(text)
    assert_stream("answer:1", "Second")
    assert len({p.payload["data"]["run"] for p in captured.publications}) == 2
    assert Stream.objects.count() == 1


def test_resumed(captured, at_once):
    with pytest.raises(ValueError, match="broken"), stream("answer:1") as out:
        out.write("One 🎈,")
        raise ValueError("broken")
    with stream("answer:1", resume=True) as out:
        out.write(" two")
    assert_stream("answer:1", "One 🎈, two")
    assert told(captured)[-3:] == [
        {"at": 7, "text": ""},
        {"at": 7, "text": " two"},
        {"at": 11, "text": "", "state": "done"},
    ]
    assert len({p.payload["data"]["run"] for p in captured.publications}) == 1
    with stream("answer:2", resume=True) as out:
        out.write("New")
    assert_stream("answer:2", "New")


def test_one_writes_at_a_time():
    with stream("answer:1"):
        with pytest.raises(StreamBusy, match="answer:1 is being written"):
            stream("answer:1").__enter__()
        with stream("answer:2"):
            pass
    with stream("answer:1"):
        pass


def test_a_dead_writer_is_in_nobodys_way(captured):
    abandoned()
    with stream("answer:1", resume=True) as out:
        out.write(" and half")
    assert_stream("answer:1", "Half and half")


def test_a_writer_that_only_seemed_dead_goes_on(captured):
    one = abandoned()
    assert read("answer:1") == ("Half", "interrupted")
    assert told(captured)[-1] == {"at": 4, "text": "", "state": "interrupted"}
    one.add(" asleep")
    one.flush()
    assert read("answer:1") == ("Half asleep", "writing")
    die()
    assert read("answer:1").state == "interrupted"
    one.keep()  # a sign of life alone
    assert read("answer:1").state == "writing"
    assert {"at": 11, "text": ""} in told(captured)


def test_a_writer_whose_stream_another_has_taken(captured):
    one = abandoned()
    with stream("answer:1", resume=True) as out:
        out.write("way")
        one.add(" lost")
        with pytest.raises(StreamLost, match="begun anew"):
            one.flush()
        with pytest.raises(StreamLost):
            one.add("more")
        with pytest.raises(StreamLost):
            one.end("done")
    assert_stream("answer:1", "Halfway")


def test_it_was_deleted(captured, by_hand):
    with pytest.raises(StreamLost), stream("answer:1") as out:
        out.write("gone")
        Stream.objects.all().delete()
    assert read("answer:1") is None


def test_cancelled(captured, at_once):
    with stream("answer:1") as out:
        out.write("Stop ")
        assert cancel("answer:1")
        assert not cancel("answer:1")
        with pytest.raises(StreamCancelled, match="answer:1"):
            out.write("me")
        out.write("again")
        pytest.fail("not reached")
    assert out.state == "cancelled"
    assert told(captured)[-1] == {"at": 5, "text": "", "state": "cancelled"}
    assert_stream("answer:1", "Stop ", state="cancelled")


def test_a_flush_says_what_the_keeper_has_found(captured, by_hand):
    with stream("answer:1") as out:
        out.write("Stop")
        cancel("answer:1")
        out._writing.keep()  # it takes what is gathered
        with pytest.raises(StreamCancelled):
            out.flush()


@pytest.mark.django_db(transaction=True)
async def test_cancelled_async(captured, at_once, in_threads):
    async with stream("answer:1") as out:
        assert await acancel("answer:1")
        await out.write("me")
        pytest.fail("not reached")
    assert out.state == "cancelled"


def test_cancelled_just_before_the_end(captured, by_hand):
    with stream("answer:1") as out:
        out.write("All of it")
        cancel("answer:1")
    assert out.state == "cancelled"
    with pytest.raises(KeyError), stream("answer:1"):
        cancel("answer:1")
        raise KeyError("another error is not hidden")


def test_the_limit(settings):
    too_long = pytest.raises(StreamTooLong, match="would have 11 characters, and 10 are possible")
    with too_long as error, stream("answer:1", limit=10) as out:
        out.write("x" * 9)
        out.write("xx")
    assert isinstance(error.value, ValueError)
    assert_stream("answer:1", "x" * 9, state="failed")
    settings.INSTANT = {**settings.INSTANT, "STREAM_LIMIT": 3}
    with pytest.raises(StreamTooLong), stream("answer:1") as out:
        out.write("🎈🎈")
    with stream("answer:1", limit=4) as out:
        out.write("🎈🎈")
    assert_stream("answer:1", "🎈🎈")


def test_what_no_database_and_no_page_can_have(captured):
    with stream("answer:1") as out:
        out.write("a\x00b\ud83dc")
        with pytest.raises(TypeError, match="not bytes"):
            out.write(b"x")
    assert_stream("answer:1", "a\ufffdb\ufffdc")


def test_a_lot_at_once_is_fetched_by_pages(captured, at_once):
    text = "0123456789" * 10_000
    with stream("answer:1") as out:
        out.write("x")
        out.write(text)
    assert told(captured)[2:] == [
        {"at": 1, "until": 100_001},
        {"at": 100_001, "text": "", "state": "done"},
    ]
    assert_stream("answer:1", "x" + text)


def test_a_long_text_becomes_few_rows_and_is_not_written_again_and_again(
    at_once, monkeypatch, django_assert_max_num_queries
):
    monkeypatch.setattr(writing, "_MERGED", 16)
    written = []
    merge = rows.merge

    def counted(one, start, until):
        written.append(until - start)
        merge(one, start, until)

    monkeypatch.setattr(rows, "merge", counted)
    text = ""
    with stream("answer:1") as out:
        for n in range(1000):
            text += f"{n} 🎈\n"
            out.write(f"{n} 🎈\n")
    assert_stream("answer:1", text)
    assert StreamChunk.objects.count() <= 1000 / 16 + 2
    assert sum(written) <= out.length
    with django_assert_max_num_queries(4):
        read("answer:1")


def test_outside_of_transactions_only():
    with transaction.atomic():
        with pytest.raises(TransactionManagementError, match="non_atomic_requests"):
            stream("answer:1").__enter__()
        assert rows.is_in_transaction()


def test_what_is_wrong_fails_at_once():
    with pytest.raises(InvalidChannelName):
        stream("")
    block = stream("answer:1")
    with block as out:
        pass
    with pytest.raises(ValueError, match="has ended"):
        out.write("more")
    with pytest.raises(ValueError, match="one block"):
        block.__enter__()


def test_a_server_that_is_away_stops_nobody(monkeypatch, at_once):
    def fail(*_args, **_kwargs):
        raise PublishError("away")

    monkeypatch.setattr(telling, "publish", fail)
    with stream("answer:1") as out:
        out.write("All the same")
    assert_stream("answer:1", "All the same")


def test_a_database_that_was_away_for_a_moment_loses_nothing(monkeypatch, by_hand):
    append = rows.append

    def fail(*_args, **_kwargs):
        raise DatabaseError("gone")

    with stream("answer:1") as out:
        out.write("One")
        monkeypatch.setattr(rows, "append", fail)
        with pytest.raises(DatabaseError):
            out.flush()
        monkeypatch.setattr(rows, "append", append)
        out.write(", two")
    assert_stream("answer:1", "One, two")


def test_its_messages_are_stored_nowhere_else(registry, at_once):
    class Answer(Namespace):
        name = "answer"
        pattern = "<int:pk>"
        delivery = Stored("cache")
        events = {"other": int}

    with stream("answer:1") as out:
        out.write("Once")
    assert Message.objects.count() == 0
    assert_stream("answer:1", "Once")


def unanswered(monkeypatch, times=1):
    """Let COMMIT be done so many times, and nobody be told that it was."""
    write, left = rows._append, [times]

    def commit(*args):
        done = write(*args)
        if left[0]:
            left[0] -= 1
            raise OperationalError("server closed the connection unexpectedly")
        return done

    monkeypatch.setattr(rows, "_append", commit)


def test_a_commit_that_nobody_was_told_of_is_not_repeated(captured, monkeypatch, by_hand):
    with stream("answer:1") as out:
        out.write("One 🎈,")
        unanswered(monkeypatch)
        with pytest.raises(OperationalError):
            out.flush()
        out.write(" two")
        out.flush()
        out.write(", three")
        unanswered(monkeypatch)
        with pytest.raises(OperationalError):
            out.flush()
        out.flush()
    assert_stream("answer:1", "One 🎈, two, three")
    assert [one["text"] for one in told(captured)] == ["", "One 🎈, two", ", three", ""]


def test_nor_is_an_end(captured, monkeypatch, by_hand):
    block = stream("answer:1")
    out = block.__enter__()
    out.write("All")
    unanswered(monkeypatch)
    with pytest.raises(OperationalError):
        block._writing.end("done")
    block._writing.end("done")
    assert_stream("answer:1", "All")
    assert told(captured)[-1] == {"at": 0, "text": "All", "state": "done"}


def test_whoever_was_cancelled_after_such_a_commit(captured, monkeypatch, by_hand):
    with stream("answer:1") as out:
        out.write("One")
        unanswered(monkeypatch)
        with pytest.raises(OperationalError):
            out.flush()
        cancel("answer:1")
        out.flush()
        pytest.fail("not reached")
    assert out.state == "cancelled"


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.django_db(transaction=True)
def test_what_a_database_has_lost_is_done_again(error, as_vendor):
    as_vendor("postgresql")
    calls = []

    @again
    def step(times):
        calls.append(times)
        if len(calls) <= times:
            raise error("gone")
        return len(calls)

    assert step(1) == 2
    calls.clear()
    with pytest.raises(error):
        step(2)
    assert len(calls) == 2
    as_vendor("sqlite")
    calls.clear()
    with pytest.raises(error):
        step(1)
    assert len(calls) == 1


def test_a_transaction_is_its_owners_to_repeat(as_vendor):
    as_vendor("postgresql")
    calls = []

    @again
    def step():
        calls.append(1)
        raise OperationalError("gone")

    with pytest.raises(OperationalError):
        step()
    assert len(calls) == 1


@pytest.mark.django_db(transaction=True)
def test_nobody_writes_for_a_user_who_is_gone(make_user):
    gone = make_user("ann")
    key = gone.pk
    gone.delete()
    gone.pk = key
    with pytest.raises(IntegrityError):
        stream("answer:1", user=gone).__enter__()
    assert read("answer:1") is None


@pytest.mark.only_on("postgresql")
@pytest.mark.django_db(transaction=True)
def test_whoever_waits_for_a_cancel_that_repeatable_read_refuses_to_pass(by_hand):
    waits, cancelled, states = threading.Event(), threading.Event(), []

    def write():
        try:
            with stream("answer:1") as out:
                out.write("Half")
                out.flush()
                with connection.cursor() as cursor:
                    cursor.execute("SET default_transaction_isolation TO 'repeatable read'")
                waits.set()
                cancelled.wait(10)
                out.write("more")
                out.flush()
            states.append(out.state)
        finally:
            connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    assert waits.wait(10)
    with transaction.atomic():
        cancel("answer:1")
        cancelled.set()
        with connection.cursor() as cursor:
            until = time.monotonic() + 10
            while time.monotonic() < until:  # until the writer waits for this transaction's lock
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                if cursor.fetchone()[0]:
                    break
                time.sleep(0.01)
    thread.join(20)
    assert states == ["cancelled"]


@pytest.mark.parametrize("name", ["write", "flush", "state"])
def test_without_a_block_it_says_what_to_write(name):
    block = stream("answer:1")
    with pytest.raises(AttributeError, match=r"with stream\(\"answer:1\"\) as out: out\.write"):
        getattr(block, name)
    assert not hasattr(copy.copy(block), name)


async def test_a_block_that_would_hold_up_an_event_loop_says_what_to_write():
    with pytest.raises(SynchronousOnlyOperation, match="async with stream"), stream("answer:1"):
        pytest.fail("not reached")


@pytest.mark.parametrize("channel", ["nothing:1", "answer:x"])
def test_where_no_page_may_read_it_the_log_says_what_is_missing(channel, registry, caplog):
    class Answer(Namespace):
        name, pattern = "answer", "<int:pk>"

    for readable in ("answer:1", "user:1", "news"):
        with stream(readable):
            pass
    assert not caplog.records
    with stream(channel):
        pass
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{channel}: no page may read this stream")
    assert f"name = {channel.partition(':')[0]!r}" in record.getMessage()


def test_what_is_no_user_and_no_limit():
    with pytest.raises(TypeError, match="is no user"):
        stream("answer:1", user=Stream(pk=1))
    for user in ("ann", 5):
        with pytest.raises(TypeError, match="user is the user for whom"):
            stream("answer:1", user=user)
    for limit in ("x", 0, -1, 1.5, True):
        with pytest.raises(ValueError, match="limit is how many characters"):
            stream("answer:1", limit=limit)
    with stream("answer:1", user=AnonymousUser()):
        pass
    assert Stream.objects.get().user is None


@pytest.mark.only_on("postgresql")
@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_of_the_block_pages_see_the_text_before_the_commit(at_once):
    def seen():
        found = []

        def look():
            until = time.monotonic() + 10
            while read("answer:1").text != "In the transaction" and time.monotonic() < until:
                time.sleep(0.01)
            found.append(read("answer:1"))
            connection.close()

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return found[0]

    with stream("answer:1") as out:
        with pytest.raises(KeyError), transaction.atomic():
            out.write("In ")
            out.write("the transaction")
            out.flush()
            assert seen() == ("In the transaction", "writing")
            raise KeyError("rolled back")
        out.write(".")
        with transaction.atomic():
            cancel("answer:1")
        with transaction.atomic():
            out._writing.keep()
            out.flush()
    assert out.state == "cancelled"
    assert_stream("answer:1", "In the transaction.", state="cancelled")


def test_in_a_transaction_of_a_block_in_a_test(at_once, monkeypatch):
    monkeypatch.setattr(writing, "_MERGED", 2)
    with stream("answer:1") as out:
        for _ in range(5):
            with transaction.atomic():
                out.write("x")
    assert_stream("answer:1", "xxxxx")


def test_who_has_lost_it_has_failed(by_hand):
    with pytest.raises(StreamLost), stream("answer:1") as out:
        out.write("gone")
        Stream.objects.all().delete()
    assert out.state == "failed"

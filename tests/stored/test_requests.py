"""Requests: who may ask, what a worker finds, and how they end."""

import asyncio
import threading
from contextlib import suppress
from datetime import timedelta
from unittest import mock

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.checks import run_checks
from django.db import OperationalError, connection, connections, transaction
from django.db.models import signals
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instant import arequest, on_rpc, request, responder
from instant.handlers import Cancelled, Refused
from instant.inbound.openapi import document
from instant.inbound.registry import find_handler
from instant.inbound.requests import find_method
from instant.inbound.tickets import bells, cancelling, erasing, rows, seen, telling, upkeep, waking
from instant.messages import acknowledge, collect, outstanding
from instant.models import Channel, Message, Ticket
from instant.stored import waiting
from instant.stored.worker import RequestWorker
from instant.testing import answered_here, call_rpc, run_jobs
from tests.conftest import close_connections

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry")]


@pytest.fixture(autouse=True)
def _looks_anew(monkeypatch):
    monkeypatch.setattr(upkeep, "_looked", {})
    monkeypatch.setattr(seen, "_looked", {})
    monkeypatch.setattr(seen, "_noted", {})


@pytest.fixture
def predict(registry):
    """A responder, and what it was called with."""
    seen = []

    @responder("predict")
    def predict(call, x: int):
        seen.append((call, x))
        call.progress(0.5, "half")
        if x < 0:
            raise Refused(422, "x is negative")
        return {"y": x * 2}

    return seen


@pytest.fixture
def asked(make_user):
    """Ask as a page of a user does; return the ticket's row."""

    def asked(user, name="predict", data=None, **more):
        answer = call_rpc(user, "instant.request", {"name": name, "data": data, **more})
        return Ticket.objects.get(pk=answer["instant:ticket"]["id"])

    return asked


class LookingWorker(RequestWorker):
    """Says when it has looked for the first time."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.looked = threading.Event()

    def _turn(self):
        try:
            return super()._turn()
        finally:
            self.looked.set()


@pytest.fixture
def worker(transactional_db):
    """Work in a thread until the test is over."""
    running = []

    def start(queue="request:predict", **options):
        worker = LookingWorker(queue, **options)
        thread = threading.Thread(target=worker.run)
        thread.start()
        running.append((worker, thread))
        # SQLite in memory doesn't wait for a lock: not in the middle of its first look.
        worker.looked.wait(2)
        return worker

    yield start
    for worker, thread in running:
        worker.stop()
        thread.join(20)
        assert not thread.is_alive()


def run(asking):
    """Run it on an event loop, and close the connections of the thread where its sync code ran."""

    async def and_close():
        try:
            return await asking
        finally:
            await sync_to_async(close_connections)()

    return asyncio.run(and_close())


def test_a_page_asks_and_gets_the_answer_by_its_ticket(predict, asked, make_user, publications):
    ann = make_user("ann")
    ticket = asked(ann, data={"x": 3})
    assert (ticket.queue, ticket.method, ticket.state) == ("request:predict",) * 2 + ("queued",)
    assert predict == []
    assert run_jobs() == 0  # those of runjobs are others
    assert run_jobs("request:predict") == 1
    [(call, x)] = predict
    assert (call.user, x) == (ann, 3)
    answer = call_rpc(ann, "instant.ticket", {"id": ticket.pk})
    assert (answer["ticket"]["state"], answer["ticket"]["result"]) == ("done", {"y": 6})
    publications.assert_published(answer["channel"], data=answer["ticket"])
    with pytest.raises(Refused, match="no such ticket"):
        call_rpc(make_user("bob"), "instant.ticket", {"id": ticket.pk})


def test_who_may_not_ask(predict, make_user):
    ann = make_user("ann")
    with pytest.raises(Refused) as refused:
        call_rpc(None, "instant.request", {"name": "predict", "data": {"x": 1}})
    assert refused.value.code == 401
    with pytest.raises(Refused, match="no such responder"):
        call_rpc(ann, "instant.request", {"name": "nobody"})
    with pytest.raises(Refused, match="x"):
        call_rpc(ann, "instant.request", {"name": "predict", "data": {"x": "a"}})
    for timeout in (0, -1, 100_000):
        with pytest.raises(Refused, match="timeout"):
            call_rpc(
                ann, "instant.request", {"name": "predict", "data": {"x": 1}, "timeout": timeout}
            )
    assert not Ticket.objects.exists()


def test_the_permission_of_a_responder(registry, asked, make_user):
    @responder("predict", can="instant.add_channel")
    def predict(call):
        return 1

    with pytest.raises(Refused, match="permission denied"):
        asked(make_user("ann"))
    assert asked(make_user("root", is_superuser=True)).state == "queued"


@pytest.mark.parametrize("name", ["predict", "$predict"])
def test_a_channel_of_the_name_says_who_may_ask(name, predict, asked, make_user):
    level = "users" if name[0] == "$" else "public"
    row = Channel.objects.create(name=name, level=level, publish_level="listed")
    ann = make_user("ann")
    with pytest.raises(Refused, match="permission denied"):
        asked(ann, data={"x": 1})
    row.publishers.add(ann)
    ticket = asked(ann, data={"x": 1})
    row.publishers.remove(ann)
    # The right is asked when it is answered, and when it is looked at.
    run_jobs("request:predict")
    ticket.refresh_from_db()
    assert (ticket.state, ticket.code) == ("failed", 403)
    with pytest.raises(Refused, match="no such ticket"):
        call_rpc(ann, "instant.ticket", {"id": ticket.pk})


def test_no_page_reaches_a_responder_but_by_the_method(predict, registry):
    on_rpc("*")(lambda call: 1)
    with pytest.raises(Refused, match="no such method"):
        find_method("request:predict")
    assert find_handler("rpc", "request:other") is None


def test_neither_the_gateway_s_document_nor_a_check_takes_it_for_a_method(predict, settings):
    settings.INSTANT = {**settings.INSTANT, "GATEWAY": True, "JOBS": {"RUNNER": "celery"}}
    paths = document("/rpc/", title="x", version="1")["paths"]
    assert "/rpc/instant.request/" in paths
    assert not [path for path in paths if "request:" in path]
    # Whatever runs jobs doesn't answer requests.
    assert "instant.E014" not in {message.id for message in run_checks()}
    assert "instant.W021" not in {message.id for message in run_checks()}


def test_too_many_wait(registry, asked, make_user):
    @responder("predict", backlog=2)
    def predict(call):
        return 1

    ann = make_user("ann")
    asked(ann)
    asked(ann)
    with pytest.raises(Refused, match="too many") as refused:
        asked(ann)
    assert (refused.value.code, refused.value.temporary) == (503, True)
    run_jobs("request:predict")
    asked(ann)


def test_python_asks_and_waits(predict, worker, publications):
    worker()
    told = []
    answer = request("predict", {"x": 4}, on_progress=lambda *given: told.append(given))
    assert answer == {"y": 8}
    assert told == [(0.5, "half")]
    [(call, _)] = predict
    assert call.transport == "python"
    assert not call.user.is_authenticated
    # Nobody could follow it, and nobody is told.
    publications.assert_nothing_published()
    assert Ticket.objects.get().expires_at > timezone.now() + timedelta(minutes=9)


def test_the_bell_says_how_it_has_ended(predict, worker, monkeypatch):
    def look(follower):
        raise AssertionError("the row is asked")

    worker()
    monkeypatch.setattr(waiting._Follower, "look", look)
    monkeypatch.setattr(waiting, "_PAUSES", (20,))
    told = []
    assert request("predict", {"x": 4}, on_progress=lambda *given: told.append(given)) == {"y": 8}
    assert told == [(0.5, "half")]
    with pytest.raises(Refused, match="x is negative"):
        request("predict", {"x": -1})


def test_an_answer_that_is_too_long_for_the_bell(registry, worker):
    registry_answer = "x" * 100_000
    responder("long")(lambda call: registry_answer)
    worker("request:long")
    assert request("long") == registry_answer


def test_the_bell_says_nothing_of_what_is_not_committed(predict, asked, make_user):
    ticket = asked(make_user("ann"), data={"x": 1})
    with bells.Bell(bells.of_asker(ticket.pk)) as bell:
        with transaction.atomic():
            run_jobs("request:predict")
        assert bell.wait(20)
        assert bell.said == b""


def test_an_end_that_nobody_follows_is_one_statement(predict, django_assert_num_queries):
    with suppress(TimeoutError):
        request("predict", {"x": 1}, timeout=0.01)
    Ticket.objects.update(state="queued", claim="", code=None, ended_at=None)
    ticket = rows.claim(["request:predict"])
    with django_assert_num_queries(1):
        assert telling.ending(ticket, "done", result="1")


def test_who_waits_is_not_counted_for_each_request(registry, asked, make_user):
    @responder("counted", backlog=40)
    def predict(call):
        return 1

    def counts():
        with CaptureQueriesContext(connection) as queries:
            asked(ann, "counted")
        return sum("COUNT(" in query["sql"] for query in queries)

    ann = make_user("ann")
    # A tenth of the room that there was may be taken before it is looked at again.
    assert [counts() for _ in range(7)] == [1, 0, 0, 0, 0, 1, 0]


def test_async_python_asks_and_waits(predict, worker):
    worker()
    assert run(arequest("predict", {"x": 5})) == {"y": 10}


def test_what_the_responder_refuses_is_raised(predict, worker):
    worker()
    with pytest.raises(Refused, match="x is negative") as refused:
        request("predict", {"x": -1})
    assert refused.value.code == 422


def test_in_a_users_name_rights_are_asked(registry, make_user):
    @responder("predict", can="instant.add_channel")
    def predict(call):
        return call.user.username

    with pytest.raises(Refused, match="permission denied"):
        request("predict", user=make_user("ann"))
    with answered_here():
        assert request("predict", user=make_user("root", is_superuser=True)) == "root"
        assert request("predict") == ""


def test_a_visitor_or_whoever_was_deactivated_is_not_nobody(predict, make_user):
    """As where a view hands on ``request.user``."""
    for user in (AnonymousUser(), make_user("ann", is_active=False)):
        with pytest.raises(Refused, match="log in first"), answered_here():
            request("predict", {"x": 1}, user=user)
    assert not Ticket.objects.exists()


def test_nobody_answers_in_time(predict):
    with pytest.raises(TimeoutError, match="runworker predict"):
        request("predict", {"x": 1}, timeout=0.05)
    assert Ticket.objects.get().state in {"cancelled", "failed"}
    assert rows.claim(["request:predict"]) is None
    with pytest.raises(TimeoutError, match="runworker predict"):
        run(arequest("predict", {"x": 1}, timeout=0.05))
    assert rows.claim(["request:predict"]) is None


def test_whoever_cancels_ends_the_wait(predict):
    def cancel():
        try:
            while True:
                # In memory SQLite locks out whoever comes second.
                with suppress(OperationalError):
                    if (ticket := Ticket.objects.first()) is not None:
                        cancelling.cancel(ticket)
                        return
        finally:
            connections.close_all()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(Cancelled):
        request("predict", {"x": 1}, timeout=20)
    thread.join()


def test_what_can_not_be_asked(predict):
    with pytest.raises(LookupError, match="@responder\\('nobody'\\)"):
        request("nobody")
    with pytest.raises(ValueError, match="timeout"):
        request("predict", timeout=0)
    with transaction.atomic(), pytest.raises(TransactionManagementError, match="on_commit"):
        request("predict", {"x": 1})
    assert not Ticket.objects.exists()


def test_a_request_for_which_nobody_waits_ends(predict, asked, make_user, publications):
    ann = make_user("ann")
    ticket = asked(ann, data={"x": 1}, timeout=60)
    assert timedelta(seconds=50) < ticket.expires_at - timezone.now() < timedelta(seconds=70)
    upkeep.look()
    assert rows.find(ticket.pk).state == "queued"
    Ticket.objects.update(expires_at=timezone.now())
    upkeep.look()
    ended = rows.find(ticket.pk)
    assert (ended.state, ended.code, ended.error) == ("failed", 504, "nobody answered in time")
    publications.assert_published(f"ticket:{ticket.pk}", event_class="instant:ticket")


def test_a_page_that_asks_ends_what_is_over(predict, asked, make_user):
    ann = make_user("ann")
    ticket = asked(ann, data={"x": 1}, timeout=60)
    Ticket.objects.update(expires_at=timezone.now())
    answer = call_rpc(ann, "instant.ticket", {"id": ticket.pk})
    assert answer["ticket"]["error"] == {"code": 504, "message": "nobody answered in time"}


def test_an_answer_goes_ten_minutes_after_it_was_looked_at(predict, asked, make_user):
    ann = make_user("ann")
    ticket = asked(ann, data={"x": 1}, timeout=60)
    run_jobs("request:predict")
    assert Ticket.objects.get().expires_at is None  # that was about nobody's answering
    call_rpc(ann, "instant.ticket", {"id": ticket.pk})
    expires = Ticket.objects.get().expires_at
    assert timedelta(minutes=9) < expires - timezone.now() <= timedelta(minutes=10)
    upkeep.look()
    assert Ticket.objects.exists()
    Ticket.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    upkeep.look()
    assert not Ticket.objects.exists()


def test_every_worker_of_the_host_is_woken():
    queue = "request:predict"
    name = bells.of_workers(queue)
    with (
        bells.Bell(name, is_one_of_many=True) as one,
        bells.Bell(name, is_one_of_many=True) as two,
        bells.Bell(bells.of_workers("request:other"), is_one_of_many=True) as other,
    ):
        waking.wake(queue, 0)
        assert one.wait(0)
        assert two.wait(0)
        assert not other.wait(0)
        assert not one.wait(0)
    # What a process that was killed has left is no trouble, and goes.
    dead = bells.Bell(name, is_one_of_many=True).__enter__()
    path = dead._path
    dead.socket.close()
    assert path.exists()
    waking.wake(queue, 0)
    assert not path.exists()


def test_a_worker_ends_after_so_many(predict, asked, worker, make_user):
    ann = make_user("ann")
    for x in range(3):
        asked(ann, data={"x": x})
    found = worker(most=2)
    while not found.is_over:
        pass
    assert Ticket.objects.filter(state="queued").count() == 1


@pytest.mark.parametrize("rule", [None, "cache", "cacheall", "store"])
def test_requests_and_answers_are_messages_where_the_rule_says_so(
    rule, predict, asked, make_user, settings
):
    settings.INSTANT = {**settings.INSTANT, "STORE": {"REQUESTS": rule, "RESPONSES": rule}}
    ann = make_user("ann")
    ticket = asked(ann, data={"x": 1})
    if rule is None:
        assert ticket.asked is None
    else:
        message = Message.objects.get(pk=ticket.asked)
        assert (message.channel, message.sender) == ("request:predict", ann)
        assert message.payload["data"] == {"x": 1}
    run_jobs("request:predict")
    replies = Message.objects.filter(is_reply=True)
    if rule is None:
        assert not Message.objects.exists()
        return
    [reply] = replies
    assert reply.channel == f"ticket:{ticket.pk}"
    assert reply.payload["data"]["result"] == {"y": 2}
    assert outstanding(ann) == [reply]
    assert outstanding(make_user("bob")) == []
    is_kept = rule == "store"
    assert Message.objects.filter(is_reply=False).exists() == is_kept
    assert (reply.request is not None) == is_kept
    # Its ticket is there as long as it is: nobody else knows who may read it.
    Ticket.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    upkeep.look()
    assert Ticket.objects.exists()
    acknowledge(ann, [reply.uuid])
    assert replies.all().exists() == is_kept
    upkeep.look()
    assert Ticket.objects.exists() == is_kept


def answered(asked, ann):
    ticket = asked(ann, data={"x": 1})
    run_jobs("request:predict")
    return ticket


def test_a_page_that_has_seen_its_answer_leaves_nothing(predict, asked, make_user, settings):
    settings.INSTANT = {**settings.INSTANT, "STORE": {"RESPONSES": "cacheall"}}
    ann = make_user("ann")
    ticket = answered(asked, ann)
    call_rpc(ann, "instant.ticket", {"id": ticket.pk})
    assert outstanding(ann)  # it may have been on its way
    call_rpc(ann, "instant.ticket", {"id": ticket.pk, "seen": True})
    assert not Message.objects.exists()
    assert Ticket.objects.get().expires_at <= timezone.now() + timedelta(minutes=10)
    Ticket.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    upkeep.look()
    assert not Ticket.objects.exists()


def test_what_has_not_ended_was_not_seen(predict, asked, make_user, settings):
    settings.INSTANT = {**settings.INSTANT, "STORE": {"RESPONSES": "store"}}
    ann = make_user("ann")
    ticket = asked(ann, data={"x": 1})
    call_rpc(ann, "instant.ticket", {"id": ticket.pk, "seen": True})
    assert Ticket.objects.get().expires_at is None
    run_jobs("request:predict")
    [answer] = outstanding(ann)
    with pytest.raises(Refused):
        call_rpc(make_user("eve"), "instant.ticket", {"id": ticket.pk, "seen": True})
    assert outstanding(ann) == [answer]


@pytest.mark.parametrize("end", [cancelling.cancel, cancelling.expire])
@pytest.mark.parametrize("rule", ["cache", "store"])
def test_a_request_that_nobody_answers_goes_as_one_that_was(
    rule, end, predict, asked, make_user, settings
):
    settings.INSTANT = {**settings.INSTANT, "STORE": {"REQUESTS": rule}}
    end(asked(make_user("ann"), data={"x": 1}))
    assert Message.objects.exists() is (rule == "store")


def test_answers_are_collected_with_their_tickets(predict, asked, make_user, settings):
    settings.INSTANT = {**settings.INSTANT, "STORE": {"RESPONSES": "store"}}
    ann = make_user("ann")
    first, second = answered(asked, ann), answered(asked, ann)
    Ticket.objects.filter(pk=first.pk).delete()
    assert collect() == 1
    assert [one.channel for one in Message.objects.all()] == [f"ticket:{second.pk}"]
    # As long as its answer is kept, so is the ticket; and no longer.
    Ticket.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert collect() == 0
    assert Ticket.objects.exists()
    settings.INSTANT = {**settings.INSTANT, "STORE": {"RESPONSES": "store", "MAX_AGE": 60}}
    Message.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    assert collect() == 1
    assert not Message.objects.exists()
    assert not Ticket.objects.exists()


def test_the_channel_of_the_name_says_how_requests_are_stored(predict, asked, make_user, settings):
    settings.INSTANT = {**settings.INSTANT, "STORE": {"REQUESTS": "disabled"}}
    Channel.objects.create(
        name="predict", level="public", publish_level="subscribers", store="store"
    )
    ann = make_user("ann")
    message = Message.objects.get(pk=asked(ann, data={"x": 1}).asked)
    assert (message.channel, message.row.name) == ("predict", "predict")
    run_jobs("request:predict")
    assert Message.objects.filter(pk=message.pk).exists()


@pytest.mark.parametrize("how", ["cancel", "expire"])
@pytest.mark.parametrize("rule", ["cache", "cacheall", "store"])
def test_a_request_that_ends_without_an_answer_is_dealt_with_too(
    how, rule, predict, asked, make_user, settings
):
    settings.INSTANT = {**settings.INSTANT, "STORE": {"REQUESTS": rule}}
    ticket = asked(make_user("ann"), data={"x": 1})
    getattr(cancelling, how)(ticket)
    assert Message.objects.filter(pk=ticket.asked).exists() == (rule == "store")


def test_a_user_who_is_deleted_leaves_neither_requests_nor_answers(
    predict, asked, make_user, settings
):
    settings.INSTANT = {**settings.INSTANT, "STORE": {"MESSAGES": "store"}}
    ann, bob = make_user("ann"), make_user("bob")
    for user in (ann, bob):
        asked(user, data={"x": 1})
    run_jobs("request:predict")
    asked(ann, data={"x": 2})
    erasing.connect()
    try:
        ann.delete()
    finally:
        signals.post_delete.disconnect(sender=get_user_model(), dispatch_uid="instant.tickets_gone")
    assert {message.sender for message in Message.objects.filter(is_reply=False)} == {bob}
    assert Message.objects.count() == 2


def test_an_answer_that_is_kept_is_no_ticket_of_anothers(registry, asked, make_user):
    """What is cached is what the function returned: a ticket may fail, and is its caller's."""
    calls = []

    @responder("double", cache=60, shared=True)
    def double(call, x: int):
        calls.append(x)
        if len(calls) == 1:
            raise Refused(503, "not yet")
        return 2 * x

    ann, bob, cat = make_user("ann"), make_user("bob"), make_user("cat")
    tickets = [asked(user, "double", data={"x": 2}) for user in (ann, bob, cat)]
    assert len({ticket.pk for ticket in tickets}) == 3
    run_jobs("request:double")
    states = [call_rpc(u, "instant.ticket", {"id": t.pk})["ticket"]
              for u, t in zip((ann, bob, cat), tickets, strict=True)]  # fmt: skip
    assert [state["result"] for state in states] == [None, 4, 4]
    assert calls == [2, 2]


@pytest.mark.usefixtures("many_files")
def test_a_bell_rings_also_in_a_process_with_many_connections():
    """select() takes none of the files that a busy server has beyond its first 1,024."""
    with bells.Bell(bells.of_asker("x" * 20)) as bell:
        assert not bell.wait(0.01)
        bells.ring(bells.of_asker("x" * 20))
        assert bell.wait(5)
        assert not bell.wait(0)


def test_a_worker_leaves_a_pool_of_connections_alone(settings):
    from instant.stored import worker as workers

    pooled, plain = ({"CONN_MAX_AGE": 0, "OPTIONS": options} for options in ({"pool": True}, {}))
    with mock.patch.object(workers, "connections") as connections_:
        connections_.all.return_value = [mock.Mock(settings_dict=one) for one in (pooled, plain)]
        workers.keep_connections()
    assert (pooled["CONN_MAX_AGE"], plain["CONN_MAX_AGE"]) == (0, 60)


def test_answers_that_are_kept_cost_no_look_more_than_a_few(
    predict, asked, make_user, settings, monkeypatch
):
    monkeypatch.setattr(upkeep, "_PASSED", 3)
    settings.INSTANT = {**settings.INSTANT, "STORE": {"MESSAGES": "store"}}
    ann = make_user("ann")
    tickets = [asked(ann, data={"x": 1}) for _ in range(8)]
    run_jobs("request:predict")
    Ticket.objects.update(ended_at=timezone.now() - timedelta(days=2))
    Message.objects.filter(channel=f"ticket:{tickets[6].pk}").delete()
    looked = 0
    while Ticket.objects.count() == 8:
        upkeep.look()
        looked += 1
        assert looked <= 3
        assert len(upkeep._passed) == (looked < 3)
    assert not Ticket.objects.filter(pk=tickets[6].pk).exists()
    upkeep.look()
    assert Ticket.objects.count() == 7

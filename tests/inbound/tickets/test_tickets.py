"""A queued call, from the ticket to its end."""

import json
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import OperationalError, transaction
from django.test import override_settings
from django.utils import timezone, translation

from instant import on_rpc
from instant.exceptions import InstantConfigError
from instant.handlers import Cancelled, Disconnect, Refused
from instant.inbound.tickets import cancelling, job, rows, upkeep, waking
from instant.inbound.tickets.processes import Stopped
from instant.models import Ticket
from instant.namespaces import registered
from instant.testing import run_jobs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry")]


@pytest.fixture
def build(registry):
    """A handler with a queue, and what it was called with."""
    seen = []

    @on_rpc("report.build", queue="bulk", priority=5)
    def build(call, year: int):
        seen.append((call, year))
        call.progress(0.4, "reading")
        return {"year": year}

    return seen


def state(ticket):
    return Ticket.objects.get(pk=ticket.pk).state


def test_it_is_answered_with_a_ticket_and_run_later(build, call, run_next, make_user, publications):
    ann = make_user("ann")
    answer = call(ann, "report.build", {"year": 2026})
    ticket = answer["instant:ticket"]
    assert set(ticket) == {"id", "channel", "token", "exp"}
    assert ticket["channel"] == f"ticket:{ticket['id']}"
    assert len(ticket["id"]) == 32
    assert build == []
    row = Ticket.objects.get()
    assert (row.queue, row.priority, row.state, row.owner) == ("bulk", 5, "queued", str(ann.pk))
    done = run_next()
    [(given, year)] = build
    assert (given.user, given.method, given.client, year) == (ann, "report.build", "c1", 2026)
    assert given.data == {"year": 2026}
    assert done.state == "done"
    data = {
        "id": row.pk, "state": "done", "progress": 0.4, "message": "reading",
        "result": {"year": 2026}, "error": None,
    }  # fmt: skip
    publications.assert_published(ticket["channel"], data=data, event_class="instant:ticket")
    assert call(ann, "instant.ticket", {"id": row.pk})["ticket"] == data
    assert done.due_at is None
    assert run_next() is None


def test_a_pool_is_no_part_of_the_method(build, make_user):
    from instant.inbound.call import Call
    from instant.inbound.tickets.accept import accept

    accept(Call(user=make_user("ann"), method="heavy:report.build"), "bulk", 0)
    assert Ticket.objects.get().method == "report.build"


def test_wrong_arguments_make_no_ticket(build, call, make_user):
    with pytest.raises(Refused, match="year"):
        call(make_user("ann"), "report.build", {"year": "x"})
    with pytest.raises(Refused, match="log in first"):
        call(None, "report.build", {"year": 2026})
    assert not Ticket.objects.exists()


def test_it_is_a_row_of_the_calls_transaction(build, queued, make_user, monkeypatch):
    woken = []
    monkeypatch.setattr(waking, "ring", lambda tenant, name: woken.append((tenant, name)))
    ann = make_user("ann")
    with transaction.atomic():
        queued(ann, "report.build", {"year": 1})
        transaction.set_rollback(True)
    assert not Ticket.objects.exists()
    assert woken == []
    with transaction.atomic():
        queued(ann, "report.build", {"year": 1})
        assert woken == []
    assert woken == [("", "jobs")]


def test_the_most_urgent_goes_first(queued, run_next, make_user):
    ran = []
    for name, queue, priority in (
        ("low", "bulk", -5), ("plain", "bulk", 0), ("high", "bulk", 5), ("critical", "vip", 100),
    ):  # fmt: skip
        on_rpc(name, queue=queue, priority=priority)(lambda call: ran.append(call.method))
    ann = make_user("ann")
    for method in ("low", "plain", "plain", "high", "low", "critical"):
        queued(ann, method)
    assert run_next("vip").method == "critical"
    assert run_next("vip") is None
    queued(ann, "critical")
    while run_next():
        pass
    assert ran == ["critical", "critical", "high", "plain", "plain", "low", "low"]


def test_of_equals_the_first_goes_first(queued, run_next, make_user):
    seen = []
    on_rpc("x", queue="q")(lambda call, n: seen.append(n))
    ann = make_user("ann")
    for n in range(5):
        queued(ann, "x", {"n": n})
    while run_next("q", "other"):
        pass
    assert seen == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (Refused(409, "sold out"), 409, "sold out"),
        (Disconnect(4501, "bye"), 403, "bye"),
        (KeyError("secret"), 500, "internal error"),
    ],
)
def test_what_it_raises_is_its_end(
    queued, run_next, call, make_user, caplog, raised, code, message
):
    @on_rpc("x", queue="q")
    def handler(call):
        raise raised

    ann = make_user("ann")
    ticket = queued(ann, "x")
    assert run_next().state == "failed"
    told = call(ann, "instant.ticket", {"id": ticket.pk})["ticket"]
    assert told["error"] == {"code": code, "message": message}
    assert ("secret" in caplog.text) is (code == 500)


@pytest.mark.parametrize("result", [object(), float("nan"), "x" * 1_000_000])
def test_a_result_that_cant_be_told_is_an_internal_error(
    queued, run_next, make_user, result, caplog
):
    on_rpc("x", queue="q")(lambda call: result)
    queued(make_user("ann"), "x")
    ended = run_next()
    assert (ended.state, ended.code) == ("failed", 500)


def test_an_async_handler_and_the_callers_language(queued, run_next, make_user):
    @on_rpc("x", queue="q")
    async def handler(call):
        call.progress(1)
        call.check()
        return translation.get_language()

    with translation.override("de"):
        queued(make_user("ann"), "x")
    assert json.loads(run_next().result) == "de"


def test_it_runs_as_the_user_as_they_are_then(queued, run_next, make_user, caplog):
    @on_rpc("x", queue="q", can=lambda call: call.user.is_staff)
    def handler(call):
        raise AssertionError

    ann, bob = make_user("ann", is_staff=True), make_user("bob", is_staff=True)
    cid = make_user("cid", is_staff=True)
    queued(ann, "x")
    queued(bob, "x")
    queued(cid, "x")
    type(ann).objects.filter(pk=ann.pk).update(is_staff=False)
    type(bob).objects.filter(pk=bob.pk).update(is_active=False)
    type(cid).objects.filter(pk=cid.pk).delete()
    assert [run_next().code for _ in range(3)] == [403, 401, 401]
    on_rpc("y", queue="q", anonymous=True)(lambda call: 1 / 0)
    dan = make_user("dan")
    queued(dan, "y")
    type(dan).objects.filter(pk=dan.pk).update(is_active=False)
    assert run_next().code == 401  # not as a visitor, either


def test_nobody_else_may_ask_or_cancel(build, queued, call, make_user):
    ann, bob = make_user("ann"), make_user("bob", is_superuser=True)
    ticket = queued(ann, "report.build", {"year": 1})
    for user in (bob, None):
        for method in ("instant.ticket", "instant.cancel"):
            with pytest.raises(Refused) as refused:
                call(user, method, {"id": ticket.pk})
            assert refused.value.code == 404
    with pytest.raises(Refused) as refused:
        call(ann, "instant.ticket", {"id": ticket.pk.swapcase()})
    assert refused.value.code == 404
    assert call(ann, "instant.cancel", {"id": ticket.pk})["state"] == "cancelled"


def test_who_lost_the_right_cant_read_the_result(queued, call, run_next, make_user, publications):
    allowed = {"ann"}
    on_rpc("x", queue="q", can=lambda call: call.user.username in allowed)(lambda call: "secret")
    ann = make_user("ann")
    ticket = queued(ann, "x")
    assert run_next().state == "done"
    assert call(ann, "instant.ticket", {"id": ticket.pk})["ticket"]["result"] == "secret"
    allowed.clear()
    with pytest.raises(Refused):
        call(ann, "instant.ticket", {"id": ticket.pk})


def test_a_right_that_ends_while_it_runs_keeps_the_result(
    queued, run_next, make_user, publications
):
    allowed = {"ann"}

    @on_rpc("x", queue="q", can=lambda call: call.user.username in allowed)
    def handler(call):
        allowed.clear()
        return "secret"

    queued(make_user("ann"), "x")
    assert run_next().state == "done"
    assert [p.payload["data"]["result"] for p in publications] == [None]


def test_an_anonymous_visitors_ticket(call, queued, run_next):
    on_rpc("x", queue="q", anonymous=True)(lambda call: call.user.is_anonymous)
    one, other = SimpleNamespace(session_key="one"), SimpleNamespace(session_key="other")
    by_connection, by_session = queued(None, "x"), queued(None, "x", session=one)
    assert "one" not in by_session.holder
    assert [json.loads(run_next().result) for _ in range(2)] == [True, True]

    def ask(ticket, **more):
        try:
            return call(None, "instant.ticket", {"id": ticket.pk}, **more)["ticket"]["state"]
        except Refused as exc:
            return exc.code

    assert ask(by_connection) == "done"
    assert ask(by_connection, client="c2") == 404
    assert ask(by_session, client="c2", session=one) == "done"
    assert ask(by_session, client="c2", session=other) == 404
    assert ask(by_session) == 404


def test_our_methods_get_the_session_where_a_queued_handler_has_it():
    from instant.inbound.registry import find_handler

    def sessions():
        return [find_handler("rpc", f"instant.{name}").session for name in ("ticket", "cancel")]

    on_rpc("x", queue="q")(lambda call: None)
    on_rpc("y", session=True)(lambda call: None)
    assert sessions() == [False, False]
    on_rpc("z", queue="q", session=True)(lambda call: None)
    assert sessions() == [True, True]


def test_a_ticket_of_nobody_known_is_nobodys(call, queued):
    on_rpc("x", queue="q", anonymous=True)(lambda call: None)
    ticket = queued(None, "x", client="")
    with pytest.raises(Refused):
        call(None, "instant.ticket", {"id": ticket.pk}, client="")


def test_cancelling(build, queued, call, run_next, make_user, publications):
    ann = make_user("ann")
    waiting = queued(ann, "report.build", {"year": 1})
    assert call(ann, "instant.cancel", {"id": waiting.pk})["state"] == "cancelled"
    assert [p.payload["data"]["state"] for p in publications] == ["cancelled"]
    assert run_next() is None
    ended = queued(ann, "report.build", {"year": 2})
    run_next()
    assert call(ann, "instant.cancel", {"id": ended.pk})["state"] == "done"
    assert state(ended) == "done"


def test_a_job_that_was_cancelled_ends_without_a_word(queued, run_next, make_user, publications):
    @on_rpc("x", queue="q")
    def handler(call):
        cancelling.cancel(Ticket.objects.get())
        return "too late"

    @on_rpc("y", queue="q")
    def other(call):
        cancelling.cancel(Ticket.objects.get(method="y"))
        raise Cancelled

    queued(make_user("ann"), "x")
    ended = run_next()
    assert (ended.state, ended.result) == ("cancelled", "")
    queued(make_user("bob"), "y")
    assert run_next().state == "cancelled"
    assert [p.payload["data"]["state"] for p in publications] == ["cancelled"] * 2


def test_one_that_is_claimed_is_nobody_elses(build, queued, make_user):
    queued(make_user("ann"), "report.build", {"year": 1})
    first = rows.claim()
    assert rows.claim() is None
    same = Ticket.objects.get()
    assert rows.is_ours(same)
    same.claim = "another"
    assert not rows.beat(same)
    assert not rows.end(same, "done")
    assert rows.beat(first, progress="1")
    assert Ticket.objects.get().progress == "1"


def pass_time(**more):
    Ticket.objects.update(due_at=timezone.now() - timedelta(seconds=1), **more)


def test_a_lease_that_is_over(build, queued, run_next, make_user, publications, caplog):
    ticket = queued(make_user("ann"), "report.build", {"year": 1})
    lost = [rows.claim() for _ in range(1)]
    upkeep.look()
    assert state(ticket) == "running"
    for attempt in (2, 3):
        pass_time()
        upkeep.look()
        assert state(ticket) == "queued"
        lost.append(rows.claim())
        assert lost[-1].attempts == attempt
    assert not rows.end(lost[0], "done")
    assert rows.is_ours(lost[-1])
    pass_time()
    upkeep.look()
    ended = Ticket.objects.get()
    assert (ended.state, ended.error) == ("failed", "whoever ran it died, 3 times")
    assert [p.payload["data"]["error"]["code"] for p in publications] == [500]
    assert not rows.end(lost[-1], "done")
    assert run_next() is None


def test_what_stops_the_process_gives_the_job_back(queued, make_user, run_next):
    @on_rpc("x", queue="q")
    def handler(call):
        if call.user.username == "ann":
            raise Stopped

    ticket = queued(make_user("ann"), "x")
    with pytest.raises(Stopped):
        run_next()
    row = Ticket.objects.get()
    assert (row.state, row.attempts, row.pk) == ("queued", 0, ticket.pk)


def test_an_end_that_nobody_was_told_of_is_told_again(
    build, queued, run_next, make_user, publications
):
    ticket = queued(make_user("ann"), "report.build", {"year": 1})
    run_next()

    def ends():
        return [p.id for p in publications if p.payload["data"]["state"] == "done"]

    assert len(ends()) == 1
    upkeep.look()
    assert len(ends()) == 1
    pass_time()  # as if whoever ran it had died between the commit and the publication
    upkeep.look()
    assert len(ends()) == 2
    assert len(set(ends())) == 1  # pages and the server know it by that
    upkeep.look()
    assert len(ends()) == 2
    assert state(ticket) == "done"


def test_one_that_waits_for_long_is_called_for_again(build, queued, make_user, monkeypatch):
    woken = []
    monkeypatch.setattr(waking, "ring", lambda tenant, name: woken.append(name))
    queued(make_user("ann"), "report.build", {"year": 1})
    assert woken == ["jobs"]
    upkeep.look()
    pass_time()
    upkeep.look()
    upkeep.look()
    assert woken == ["jobs"] * 2


def test_old_tickets_are_removed_some_at_a_time(build, queued, run_next, make_user, monkeypatch):
    ann = make_user("ann")
    kept = queued(ann, "report.build", {"year": 1})
    for _ in range(5):
        queued(ann, "report.build", {"year": 1})
    ended = [run_next() for _ in range(5)]
    monkeypatch.setattr(upkeep, "_AT_ONCE", 3)
    upkeep.look()
    assert Ticket.objects.count() == 6
    Ticket.objects.filter(pk__in=[t.pk for t in ended]).update(
        ended_at=timezone.now() - timedelta(days=1, seconds=1)
    )
    upkeep.look()
    assert Ticket.objects.count() == 3
    upkeep.look()
    assert Ticket.objects.count() == 1
    assert kept is not None


def test_what_cant_be_woken_doesnt_fail_the_call(build, queued, make_user, monkeypatch, caplog):
    monkeypatch.setattr(waking, "ring", lambda *_, **__: 1 / 0)
    queued(make_user("ann"), "report.build", {"year": 1})
    assert "can't be woken" in caplog.text


def test_a_method_that_is_gone(build, queued, run_next, make_user, registry):
    from instant.inbound import registry as handlers

    queued(make_user("ann"), "report.build", {"year": 1})
    handlers._registry.clear()
    ended = run_next()
    assert (ended.state, ended.code) == ("failed", 404)


def test_policies_before_the_queue_are_not_met_again(queued, run_next, make_user):
    from instant.handlers import Policy, Proceed

    met = []

    class Noted(Policy):
        def around(self, call, handler):
            met.append("behind")
            return (yield Proceed())

    on_rpc("x", queue="q", policies=[Noted()])(lambda call: met.append("ran"))
    queued(make_user("ann"), "x")
    assert met == []
    run_next()
    assert met == ["behind", "ran"]


def test_the_namespace_and_the_methods_are_there_only_with_a_queue(registry):
    from instant.inbound.registry import find_handler

    on_rpc("x")(lambda call: None)
    assert registered() == []
    assert find_handler("rpc", "instant.ticket") is None
    on_rpc("y", queue="q")(lambda call: None)
    on_rpc("z", queue="q")(lambda call: None)
    assert [cls.name for cls in registered()] == ["ticket"]
    assert find_handler("rpc", "instant.ticket") is not None


def test_declarations_that_are_wrong():
    for options, message in (
        ({"queue": ""}, "queue= takes a name"),
        ({"queue": "a b"}, "queue= takes a name"),
        ({"queue": "q", "priority": 101}, "from -100 to 100"),
        ({"queue": "q", "priority": True}, "from -100 to 100"),
        ({"queue": "q", "priority": 1.5}, "from -100 to 100"),
    ):
        with pytest.raises(ValueError, match=message):
            on_rpc("x", **options)
    with pytest.raises(TypeError, match="handlers with queue="):
        on_rpc("x", priority=1)


@override_settings(INSTANT={"JOBS": {"ATTEMPTS": 1}})
def test_a_single_attempt(build, queued, make_user):
    ticket = queued(make_user("ann"), "report.build", {"year": 1})
    rows.claim()
    pass_time()
    upkeep.look()
    assert Ticket.objects.get(pk=ticket.pk).error == "whoever ran it died"


@pytest.mark.django_db(transaction=False)
def test_projects_run_jobs_in_their_tests(build, queued, make_user, publications):
    """In a transaction that nobody else sees."""
    on_rpc("y", queue="other")(lambda call: cancelling.cancel(Ticket.objects.get(method="y")))
    ann = make_user("ann")
    ticket = queued(ann, "report.build", {"year": 1})
    queued(ann, "report.build", {"year": 1})
    other = queued(ann, "y")
    assert run_jobs("bulk") == 2
    publications.assert_published(
        f"ticket:{ticket.pk}",
        data={
            "id": ticket.pk, "state": "running", "progress": 0.4, "message": "reading",
            "result": None, "error": None,
        },
    )  # fmt: skip
    assert state(ticket) == "done"
    assert state(other) == "queued"
    assert run_jobs() == 1
    assert state(other) == "cancelled"
    assert run_jobs() == 0


def test_progress_of_a_job_that_was_cancelled_raises(queued, run_next, make_user):
    went_on = []

    @on_rpc("x", queue="q")
    def handler(call):
        cancelling.cancel(Ticket.objects.get())
        call.progress(1)
        went_on.append(True)

    queued(make_user("ann"), "x")
    assert run_next().state == "cancelled"
    assert went_on == []


def test_one_that_was_cancelled_while_it_was_looked_at_is_not_taken(build, queued, make_user):
    queued(make_user("ann"), "report.build", {"year": 1})
    [candidate] = rows._waiting([])
    cancelling.cancel(Ticket.objects.get())
    assert rows._taken(candidate) is None
    assert state(candidate) == "cancelled"


def test_texts_that_no_database_takes(queued, run_next, call, make_user):
    @on_rpc("x", queue="q")
    def handler(call, text: str):
        call.progress(0.5, "a\0b\ud800")
        raise Refused(409, "c\0d\ud800")

    ann = make_user("ann")
    ticket = queued(ann, "x", {"text": "\0\ud800"})
    assert json.loads(ticket.data) == {"text": "\0\ud800"}
    assert run_next().state == "failed"
    told = call(ann, "instant.ticket", {"id": ticket.pk})["ticket"]
    assert (told["message"], told["error"]) == ("ab?", {"code": 409, "message": "cd?"})


def test_an_end_that_cant_be_written_yet(build, queued, run_next, make_user, monkeypatch):
    """The job is not run again because SQLite was locked for a moment."""
    monkeypatch.setattr(job, "_PAUSE", 0)
    failures = [OperationalError("database is locked")] * 3
    real = rows.end

    def end(*args, **kwargs):
        if failures:
            raise failures.pop()
        return real(*args, **kwargs)

    monkeypatch.setattr(rows, "end", end)
    queued(make_user("ann"), "report.build", {"year": 1})
    assert run_next().state == "done"
    assert len(build) == 1


@override_settings(CENTRIFUGO_HMAC_KEY=None)
def test_without_a_key_there_is_no_ticket(build, call, make_user):
    with pytest.raises(InstantConfigError):
        call(make_user("ann"), "report.build", {"year": 1})
    assert not Ticket.objects.exists()


def test_a_rule_of_the_connection_counts_for_the_ticket_too(queued, call, run_next, make_user):
    on_rpc("x", queue="q", can=lambda call: call.meta["shop"] == 7 and call.client == "c1")(
        lambda call: call.meta["shop"]
    )
    ann = make_user("ann")
    ticket = queued(ann, "x", meta={"shop": 7})
    assert call(ann, "instant.ticket", {"id": ticket.pk})["ticket"]["state"] == "queued"
    assert run_next().result == "7"
    assert call(ann, "instant.ticket", {"id": ticket.pk}, client="c2")["ticket"]["result"] == 7


@pytest.mark.parametrize("queues", [(), ("bulk",), ("bulk", "other")])
def test_one_is_claimed_whole_and_in_order(queues, build, call, make_user):
    ann = make_user("ann")
    ids = [call(ann, "report.build", {"year": year})["instant:ticket"]["id"] for year in (1, 2)]
    Ticket.objects.create(method="x", queue="request:x", priority=100)
    claimed = rows.claim(queues)
    row = Ticket.objects.get(pk=ids[0])
    names = [field.attname for field in Ticket._meta.concrete_fields]
    assert {n: getattr(claimed, n) for n in names} == {n: getattr(row, n) for n in names}
    assert (row.state, row.attempts, len(row.claim)) == ("running", 1, 32)
    assert rows.claim(queues).pk == ids[1]
    assert rows.claim(queues) is None


@pytest.mark.only_on("postgresql")
def test_one_is_claimed_in_one_statement(build, call, make_user, django_assert_num_queries):
    call(make_user("ann"), "report.build", {"year": 1})
    with django_assert_num_queries(1):
        assert rows.claim(["bulk"])
    with django_assert_num_queries(1):
        assert rows.claim(["bulk"]) is None

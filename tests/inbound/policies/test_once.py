"""``once=True``: a call that is repeated is answered as it was."""

import threading
import time
from types import SimpleNamespace

import pytest
from django.db import transaction
from django.test import override_settings

from instant import on_publish, on_rpc
from instant.handlers import Disconnect, Refused
from instant.inbound import lease, limiter
from instant.inbound.registry import handlers
from tests.inbound.policies.asking import BOB, NOBODY, caller, refused, sync


class Pay:
    """A function that must run once, and says how often it did."""

    def __init__(self, name="pay", **options):
        self.ran = 0
        self.raised = []

        @on_rpc(name, anonymous=True, once=True, **options)
        def function(call, **arguments):
            self.ran += 1
            if self.raised:
                raise self.raised.pop(0)
            return {"ran": self.ran}

        self.function = function


def test_a_repeated_id_is_answered_from_memory(ask):
    pay = Pay()
    for _ in range(3):
        assert ask(pay.function, {"sum": 5}, id="a") == {"ran": 1}
    assert ask(pay.function, {"sum": 5}, id="b") == {"ran": 2}
    assert ask(pay.function, {"sum": 5}, id="a", user=BOB) == {"ran": 3}
    other = Pay("other")
    other.ran = 10
    assert ask(other.function, {"sum": 5}, id="a") == {"ran": 11}
    assert pay.ran == 3


def test_without_an_id_each_is_a_call(ask):
    pay = Pay()
    assert [ask(pay.function)["ran"] for _ in range(3)] == [1, 2, 3]


def test_a_visitor_is_their_connection(ask):
    pay = Pay()
    answers = [ask(pay.function, id="a", user=NOBODY, client=c)["ran"] for c in "aba"]
    assert answers == [1, 2, 1]


def test_a_visitor_with_a_session_is_that(ask):
    pay = Pay(session=True)
    sessions = [SimpleNamespace(session_key=key) for key in "aba"]
    answers = [
        ask(pay.function, id="a", user=NOBODY, client=str(n), session=session)["ran"]
        for n, session in enumerate(sessions)
    ]
    assert answers == [1, 2, 1]
    assert ask(pay.function, id="a", session=sessions[0]) == {"ran": 3}
    assert ask(pay.function, id="a", session=sessions[1]) == {"ran": 3}  # the user counts


def test_an_id_is_that_of_one_payload(ask):
    pay = Pay()
    ask(pay.function, {"sum": 5}, id="a")
    assert refused(ask, pay.function, {"sum": 6}, id="a").code == 409
    assert pay.ran == 1


def test_refusals_of_the_function_are_remembered(ask):
    pay = Pay()
    pay.raised = [Refused(402, "no money", fields={"sum": "is too much"})]
    for _ in range(2):
        found = refused(ask, pay.function, id="a")
        assert (found.code, found.message, found.fields) == (
            402, "no money", {"sum": "is too much"},
        )  # fmt: skip
    assert pay.ran == 1
    pay.raised = [Disconnect(4501, "bye")]
    for _ in range(2):
        with pytest.raises(Disconnect) as caught:
            ask(pay.function, id="b")
        assert (caught.value.code, caught.value.reason) == (4501, "bye")
    assert pay.ran == 2


@pytest.mark.parametrize(
    "exc",
    [
        Refused(429, "later"),
        Refused(503, "down"),
        Refused(500, "internal"),
        Refused(409, "busy", temporary=True),
        KeyError("internal"),
    ],
)
def test_what_says_nothing_of_the_call_is_not(ask, exc):
    pay = Pay()
    pay.raised = [exc]
    with pytest.raises(type(exc)):
        ask(pay.function, id="a")
    assert ask(pay.function, id="a") == {"ran": 2}


def test_the_second_waits_for_the_first(ask):
    begun, end = threading.Event(), threading.Event()
    ran, found = [], []

    @on_rpc("x", once=True)
    def function(call):
        ran.append(1)
        begun.set()
        end.wait(60)
        raise Refused(402, "no money")

    def call():
        found.append(refused(ask, function, id="a").message)

    threads = [threading.Thread(target=call) for _ in range(5)]
    for thread in threads:
        thread.start()
    begun.wait(60)
    end.set()
    for thread in threads:
        thread.join()
    assert found == ["no money"] * 5
    assert len(ran) == 1


def test_where_the_cache_fails_nobody_knows(ask, caplog):
    pay = Pay()
    for kind in ("Broken", "Forgetful"):
        caches = {"default": {"BACKEND": f"tests.views.test_login_throttle_counts.{kind}"}}
        with override_settings(CACHES=caches):
            found = refused(ask, pay.function, id="a")
            assert (found.code, found.temporary) == (503, True)
            assert ask(pay.function)["ran"]  # it doesn't ask to be the only one
    assert "to be answered once, is refused" in caplog.text
    assert pay.ran == 2


def test_for_how_long(ask, monkeypatch):
    now = [1e9]
    monkeypatch.setattr("time.time", lambda: now[0])
    pay = Pay()
    ask(pay.function, id="a")
    now[0] += 3590
    assert ask(pay.function, id="a") == {"ran": 1}
    now[0] += 20
    assert ask(pay.function, id="a") == {"ran": 2}


def test_odd_ids(ask):
    pay = Pay()
    ids = ["a" * 64, "\0", "ﷺ" * 999, " ", "a:b"]
    assert [ask(pay.function, id=i)["ran"] for i in ids * 2] == [1, 2, 3, 4, 5] * 2


def test_what_cant_be_is_said():
    for once in (0, "yes", -5):
        with pytest.raises(ValueError, match="A handler's once is a number of seconds"):
            on_rpc("x", once=once)


def test_publications_are_no_answers(registry):
    on_publish("z", once=60)(lambda call: None)
    [handler] = handlers()
    assert "once= is for methods" in " ".join(handler.problems())
    assert [str(p) for p in handler.policies] == ["once=60"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("commits", [True, False])
def test_what_is_rolled_back_is_not_remembered(registry, commits, monkeypatch):
    pay = Pay()
    ask = caller(sync)
    with transaction.atomic():
        assert ask(pay.function, id="a") == {"ran": 1}
        [held] = lease._keeper._held  # another one with this id waits for the commit
        transaction.set_rollback(not commits)
    assert held not in lease._keeper._held
    now = time.time()
    monkeypatch.setattr(limiter.time, "time", lambda: now + lease.SECONDS + 1)
    assert ask(pay.function, id="a") == {"ran": 1 if commits else 2}


@pytest.mark.django_db(transaction=True)
def test_a_refusal_is_remembered_though_it_rolls_back(registry):
    pay = Pay()
    ask = caller(sync)
    pay.raised = [Refused(409, "sold out")]
    for _ in range(2):
        with pytest.raises(Refused, match="sold out"), transaction.atomic():
            ask(pay.function, id="a")
    assert pay.ran == 1


@pytest.mark.django_db
def test_in_a_test_case_it_is_remembered_at_once(registry):
    pay = Pay()
    ask = caller(sync)
    assert [ask(pay.function, id="a")["ran"] for _ in range(2)] == [1, 1]
    with transaction.atomic():
        assert ask(pay.function, id="b")["ran"] == 2


def test_a_process_that_stood_still_says_that_it_ran_twice(registry, caplog):
    ask = caller(sync)
    ran = []

    @on_rpc("pay", once=True)
    def pay(call):
        ran.append(call.id)
        if len(ran) == 1:  # stopped for so long that its lease has ended
            [held] = lease._keeper._held
            held.give_back()
            assert ask(pay, id="a") == 2
            return 1
        return 2

    assert ask(pay, id="a") == 1
    assert ask(pay, id="a") == 2
    assert len(ran) == 2
    [record] = caplog.records
    assert "pay ran twice for one call" in record.getMessage()

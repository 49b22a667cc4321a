"""A call through rights, arguments and policies, to functions of both kinds."""

import asyncio
from types import SimpleNamespace

import pytest

from instant import on_publish, on_rpc
from instant.handlers import Call, Policy, Proceed, Refused, Wait
from instant.inbound.dispatch import arun, run
from instant.inbound.registry import find_handler, handlers

pytestmark = pytest.mark.usefixtures("registry")

ANN = SimpleNamespace(is_authenticated=True, is_active=True, has_perm=lambda name: name == "a.ok")
NOBODY = SimpleNamespace(is_authenticated=False, is_active=False)


def sync(handler, call):
    return run(handler, call)


def asynchronous(handler, call):
    return asyncio.run(arun(handler, call))


@pytest.fixture(params=[sync, asynchronous])
def answer(request):
    def ask(function, data=None, user=ANN):
        [handler] = [h for h in handlers() if h.function is function]
        return request.param(handler, Call(user=user, data=data, method=handler.name))

    return ask


def refusal(answer, *args, **kwargs):
    with pytest.raises(Refused) as caught:
        answer(*args, **kwargs)
    return caught.value.code


def test_functions_of_both_kinds(answer):
    @on_rpc("add")
    def add(call, a: int, b: int):
        return a + b

    @on_rpc("aadd")
    async def aadd(call, a: int, b: int):
        await asyncio.sleep(0)
        return a + b

    assert answer(add, {"a": 1, "b": 2}) == answer(aadd, {"a": 1, "b": 2}) == 3


def test_who_may(answer):
    @on_rpc("users")
    def users(call):
        return "in"

    @on_rpc("all", anonymous=True)
    def everybody(call):
        return "in"

    @on_rpc("permitted", can="a.ok")
    def permitted(call):
        return "in"

    @on_rpc("other", can="a.other")
    def other(call):
        return "in"

    async def is_data(call):
        return call.data == 1

    @on_rpc("asked", can=is_data)
    def asked(call):
        return "in"

    assert [answer(f) for f in (users, everybody, permitted)] == ["in"] * 3
    assert answer(everybody, user=NOBODY) == answer(asked, 1) == "in"
    assert refusal(answer, users, user=NOBODY) == refusal(answer, permitted, user=NOBODY) == 401
    assert refusal(answer, other) == refusal(answer, asked, 2) == 403


def test_rights_come_before_the_payload(answer):
    @on_rpc("add")
    def add(call, a: int):
        raise AssertionError

    assert refusal(answer, add, {"a": "x"}, user=NOBODY) == 401
    assert refusal(answer, add, {"a": "x"}) == 422


class Noting(Policy):
    def __init__(self, name, notes):
        self.name, self.notes = name, notes

    def around(self, call, handler):
        self.notes.append(self.name)
        try:
            return (yield Proceed()) + self.name
        finally:
            self.notes.append(f"-{self.name}")


class Waiting(Policy):
    def around(self, call, handler):
        assert (yield Wait(0.001)) is None
        return (yield Proceed())


class Forgiving(Policy):
    def around(self, call, handler):
        try:
            return (yield Proceed())
        except ZeroDivisionError:
            return "infinite"


class Answering(Policy):
    def around(self, call, handler):
        return "mine"
        yield


def test_policies_are_around_the_call_in_their_order(answer):
    notes = []

    @on_rpc("x", policies=[Noting("a", notes), Waiting(), Noting("b", notes)])
    def function(call):
        notes.append("call")
        return ""

    assert answer(function) == "ba"
    assert notes == ["a", "b", "call", "-b", "-a"]


def test_what_is_raised_comes_out_of_the_policys_proceeding(answer):
    notes = []

    @on_rpc("x", policies=[Forgiving(), Noting("a", notes)])
    def divide(call):
        return 1 / 0

    @on_rpc("y", policies=[Noting("a", notes)])
    def refuse(call):
        raise Refused(409, "not now")

    assert answer(divide) == "infinite"
    assert refusal(answer, refuse) == 409
    assert notes == ["a", "-a"] * 2


def test_a_policy_can_answer_itself(answer):
    @on_rpc("x", policies=[Answering()])
    def function(call):
        raise AssertionError

    assert answer(function) == "mine"


def test_an_option_that_there_isnt_is_refused_by_name():
    with pytest.raises(TypeError, match="no option 'rates'; known are"):
        on_rpc("x", rates="1/m")
    with pytest.raises(TypeError, match="a Namespace, or a channel"):
        on_publish("")


def test_the_handler_that_names_it_most_closely_answers():
    declared = {}
    for name in ("*", "report.*", "report.build", "report.bu*"):
        declared[name] = on_rpc(name)(lambda call: None)
    for method, name in {
        "report.build": "report.build", "report.bush": "report.bu*", "report.x": "report.*",
        "other": "*", "report.build2": "report.bu*", "reportXbuild": "*",
    }.items():  # fmt: skip
        assert find_handler("rpc", method).name == name
    assert find_handler("publish", "other") is None

"""Requests that a test answers itself, without a worker: public as ``instant.testing``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from asgiref.sync import async_to_sync

from instant.inbound import registry
from instant.inbound.answers import Refused
from instant.inbound.call import Call
from instant.inbound.reserved import REQUESTS
from instant.inbound.tickets.still import run_jobs
from instant.stored.expectations import ANY, first_of, given, listing
from instant.stored.responding import find_responder
from instant.stored.waiting import answered_here

__all__ = ["AnsweredRequest", "AnsweredRequests", "answering"]

_DECLARED: Any = object()


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """A request that was answered in a test."""

    user: Any
    """Who asked; an AnonymousUser for a visitor, and for Python in nobody's name."""
    data: Any
    """What was sent."""
    result: Any = None
    """What was answered, None where that was an error."""
    error: Exception | None = None
    """What was raised."""


class AnsweredRequests:
    """What was asked of a responder in the block, oldest first, and what was replied."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[AnsweredRequest] = []

    def run(self) -> int:
        """Answer what pages have asked, who follow a ticket; return how many requests that were."""
        return run_jobs(f"{REQUESTS}{self.name}")

    def assert_asked(
        self, data: Any = ANY, *, user: Any = ANY, count: int | None = None
    ) -> AnsweredRequest:
        """
        Assert that it was asked, and answered, and return the first request that matches.

        Only what is given is compared; ``user`` may be None for nobody, and ``count`` asks for
        exactly so many.
        """
        found = [one for one in self.requests if one.data == data and _is_by(one, user)]
        return self._of(found, count, {"data": data, "user": user})

    def assert_replied(
        self, result: Any = ANY, *, user: Any = ANY, count: int | None = None
    ) -> AnsweredRequest:
        """Assert that this was the reply, and no error, as assert_asked() does."""
        found = [
            one
            for one in self.requests
            if one.error is None and one.result == result and _is_by(one, user)
        ]
        return self._of(found, count, {"result": result, "user": user})

    def assert_refused(
        self, code: Any = ANY, *, user: Any = ANY, count: int | None = None
    ) -> AnsweredRequest:
        """Assert that the responder refused with this code, as assert_asked() does."""
        found = [
            one
            for one in self.requests
            if isinstance(one.error, Refused) and one.error.code == code and _is_by(one, user)
        ]
        return self._of(found, count, {"code": code, "user": user})

    def assert_nothing_asked(self) -> None:
        """Assert that nobody has asked, or nobody was answered."""
        if self.requests:
            raise AssertionError(f"{len(self.requests)} requests too many.\n{self._listing()}")

    def _of(
        self, found: list[AnsweredRequest], count: int | None, wanted: dict[str, Any]
    ) -> AnsweredRequest:
        what = f"asked of {self.name!r}: {given(**wanted)}"
        return first_of(found, count, what, self._listing())

    def _listing(self) -> str:
        return listing("Asked was:", map(str, self.requests))


@contextmanager
def answering(name: str, answer: Any = _DECLARED) -> Iterator[AnsweredRequests]:
    """
    Answer requests to a responder in the block, in the test's process and transaction.

    ``answer`` is a function that takes what the responder does, or the answer itself, or an
    exception to raise; without one the responder's own function answers. Who may ask, and with
    what data, is as declared. ``request()`` gets its answer at once; for what pages have asked
    call ``run()``. Raises LookupError where there is no such responder.
    """
    declared = find_responder(name)
    if declared is None:
        raise LookupError(f"No app has declared @responder({name!r}).")
    asked = AnsweredRequests(name)

    def function(call: Call, **arguments: Any) -> Any:
        try:
            result = _answer(declared.function if answer is _DECLARED else answer, call, arguments)
        except Exception as exc:
            asked.requests.append(AnsweredRequest(call.user, call.data, error=exc))
            raise
        asked.requests.append(AnsweredRequest(call.user, call.data, result))
        return result

    ours = replace(declared, function=function)
    vars(ours)["arguments"] = declared.arguments  # what data it takes
    listed = registry._registry  # noqa: SLF001  put back below
    listed[listed.index(declared)] = ours
    try:
        with answered_here():
            yield asked
    finally:
        listed[listed.index(ours)] = declared


def _answer(answer: Any, call: Call, arguments: dict[str, Any]) -> Any:
    if isinstance(answer, BaseException):
        raise answer
    if not callable(answer):
        return answer
    found = answer(call, **arguments)
    return async_to_sync(_of)(found) if inspect.isawaitable(found) else found


async def _of(awaitable: Any) -> Any:
    return await awaitable


def _is_by(asked: AnsweredRequest, user: Any) -> bool:
    if user is ANY:
        return True
    return bool(getattr(user, "pk", None) == asked.user.pk)

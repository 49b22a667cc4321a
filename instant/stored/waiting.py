"""Ask a responder from Python and wait for its answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.db import InterfaceError, OperationalError, connections
from django.db.transaction import TransactionManagementError

from instant.inbound import dispatch
from instant.inbound.answers import Cancelled, Refused
from instant.inbound.call import PYTHON, Call
from instant.inbound.encoder import AnswerEncoder
from instant.inbound.reserved import TICKET
from instant.inbound.tickets import bells, cancelling, rows
from instant.inbound.tickets.model import Ticket, new_id
from instant.inbound.tickets.still import run_jobs
from instant.inbound.tickets.telling import FIELDS
from instant.stored.responding import find_responder

__all__ = ["answered_here", "arequest", "request"]

_PAUSES = (0.02, 0.05, 0.1, 0.1)
"""Seconds between the first looks at a row; a worker on this host rings the bell."""

_PAUSE = 0.2
"""Between two later ones."""

_is_here: ContextVar[bool] = ContextVar("instant_answered_here", default=False)

Told = Callable[[Any, str], Any]


@contextmanager
def answered_here() -> Iterator[None]:
    """Let requests be answered by whoever asks: in a test no worker sees the transaction."""
    token = _is_here.set(True)
    try:
        yield
    finally:
        _is_here.reset(token)


def request(name: str, data: Any, *, timeout: float, user: Any, on_progress: Told | None) -> Any:
    """See ``instant.messages.request()``."""
    wanted = new_id()  # a fast worker would ring before the bell is there
    with bells.Bell(bells.of_asker(wanted)) as bell:
        answer = _asked(name, data, timeout, user, wanted)
        if (id_ := _id(answer)) is None:
            return answer
        follower = _Follower(name, id_, timeout, on_progress)
        if _is_here.get():
            run_jobs(f"request:{name}")
        try:
            for pause in follower.pauses():
                bell.wait(pause)
                if follower.hear(bell.said) or follower.look():
                    return follower.result()
        except BaseException:
            follower.give_up()
            raise
    follower.give_up()
    raise follower.too_late()


async def arequest(
    name: str,
    data: Any,
    *,
    timeout: float,  # noqa: ASYNC109  the request's, which ends for its worker too
    user: Any,
    on_progress: Told | None,
) -> Any:
    """See ``instant.messages.arequest()``."""
    wanted = new_id()
    with bells.Bell(bells.of_asker(wanted)) as bell:
        answer = await sync_to_async(_asked)(name, data, timeout, user, wanted)
        if (id_ := _id(answer)) is None:
            return answer
        follower = _Follower(name, id_, timeout, on_progress)
        if _is_here.get():
            await sync_to_async(run_jobs)(f"request:{name}")
        try:
            for pause in follower.pauses():
                await _rung(bell, pause)
                if follower.hear(bell.said) or await sync_to_async(follower.look)():
                    return follower.result()
        except BaseException:
            await asyncio.shield(asyncio.ensure_future(sync_to_async(follower.give_up)()))
            raise
    await sync_to_async(follower.give_up)()
    raise follower.too_late()


async def _rung(bell: bells.Bell, seconds: float) -> None:
    if bell.socket is None:
        await asyncio.sleep(seconds)
        return
    loop = asyncio.get_running_loop()
    rung = asyncio.Event()
    loop.add_reader(bell.socket, rung.set)
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(rung.wait(), seconds)
    finally:
        loop.remove_reader(bell.socket)
        bell.clear()


def _asked(name: str, data: Any, timeout: float, user: Any, ticket: str) -> Any:
    """Put the request; return the ticket, of this id, or what a policy has answered before."""
    handler = find_responder(name)
    if handler is None:
        raise LookupError(
            f"No app has declared @responder({name!r}), in a realtime.py that is imported."
        )
    if not timeout > 0:
        raise ValueError(f"timeout must be a number of seconds above 0, not {timeout!r}.")
    if connections[rows.database()].in_atomic_block and not _is_here.get():
        raise TransactionManagementError(
            "request() waits for an answer, and no worker sees a request before the transaction "
            "is committed. Ask after it, with transaction.on_commit(), or outside; in tests "
            "within instant.testing.answered_here()."
        )
    call = Call(
        user=AnonymousUser() if user is None else user,
        method=handler.name,
        data=json.loads(json.dumps(data, cls=AnswerEncoder, allow_nan=False)),
        transport=PYTHON if user is None else "",
        _within=timeout,
        _ticket=ticket,
    )
    return dispatch.run(handler, call)


def _id(answer: Any) -> str | None:
    if isinstance(answer, dict) and TICKET in answer:
        return str(answer[TICKET]["id"])
    return None


class _Follower:
    """Looks at the row of a request until it has ended."""

    def __init__(self, name: str, id_: str, timeout: float, told: Told | None) -> None:
        self._name, self._id, self._timeout, self._told = name, id_, timeout, told
        self._end = time.monotonic() + timeout
        self._progress: tuple[str, str] = ("", "")
        self._ticket: Ticket | None = None

    def pauses(self) -> Iterator[float]:
        """Yield how long to wait before each look, until the time is over."""
        number = 0
        while (left := self._end - time.monotonic()) > 0:
            pause = _PAUSES[number] if number < len(_PAUSES) else _PAUSE
            number += 1
            yield min(pause, left)

    def hear(self, said: bytes) -> bool:
        """Tell whether it has ended by what the bell was rung with, which may be nothing."""
        return bool(said) and self._note(json.loads(said))

    def look(self) -> bool:
        """Tell whether it has ended, and how far it is; wait where the database is away."""
        try:
            found = rows.own().filter(pk=self._id).values(*FIELDS).first()
        except (OperationalError, InterfaceError):
            connections[rows.database()].close_if_unusable_or_obsolete()
            return False
        if found is None:
            raise Cancelled("The request was deleted.")
        return self._note(found)

    def _note(self, found: Mapping[str, Any]) -> bool:
        self._ticket = Ticket(pk=self._id, **found)
        self._tell(self._ticket)
        return self._ticket.has_ended

    def _tell(self, ticket: Ticket) -> None:
        progress = (ticket.progress, ticket.message)
        if self._told is not None and progress not in {self._progress, ("", "")}:
            self._progress = progress
            done = json.loads(ticket.progress) if ticket.progress else None
            self._told(done, ticket.message)

    def result(self) -> Any:
        """Return the answer, or raise what the responder has."""
        ticket = self._ticket
        assert ticket is not None  # noqa: S101  look() has found it
        if ticket.state == Ticket.State.DONE:
            return json.loads(ticket.result)
        if ticket.state == Ticket.State.CANCELLED:
            raise Cancelled(f"The request to {self._name!r} was cancelled.")
        if ticket.code == 504 and not ticket.attempts:  # noqa: PLR2004  nobody began
            raise self.too_late()
        raise Refused(ticket.code or 500, ticket.error)

    def give_up(self) -> None:
        """Let nobody work on it any more."""
        ticket = rows.find(self._id)
        if ticket is not None and not ticket.has_ended:
            cancelling.cancel(ticket)

    def too_late(self) -> TimeoutError:
        """Return what is raised where nobody has answered."""
        return TimeoutError(
            f"Nobody answered the request to {self._name!r} within {self._timeout:g} s. Does "
            f"“manage.py runworker {self._name}” run?"
        )

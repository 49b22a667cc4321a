"""Sending rows of one partition: in which order, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from instant.centrifugo.api import stored
from instant.centrifugo.api.client import Client
from instant.centrifugo.api.commands import NodeCount
from instant.centrifugo.api.stored import Stored
from instant.exceptions import InvalidReply, PayloadTooLarge, PublishError, ServerRefused
from instant.models import OutboxRow

__all__ = ["Result", "send"]

_MALFORMED = 400
_BAD_REQUEST = 107
"""An HTTP status and an error code that are about the request alone."""


@dataclass(slots=True)
class Result:
    """What became of rows; those that are nowhere in it were not sent."""

    sent: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    """Rows that the server will never take, and why."""
    unknown: dict[str, str] = field(default_factory=dict)
    """Namespaces that its config doesn't have yet, and what it said."""
    error: PublishError | None = None
    """Why the rest was not sent, and is to be tried again."""


def send(
    client: Client,
    rows: Iterable[OutboxRow],
    timeout: float,
    is_over: Callable[[], bool] = lambda: False,
) -> Result:
    """
    Send rows, in as few requests as keep the order of each channel; never raise a PublishError.

    No further request is begun when it ``is_over``. What goes into one request is run one after
    the other whatever becomes of it, so a channel is in it once: what could not be published is
    never behind what was published after it.
    """
    result = Result()
    commands = []
    for row in rows:
        try:
            commands.append(stored.parse(row.pk, row.method, row.payload, row.namespace))
        except ValueError as exc:
            result.refused[row.pk] = str(exc)
    for turn in _turns(commands):
        known = [command for command in turn if command.namespace not in result.unknown]
        for body, part in stored.requests(known):
            _exchange(client, body, part, timeout, result)
            if result.error is not None or is_over():
                return result
    return result


def _turns(commands: Sequence[Stored]) -> Iterator[list[Stored]]:
    """Yield commands that may go together: in each turn no channel is twice."""
    turns: list[list[Stored]] = []
    last: dict[str, int] = {}
    for command in commands:
        turn = 1 + max((last.get(name, -1) for name in command.channels), default=-1)
        if turn == len(turns):
            turns.append([])
        turns[turn].append(command)
        last.update(dict.fromkeys(command.channels, turn))
    yield from turns


def _exchange(
    client: Client, body: bytes, commands: Sequence[Stored], timeout: float, result: Result
) -> None:
    """Send one request; where it as a whole is refused, find out for what."""
    try:
        refusals = client.forward(body, commands, timeout)
    except PublishError as exc:
        if not _is_refused(exc):
            result.error = exc
        elif len(commands) == 1:
            # Another server at that address may say so of everything.
            result.error = _problem_with_server(client, timeout)
            if result.error is None:
                result.refused[commands[0].id] = _explained(exc)
        else:
            middle = len(commands) // 2
            for half in (commands[:middle], commands[middle:]):
                for part_body, part in stored.requests(half):
                    if result.error is None:
                        _exchange(client, part_body, part, timeout, result)
        return
    for command, refusal in zip(commands, refusals, strict=True):
        _note(command, refusal, result)


def _is_refused(exc: PublishError) -> bool:
    """Tell whether it is what the request says, and would be the same the next time."""
    if isinstance(exc, InvalidReply):
        return exc.code == _MALFORMED
    if isinstance(exc, ServerRefused):
        return exc.code == _BAD_REQUEST
    return isinstance(exc, PayloadTooLarge)


def _explained(exc: PublishError) -> str:
    """Return what is wrong with one row, where it is known that the server is Centrifugo."""
    if isinstance(exc, InvalidReply):
        return "The server can't read it (HTTP status 400): its log says why."
    return str(exc)


def _problem_with_server(client: Client, timeout: float) -> PublishError | None:
    """Ask for what is always answered; return why it wasn't."""
    try:
        client.run([NodeCount()], timeout)
    except PublishError as exc:
        return exc
    return None


def _note(command: Stored, refusal: stored.Refusal | None, result: Result) -> None:
    if refusal is None:
        result.sent.add(command.id)
        return
    code, message = refusal
    if stored.is_temporary(refusal):
        result.error = ServerRefused(
            f"The server replied with error {code}, {message}: see its log.", code=code
        )
    elif stored.is_known_later(refusal):
        result.unknown.setdefault(command.namespace, message)
    else:
        result.refused[command.id] = f"The server replied with error {code}, {message}."

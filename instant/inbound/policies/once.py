"""``once=True``: a call that is repeated, with its id, is answered from memory."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.core.cache import caches

from instant import conf
from instant.inbound.answers import Disconnect, Refused
from instant.inbound.call import Call
from instant.inbound.encoder import AnswerEncoder
from instant.inbound.lease import SECONDS
from instant.inbound.policies.alone import found_or_alone
from instant.inbound.policies.base import Policy, Proceed, Steps, checked_seconds
from instant.inbound.policies.commit import keep_after_commit
from instant.inbound.policies.keys import as_text, caller, key_of
from instant.inbound.registry import Handler

__all__ = ["Once"]

logger = logging.getLogger("instant.handlers")

_SECONDS = 3600
_TRANSIENT = frozenset({429, 500, 503})
"""Codes that say nothing of the call: a later one may be answered."""


class Once(Policy):
    """
    Answers a call whose id the same user has used for the same method as it was answered then.

    While the first one runs, others wait for it, until its transaction is committed. The function's
    refusals are remembered too, unless they are temporary; what failed otherwise, or was rolled
    back, runs again. A caller who isn't logged in is their session, or their connection. Where the
    cache fails, the call is refused (503): nobody knows whether it would be the second.
    """

    uses_cache = True

    def __init__(self, once: bool | float = True) -> None:
        self.seconds = _SECONDS if once is True else int(checked_seconds(once, "once"))

    def around(self, call: Call, handler: Handler) -> Steps:
        """Answer from memory, or go on alone and remember it."""
        if not call.id:
            return (yield Proceed())
        alias = conf.current().cache
        digest = _digest(call.data)
        key = key_of("once", _whose(call), call.method, call.id)
        try:
            found = yield from found_or_alone(alias, key)
        except Refused:
            raise
        except Exception:
            logger.exception("The cache failed: %s, to be answered once, is refused.", handler.name)
            raise Refused(503, "not available", temporary=True) from None
        if isinstance(found, str):
            return _again(json.loads(found), digest)
        memory = _Memory(alias, key, self.seconds, handler)
        try:
            answer = yield Proceed()
            text = memory.text({"of": digest, "answer": answer})
        except (Refused, Disconnect) as exc:  # whatever transaction there is rolls back
            if (outcome := _outcome(exc)) is not None:
                memory.write(memory.text({"of": digest, **outcome}))
            found.give_back()
            raise
        except BaseException:
            found.give_back()
            raise
        keep_after_commit(found, partial(memory.write, text))
        return json.loads(text)["answer"]

    def problems(self, handler: Handler) -> list[str]:
        """Return why a repeated call would not be the same."""
        return [] if handler.kind == "rpc" else ["once= is for methods."]

    def __str__(self) -> str:
        """Say for how long."""
        return "once" if self.seconds == _SECONDS else f"once={self.seconds}"


@dataclass(frozen=True, slots=True)
class _Memory:
    """Where it stands how a call was answered."""

    alias: str
    key: str
    seconds: int
    handler: Handler

    @staticmethod
    def text(record: dict[str, Any]) -> str:
        return json.dumps(record, cls=AnswerEncoder, allow_nan=False)

    def write(self, text: str) -> None:
        try:
            is_first = caches[self.alias].add(self.key, text, self.seconds)
        except Exception:
            logger.exception("The cache failed: %s would be answered twice.", self.handler.name)
        else:
            if not is_first:
                logger.error(
                    "%s ran twice for one call: this process stood still for longer than %d s, and "
                    "another one took over. The answer of the other is remembered.",
                    self.handler.name,
                    SECONDS,
                )


def _whose(call: Call) -> str:
    """Return whose id it is: a user's, or that of a session, which outlives a connection."""
    who = caller(call)
    session = getattr(call.session, "session_key", None)
    return who if who.startswith("user ") or not session else f"session {session}"


def _digest(data: Any) -> str:
    return hashlib.sha256(as_text(data).encode()).hexdigest()


def _outcome(exc: Refused | Disconnect) -> dict[str, Any] | None:
    if isinstance(exc, Disconnect):
        return {"disconnect": [exc.code, exc.reason]}
    if exc.temporary or exc.code in _TRANSIENT:
        return None
    return {"refused": [exc.code, exc.message, exc.fields]}


def _again(record: dict[str, Any], digest: str) -> Any:
    if record["of"] != digest:
        raise Refused(409, "this id is that of another call")
    if "disconnect" in record:
        raise Disconnect(*record["disconnect"])
    if "refused" in record:
        code, message, fields = record["refused"]
        raise Refused(code, message, fields=fields)
    return record["answer"]

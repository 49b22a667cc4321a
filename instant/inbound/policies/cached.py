"""``cache=30``: an answer is kept for a while, and made once however many ask for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from django.core.cache import caches
from django.utils.translation import get_language

from instant import conf
from instant.inbound.answers import Refused
from instant.inbound.call import Call
from instant.inbound.encoder import AnswerEncoder
from instant.inbound.lease import Lease
from instant.inbound.policies.alone import found_or_alone
from instant.inbound.policies.base import Policy, Proceed, Steps, checked_seconds
from instant.inbound.policies.commit import keep_after_commit
from instant.inbound.policies.keys import as_text, caller, key_of
from instant.inbound.registry import Handler

__all__ = ["Cached", "Vary"]

logger = logging.getLogger("instant.handlers")

Vary = str | Callable[[Call], Any]

_ATTRIBUTES = ("user", "client", "address", "session", "meta", "transport")


class Cached(Policy):
    """
    Keeps answers for so many seconds, as JSON; whatever is raised or rolled back isn't kept.

    Each tenant, language, user and payload has an answer of its own, and whatever ``vary`` names
    besides: an attribute of the call or a function of it. Visitors who aren't logged in count as
    one user. With ``shared`` all users have the same. A cache that fails is logged, and the
    answer is made.
    """

    uses_cache = True

    def __init__(
        self, seconds: float, vary: Vary | Sequence[Vary] = (), *, shared: bool = False
    ) -> None:
        names = (vary,) if isinstance(vary, str) or callable(vary) else tuple(vary)
        for name in names:
            if not callable(name) and name not in _ATTRIBUTES:
                known = ", ".join(_ATTRIBUTES)
                raise ValueError(
                    f"A handler's vary has functions and any of {known}, not {name!r}."
                )
        if shared and "user" in names:
            raise ValueError("A handler's vary names the user, and with shared= all have the same.")
        self.seconds = int(checked_seconds(seconds, "cache"))
        self.vary = tuple(name for name in names if name != "user")
        self.uses_address = "address" in names
        self.shared = shared

    def around(self, call: Call, handler: Handler) -> Steps:
        """Answer with what is kept, or go on alone and keep it."""
        alias = conf.current().cache
        key = self.key(call, handler)
        found: str | Lease | None
        try:
            found = yield from found_or_alone(alias, key)
        except Refused:
            raise
        except Exception:
            logger.exception("The cache failed: %s is computed.", handler.name)
            found = None
        if isinstance(found, str):
            return json.loads(found)
        if found is None:
            return (yield Proceed())
        try:
            answer = yield Proceed()
            text = json.dumps(answer, cls=AnswerEncoder, allow_nan=False)
        except BaseException:
            found.give_back()
            raise
        # A transaction around the call may be rolled back yet (ATOMIC_REQUESTS).
        keep_after_commit(found, partial(self._keep, alias, key, text, handler))
        return json.loads(text)

    def key(self, call: Call, handler: Handler) -> str:
        """Return the key of the answer to a call."""
        varies = [get_language(), call.method, *self._varies(call, handler), call.data]
        return key_of("answer", as_text(varies))

    def _varies(self, call: Call, handler: Handler) -> Iterator[Any]:
        if not self.shared:
            who = caller(call)
            yield who if who.startswith("user ") else ""
            if handler.session:
                yield getattr(call.session, "session_key", None)
        for vary in self.vary:
            if callable(vary):
                yield str(vary(call))
            elif vary == "session":
                yield getattr(call.session, "session_key", None)
            else:
                yield getattr(call, vary)

    def _keep(self, alias: str, key: str, text: str, handler: Handler) -> None:
        try:
            caches[alias].set(key, text, self.seconds)
        except Exception:
            logger.exception("The cache failed: the answer of %s is not kept.", handler.name)

    def problems(self, handler: Handler) -> list[str]:
        """Return why there is nothing that can be kept."""
        if handler.kind != "rpc":
            return ["cache= is for methods that return an answer."]
        if "session" in self.vary and not handler.session:
            return ["vary= names the session, and the handler doesn't ask for it (session=True)."]
        return []

    def __str__(self) -> str:
        """Say for how long, and for whom."""
        return f"cache={self.seconds}{' shared' if self.shared else ''}"

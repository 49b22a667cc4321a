"""The channels of live lists, in a namespace that is there only where a model says “lists”."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from instant import namespaces
from instant.deliveries import Recoverable
from instant.namespaces import Namespace, registered
from instant.pages.lists import following, receivers, registry, resting, syncing
from instant.rights.tokens import subject

__all__ = ["ListChannel", "connect", "end_what_was_given"]


class ListChannel(Namespace, abstract=True):
    """Who may follow a list: whoever was given it by a page, and for one of all everybody."""

    name, pattern = syncing.NAMESPACE, "<slug:digest>"
    delivery = Recoverable(size=300, ttl=timedelta(minutes=5))

    def can_subscribe(self, user: Any, **kwargs: Any) -> bool:
        """See can_subscribe_many()."""
        return self.can_subscribe_many(user, [kwargs])[0]

    def can_subscribe_many(self, user: Any, many: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Tell which lists a page has given to the user; saves follow these from now on."""
        digests = [kwargs["digest"] for kwargs in many]
        may = {row.digest for row in resting.watched(registry.given(digests, subject(user)))}
        return [digest in may for digest in digests]

    def can_subscribe_users(self, users: Sequence[Any], **kwargs: Any) -> list[bool]:
        """Tell to whom of many users a page has given the list."""
        digest, subs = kwargs["digest"], [subject(user) for user in users]
        if registry.public([digest]):
            return [True] * len(subs)
        may = registry.may_read([digest], subs)
        return [(digest, sub) in may for sub in subs]

    def snapshot(self, user: Any, **kwargs: Any) -> Any:  # noqa: ARG002  the keys are all alike
        """Return the keys of the list in their order, and which version that is."""
        row = registry.find(kwargs["digest"])
        if row is None or not syncing.refresh(row):
            return None
        return {"v": row.version, "keys": json.loads(row.keys)}


def end_what_was_given(subs: Collection[str] | None, ago: timedelta) -> None:
    """
    Forget which lists users, None for everybody, were given so long ago: rights of theirs ended.

    Their pages have to be asked for again, and the views decide.
    """
    if following.senders():
        registry.forget_users(subs, ago=ago)


def connect() -> None:
    """Listen to the models that lists follow, and have the server know the channels."""
    receivers.connect()
    known = namespaces._registry  # noqa: SLF001  as a class statement does
    if following.senders() and ListChannel not in registered():
        known.append(ListChannel)

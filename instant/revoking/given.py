"""What views gave users after looking at their rights, besides channels: it ends with these."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from instant import conf
from instant.revoking.affected import Affected

__all__ = ["also", "end"]

End = Callable[[Collection[str] | None, timedelta], object]
"""Ends what users (None: everybody) were given so long ago, or earlier. Their pages ask again."""

_ends: list[End] = []


def also(end: End) -> None:
    """Have something ended with the rights of users; called when the apps are ready."""
    if end not in _ends:
        _ends.append(end)


def end(affected: Sequence[Affected], repeated: Sequence[bool]) -> None:
    """
    End what users were given who have to be asked again for everything.

    In a follow-up only what is as old as the change: a view may have been about to give it.
    """
    if not _ends:
        return
    follow_up = [*repeated, *[False] * (len(affected) - len(repeated))]
    for is_last in (False, True):
        some = [one for one, last in zip(affected, follow_up, strict=True) if last is is_last]
        everybody = any(one.everything for one in some)
        users = set[str]().union(*map(_users, some))
        ago = timedelta(seconds=conf.current().token_use) if is_last else timedelta(0)
        if everybody or users:
            for one in _ends:
                one(None if everybody else users, ago)


def _users(affected: Affected) -> set[str]:
    named = affected.reconnects | affected.disconnects | affected.sessions
    return named.union(*affected.permissions.values())

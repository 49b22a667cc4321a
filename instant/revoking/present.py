"""Who is in which channel now, as far as it is to be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from instant.centrifugo.api.commands import Channels, Command, Presence, PresenceStats
from instant.channels.names import USER_NAMESPACE
from instant.exceptions import PublishError, UnknownNamespace
from instant.namespaces import registered, row_namespaces
from instant.revoking.cost import Cost, OverCost
from instant.rights.accounts import LISTENER

__all__ = ["Present", "decided_on"]

Numbers = set[int]
"""Which of the changes something is about."""

Run = Callable[[Sequence[Command], Mapping[Any, Numbers]], Sequence[Any]]
"""Runs commands, and notes for which changes an exchange failed."""

_AT_ONCE = 200
"""Channels whose presence is read in one request."""


def decided_on(names: Iterable[str]) -> set[str]:
    """
    Return the channels on which Django decides: rows, users' own and declared with a rule.

    Others that are on the same server are none of our business.
    """
    rows = row_namespaces()
    ours = {cls.name for cls in registered() if cls.authorize != "open"} | {USER_NAMESPACE}
    found = set()
    for name in names:
        namespace, colon, _ = name.partition(":")
        if not colon or namespace in ours or namespace.removeprefix("$") in rows:
            found.add(name)
    return found


class Present:
    """
    The channels of several changes, and those who are in them.

    ``everybody``: by channel or glob, the changes for which all who are in it are asked;
    ``users``: by user, those for which what this user has subscribed to is.
    """

    def __init__(
        self,
        everybody: Mapping[str, Numbers],
        users: Mapping[str, Numbers],
        everything: Numbers,
        run: Run,
        cost: Cost,
    ) -> None:
        self._everybody = {name: set(numbers) for name, numbers in everybody.items()}
        self._users, self._everything = users, everything
        self._run, self._cost = run, cost
        self.failed: list[tuple[Numbers, PublishError]] = []

    def parts(self) -> Iterator[dict[str, dict[str, Numbers]]]:
        """Yield, some channels at a time, who is to be asked for each, and for which changes."""
        names = sorted(self._channels())
        if self._cost.is_bounded:
            names = self._counted(names)
        for start in range(0, len(names), _AT_ONCE):
            yield self._read(names[start : start + _AT_ONCE])

    def _channels(self) -> set[str]:
        names = {name for name in self._everybody if not name.endswith("*")}
        globs = [Channels(name) for name in sorted(self._everybody) if name.endswith("*")]
        about: dict[str, Numbers] = {glob.pattern: self._everybody[glob.pattern] for glob in globs}
        if all_of_it := self._everything.union(*self._users.values()):
            if self._cost.is_bounded:
                raise OverCost
            globs.append(Channels("*"))
            about["*"] = all_of_it
        keyed = {glob: about[glob.pattern] for glob in globs}
        for glob, found in zip(globs, self._run(globs, keyed), strict=True):
            if isinstance(found, PublishError):
                self.failed.append((about[glob.pattern], found))
                continue
            self._cost.admit(named=len(found))
            for name in decided_on(found) if glob.pattern == "*" else found:
                names.add(name)
                if glob.pattern != "*":
                    self._everybody.setdefault(name, set()).update(about[glob.pattern])
        return names

    def _about(self, channel: str) -> Numbers:
        """Return the changes for which everybody in the channel is asked."""
        return self._everybody.get(channel, set()) | self._everything

    def _counted(self, names: Sequence[str]) -> list[str]:
        """Return those that anybody is in; raise OverCost for more than a request may ask for."""
        self._cost.admit(named=len(names))
        asked = [PresenceStats(name) for name in names]
        keyed = {command: self._about(command.channel) for command in asked}
        inside, clients, users = [], 0, 0
        for command, found in zip(asked, self._run(asked, keyed), strict=True):
            if isinstance(found, PublishError):
                self._fail(keyed[command], found)
            elif found[0]:
                inside.append(command.channel)
                clients, users = clients + found[0], users + found[1]
        self._cost.admit(clients=clients, users=users)
        return inside

    def _read(self, names: Sequence[str]) -> dict[str, dict[str, Numbers]]:
        asked = [Presence(name) for name in names]
        named = set().union(*self._users.values())
        keyed = {command: self._about(command.channel) | named for command in asked}
        inside: dict[str, dict[str, Numbers]] = {}
        for command, found in zip(asked, self._run(asked, keyed), strict=True):
            if isinstance(found, PublishError):
                self._fail(keyed[command], found)
                continue
            all_of_them = self._about(command.channel)
            present = {
                sub: all_of_them | self._users.get(sub, set())
                for sub in found
                if (all_of_them or sub in self._users) and sub != LISTENER
            }
            if present:
                inside[command.channel] = present
        return inside

    def _fail(self, numbers: Numbers, error: PublishError) -> None:
        # An unknown namespace has no subscribers.
        if not isinstance(error, UnknownNamespace):
            self.failed.append((numbers, error))

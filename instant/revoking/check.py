"""One check: who has lost what, asked of the rule and of the server, and the commands for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import DatabaseError, InterfaceError, router

from instant import permissions
from instant.centrifugo.api.client import Client
from instant.centrifugo.api.commands import (
    ACCESS_ENDED,
    ASK_AGAIN,
    Channels,
    Command,
    Disconnect,
    Presence,
    Unsubscribe,
)
from instant.exceptions import PublishError, UnknownNamespace
from instant.revoking.affected import Affected
from instant.rights import accounts

__all__ = ["Check"]

_FEW = 20
"""For so many users each is asked for all channels in question; for more, each channel for all."""

_Numbers = set[int]
"""Which of the changes something is about."""


class Check:
    """
    Enforce several changes together, and keep apart which of them failed.

    What one of them needs and the server or the database does not tell holds up no other.
    """

    def __init__(self, affected: Sequence[Affected], client: Client, timeout: float) -> None:
        self._affected = affected
        self._client, self._timeout = client, timeout
        self.errors: list[Exception | None] = [None] * len(affected)
        """For each change why it is not enforced; None where it is."""
        self._away: PublishError | None = None
        self._users: dict[str, Any] = {}
        self._lost: dict[tuple[str, str], _Numbers] = {}

    def run(self) -> None:
        """
        Ask, and unsubscribe: first who is named, then who is found by presence.

        So that no channel whose presence is not told, or takes too long, holds up the rest.
        """
        named = self._collect(lambda affected: affected.subscriptions)
        self._users = _users({*named, *self._collect(_people)})
        self._lose_by_name()
        self._send(self._commands())
        inside = self._subscribers()
        self._users |= _users(set().union(*inside.values()) - self._users.keys())
        self._lost = {}
        self._lose_by_presence(inside)
        self._send(self._unsubscribes())

    def _send(self, numbers: Mapping[Any, _Numbers]) -> None:
        commands = list(numbers)
        for command, result in zip(commands, self._run(commands, numbers), strict=True):
            # An unknown namespace has no subscribers.
            if isinstance(result, PublishError) and not isinstance(result, UnknownNamespace):
                self._failed(numbers[command], result)

    def _collect(self, part: Callable[[Affected], Iterable[str]]) -> dict[str, _Numbers]:
        """Return what the changes name, and which of them do."""
        found: dict[str, _Numbers] = {}
        for number, affected in enumerate(self._affected):
            for name in part(affected):
                found.setdefault(name, set()).add(number)
        return found

    def _failed(self, numbers: Iterable[int], error: Exception) -> None:
        for number in numbers:
            self.errors[number] = self.errors[number] or error

    def _run(self, commands: Sequence[Command], numbers: Mapping[Any, _Numbers]) -> Sequence[Any]:
        """
        Return the results, or the error for each where the exchange failed.

        After one that failed the server is not asked again, so that a silent one costs the
        commit one timeout.
        """
        if not commands:
            return []
        if self._away is None:
            try:
                return self._client.run(commands, self._timeout)
            except PublishError as exc:
                self._away = exc
        self._failed(set().union(*numbers.values()), self._away)
        return [self._away] * len(commands)

    def _subscribers(self) -> dict[str, set[str]]:
        """Return who is in which channel now."""
        channels = self._collect(lambda affected: affected.channels)
        patterns = [Channels(name) for name in sorted(channels) if name.endswith("*")]
        for pattern, found in zip(patterns, self._run(patterns, channels), strict=True):
            numbers = channels.pop(pattern.pattern)
            if isinstance(found, PublishError):
                self._failed(numbers, found)
                continue
            for name in found:
                channels.setdefault(name, set()).update(numbers)
        asked = [Presence(name) for name in sorted(channels)]
        inside: dict[str, set[str]] = {}
        self._channels = channels
        for command, found in zip(asked, self._run(asked, channels), strict=True):
            if isinstance(found, PublishError) and not isinstance(found, UnknownNamespace):
                self._failed(channels[command.channel], found)
            elif found and not isinstance(found, PublishError):
                inside[command.channel] = found
        return inside

    def _lose_by_presence(self, inside: dict[str, set[str]]) -> None:
        for channel, present in inside.items():
            left = self._permitted(present, channel, self._channels[channel])
            for sub in present - left:
                self._lost.setdefault((sub, channel), set()).update(self._channels[channel])

    def _lose_by_name(self) -> None:
        asked: dict[tuple[str, str], _Numbers] = {}
        for number, affected in enumerate(self._affected):
            for sub, names in affected.subscriptions.items():
                for name in names:
                    asked.setdefault((sub, name), set()).add(number)
        by_user: dict[str, set[str]] = {}
        by_channel: dict[str, set[str]] = {}
        for sub, name in asked:
            by_user.setdefault(sub, set()).add(name)
            by_channel.setdefault(name, set()).add(sub)
        left: set[tuple[str, str]] = set()
        if len(by_user) <= min(_FEW, len(by_channel)):
            for sub, names in by_user.items():
                granted = self._granted(sub, names, asked)
                left |= {(sub, name) for name in granted}
        else:
            for name, subs in by_channel.items():
                numbers = set().union(*(asked[sub, name] for sub in subs))
                left |= {(sub, name) for sub in self._permitted(subs, name, numbers)}
        for pair in asked.keys() - left:
            self._lost.setdefault(pair, set()).update(asked[pair])

    def _granted(
        self, sub: str, names: set[str], asked: dict[tuple[str, str], _Numbers]
    ) -> set[str]:
        try:
            return {g.name for g in permissions.grants(self._users.get(sub), sorted(names))}
        except (DatabaseError, InterfaceError) as exc:
            self._failed(set().union(*(asked[sub, name] for name in names)), exc)
            return names

    def _permitted(self, subs: set[str], channel: str, numbers: _Numbers) -> set[str]:
        """Return who of them may stay; all of them where the database does not tell."""
        known = {sub: self._users[sub] for sub in subs if sub in self._users}
        if "" in subs:
            known[""] = AnonymousUser()
        try:
            keys = permissions.permitted(list(known.values()), channel)
        except (DatabaseError, InterfaceError) as exc:
            self._failed(numbers, exc)
            return subs
        return {sub for sub, user in known.items() if user.pk in keys}

    def _commands(self) -> dict[Command, _Numbers]:
        """Return what has to be done, in order, and for which changes."""
        gone = {
            sub: numbers
            for sub, numbers in self._collect(lambda affected: affected.disconnects).items()
            if sub and (sub not in self._users or not _is_active(self._users[sub]))
        }
        again = self._collect(lambda affected: affected.reconnects)
        for number, affected in enumerate(self._affected):
            for permission, subs in affected.permissions.items():
                for sub in self._without(permission, subs, number):
                    again.setdefault(sub, set()).add(number)
        found: dict[Command, _Numbers] = {
            command: numbers
            for command, numbers in self._unsubscribes().items()
            if command.user not in gone
        }
        for sub in sorted(again.keys() - gone.keys() - {""}):
            found[Disconnect(sub, ASK_AGAIN, "permissions changed")] = again[sub]
        for sub in sorted(gone):
            found[Disconnect(sub, ACCESS_ENDED, "access ended")] = gone[sub]
        return found

    def _unsubscribes(self) -> dict[Unsubscribe, _Numbers]:
        return {Unsubscribe(*pair): numbers for pair, numbers in sorted(self._lost.items())}

    def _without(self, permission: str, subs: set[str], number: int) -> set[str]:
        """Return who of them has the permission by nothing else."""
        known = {sub: self._users[sub].pk for sub in subs if sub in self._users}
        try:
            kept = accounts.holders(permission, known.values())
        except (DatabaseError, InterfaceError) as exc:
            self._failed({number}, exc)
            return set()
        return {sub for sub in subs if known.get(sub) not in kept}


def _people(affected: Affected) -> Iterable[str]:
    return affected.disconnects.union(*affected.permissions.values())


def _is_active(user: Any) -> bool:
    return bool(getattr(user, "is_active", True))


def _users(subs: Iterable[str]) -> dict[str, Any]:
    """Return the users that tokens name so, as the database has them now."""
    model = get_user_model()
    field = model._meta.pk  # noqa: SLF001  Django's documented API
    keys = []
    for sub in subs:
        try:
            keys.append(field.to_python(sub))
        except (ValidationError, ValueError, TypeError):
            continue  # anonymous, or of another site
    # The base manager: a default one may leave out deactivated users. Where writes go: a
    # replica may not know yet what has just been committed.
    manager = model._base_manager.using(router.db_for_write(model))  # noqa: SLF001
    return {str(pk): user for pk, user in manager.in_bulk(keys).items()}

"""One check: who has lost what, asked of the rule and of the server, and the commands for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, InterfaceError

from instant import permissions
from instant.centrifugo.api.client import Client
from instant.centrifugo.api.commands import (
    ACCESS_ENDED,
    ASK_AGAIN,
    Command,
    Disconnect,
    Unsubscribe,
)
from instant.centrifugo.api.nodes import Partial
from instant.exceptions import PublishError, UnknownNamespace
from instant.revoking.affected import Affected
from instant.revoking.cost import Cost, OverCost
from instant.revoking.present import Numbers, Present
from instant.rights import accounts

__all__ = ["Check"]

_FEW = 20
"""For so many users each is asked for all channels in question; for more, each channel for all."""

_MANY = 500
"""More users than these are not told one by one, whoever is connected: presence says who is."""


class Check:
    """
    Enforce several changes together, and keep apart which of them failed.

    What one of them needs and the server or the database does not tell holds up no other.
    ``repeated`` says which are follow-up checks: there users whose rights changed are not all
    sent away a second time, but asked for where they are present.
    """

    def __init__(
        self,
        affected: Sequence[Affected],
        client: Client,
        timeout: float,
        cost: Cost | None = None,
        repeated: Sequence[bool] = (),
    ) -> None:
        self._affected = affected
        self._client, self._timeout = client, timeout
        self._cost = cost or Cost()
        self._repeated = repeated or [False] * len(affected)
        self.errors: list[Exception | None] = [None] * len(affected)
        """For each change why it is not enforced; None where it is."""
        self._away: PublishError | None = None
        self._users: dict[str, Any] = {}
        self._lost: dict[tuple[str, str], Numbers] = {}

    def run(self) -> None:
        """
        Ask, and unsubscribe: first who is named, then who is found by presence.

        So that no channel whose presence is not told, or takes too long, holds up the rest.
        """
        everyone = set(range(len(self._affected)))
        try:
            self._cost.admit(named=sum(affected.size() for affected in self._affected))
            named = self._named()
        except OverCost as exc:
            self._failed(everyone, exc)
            return
        self._send(named)
        present = self._by_presence()
        try:
            for part in present.parts():
                self._lost = {}
                gone = self._lose_by_presence(part)
                self._send({**self._unsubscribes(), **gone})
        except OverCost as exc:
            self._failed(self._found_by_presence(), exc)
        for numbers, error in present.failed:
            self._failed(numbers, error)

    # What is named

    def _named(self) -> dict[Command, Numbers]:
        """Return what has to be done to those who are named, in order, and for which changes."""
        gone, again = self._collect(self._told_to_go), self._collect(self._told_to_return)
        asked = self._collect(lambda affected, _: affected.subscriptions)
        holders = self._collect(lambda *of: set().union(*self._holders(*of).values()))
        self._load({*gone, *asked, *holders})
        gone = {sub: numbers for sub, numbers in gone.items() if sub and not self._is_active(sub)}
        try:
            for number, affected in enumerate(self._affected):
                for permission, subs in self._holders(affected, number).items():
                    for sub in self._without(permission, subs, number):
                        again.setdefault(sub, set()).add(number)
            self._lose_by_name()
        except OverCost as exc:
            asks = lambda affected, _: affected.subscriptions or affected.permissions  # noqa: E731
            self._failed(set().union(*self._collect(asks).values()), exc)
        found: dict[Command, Numbers] = {
            command: numbers
            for command, numbers in self._unsubscribes().items()
            if command.user not in gone
        }
        for sub in sorted(again.keys() - gone.keys() - {""}):
            found[Disconnect(sub, ASK_AGAIN, "permissions changed")] = again[sub]
        for sub in sorted(gone):
            found[Disconnect(sub, ACCESS_ENDED, "access ended")] = gone[sub]
        return found

    def _told_to_go(self, affected: Affected, _number: int) -> Iterable[str]:
        return affected.disconnects if len(affected.disconnects) <= _MANY else ()

    def _told_to_return(self, affected: Affected, number: int) -> Iterable[str]:
        few = not self._repeated[number] and len(affected.reconnects) <= _MANY
        return affected.sessions | (affected.reconnects if few else set())

    def _looked_for(self, affected: Affected, number: int) -> Iterable[str]:
        """Return the users of whom presence tells where they are."""
        found: set[str] = set()
        if len(affected.disconnects) > _MANY:
            found |= affected.disconnects
        if self._repeated[number] or len(affected.reconnects) > _MANY:
            found |= affected.reconnects
        if not self._holders(affected, number):
            found = found.union(*affected.permissions.values())
        return found

    def _holders(self, affected: Affected, number: int) -> Mapping[str, set[str]]:
        """Return who had permissions, where they are to be looked at one by one."""
        few = sum(map(len, affected.permissions.values())) <= _MANY
        return affected.permissions if few and not self._repeated[number] else {}

    def _collect(self, part: Callable[[Affected, int], Iterable[str]]) -> dict[str, Numbers]:
        """Return what the changes name, and which of them do."""
        found: dict[str, Numbers] = {}
        for number, affected in enumerate(self._affected):
            for name in part(affected, number):
                found.setdefault(name, set()).add(number)
        return found

    def _lose_by_name(self) -> None:
        asked: dict[tuple[str, str], Numbers] = {}
        for number, affected in enumerate(self._affected):
            for sub, names in affected.subscriptions.items():
                for name in names:
                    asked.setdefault((sub, name), set()).add(number)
        by_user: dict[str, set[str]] = {}
        by_channel: dict[str, set[str]] = {}
        for sub, name in asked:
            by_user.setdefault(sub, set()).add(name)
            by_channel.setdefault(name, set()).add(sub)

        def lose(pairs: Iterable[tuple[str, str]]) -> None:
            for pair in pairs:
                self._lost.setdefault(pair, set()).update(asked[pair])

        if len(by_user) <= min(_FEW, len(by_channel)):
            for sub, names in by_user.items():
                lose((sub, name) for name in names - self._granted(sub, names, asked))
        else:
            for name, subs in by_channel.items():
                numbers = set().union(*(asked[sub, name] for sub in subs))
                lose((sub, name) for sub in subs - self._permitted(subs, name, numbers))

    def _granted(
        self, sub: str, names: set[str], asked: dict[tuple[str, str], Numbers]
    ) -> set[str]:
        self._cost.step()
        try:
            return {g.name for g in permissions.grants(self._users.get(sub), sorted(names))}
        except (DatabaseError, InterfaceError) as exc:
            self._failed(set().union(*(asked[sub, name] for name in names)), exc)
            return names

    def _without(self, permission: str, subs: set[str], number: int) -> set[str]:
        """Return who of them has the permission by nothing else."""
        self._cost.step()
        known = {sub: self._users[sub].pk for sub in subs if sub in self._users}
        try:
            kept = accounts.holders(permission, known.values())
        except (DatabaseError, InterfaceError) as exc:
            self._failed({number}, exc)
            return set()
        return {sub for sub in subs if known.get(sub) not in kept}

    # Who is present

    def _by_presence(self) -> Present:
        everything = {number for number, one in enumerate(self._affected) if one.everything}
        return Present(
            self._collect(lambda affected, _: affected.channels),
            self._collect(self._looked_for),
            everything,
            self._run,
            self._cost,
        )

    def _found_by_presence(self) -> Numbers:
        return {
            number
            for number, one in enumerate(self._affected)
            if one.channels or one.everything or self._looked_for(one, number)
        }

    def _lose_by_presence(
        self, part: Mapping[str, Mapping[str, Numbers]]
    ) -> dict[Command, Numbers]:
        """Ask for those who are present; return who of them is no more, and has to go."""
        if not part:
            return {}
        if not self._cost.is_bounded:
            self._users = {}  # or in the end we would hold all users that the site has
        self._load({sub for present in part.values() for sub in present} - self._users.keys())
        gone: dict[Command, Numbers] = {}
        for channel, present in part.items():
            numbers = set().union(*present.values())
            left = self._permitted(set(present), channel, numbers)
            for sub in present.keys() - left:
                self._lost.setdefault((sub, channel), set()).update(present[sub])
                if self._is_to_go(sub, present[sub]):
                    command = Disconnect(sub, ACCESS_ENDED, "access ended")
                    gone.setdefault(command, set()).update(present[sub])
        return gone

    def _is_to_go(self, sub: str, numbers: Numbers) -> bool:
        """Tell whether somebody who was found is no user any more, as far as we can know."""
        if not sub or self._is_active(sub):
            return False
        return sub in self._users or any(
            sub in self._affected[n].disconnects or self._affected[n].everything for n in numbers
        )

    def _permitted(self, subs: set[str], channel: str, numbers: Numbers) -> set[str]:
        """Return who of them may stay; all of them where the database does not tell."""
        known = {sub: self._users[sub] for sub in subs if sub in self._users}
        if "" in subs:
            known[""] = AnonymousUser()
        try:
            keys = permissions.permitted(list(known.values()), channel, step=self._cost.step)
        except (DatabaseError, InterfaceError) as exc:
            self._failed(numbers, exc)
            return subs
        return {sub for sub, user in known.items() if user.pk in keys}

    # Asking and telling

    def _send(self, numbers: Mapping[Any, Numbers]) -> None:
        commands = list(numbers)
        for command, result in zip(commands, self._run(commands, numbers), strict=True):
            # An unknown namespace has no subscribers.
            if isinstance(result, PublishError) and not isinstance(result, UnknownNamespace):
                self._failed(numbers[command], result)

    def _run(self, commands: Sequence[Command], numbers: Mapping[Any, Numbers]) -> Sequence[Any]:
        """
        Return the results, or the error for each where the exchange failed.

        After one that failed the server is not asked again, so that a silent one costs the
        commit one timeout.
        """
        if not commands:
            return []
        if self._away is None:
            try:
                return self._whole(commands, self._client.run(commands, self._timeout), numbers)
            except PublishError as exc:
                self._away = exc
        self._failed(set().union(*(numbers[command] for command in commands)), self._away)
        return [self._away] * len(commands)

    def _whole(
        self, commands: Sequence[Command], found: Sequence[Any], numbers: Mapping[Any, Numbers]
    ) -> list[Any]:
        """Use what some of the nodes know; the rest is asked again later."""
        whole = []
        for command, one in zip(commands, found, strict=True):
            if isinstance(one, Partial):
                self._failed(numbers[command], one.error)
            whole.append(one.result if isinstance(one, Partial) else one)
        return whole

    def _failed(self, numbers: Iterable[int], error: Exception) -> None:
        for number in numbers:
            # That something is left for later is less than that it failed.
            if self.errors[number] is None or isinstance(self.errors[number], OverCost):
                self.errors[number] = error

    def _unsubscribes(self) -> dict[Unsubscribe, Numbers]:
        return {Unsubscribe(*pair): numbers for pair, numbers in sorted(self._lost.items())}

    def _is_active(self, sub: str) -> bool:
        return sub in self._users and bool(getattr(self._users[sub], "is_active", True))

    def _load(self, subs: Iterable[str]) -> None:
        if any(subs):
            self._cost.step()
            self._users |= accounts.users(subs, step=self._cost.step)

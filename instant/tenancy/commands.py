"""The server's API for one tenant: what goes in and comes out has its own names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from instant.centrifugo.api.client import Client
from instant.centrifugo.api.commands import (
    Channels,
    Command,
    Disconnect,
    Presence,
    PresenceStats,
    Unsubscribe,
)
from instant.centrifugo.api.nodes import Partial
from instant.exceptions import PublishError
from instant.tenancy import current as tenancy
from instant.tenancy import wire

__all__ = ["in_own_names", "own_subject"]


class _Foreign(str):
    """A user of another tenant, by the server's name: no rule lets them in, whatever their key."""

    __slots__ = ()


def in_own_names(client: Client) -> Client:
    """Return a client that runs commands about the current tenant; the same without tenants."""
    if not tenancy.are_used():
        return client
    return cast("Client", _OwnNames(client, tenancy.current()))


def own_subject(tenant: str) -> Callable[[str], str]:
    """Return what gives a tenant's users their own names, and leaves others as they are."""

    def own(name: str) -> str:
        found, user = wire.split_subject(name)
        return user if not name or found == tenant else _Foreign(name)

    return own


class _OwnNames:
    """Runs commands, as the client does."""

    def __init__(self, client: Client, tenant: str) -> None:
        self._client, self._tenant = client, tenant
        self._own = own_subject(tenant)

    def run(self, commands: Sequence[Command], timeout: float) -> list[Any]:
        """See Client.run()."""
        found = self._client.run([self._outgoing(command) for command in commands], timeout)
        return [
            self._incoming(command, result) for command, result in zip(commands, found, strict=True)
        ]

    def _outgoing(self, command: Command) -> Command:
        tenant = self._tenant
        match command:
            case Unsubscribe(user, channel):
                return Unsubscribe(self._subject(user), wire.channel(tenant, channel))
            case Disconnect(user):
                return replace(command, user=self._subject(user))
            case Presence(channel) | PresenceStats(channel):
                return replace(command, channel=wire.channel(tenant, channel))
            case Channels(pattern):
                return Channels(wire.glob(tenant, pattern))
        raise TypeError(f"{type(command).__name__} isn't known to be about a tenant.")

    def _incoming(self, command: Command, result: Any) -> Any:
        if isinstance(result, PublishError):
            return result
        if isinstance(result, Partial):
            return replace(result, result=self._incoming(command, result.result))
        match command:
            case Presence():
                return {self._own(user) for user in result}
            case Channels():
                named = map(wire.split, result)
                return {name for tenant, name in named if tenant == self._tenant}
        return result

    def _subject(self, user: str) -> str:
        return str(user) if isinstance(user, _Foreign) else wire.subject(self._tenant, user)

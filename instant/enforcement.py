"""
Rights that end, enforced on the connections that are open.

A change that may take rights away calls lose() in its transaction. After the commit the rule is
asked again for whom it may concern, and whoever has lost something is let go, in one batch.
A token that was issued a moment before can still be used for ``TOKEN_USE`` seconds: when they
are over the same is done once more, by whoever comes first (see ``revocations``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, connections

from instant import conf, permissions, revocations
from instant.backends import get_backend
from instant.centrifugo.client import Client
from instant.centrifugo.commands import (
    ACCESS_ENDED,
    ASK_AGAIN,
    Channels,
    Command,
    Disconnect,
    Presence,
    Unsubscribe,
)
from instant.exceptions import InstantConfigError, PublishError, UnknownNamespace
from instant.losses import Loss
from instant.signals import enforcement_failed
from instant.waiting import wait_for_commit

__all__ = ["enforce", "first_pass", "is_on", "lose", "recheck", "schedule"]

logger = logging.getLogger("instant.enforcement")


def is_on() -> bool:
    """Tell whether there is a server on which rights can be enforced."""
    try:
        return get_backend().reaches_server
    except InstantConfigError:  # a check tells; nobody's save() fails for it
        return False


def recheck(channel: str, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """
    Ask again for everybody who is in the channel, after the commit of ``using``.

    ``order:*`` stands for every channel of a namespace that is in use.
    """
    lose(Loss(channels={channel}), using=using)


def lose(loss: Loss, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Remember in the transaction what may be lost, and enforce it after the commit."""
    if loss and is_on():
        schedule(revocations.remember(loss), using)


def schedule(revocation: revocations.Revocation, using: str) -> None:
    """Enforce after the commit, together with all else that the transaction takes away."""
    wait_for_commit(connections[using], [revocation], first_pass)


def first_pass(remembered: Sequence[revocations.Revocation]) -> None:
    """
    Enforce what a committed transaction has taken away; a failure is logged and signalled.

    It is tried again by the next second pass that anybody makes.
    """
    from instant import worker  # noqa: PLC0415  which makes our second pass

    loss = Loss.of_all(Loss.from_json(revocation.loss) for revocation in remembered)
    try:
        enforce(loss)
    except Exception as exc:  # noqa: BLE001  whatever it is, it must be tried again
        report(exc, loss)
        revocations.postpone(remembered)
    else:
        revocations.confirm(remembered)
    worker.wake()


def report(error: Exception, loss: Loss) -> None:
    """Log a failure and signal it; Django logs what a receiver raises."""
    if isinstance(error, PublishError | InstantConfigError):
        logger.error("Rights that ended are not enforced yet, it is tried again: %s", error)
    else:
        logger.error("Rights that ended are not enforced yet, it is tried again.", exc_info=error)
    enforcement_failed.send_robust(sender=Loss, loss=loss, error=error)


def enforce(loss: Loss) -> None:
    """
    Let go whoever has no right any more, in as few requests as possible.

    Raises a PublishError where the server did not take all of it, InstantConfigError where
    its key is unknown.
    """
    client = get_backend().client()
    if client is None:
        return
    timeout = conf.current().timeout
    commands = list(_commands(client, loss, timeout))
    for result in client.run(commands, timeout):
        # An unknown namespace has no subscribers.
        if isinstance(result, PublishError) and not isinstance(result, UnknownNamespace):
            raise result


def _commands(client: Client, loss: Loss, timeout: float) -> Iterable[Command]:
    """Yield what has to be done: explicit channels first, that a page lets go at once."""
    inside = _subscribers(client, loss.channels, timeout)
    subs = {*loss.subscriptions, *loss.disconnects}.union(*inside.values())
    users = _users(subs)
    gone = {sub for sub in loss.disconnects if sub not in users or not _is_active(users[sub])}
    lost: set[tuple[str, str]] = set()
    for channel, present in inside.items():
        known = [users[sub] for sub in present if sub in users]
        left = {str(pk) for pk in permissions.permitted(known, channel)}
        if "" in present and permissions.grants(AnonymousUser(), [channel]):
            left.add("")
        lost |= {(sub, channel) for sub in present - left}
    for sub, names in loss.subscriptions.items():
        granted = permissions.grants(users.get(sub), sorted(names))
        lost |= {(sub, name) for name in names - {grant.name for grant in granted}}
    for sub, channel in sorted(lost):
        if sub not in gone:
            yield Unsubscribe(sub, channel)
    for sub in sorted(loss.reconnects - gone - {""}):
        yield Disconnect(sub, ASK_AGAIN, "permissions changed")
    for sub in sorted(gone - {""}):
        yield Disconnect(sub, ACCESS_ENDED, "access ended")


def _is_active(user: Any) -> bool:
    return bool(getattr(user, "is_active", True))


def _subscribers(client: Client, channels: set[str], timeout: float) -> Mapping[str, set[str]]:
    """Return who is in which channel now."""
    names = {name for name in channels if not name.endswith("*")}
    for found in _results(client, [Channels(p) for p in sorted(channels - names)], timeout):
        names |= found
    asked = [Presence(name) for name in sorted(names)]
    answers = zip(asked, client.run(asked, timeout), strict=True)
    inside: dict[str, set[str]] = {}
    for command, answer in answers:
        if isinstance(answer, UnknownNamespace):
            continue
        if isinstance(answer, PublishError):
            raise answer
        if answer:
            inside[command.channel] = answer
    return inside


def _results(client: Client, commands: Sequence[Command], timeout: float) -> Iterable[Any]:
    for result in client.run(commands, timeout):
        if isinstance(result, PublishError):
            raise result
        yield result


def _users(subs: Iterable[str]) -> Mapping[str, Any]:
    """Return the users that tokens name so, as the database has them now."""
    model = get_user_model()
    field = model._meta.pk  # noqa: SLF001  Django's documented API
    keys = []
    for sub in subs:
        try:
            keys.append(field.to_python(sub))
        except (ValidationError, ValueError, TypeError):
            continue  # anonymous, or of another site
    # The base manager: a default one may leave out deactivated users.
    manager = model._base_manager  # noqa: SLF001  Django's documented API
    return {str(pk): user for pk, user in manager.in_bulk(keys).items()}

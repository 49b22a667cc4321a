"""Users who lose flags, are deactivated or deleted, change their password or log out."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from django.db import DatabaseError, close_old_connections

from instant.models import Channel, Revocation
from instant.revoking import run
from instant.revoking.affected import MANY, Affected, affected_by
from instant.revoking.receivers.stored import note, stored
from instant.rights.accounts import after_losing, lost_flags

__all__ = ["finished", "logs_out", "user_changes", "user_goes"]

logger = logging.getLogger("instant.enforcement")

_left: ContextVar[tuple[Revocation, ...]] = ContextVar("instant_left", default=())


def user_changes(instance: Any, raw: bool, using: str, update_fields: Any, **_kwargs: Any) -> None:
    """Compare with what the database has, while it still has it."""
    if raw or set(update_fields or ()) == {"last_login"} or not run.is_on():
        return
    old = stored(instance, using)
    if old is None:
        return
    sub = str(instance.pk)
    lost = lost_flags(old, instance)
    affected = Affected()
    if lost:
        levels = after_losing(lost, instance)
        rows = Channel.objects.filter(level__in=levels, is_active=True).order_by()
        affected = affected_by([sub], set(rows.values_list("name", flat=True)[: MANY + 1]))
    if "is_active" in lost:
        affected.disconnects.add(sub)
    # Sessions end with a password; who never had one is just being made.
    password = getattr(old, "password", "")
    if password and password != getattr(instance, "password", ""):
        affected.reconnects.add(sub)
    note(instance, affected)


def user_goes(instance: Any, using: str, **_kwargs: Any) -> None:
    """End the connections of a user who is deleted."""
    run.revoke(Affected(disconnects={str(instance.pk)}), using=using)


def logs_out(user: Any, **_kwargs: Any) -> None:
    """
    Have everything asked again, when the session is gone.

    Django sends this before it ends the session, so a page that came back at once would find
    itself logged in: it is enforced when the request is over.
    """
    if user is None or not run.is_on():
        return
    try:
        revocation = run.record(Affected(reconnects={str(user.pk)}))
    except DatabaseError:  # to stay logged in for it would be worse
        logger.exception("The other connections of a user who logs out are not asked again.")
        return
    _left.set((*_left.get(), revocation))


def finished(**_kwargs: Any) -> None:
    """Enforce what logging out has ended, now that the session is gone."""
    left = _left.get()
    if left:
        _left.set(())
        run.immediate_check(left)
        close_old_connections()  # Django has done so before us

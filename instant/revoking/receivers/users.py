"""Users who lose flags, are deactivated or deleted, change their password or log out."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from django.db import DatabaseError, close_old_connections

from instant import enforcement
from instant.models import Channel
from instant.revoking import ledger
from instant.revoking.affected import Loss
from instant.revoking.receivers.concerned import MANY, loss_of
from instant.revoking.receivers.saves import remember, stored
from instant.rights.rows import after_losing, lost_flags

__all__ = ["finished", "logs_out", "user_changes", "user_goes"]

logger = logging.getLogger("instant.enforcement")

_left: ContextVar[tuple[ledger.Revocation, ...]] = ContextVar("instant_left", default=())


def user_changes(instance: Any, raw: bool, using: str, update_fields: Any, **_kwargs: Any) -> None:
    """Compare with what the database has, while it still has it."""
    if raw or set(update_fields or ()) == {"last_login"} or not enforcement.is_on():
        return
    old = stored(instance, using)
    if old is None:
        return
    sub = str(instance.pk)
    lost = lost_flags(old, instance)
    loss = Loss()
    if lost:
        levels = after_losing(lost, instance)
        rows = Channel.objects.filter(level__in=levels, is_active=True).order_by()
        loss = loss_of([sub], set(rows.values_list("name", flat=True)[: MANY + 1]))
    if "is_active" in lost:
        loss.disconnects.add(sub)
    # Sessions end with a password; who never had one is just being made.
    password = getattr(old, "password", "")
    if password and password != getattr(instance, "password", ""):
        loss.reconnects.add(sub)
    remember(instance, loss)


def user_goes(instance: Any, using: str, **_kwargs: Any) -> None:
    """End the connections of a user who is deleted."""
    enforcement.lose(Loss(disconnects={str(instance.pk)}), using=using)


def logs_out(user: Any, **_kwargs: Any) -> None:
    """
    Have everything asked again, when the session is gone.

    Django sends this before it ends the session, so a page that came back at once would find
    itself logged in: it is enforced when the request is over.
    """
    if user is None or not enforcement.is_on():
        return
    try:
        revocation = ledger.remember(Loss(reconnects={str(user.pk)}))
    except DatabaseError:  # to stay logged in for it would be worse
        logger.exception("The other connections of a user who logs out are not asked again.")
        return
    _left.set((*_left.get(), revocation))


def finished(**_kwargs: Any) -> None:
    """Enforce what logging out has ended, now that the session is gone."""
    left = _left.get()
    if left:
        _left.set(())
        enforcement.first_pass(left)
        close_old_connections()  # Django has done so before us

"""Users who lose flags, are deactivated or deleted, change their password or log out."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from instant import enforcement, revocations
from instant.losses import Loss
from instant.models import Channel
from instant.receivers.concerned import MANY, loss_of
from instant.receivers.saves import remember
from instant.rows import after_losing, flags

__all__ = ["finished", "logs_out", "user_changes", "user_goes"]

_left: ContextVar[tuple[revocations.Revocation, ...]] = ContextVar("instant_left", default=())


def user_changes(
    sender: Any, instance: Any, raw: bool, using: str, update_fields: Any, **_kwargs: Any
) -> None:
    """Compare with what the database has, while it still has it."""
    names = [*flags(sender), *_concrete(sender, "password")]
    if update_fields is not None:
        names = [name for name in names if name in update_fields]
    if raw or instance._state.adding or not names or not enforcement.is_on():  # noqa: SLF001
        return
    old = sender._base_manager.using(using).filter(pk=instance.pk).values(*names).first()  # noqa: SLF001
    if old is None:
        return
    sub = str(instance.pk)
    new = {name: getattr(instance, name) for name in names}
    if old.get("is_active") and not new.get("is_active"):
        remember(instance, Loss(disconnects={sub}))
        return
    lost = [name for name in flags(sender) if old.get(name) and not new.get(name)]
    loss = Loss()
    if lost:
        levels = after_losing(lost, instance)
        rows = Channel.objects.filter(level__in=levels, is_active=True).order_by()
        loss = loss_of([sub], set(rows.values_list("name", flat=True)[: MANY + 1]))
    # Sessions end with a password; who never had one is just being made.
    if old.get("password") and old["password"] != new["password"]:
        loss.reconnects.add(sub)
    remember(instance, loss)


def _concrete(model: Any, *names: str) -> list[str]:
    """Return which of the names are fields of the model's table."""
    fields = {field.name for field in model._meta.concrete_fields}  # noqa: SLF001
    return [name for name in names if name in fields]


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
    revocation = revocations.remember(Loss(reconnects={str(user.pk)}))
    _left.set((*_left.get(), revocation))


def finished(**_kwargs: Any) -> None:
    """Enforce what logging out has ended, now that the session is gone."""
    left = _left.get()
    if left:
        _left.set(())
        enforcement.first_pass(left)

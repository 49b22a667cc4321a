"""Changes of the models that lists are made of, told after the commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import DatabaseError, connections
from django.db.models import signals

from instant.broadcasting.units import is_muted, waiting
from instant.pages.lists import following, registry, resting
from instant.pages.lists.model import LiveList
from instant.pages.lists.syncing import publish_all, refresh
from instant.publishing.commit_hook import wait_for_commit
from instant.tenancy import current as tenancy

__all__ = ["Changed", "committed", "connect", "touch"]

logger = logging.getLogger("instant.pages")

_UID = "instant.pages.lists"


class Changed(NamedTuple):
    """That a row is another one, or is there no more."""

    labels: tuple[str, ...]
    """The models whose lists it may be in."""
    key: str
    database: str
    tenant: str


def connect() -> None:
    """Listen to the models whose changes lists follow; called when the apps are ready."""
    following.read()
    for model, labels in following.senders().items():
        name = f"{_UID}.{model._meta.label}"  # type: ignore[attr-defined]  # noqa: SLF001
        saved = _saved(labels)
        for signal in (signals.post_save, signals.pre_delete):
            signal.connect(saved, sender=model, weak=False, dispatch_uid=name)
        for field in model._meta.many_to_many:  # type: ignore[attr-defined]  # noqa: SLF001
            related = _related(model, field, labels)
            through, uid = field.remote_field.through, f"{name}.{field.name}"
            signals.m2m_changed.connect(related, sender=through, weak=False, dispatch_uid=uid)


def touch(queryset: Any) -> bool:
    """Tell of all rows of a queryset as of changed ones; False where no list follows the model."""
    labels = following.senders().get(queryset.model)
    if labels is None:
        return False
    keys = queryset.values_list("pk", flat=True)
    _take(labels, keys.iterator(chunk_size=2000), queryset.db)
    return True


def committed(changes: Sequence[Changed]) -> None:
    """Bring the lists up to date, each once however many rows were changed; raises nothing."""
    together: dict[tuple[str, str], list[Changed]] = {}
    for change in changes:
        together.setdefault((change.tenant, change.database), []).append(change)
    for (tenant, database), found in together.items():
        try:
            with tenancy.activate(tenant):
                _bring_up_to_date(database, found)
        except Exception:
            logger.exception("Live lists could not be told of %d changes.", len(found))


def _bring_up_to_date(database: str, changes: Sequence[Changed]) -> None:
    labels = {label for change in changes for label in change.labels}
    if not registry.are_there(labels):
        return
    rows = list(registry.following(labels, database))
    told: list[tuple[LiveList, dict[str, Any]]] = []
    for row in rows:
        keys = {change.key for change in changes if row.model in change.labels}
        try:
            refresh(row, keys, lambda *one: told.append(one))
        except Exception as exc:  # the others are told all the same
            if isinstance(exc, DatabaseError) and connections[database].in_atomic_block:
                raise
            logger.exception("%s could not be told of %d changes.", row, len(keys))
    publish_all(database, told)
    resting.let_rest(rows)


def _take(labels: tuple[str, ...], keys: Iterable[Any], database: str) -> None:
    tenant = tenancy.current()
    changes = [Changed(labels, str(key), database, tenant) for key in keys]
    if changes:
        _hand_on(connections[database], changes)


def _hand_on(connection: Any, changes: Sequence[Changed]) -> None:
    """Let changes wait for the end of the block around, and of the transaction."""
    block = waiting(connection, _hand_on)
    if block is not None:
        block.extend(changes)
    elif connection.in_atomic_block:
        wait_for_commit(connection, changes, committed, last=True)
    else:
        committed(changes)


def _quiet(receiver: Callable[..., None]) -> Callable[..., None]:
    @wraps(receiver)
    def quiet(*arguments: Any, **kwargs: Any) -> None:
        try:
            receiver(*arguments, **kwargs)
        except DatabaseError:
            if connections[kwargs["using"]].in_atomic_block:
                raise  # whatever the transaction does next fails, too
            logger.exception("Live lists were not told of a change.")
        except Exception:
            logger.exception("Live lists were not told of a change.")

    return quiet


def _saved(labels: tuple[str, ...]) -> Callable[..., None]:
    """Return what listens for rows that were saved, and that are about to be deleted."""

    @_quiet
    def saved(sender: Any, instance: Any, using: str, **_kwargs: Any) -> None:
        if not is_muted(sender):
            _take(labels, [_as_kept(sender, instance.pk)], using)

    return saved


def _as_kept(model: Any, key: Any) -> Any:
    """Return a key as the database has it, and so pages: code may say a UUID as a text, or 07."""
    try:
        return model._meta.pk.to_python(key)  # noqa: SLF001  Django's documented API
    except (ValidationError, TypeError, ValueError):  # an expression
        return key


def _related(model: Any, field: Any, labels: tuple[str, ...]) -> Callable[..., None]:
    """Return what listens for relations to many."""

    @_quiet
    def related(
        instance: Any, action: str, reverse: bool, pk_set: Any, using: str, **_kwargs: Any
    ) -> None:
        if is_muted(model) or action not in {"post_add", "post_remove", "pre_clear", "post_clear"}:
            return
        if not reverse:
            keys = [instance.pk] if action != "pre_clear" else []
        elif action == "pre_clear":  # afterwards nobody knows which they were
            rows = model._base_manager.using(using)  # noqa: SLF001  Django's documented API
            keys = list(rows.filter(**{field.name: instance.pk}).values_list("pk", flat=True))
        else:
            keys = list(pk_set or ())
        _take(labels, [_as_kept(model, key) for key in keys], using)

    return related

"""Rows that ``realtime.py`` declares: ``migrate`` makes them, and puts right what differs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

from django.apps import apps as installed
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import DatabaseError, router, transaction
from django.db.models import signals

from instant.channels.declared import DeclaredChannel, declared_channels
from instant.models import Channel

__all__ = ["apply", "connect", "differences"]

logger = logging.getLogger("instant.permissions")


def connect() -> None:
    """Listen; called when the apps are ready, any number of times."""
    app = installed.get_app_config("instant")
    signals.post_migrate.connect(_migrated, sender=app, dispatch_uid="instant.declared_rows")


def apply(using: str, declared: DeclaredChannel) -> str:
    """
    Make the row, or put it right; returns what was done: “made”, “changed” or ``""``.

    Raises ValidationError where no row may have the name.
    """
    with transaction.atomic(using=using):
        row = Channel.objects.using(using).filter(name=declared.name).first()
        if row is None:
            row = Channel(name=declared.name, **declared.columns)
            row.save(using=using)
            for field, names in declared.groups.items():
                getattr(row, field).set(_groups(using, names))
            return "made"
        wrong = list(differences(row, declared))
        columns = [field for field in wrong if field in declared.columns]
        for field in columns:
            setattr(row, field, declared.columns[field])
        # Who may is narrowed or widened by lists and levels together, so in one transaction.
        for field in wrong:
            if field in declared.groups:
                getattr(row, field).set(_groups(using, declared.groups[field]))
        if columns:
            row.save(using=using, update_fields=columns)
        return "changed" if wrong else ""


def differences(row: Channel, declared: DeclaredChannel) -> Iterator[str]:
    """Yield the fields of a row that aren't as declared; the lists of groups take a query each."""
    for field, value in declared.columns.items():
        if getattr(row, field) != value:
            yield field
    for field, names in declared.groups.items():
        if {group.name for group in getattr(row, field).all()} != set(names):
            yield field


def _groups(using: str, names: tuple[str, ...]) -> list[Group]:
    return [Group.objects.using(using).get_or_create(name=name)[0] for name in names]


def _migrated(
    using: str, apps: Any = installed, verbosity: int = 1, stdout: Any = None, **_kwargs: Any
) -> None:
    """Apply what is declared. A row that can't be made is told, and stops no migration."""
    declared = declared_channels()
    if not declared or not router.allow_migrate_model(using, Channel) or not _is_whole(apps):
        return
    for one in declared:
        try:
            done = apply(using, one)
        except (ValidationError, DatabaseError) as exc:
            reason = " ".join(exc.messages) if isinstance(exc, ValidationError) else str(exc)
            done = f"could not be made: {reason}"
            logger.error(  # noqa: TRY400  the traceback says no more
                "The channel %s (%s) %s", one.name, one.place, done
            )
        if done and verbosity > 0:
            out = stdout or sys.stdout  # as Django's own receivers
            out.write(f"  Channel {one.name}: {done}, as declared in {one.place}\n")


def _is_whole(apps: Any) -> bool:
    """Tell whether all our tables are as the code knows them, not those of an older migration."""
    for model in installed.get_app_config("instant").get_models():
        try:
            migrated = apps.get_model("instant", model.__name__)
        except LookupError:
            return False
        if _columns(migrated) != _columns(model):
            return False
    return True


def _columns(model: Any) -> set[str]:
    return {field.column for field in model._meta.local_fields}  # noqa: SLF001  documented API

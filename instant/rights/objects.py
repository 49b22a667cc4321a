"""
What django-guardian's object permissions grant on rows of ``Channel``.

Where a site has its app and its backend: whoever holds ``instant.subscribe_channel`` on a row
may subscribe to it, ``instant.publish_channel`` lets publish, ``instant.view_channel_status``
see the status. Beside what the row's levels and lists say; never on an inactive row. Held for
all channels these permissions say nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.apps import apps
from django.contrib.auth import get_backends, get_user_model
from django.db.models import Q, QuerySet
from django.db.models.functions import Cast

from instant.models import Channel
from instant.namespaces import Action
from instant.rights.accounts import is_known, memberships

__all__ = [
    "PERMISSIONS",
    "are_used",
    "channel_names",
    "holders",
    "is_held_by_groups",
    "keys",
    "models",
    "of_users",
]

PERMISSIONS: Mapping[Action, str] = {
    "subscribe": "subscribe_channel",
    "history": "subscribe_channel",
    "publish": "publish_channel",
    "status": "view_channel_status",
}
"""By action the codename of the permission; there is none for presence."""


def are_used() -> bool:
    """Tell whether the site has guardian's app, and its backend among its own."""
    if not apps.is_installed("guardian"):
        return False
    from guardian.backends import ObjectPermissionBackend  # noqa: PLC0415  it is optional

    return any(isinstance(backend, ObjectPermissionBackend) for backend in get_backends())


def models() -> tuple[Any, Any]:
    """Return the models in which guardian keeps what users and groups hold on channels."""
    from guardian.utils import (  # noqa: PLC0415  it is optional
        get_group_obj_perms_model,
        get_user_obj_perms_model,
    )

    channel: Any = Channel  # guardian's annotation says an instance
    return get_user_obj_perms_model(channel), get_group_obj_perms_model(channel)


def keys(user: Any, action: Action) -> list[QuerySet[Any]]:
    """
    Return subqueries for the keys of the rows on which the user holds the permission.

    Somebody who isn't logged in holds what guardian's anonymous user does. Nothing where
    guardian isn't used; no query.
    """
    if action not in PERMISSIONS or not are_used():
        return []
    by_user, by_group = models()
    who = _who(user)
    found = [] if who is None else [_keys(by_user, action).filter(**_prefixed("user", who))]
    groups = memberships()
    if groups is not None and is_known(user):
        mine = groups.remote_field.through._base_manager.filter(  # noqa: SLF001
            **{groups.m2m_field_name(): user.pk}
        ).values(groups.m2m_reverse_field_name())
        found.append(_keys(by_group, action).filter(group__in=mine))
    return found


def of_users(users: Iterable[Any], action: Action, row: Channel) -> set[Any]:
    """Return the primary keys of those users who hold the permission on a row; two queries."""
    if action not in PERMISSIONS or not are_used():
        return set()
    users = list(users)
    known = [user.pk for user in users if is_known(user)]
    model = get_user_model()
    held = model._base_manager.filter(holders(row, action), pk__in=known)  # noqa: SLF001
    found = set(held.values_list("pk", flat=True))
    others = [user.pk for user in users if not is_known(user)]
    who = _who(None) if others else None
    if who is not None and (
        _on(models()[0], [row.pk], action).filter(**_prefixed("user", who)).exists()
    ):
        found |= set(others)
    return found


def holders(row: Channel, action: Action) -> Q:
    """Return the condition for users who hold the permission on a row; nobody without guardian."""
    if action not in PERMISSIONS or not are_used():
        return Q(pk__in=())
    by_user, by_group = models()
    wanted = Q(pk__in=_on(by_user, [row.pk], action).values("user_id"))
    groups = memberships()
    if groups is not None:
        inside = groups.remote_field.through._base_manager.filter(  # noqa: SLF001
            **{
                f"{groups.m2m_reverse_field_name()}__in": _on(by_group, [row.pk], action).values(
                    "group_id"
                )
            }
        )
        wanted |= Q(pk__in=inside.values(groups.m2m_field_name()))
    return wanted


def channel_names(groups: Iterable[Any]) -> set[str]:
    """Return the active channels to which groups, by primary key, may subscribe so."""
    if not are_used():
        return set()
    held = _keys(models()[1], "subscribe").filter(group__in=list(groups))
    rows = Channel.objects.filter(pk__in=held, is_active=True).order_by()
    return set(rows.values_list("name", flat=True))


def is_held_by_groups(model: Any) -> bool:
    """Tell which of both models() it is."""
    return any(field.name == "group" for field in model._meta.fields)  # noqa: SLF001


def _who(user: Any) -> dict[str, Any] | None:
    """Return what finds the user among those who hold something; None for nobody."""
    if is_known(user):
        return {"pk": user.pk}
    from guardian.conf import settings  # noqa: PLC0415  it is optional

    name = settings.ANONYMOUS_USER_NAME
    return None if name is None else {get_user_model().USERNAME_FIELD: name}


def _prefixed(prefix: str, lookups: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}__{name}": value for name, value in lookups.items()}


def _held(model: Any, action: Action) -> QuerySet[Any]:
    found: QuerySet[Any] = model._base_manager.filter(  # noqa: SLF001  Django's documented API
        permission__content_type__app_label="instant",
        permission__content_type__model="channel",
        permission__codename=PERMISSIONS[action],
    )
    return found.order_by()


def _keys(model: Any, action: Action) -> QuerySet[Any]:
    held = _held(model, action)
    if not _is_generic(model):
        return held.values("content_object")
    # As text it says nothing to PostgreSQL.
    key = Cast("object_pk", Channel._meta.pk)  # noqa: SLF001
    found: QuerySet[Any] = held.annotate(channel_key=key).values("channel_key")
    return found


def _on(model: Any, pks: Collection[Any], action: Action) -> QuerySet[Any]:
    held = _held(model, action)
    if _is_generic(model):
        return held.filter(object_pk__in=list(map(str, pks)))
    return held.filter(content_object__in=list(pks))


def _is_generic(model: Any) -> bool:
    return any(field.name == "object_pk" for field in model._meta.fields)  # noqa: SLF001

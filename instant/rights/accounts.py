"""Who somebody is: flags, levels, and the groups and permissions that they hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from django.contrib.auth import get_backends, get_user_model
from django.contrib.auth.backends import AllowAllUsersModelBackend, BaseBackend, ModelBackend
from django.contrib.auth.models import AnonymousUser, Group, Permission
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import router
from django.db.models import Q, QuerySet
from django.db.models.manager import BaseManager

from instant.models import Channel

__all__ = [
    "LISTENER",
    "Listener",
    "UnknownUser",
    "account",
    "after_losing",
    "are_hidden",
    "at_level",
    "find_user",
    "holders",
    "holds",
    "is_known",
    "levels",
    "lost_flags",
    "memberships",
    "permissions",
    "staff_levels",
    "users",
]


LISTENER = "instant:listener"
"""``sub`` of the project's own processes that listen. No user's: theirs are primary keys."""


class Listener:
    """A process of the project's own that listens; it has all rights, and no row."""

    pk = LISTENER
    is_authenticated = is_active = True
    is_anonymous = False


def is_known(user: Any) -> bool:
    """Tell whether it is somebody: logged in, and not deactivated since."""
    return user is not None and user.is_authenticated and user.is_active


def users(subs: Iterable[str], *, step: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """
    Return the users whom tokens name so (``sub``), as the database has them now.

    Those whom Django's authentication would return for a session, and those who are
    deactivated: who is hidden by a manager or by a backend of the project's is as good as
    deleted. Where writes go: a replica may not know yet what has just been committed. One
    query where a backend is Django's own; another's get_user() is called for each user, and
    ``step`` before it, which may raise.
    """
    model = get_user_model()
    field = model._meta.pk  # noqa: SLF001  Django's documented API
    missing: dict[str, Any] = {}
    for sub in subs:
        try:
            missing[sub] = field.to_python(sub)
            field.run_validators(missing[sub])  # no database takes any integer
        except (ValidationError, ValueError, TypeError, OverflowError):
            missing.pop(sub, None)  # anonymous, or of another site
    # What int() takes beside it, “07”, we have not signed.
    missing = {sub: key for sub, key in missing.items() if key is not None and str(key) == sub}
    found: dict[str, Any] = {}
    for backend in _backends():
        if not missing:
            return found
        found |= _of_backend(backend, missing, step)
        missing = {sub: key for sub, key in missing.items() if sub not in found}
    hidden = _in_bulk(model._base_manager, missing) if missing else {}  # noqa: SLF001
    return found | {sub: user for sub, user in hidden.items() if not _is_active(user)}


def account(sub: str) -> Any:
    """Return the user whom a token names so, see users(); None where there is none."""
    return users([sub]).get(sub)


def are_hidden() -> bool:
    """Tell whether the site's own code decides whom Django's authentication finds; no query."""
    if type(get_user_model()._default_manager).get_queryset is not BaseManager.get_queryset:  # noqa: SLF001
        return True
    return any(
        type(backend).get_user is not ModelBackend.get_user
        or type(backend).user_can_authenticate not in _DJANGOS
        for backend in _backends()
    )


def holds(user: Any, permission: str) -> bool:
    """Tell whether a user has a permission such as ``app.change_model``, as Django's admin asks."""
    return bool(user.has_perm(permission))


class UnknownUser(LookupError):
    """There is no user of that name."""


def find_user(name: str) -> Any:
    """
    Return the user whom a command names; ``anonymous`` is a visitor who isn't logged in.

    Raises UnknownUser.
    """
    if name == "anonymous":
        return AnonymousUser()
    model = get_user_model()
    try:
        return model._default_manager.get_by_natural_key(name)  # noqa: SLF001
    except model.DoesNotExist as exc:
        raise UnknownUser(
            f"There is no user {name!r}. “anonymous” is a visitor who isn't logged in."
        ) from exc


def levels(user: Any) -> list[str]:
    """Return the levels of which the user may have every channel."""
    found: list[str] = [Channel.Level.PUBLIC]
    if is_known(user):
        found.append(Channel.Level.USERS)
    return [*found, *staff_levels(user)]


def at_level(level: str) -> QuerySet[Any]:
    """Return the users who have every channel of a level; nobody for one that lists its users."""
    model = get_user_model()
    found: QuerySet[Any] = model._base_manager.using(router.db_for_write(model)).all()  # noqa: SLF001
    columns = {field.name for field in model._meta.concrete_fields}  # noqa: SLF001
    if "is_active" in columns:
        found = found.filter(is_active=True)
    if level in {Channel.Level.PUBLIC, Channel.Level.USERS}:
        return found
    if level not in {Channel.Level.STAFF, Channel.Level.SUPERUSER}:
        return found.none()
    flags = {"is_superuser"} if level == Channel.Level.SUPERUSER else {"is_staff", "is_superuser"}
    if flags <= columns:
        wanted = Q(pk__in=())
        for flag in flags:
            wanted |= Q(**{flag: True})
        return found.filter(wanted)
    # A model's own properties: only Python knows them.
    return found.filter(pk__in=[user.pk for user in found.iterator() if level in levels(user)])


def staff_levels(user: Any) -> list[str]:
    """Return the levels that the user's flags open."""
    if not is_known(user):
        return []
    if getattr(user, "is_superuser", False):
        return [Channel.Level.STAFF, Channel.Level.SUPERUSER]
    return [Channel.Level.STAFF] if getattr(user, "is_staff", False) else []


def lost_flags(old: Any, new: Any) -> set[str]:
    """Return which flags a user has lost; they may be fields or properties."""
    return {name for name in _FLAGS if _flag(old, name) and not _flag(new, name)}


def after_losing(lost: Collection[str], user: Any) -> set[str]:
    """Return the levels that a user may lose with flags, as the user is now."""
    found: set[str] = set()
    if "is_superuser" in lost:
        found = {Channel.Level.STAFF, Channel.Level.SUPERUSER}
    elif "is_staff" in lost:
        found = {Channel.Level.STAFF}
    return found - set(staff_levels(user))


def memberships() -> Any:
    """Return the user model's many-to-many field to Group; None where it has none."""
    return _many_to_many("groups", Group)


def permissions() -> Any:
    """Return the user model's many-to-many field to Permission; None where it has none."""
    return _many_to_many("user_permissions", Permission)


def holders(permission: Any, users: Collection[Any] | None = None) -> set[Any]:
    """
    Return who holds a permission, themselves or by a group, by primary key.

    Of ``users`` (primary keys) only, where they are given.
    """
    held = Q(pk__in=())
    if permissions() is not None:
        held |= Q(user_permissions=permission)
    if memberships() is not None:
        held |= Q(groups__permissions=permission)
    found = get_user_model()._base_manager.filter(held)  # noqa: SLF001
    if users is not None:
        found = found.filter(pk__in=users)
    return set(found.values_list("pk", flat=True))


def _backends() -> list[Any]:
    """Return what knows users: Django's way to find them where no backend of the site does."""
    try:
        known = get_backends()
    except ImproperlyConfigured:  # there are none
        known = []
    # type: a class that never heard of BaseBackend needs no get_user() to grant permissions.
    finding = [
        backend
        for backend in known
        if getattr(type(backend), "get_user", BaseBackend.get_user) is not BaseBackend.get_user
    ]
    return finding or [ModelBackend()]


def _of_backend(backend: Any, keys: Mapping[str, Any], step: Callable[[], None]) -> dict[str, Any]:
    if type(backend).get_user is not ModelBackend.get_user:
        asked = {}
        for sub, key in keys.items():
            step()
            if (user := backend.get_user(key)) is not None:
                asked[sub] = user
        return asked
    found = _in_bulk(get_user_model()._default_manager, keys)  # noqa: SLF001
    return {sub: user for sub, user in found.items() if backend.user_can_authenticate(user)}


def _in_bulk(manager: Any, keys: Mapping[str, Any]) -> dict[str, Any]:
    rows = manager.using(router.db_for_write(manager.model)).in_bulk(list(keys.values()))
    return {str(key): user for key, user in rows.items()}


def _is_active(user: Any) -> bool:
    return bool(getattr(user, "is_active", True))


_DJANGOS = {ModelBackend.user_can_authenticate, AllowAllUsersModelBackend.user_can_authenticate}

_FLAGS = ("is_active", "is_staff", "is_superuser")


def _flag(user: Any, name: str) -> bool:
    value = getattr(user, name, False)
    # What a form or a script has set may still be text: “0” is stored as False.
    fields = {field.name: field for field in user._meta.concrete_fields}  # noqa: SLF001
    return bool(fields[name].to_python(value) if name in fields else value)


def _many_to_many(name: str, model: Any) -> Any:
    fields = {field.name: field for field in get_user_model()._meta.many_to_many}  # noqa: SLF001
    field = fields.get(name)
    return field if field is not None and field.related_model is model else None

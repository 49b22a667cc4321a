"""
Whose pages a session has opened.

Those of its user, and of others where somebody acts as another. Packages for that do it in one
of two ways: they log in over the session (django-hijack, django-su, django-loginas), which empties
it, or a middleware of theirs sets ``request.user`` (django-impersonate).
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import SESSION_KEY, get_user_model

from instant.rights.accounts import is_known

__all__ = ["note", "own_user", "users", "users_before"]

_KEY = "instant_users"
"""In the session: the primary keys of others for whom it has opened pages."""

_MOST = 100

_BEFORE = ("_cached_user", "_acached_user")
"""Where Django's middleware keeps the session's user, once somebody has asked for it."""


def note(request: Any) -> None:
    """Remember for whom a page is opened, where that is not the session's own user."""
    session, user = getattr(request, "session", None), request.user
    if session is None or not is_known(user):
        return
    own, sub = _own(session), str(user.pk)
    if own is None or own == sub:
        return
    known = session.get(_KEY, [])
    if sub not in known:
        session[_KEY] = [*known, sub][-_MOST:]


def users(request: Any) -> set[str]:
    """Return for whom the request's session has opened pages, its own user included."""
    session = getattr(request, "session", None)
    if session is None:
        return set()
    own = _own(session)
    return {*session.get(_KEY, []), *([] if own is None else [own])}


def own_user(request: Any) -> str | None:
    """Return whom the request's session has logged in, whoever is acted as; None for nobody."""
    session = getattr(request, "session", None)
    return None if session is None else _own(session)


def users_before(request: Any) -> set[str]:
    """
    Return whose session it was before a login, if anything asked for its user.

    Django has emptied the session since.
    """
    known = (getattr(request, name, None) for name in _BEFORE)
    return {str(user.pk) for user in known if user is not None and user.is_authenticated}


def _own(session: Any) -> str | None:
    stored = session.get(SESSION_KEY)
    # The user model's own way to store a primary key is not always str().
    return None if stored is None else str(get_user_model()._meta.pk.to_python(stored))  # noqa: SLF001

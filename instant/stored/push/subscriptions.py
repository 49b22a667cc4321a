"""
Browsers that are to be notified: they come, are renewed, and go with the session.

A session says in itself which subscription is its own. That outlives the new session key of a
login or a new password, and is gone after a logout, which tells us. Where sessions end by
themselves (the password was changed elsewhere, the user deactivated, the time is over) it is seen
before anything is sent; and of one whose row was deleted the service worker is told when it asks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from instant import conf
from instant.permissions import is_known
from instant.revoking import sessions
from instant.stored.push.addresses import check_endpoint
from instant.stored.push.model import PushSubscription
from instant.stored.rows import database, writing
from instant.tenancy import current as tenancy

__all__ = [
    "Subscriptions",
    "collect",
    "connect",
    "has_ended",
    "is_subscribed",
    "own",
    "subscribe",
    "unsubscribe",
]

logger = logging.getLogger("instant.push")

_KEY = "instant_push"
"""In the session: what its subscription calls it."""

_POINT, _SECRET = 65, 16
"""Bytes of a browser's public key, and of its secret."""
_UNCOMPRESSED = 4
_AT_ONCE = 500

Subscriptions = QuerySet[PushSubscription]


def own() -> Subscriptions:
    """Return the current tenant's subscriptions."""
    manager = PushSubscription._base_manager.using(database())  # noqa: SLF001
    return manager.filter(tenant=tenancy.current())


def subscribe(request: Any, given: Mapping[str, Any]) -> None:
    """
    Notify the request's browser from now on, or for longer.

    ``given`` is what a browser says of its subscription: endpoint, expirationTime, keys. Raises
    ValueError for what is none, PermissionDenied where nobody is logged in by a session of
    their own.
    """
    push, user = conf.current().push, request.user
    if push is None or not _has_own_session(request):
        raise PermissionDenied("Only those who are logged in are notified.")
    endpoint = check_endpoint(given.get("endpoint"))
    values = {
        "user_id": user.pk,
        "endpoint": endpoint,
        **_keys(given.get("keys")),
        "session": _name(request.session),
        "auth_hash": _auth_hash(user),
        "expires_at": _end(request.session, given.get("expirationTime")),
        "renewed_at": timezone.now(),
    }
    with writing():
        one, _ = own().update_or_create(
            digest=_digest(endpoint), defaults=values, create_defaults=values
        )
        # A session is one browser, which has one address: it may have got another.
        own().filter(session=one.session).exclude(pk=one.pk).delete()
        others = own().filter(user=user.pk).exclude(pk=one.pk).order_by("-renewed_at", "-pk")
        many = list(others.values_list("pk", flat=True)[push.per_user - 1 :])
        own().filter(pk__in=many).delete()


def unsubscribe(endpoint: Any) -> None:
    """
    Notify a browser no more.

    Its address is a secret of the browser's, so it is enough: its session may be over.
    """
    if isinstance(endpoint, str):
        own().filter(digest=_digest(endpoint)).delete()


def is_subscribed(request: Any) -> bool:
    """Tell whether the request's browser is one that is notified."""
    session = getattr(request, "session", None)
    name = None if session is None else session.get(_KEY)
    if name is None:
        return False
    found = own().filter(session=name, user=request.user.pk).first()
    return found is not None and not has_ended(found, request.user, timezone.now())


def has_ended(subscription: PushSubscription, user: Any, now: datetime) -> bool:
    """Tell whether the session is over in which somebody wanted to be notified."""
    if user is None or not is_known(user):
        return True
    if subscription.expires_at is not None and subscription.expires_at <= now:
        return True
    return not _is_hash_of(subscription.auth_hash, user)


def collect() -> int:
    """Delete subscriptions that have expired, some at a time; return how many."""
    count = 0
    old = own().filter(expires_at__lte=timezone.now()).order_by("pk").values_list("pk", flat=True)
    while keys := list(old[:_AT_ONCE]):
        own().filter(pk__in=keys).delete()
        count += len(keys)
    return count


def connect() -> None:
    """Listen; called when the apps are ready, any number of times."""
    user_logged_out.connect(_logs_out, dispatch_uid="instant.push_logged_out")


def _logs_out(request: Any = None, **_kwargs: Any) -> None:
    """End the subscription of a session that ends."""
    try:
        session = getattr(request, "session", None)
        if session is None or conf.current().push is None:
            return
        name = session.get(_KEY)
        if name is not None:
            # Of all tenants: it may be that of another, and the session is gone.
            manager = PushSubscription._base_manager.using(database())  # noqa: SLF001
            with transaction.atomic(using=database()):
                manager.filter(session=name).delete()
    except Exception:  # to stay logged in for it would be worse
        logger.exception("The push subscription of a session that ended is still there.")


def _has_own_session(request: Any) -> bool:
    """Tell whether somebody is logged in, by the session, and as nobody else."""
    session = getattr(request, "session", None)
    if session is None or not is_known(request.user):
        return False
    return sessions.own_user(request) == str(request.user.pk)


def _name(session: Any) -> str:
    """Return what the session calls itself; it does so from the first subscription on."""
    found = session.get(_KEY)
    if not isinstance(found, str):
        found = session[_KEY] = secrets.token_hex(16)
    return found


def _keys(given: Any) -> dict[str, str]:
    keys = given if isinstance(given, Mapping) else {}
    point, secret = _decoded(keys.get("p256dh")), _decoded(keys.get("auth"))
    if len(point) != _POINT or point[0] != _UNCOMPRESSED or len(secret) != _SECRET:
        raise ValueError("These are not the keys of a browser.")
    return {"p256dh": _encoded(point), "auth": _encoded(secret)}


def _decoded(text: Any) -> bytes:
    if not isinstance(text, str) or len(text) > 2 * _POINT:
        return b""
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _end(session: Any, given: Any) -> datetime:
    """Return when the session ends, or the browser's subscription where that is sooner."""
    seconds = float(session.get_expiry_age())
    if given is not None:
        try:
            seconds = min(seconds, given / 1000 - time.time())
        except (TypeError, OverflowError):
            raise ValueError("That is not a time at which a subscription ends.") from None
    return timezone.now() + timedelta(seconds=max(seconds, 0))


def _digest(endpoint: str) -> str:
    return hashlib.sha256(endpoint.encode(errors="surrogatepass")).hexdigest()


def _auth_hash(user: Any) -> str:
    found = getattr(user, "get_session_auth_hash", None)
    return str(found()) if found is not None else ""


def _is_hash_of(stored: str, user: Any) -> bool:
    """Tell whether sessions with this hash go on, as Django asks it."""
    fallbacks = getattr(user, "get_session_auth_fallback_hash", tuple)
    known: Sequence[str] = [_auth_hash(user), *fallbacks()]
    return any(constant_time_compare(stored, one) for one in known)

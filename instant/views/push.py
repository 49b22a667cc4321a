"""The endpoints of web push: browsers come and go, and their service worker asks what there is."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import get_script_prefix
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from instant import conf
from instant.permissions import is_known
from instant.stored.notifications import inbox
from instant.stored.push import subscriptions
from instant.views.endpoint import BadRequest, Body, Forbidden, endpoint
from instant.views.errors import Answered

__all__ = ["notification", "subscribe", "unsubscribe", "worker"]

_SCRIPT = Path(__file__).parent.parent / "static" / "instant" / "instant.worker.min.js"


@endpoint("POST")
def subscribe(request: HttpRequest, body: Body) -> dict[str, Any]:
    """Notify this browser while its session lasts; the body is the browser's subscription."""
    try:
        subscriptions.subscribe(request, body)
    except PermissionDenied as exc:
        raise Forbidden(str(exc)) from None
    except ValueError as exc:
        raise BadRequest(str(exc)) from None
    return {}


@endpoint("POST")
def unsubscribe(request: HttpRequest, body: Body) -> dict[str, Any]:  # noqa: ARG001
    """Notify the browser no more whose address is ``{"endpoint"}``; who knows it may say so."""
    subscriptions.unsubscribe(body.get("endpoint"))
    return {}


@endpoint("POST")
def notification(request: HttpRequest, body: Body) -> dict[str, Any]:
    """
    Answer the notification of ``{"id"}``, and how many are unread; for the service worker.

    403 where this isn't the session any more that subscribed, 404 where the user has no such one.
    """
    if not is_known(request.user) or not subscriptions.is_subscribed(request):
        raise Forbidden("Nobody is notified in this session.")
    try:
        found = inbox.one(request.user, body.get("id", ""))
    except ValueError as exc:
        raise BadRequest(str(exc)) from None
    if found is None:
        raise Answered("There is no such notification.", status=404)
    return {"notification": found, "unread": inbox.unread(request.user)}


@login_not_required
@require_safe
def worker(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  Django's signature
    """
    Answer the service worker: the script, and before it what the site says.

    From here and not from the static files, whose host may be another: a browser takes it from the
    page's own site only, and for addresses below its own.
    """
    push = conf.current().push
    icon = None if push is None else push.icon
    said = {
        "home": get_script_prefix(),
        "icon": icon if icon is None or "//" in icon else static(icon),
        "title": gettext("You have a new notification."),
    }
    text = json.dumps(said).replace("<", "\\u003c")
    response = HttpResponse(
        f"self.instantSite = {text};\n{_script()}", content_type="text/javascript; charset=utf-8"
    )
    response["Cache-Control"] = "no-cache"
    response["X-Content-Type-Options"] = "nosniff"
    return response


@lru_cache(maxsize=1)
def _script() -> str:
    return _SCRIPT.read_text()

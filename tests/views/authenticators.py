"""What a site may name in INSTANT["AUTHENTICATION"]."""

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied

seen = []
"""The requests that authenticators were given."""


def bearer(request):
    """The simplest: a user name for a token."""
    seen.append(request)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        return None
    try:
        return get_user_model().objects.get(username=token)
    except get_user_model().DoesNotExist:
        raise PermissionDenied("no user named " + token) from None


def api_key(request):
    """Another header of its own."""
    name = request.headers.get("X-Api-Key")
    return get_user_model().objects.get(username=name) if name else None


def cookie(request):
    """A mistake: a browser sends cookies for any page."""
    name = request.COOKIES.get("token") or request.META.get("HTTP_COOKIE", "")[6:]
    name = name or request.META.get("REMOTE_USER") or request.headers.get("Cookie", "")[6:]
    name = name or getattr(request, "session", {}).get("_auth_user_id")
    name = name or (request.user.is_authenticated and request.user.get_username())
    return get_user_model().objects.get(username=name) if name else None


def signed_body(request):
    """Like a webhook's signature: it needs the body."""
    return get_user_model().objects.get(username="ann") if b"signed" in request.body else None


def buggy(request):
    raise LookupError("Bearer secret-in-a-bug")


async def later(request):
    return None

"""Who is this, and what may they subscribe to: the endpoints that the page's script asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest
from django.middleware.csrf import get_token as get_csrf_token
from django.views.decorators.debug import sensitive_variables

from instant import conf, permissions
from instant.html import websocket_url
from instant.inbound import registry
from instant.inbound.answers import Disconnect, Refused
from instant.inbound.call import Call
from instant.inbound.connecting import enter, open_connection
from instant.revoking import run, sessions
from instant.rights import tokens
from instant.rights.client_address import request_address
from instant.rights.refusals import log_once, refusals
from instant.tenancy import current as tenancy
from instant.tenancy import wire
from instant.views.endpoint import BadRequest, Body, Forbidden, Unavailable, endpoint
from instant.views.login_throttle import attempt

__all__ = [
    "MAX_CHANNELS",
    "call_of",
    "check_anonymous",
    "get_token",
    "login",
    "logout",
    "meta_of",
    "opened",
    "subscribe",
]

MAX_NAMES = 256
"""Channels that one request may name."""

MAX_CHANNELS = 128
"""Channels that a connection may hold: Centrifugo's ``client.channel_limit`` (default)."""


@endpoint("POST")
@sensitive_variables("body", "password")
def login(request: HttpRequest, body: Body) -> dict[str, Any]:
    """
    Log in with ``{"username", "password"}`` and answer like get_token().

    The credentials are checked even where somebody is logged in. 400 for anything malformed,
    403 for wrong credentials or where ``INSTANT["LOGIN"]`` is False, 429 with ``Retry-After``
    (seconds) where too many have failed (``INSTANT["THROTTLE"]``).
    """
    if not conf.current().login:
        raise Forbidden("Logging in here is switched off; use the site's own login page.")
    username, password = body.get("username"), body.get("password")
    if not isinstance(username, str) or not isinstance(password, str) or not username:
        raise BadRequest('Send {"username": "…", "password": "…"}.')
    _check_text("username", username)
    _check_text("password", password)
    current = conf.current()
    permissions.is_known(request.user)  # read now: whose session it was is lost with login()
    address = request_address(request.META, current.trusted_proxies)
    with attempt(current.throttle, address, username) as tried:
        user = auth.authenticate(request, username=username, password=password)
        if user is not None:
            tried.succeeded()
    if user is None:
        raise Forbidden("Wrong user name or password.")
    auth.login(request, user)
    return _connection(request, None, "", body)


@endpoint("GET", "POST", own_credentials=True)
def get_token(request: HttpRequest, body: Body) -> dict[str, Any]:
    """
    Answer a connection token, and a token for each channel.

    ``{"channels": [names]}`` asks for those channels, without it they are the user's, by
    name, at most 128; ``next`` says whether more follow, and ``?after=`` goes on there.
    Names that don't exist or aren't allowed are left out alike; ``unknown`` has those about
    which a rule can't decide now, where there are any. Anonymous visitors get public
    channels, or 403 where ``INSTANT["ANONYMOUS"]`` is False. Under ``DEBUG`` ``refused`` says
    for each name that is left out why; else nobody is told that. ``{"refresh": true}`` says that
    the token renews that of an open connection, for ``@on_refresh``.
    """
    names, after = _wanted(request, body)
    return _connection(request, names, after, body)


@endpoint("POST", own_credentials=True)
def subscribe(request: HttpRequest, body: Body) -> dict[str, Any]:
    """Answer tokens for channels, asked for as with get_token(), and no connection token."""
    names, after = _wanted(request, body)
    check_anonymous(request)
    return _channels(request, _signer(request), names, after, call_of(request))


@endpoint("POST")
def logout(request: HttpRequest, _body: Body) -> dict[str, Any]:
    """Log out; whoever isn't logged in gets the same answer."""
    auth.logout(request)
    return {}


def _wanted(request: HttpRequest, body: Body) -> tuple[list[str] | None, str]:
    """Return the names asked for (None: the user's) and the name to go on after."""
    after = request.GET.get("after", "")
    names = body.get("channels")
    _check_text("after", after)
    if names is None:
        return None, after
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadRequest('"channels" must be a list of names.')
    if len(names) > MAX_NAMES:
        raise BadRequest(f'"channels" may name {MAX_NAMES} channels, not {len(names)}.')
    return names, after


def _check_text(name: str, value: str) -> None:
    """Refuse what a database or a hash refuses with an exception."""
    if "\0" in value or (not value.isprintable() and any("\ud800" <= c <= "\udfff" for c in value)):
        raise BadRequest(f"“{name}” has a NUL character or half a surrogate pair.")


def check_anonymous(request: HttpRequest) -> None:
    """Raise Forbidden for a visitor, where those may not connect."""
    if not conf.current().anonymous and not permissions.is_known(request.user):
        raise Forbidden("Log in first.")


def _signer(request: HttpRequest) -> tokens.Signer:
    return tokens.Signer(request.user, since=tokens.began(request))


def _needs_csrf_token(request: HttpRequest) -> bool:
    return bool(getattr(request, "needs_csrf_token", True))


def call_of(request: HttpRequest, body: Body | None = None) -> Call:
    """Return what handlers get that are asked before anybody connects or subscribes."""
    return Call(
        user=request.user,
        data={"refresh": (body or {}).get("refresh") is True},
        transport="http",
        headers=request.headers,
        # One that says itself who it is may come with a cookie of somebody else's.
        session=getattr(request, "session", None) if _needs_csrf_token(request) else None,
    )


def meta_of(call: Call) -> Mapping[str, Any]:
    """Return what handlers note for the connection, or answer what they refuse with."""
    try:
        return open_connection(call)
    except Refused as exc:
        if exc.temporary:
            raise Unavailable(exc.message) from exc
        raise Forbidden(exc.message) from exc
    except Disconnect as exc:
        raise Forbidden(exc.reason or "Refused.") from exc


def _connection(
    request: HttpRequest, names: list[str] | None, after: str, body: Body
) -> dict[str, Any]:
    check_anonymous(request)
    signer = _signer(request)
    call = call_of(request, body)
    token = signer.connection_token(meta=meta_of(call))
    prefix = wire.prefix(tenancy.current())
    return {
        "csrf_token": get_csrf_token(request) if _needs_csrf_token(request) else "",
        "ws_token": token.value,
        "exp": token.exp,
        "expire_at": token.expire_at,
        "url": websocket_url(request),
        # Names below are the tenant's own; in a client's they stand behind this, see tenancy.wire.
        **({"prefix": prefix} if prefix else {}),
        **_gateway(request),
        # Methods that have a pool: called as pool:method.
        **({"pools": pools} if (pools := registry.pools()) else {}),
        **_channels(request, signer, names, after, call),
    }


def _gateway(request: HttpRequest) -> dict[str, str]:
    """Return where methods can be called without a connection: the page adds ``method/``."""
    if not conf.current().gateway:
        return {}
    # Beside the endpoint that was asked, whatever the URLs are included as.
    return {"rpc_url": request.path.rstrip("/").rpartition("/")[0] + "/rpc/"}


def _channels(
    request: HttpRequest, signer: tokens.Signer, names: list[str] | None, after: str, call: Call
) -> dict[str, Any]:
    unknown: list[str] = []
    following = None
    if names is None:
        granted, following = permissions.grants_after(request.user, after, MAX_CHANNELS)
    else:
        granted, unknown = permissions.answers(request.user, names)
    entries = {grant.name: enter(grant.name, call) for grant in granted if grant.by_token}
    granted = [g for g in granted if g.name not in entries or entries[g.name].answer == "yes"]
    unknown = [*unknown, *(name for name, entry in entries.items() if entry.answer == "unknown")]
    opened(request, granted)
    answer: dict[str, Any] = {
        "channels": [_channel(signer, grant) for grant in granted],
        "next": following,
        # A page takes a name that is missing for a no, and that for an hour.
        **({"unknown": unknown} if unknown else {}),
    }
    if names is not None and settings.DEBUG:
        left_out = _refusals(
            request.user, set(names) - {*unknown, *entries, *(grant.name for grant in granted)}
        ) | {name: entry.why for name, entry in entries.items() if entry.why}
        if left_out:
            answer["refused"] = left_out
    return answer


def opened(request: HttpRequest, granted: Sequence[permissions.Grant]) -> None:
    """Note that tokens for these go out now, which may have to be followed up."""
    if any(grant.level not in {"user", "namespace"} for grant in granted):
        run.row_found()
    run.wake()
    if _needs_csrf_token(request):  # else the request says who it is itself
        sessions.note(request)


def _refusals(user: Any, names: set[str]) -> dict[str, str]:
    """Log why these names are left out, and return it: only for developers."""
    found = refusals(user, sorted(names))
    log_once(found.values())
    return {name: str(refusal) for name, refusal in found.items()}


def _channel(signer: tokens.Signer, grant: permissions.Grant) -> dict[str, Any]:
    granted: dict[str, Any] = {
        "name": grant.name,
        "level": grant.level,
        "rights": list(grant.rights),
    }
    if grant.by_token:
        token = signer.channel_token(grant.name, info=grant.info, pushes_joins=grant.sees_joins)
        granted |= {"token": token.value, "exp": token.exp, "expire_at": token.expire_at}
    return granted

"""What the lite script asks, and what the server asks about its tickets."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables

from instant import conf, permissions
from instant.backends import get_backend
from instant.centrifugo.api.commands import Command, Since, Subscribe
from instant.centrifugo.proxy import MAX_BODY, Disconnect, encode
from instant.exceptions import PublishError
from instant.html import websocket_url
from instant.inbound.call import Call
from instant.inbound.connecting import enter
from instant.namespaces import find_namespace
from instant.rights import lite_tickets, tokens
from instant.tenancy import current as tenancy
from instant.tenancy import wire
from instant.views.body import BodyRefused, read_body
from instant.views.caching import keep_out_of_caches
from instant.views.endpoint import BadRequest, Body, Forbidden, Unavailable, endpoint
from instant.views.identity import MAX_CHANNELS, call_of, check_anonymous, meta_of, opened
from instant.views.proxy_endpoint import bare, knows_secret
from instant.views.ticket_throttle import count

__all__ = ["connect", "lite"]

logger = logging.getLogger("instant.proxy")

_NO_TICKET = Disconnect(4403, "no ticket")
"""The script asks for another one."""

_SESSION = re.compile(r"[-0-9a-f]{36}")
_MAX_OFFSET = 2**63
_MISSED = 100
"""Messages of a channel that a page gets after a gap; where there were more, they are lost."""


@csrf_exempt  # the endpoint's own check is stricter, and knows who needs none
def lite(request: HttpRequest) -> HttpResponse:
    """
    Answer what opens a one-way connection, and subscribe it to channels.

    ``urls`` are where the server is, ``token`` is what is sent to it, or with ``{"ticket": true}``
    ``ticket`` what stands in a URL. Then ``{"session", "channels": {name: position or null}}``:
    the connection is subscribed to those to which the user may listen, and nothing of it could
    end the server as a subscription with the connection would. ``channels`` has each one's name
    on the server, and what was published after its position; where something is wrong with the
    rest, ``error`` says so to whoever makes the page. 404 where ``INSTANT["LITE"]`` isn't True.
    """
    if not conf.current().lite:
        hint = ' INSTANT["LITE"] is not True.' if settings.DEBUG else ""
        response = JsonResponse({"error": f"There is no such script here.{hint}"}, status=404)
        keep_out_of_caches(request, response)
        return response
    found: HttpResponse = _lite(request)
    return found


@endpoint("POST", own_credentials=True)
def _lite(request: HttpRequest, body: Body) -> dict[str, Any]:
    began = tokens.began(request) or time.time()
    check_anonymous(request)
    call = call_of(request)
    if "session" in body:
        session, channels = _wanted(body)
        heard, wrong = _heard(channels)
        until = began + conf.current().token_use
        answer = _subscribed(request, session, heard, call, until=until)
        return {**answer, "error": wrong} if wrong else answer
    signer = tokens.Signer(request.user, since=tokens.began(request))
    meta = meta_of(call)
    if body.get("ticket") is not True:
        return {"urls": _urls(request), "token": signer.connection_token(meta=meta).value}
    if not lite_tickets.are_possible():
        hint = " They need a cache for all processes, and PROXY_URL." if settings.DEBUG else ""
        raise Forbidden(f"There are no tickets here.{hint}")
    count(request)
    try:
        ticket = lite_tickets.issue(signer.connection(meta=meta), _session(request))
    except Exception as exc:  # a cache raises whatever its library does
        logger.exception("The cache took no ticket.")
        raise Unavailable("There are no tickets now.") from exc
    return {"urls": _urls(request), "ticket": ticket}


def _wanted(body: Body) -> tuple[str, dict[str, Mapping[str, Any] | None]]:
    """Return the connection's session, and where the page is in each channel."""
    session, channels = body.get("session"), body.get("channels")
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise BadRequest('"session" must be what the server has said.')
    if not isinstance(channels, dict) or not channels:
        raise BadRequest('"channels" must have the names of channels.')
    if not all(position is None or _is_position(position) for position in channels.values()):
        raise BadRequest('A position is {"offset": 7, "epoch": "…"} or null.')
    return session, channels


def _heard(
    channels: Mapping[str, Mapping[str, Any] | None],
) -> tuple[dict[str, Mapping[str, Any] | None], str]:
    """Return those that a connection can have, and what is wrong with the page's others."""
    named = [name for name in channels if name]
    wrong = []
    if "" in channels:
        wrong.append('The page listens to a channel without a name: instant.channel("").')
    if len(named) > MAX_CHANNELS:
        wrong.append(
            f"The page listens to {len(named)} channels. A connection has at most {MAX_CHANNELS},"
            " so the last ones are denied: listen to fewer, or publish for several in one."
        )
    return {name: channels[name] for name in named[:MAX_CHANNELS]}, " ".join(wrong)


def _is_position(given: Any) -> bool:
    if not isinstance(given, dict) or not isinstance(given.get("epoch"), str):
        return False
    offset = given.get("offset")
    return type(offset) is int and 0 <= offset < _MAX_OFFSET


def _subscribed(
    request: HttpRequest,
    session: str,
    wanted: Mapping[str, Mapping[str, Any] | None],
    call: Call,
    *,
    until: float,
) -> dict[str, Any]:
    """
    Subscribe a connection; read what it has missed after that, so that no gap is between.

    Not after the time ``until``: whoever has lost a right since is looked for until then.
    """
    granted, unknown = permissions.answers(request.user, list(wanted))
    # Where the server asks at each subscription, none comes about in another way.
    granted = [grant for grant in granted if not _is_asked_about(grant.name)]
    entries = {grant.name: enter(grant.name, call) for grant in granted}
    granted = [grant for grant in granted if entries[grant.name].answer == "yes"]
    unknown = [*unknown, *(name for name, entry in entries.items() if entry.answer == "unknown")]
    opened(request, granted)
    tenant = tenancy.current()
    user = (
        wire.subject(tenant, tokens.subject(request.user))
        if tenancy.are_used()
        else (tokens.subject(request.user))
    )
    names = {grant.name: wire.channel(tenant, grant.name) for grant in granted}
    commands: list[Command] = [
        Subscribe(user, session, names[grant.name], grant.info) for grant in granted
    ]
    known = {name: position for name in names if (position := wanted[name]) is not None}
    commands += [Since(names[n], p["offset"], p["epoch"], _MISSED) for n, p in known.items()]
    if time.time() >= until:
        raise Unavailable("That has taken too long.")
    results = _run(commands) if commands else []
    failed = {n for n, found in zip(names, results, strict=False) if isinstance(found, Exception)}
    missed = dict(zip(known, results[len(names) :], strict=True))
    return {
        "channels": {
            name: {"name": names[name], **_missed(missed.get(name))}
            for name in names
            if name not in failed
        },
        "unknown": [*unknown, *failed],
    }


def _missed(found: Any) -> dict[str, Any]:
    """Return what was missed; without what the server no longer has, which the page notices."""
    return {} if found is None or isinstance(found, Exception) else {"publications": found}


def _run(commands: Sequence[Command]) -> list[Any]:
    client = get_backend().client()
    if client is None:
        raise Unavailable("There is no message server.")
    try:
        return client.run(commands, conf.current().timeout)
    except PublishError as exc:
        raise Unavailable("The message server can't be reached.") from exc


def _session(request: HttpRequest) -> str | None:
    """Return what tells the browser's session from others; None where nothing does."""
    session = getattr(request, "session", None)
    if not isinstance(session, SignedCookies):
        return getattr(session, "session_key", None)
    # Its key is all that is in it, with the time at which it was signed: each answer may change it.
    user = session.get(SESSION_KEY)
    if user is not None:
        return f"{user}|{session.get(HASH_SESSION_KEY, '')}"
    return None if settings.SESSION_SAVE_EVERY_REQUEST else session.session_key


def _urls(request: HttpRequest) -> list[str]:
    """Return where the server answers without a WebSocket, each up to the name of the way."""
    urls = websocket_url(request)
    return [
        url.replace("ws", "http", 1).removesuffix("websocket")
        for url in ([urls] if isinstance(urls, str) else urls)
    ]


def _is_asked_about(name: str) -> bool:
    """Tell whether the server asks at each subscription, so that no token may open any."""
    found = find_namespace(name)
    return found is not None and found[0].authorize == "proxy"


@bare
@sensitive_variables("body", "found")
def connect(request: HttpRequest) -> HttpResponse:
    """
    Answer whether a ticket opens a connection, which the server asks.

    Who shows none is no guest of ours: the server does then what it would do without us.
    """
    reply = b"{}"
    if request.method != "POST" or not knows_secret(request):
        reply = encode(Disconnect(4500, "permission denied"))
    elif (ticket := _ticket(request)) is not None:
        reply = encode(_redeemed(ticket, request))
    response = HttpResponse(reply, content_type="application/json")
    keep_out_of_caches(request, response)
    return response


def _ticket(request: HttpRequest) -> object:
    """Return the ticket of a request, or None where it shows none."""
    try:
        fields = json.loads(read_body(request, MAX_BODY))
    except (BodyRefused, ValueError, RecursionError):
        return None
    data = fields.get("data") if isinstance(fields, dict) else None
    return data.get("ticket") if isinstance(data, dict) else None


def _redeemed(ticket: object, request: HttpRequest) -> Mapping[str, Any] | Disconnect:
    try:
        found = lite_tickets.redeem(ticket, _session(request))
    except Exception:
        logger.exception("The cache can't tell whether a ticket is one: refused.")
        return _NO_TICKET
    return _NO_TICKET if found is None else found

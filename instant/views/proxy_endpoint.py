"""
What all endpoints for the server have in common.

The server shows a shared secret, before anything of what it sends is read. Every answer is HTTP
200 with a result, an error or a disconnect, and whatever goes wrong is a refusal (see
``instant.centrifugo.proxy``).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables

from instant import conf
from instant.centrifugo.proxy import (
    ENDED,
    HEADER,
    MAX_BODY,
    Disconnect,
    Kind,
    MalformedRequest,
    ProxyRequest,
    Refusal,
    encode,
    read_request,
)
from instant.inbound import answers
from instant.inbound.call import Call
from instant.inbound.dispatch import arun, run
from instant.inbound.encoder import AnswerEncoder
from instant.inbound.registry import Handler
from instant.inbound.reserved import take_tenant
from instant.rights.client_address import forwarded_address
from instant.rights.primary import reading_from_primary
from instant.tenancy import current as tenancy
from instant.tenancy import wire
from instant.views.body import BodyRefused, read_body
from instant.views.caching import keep_out_of_caches

__all__ = [
    "DENIED",
    "FAILED",
    "Answer",
    "Asked",
    "Denied",
    "Endpoint",
    "bare",
    "endpoint",
    "knows_secret",
]

logger = logging.getLogger("instant.proxy")

Answer = Mapping[str, Any] | Refusal | Disconnect

DENIED = Refusal(403, "permission denied")
FAILED = Refusal(500, "internal error")
_LATER = Refusal(503, "not available", temporary=True)


_IN_META = f"HTTP_{HEADER.upper().replace('-', '_')}"


class Denied(Exception):
    """Answered with the refusal of the endpoint."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A handler that has yet to answer."""

    handler: Handler
    call: Call
    finish: Callable[[Any], Answer]
    """From what it returns to the answer of the endpoint."""


View = Callable[[ProxyRequest, HttpRequest], Answer | Asked]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    One endpoint as two views: Django takes ``asynchronous`` where an event loop runs.

    There an ``async def`` handler runs on the loop, and holds no thread. All else, and with
    tenants that too (a tenant may be a matter of the thread), runs in one.
    """

    sync: Callable[..., HttpResponse]
    asynchronous: Callable[..., Awaitable[HttpResponse]]


def endpoint(refusal: Answer, kind: Kind = "subscribe") -> Callable[[View], Endpoint]:
    """Make an endpoint of a function from a proxy request to the reply, or to who gives it."""

    def decorate(view: View) -> Endpoint:
        @functools.wraps(view)
        def sync(request: HttpRequest, pool: str = "") -> HttpResponse:
            return _respond(request, _answer(view, refusal, kind, request, pool))

        @functools.wraps(view)
        async def asynchronous(request: HttpRequest, pool: str = "") -> HttpResponse:
            found = await sync_to_async(_answer)(view, refusal, kind, request, pool, waits=False)
            if isinstance(found, Asked):
                found = await _wait_for(found, refusal, request)
            return _respond(request, found)

        return Endpoint(bare(sync), bare(asynchronous))

    return decorate


def bare(view: Any) -> Any:
    """Keep out what Django and the site wrap around views: for browsers, or in a transaction."""
    for alias in settings.DATABASES:
        view = transaction.non_atomic_requests(using=alias)(view)
    return login_not_required(csrf_exempt(view))


def _respond(request: HttpRequest, body: Any) -> HttpResponse:
    response = HttpResponse(body, content_type="application/json")
    keep_out_of_caches(request, response)
    return response


def _answer(
    view: View, refusal: Answer, kind: Kind, request: HttpRequest, pool: str, *, waits: bool = True
) -> bytes | Asked:
    """Return the body of the answer, or who has yet to give it: an async handler."""
    asked = None
    try:
        if request.method != "POST":
            return encode(Refusal(400, "use POST"))
        if not knows_secret(request):
            logger.warning(
                "%s was asked without the right %s: refused. Where it was the server that asked, "
                "run “manage.py syncws” and restart the server.",
                request.path,
                HEADER,
            )
            return encode(DENIED)
        address = forwarded_address(request.META, conf.current().trusted_proxies)
        event = read_request(read_body(request, MAX_BODY), kind, pool, address)
        with reading_from_primary(), _own_names(event) as own, _requests_transactions():
            found = view(own, request)
            if not isinstance(found, Asked):
                return encode(found, AnswerEncoder)
            asked = found
            if not waits and asked.handler.is_async and not tenancy.are_used():
                return asked
            answer = _finished(asked, run(asked.handler, asked.call))
            _save_session(asked.call)
            return answer
    except Exception as exc:  # noqa: BLE001  answered, all of them
        return _failed(exc, refusal if asked is None else FAILED, request, asked)


def _finished(asked: Asked, returned: Any) -> bytes:
    return encode(asked.finish(returned), AnswerEncoder)


async def _wait_for(asked: Asked, refusal: Answer, request: HttpRequest) -> bytes:
    try:
        with reading_from_primary():
            returned = await arun(asked.handler, asked.call)
            # In a thread: it may have to be stored, and a copy sent or written into the outbox.
            return await sync_to_async(_finished)(asked, returned)
    except Exception as exc:  # noqa: BLE001  answered, all of them
        # In a thread: a handler of the log may send mails.
        given = FAILED if refusal is not ENDED else ENDED
        return await sync_to_async(_failed)(exc, given, request, asked)


def _failed(exc: Exception, refusal: Answer, request: HttpRequest, asked: Asked | None) -> bytes:
    """Return the body that answers an exception; log those that are nobody's answer."""
    what = request.path if asked is None else f"{request.path}: {asked.handler.place}"
    if isinstance(exc, Denied):
        return encode(refusal if refusal is ENDED else DENIED)
    if isinstance(exc, answers.Refused):
        return encode(Refusal(exc.code, exc.message, exc.temporary))
    if isinstance(exc, answers.Disconnect):
        return encode(Disconnect(exc.code, exc.reason))
    if isinstance(exc, MalformedRequest | BodyRefused):
        logger.warning("%s was asked what no server asks: %s.", request.path, exc)
        return encode(Refusal(400, "bad request"))
    if isinstance(exc, InterfaceError | OperationalError):
        # Nobody has lost a right because the database was restarted: the page tries again.
        logger.error("%s failed: refused for now.", what, exc_info=exc)
        return encode(refusal if refusal is ENDED else _LATER)
    logger.error("%s failed: refused.", what, exc_info=exc)
    got_request_exception.send(sender=None, request=request)
    return encode(refusal)


@sensitive_variables("given", "secret")
def knows_secret(request: HttpRequest) -> bool:
    """Tell whether the server asks, which shows the secret."""
    given = request.META.get(_IN_META, "")
    known = False
    for secret in conf.current().proxy_secrets:  # all, so that the time tells nothing
        known |= constant_time_compare(given, secret)
    return known


@contextmanager
def _requests_transactions() -> Iterator[None]:
    """
    Begin the transactions of ``ATOMIC_REQUESTS``; what refuses or fails rolls back.

    Django's own would be committed, since whatever happens is answered with 200.
    """
    with ExitStack() as stack:
        for alias, database in connections.settings.items():
            if database.get("ATOMIC_REQUESTS"):
                stack.enter_context(transaction.atomic(using=alias))
        yield


@contextmanager
def _own_names(event: ProxyRequest) -> Iterator[ProxyRequest]:
    """
    Go to the tenant that a request is about; hand out the request in its own names.

    The server asks at one host, whoever's page it is about. It has verified the user, and the
    channel must be of the same tenant. An anonymous visitor's tenant is the channel's; where a
    method is called, that which is signed into the connection's token.
    """
    if not tenancy.are_used():
        yield event
        return
    of_user, user = wire.split_subject(event.user)
    if event.method:
        signed, meta = take_tenant(event.meta)
        event = replace(event, meta=meta)
        tenant, channel = of_user if event.user else signed, ""
        if tenant is None:
            raise answers.Refused(401, "log in first")
    else:
        tenant, channel = wire.split(event.channel)
    if not tenancy.is_name(tenant) or (event.user and of_user != tenant):
        raise Denied
    with ExitStack() as stack:
        try:
            stack.enter_context(tenancy.activate(tenant))
        except LookupError:
            raise Denied from None
        yield replace(event, channel=channel, user=user)


def _save_session(call: Call) -> None:
    """Save what a handler changed while its tenant is current; later it isn't."""
    session = call.session
    if session is not None and session.modified and tenancy.are_used():
        session.save()
        session.modified = False

"""
What the server asks Django: may this user subscribe, publish, and stay subscribed; and calls.

For the server, not for browsers: it shows a shared secret. Every answer is HTTP 200 with a
result, an error or a disconnect, and whatever goes wrong is a refusal (see
``instant.centrifugo.proxy``). Only namespaces that say so are asked about, and rows for
publishing, whatever the rules of others would answer; who may stay is asked of all.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import RequestDataTooBig
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, RawPostDataException, UnreadablePostError
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables

from instant import conf, permissions
from instant.centrifugo.proxy import (
    ENDED,
    HEADER,
    RPC,
    Disconnect,
    Kind,
    MalformedRequest,
    ProxyRequest,
    Refusal,
    encode,
    granted,
    read_request,
)
from instant.inbound import answers
from instant.inbound.call import Call
from instant.inbound.dispatch import run
from instant.inbound.encoder import AnswerEncoder
from instant.inbound.listening import mirror
from instant.inbound.registry import find_handler
from instant.namespaces import Namespace, find_namespace
from instant.rights import accounts, namespace_rules, tokens
from instant.rights.primary import reading_from_primary
from instant.tenancy import current as tenancy
from instant.tenancy import wire
from instant.views.caching import keep_out_of_caches

__all__ = ["publish", "rpc", "sub_refresh", "subscribe"]

logger = logging.getLogger("instant.proxy")

_Answer = Mapping[str, Any] | Refusal | Disconnect
_View = Callable[[ProxyRequest, Any], _Answer]

_DENIED = Refusal(403, "permission denied")
_LATER = Refusal(503, "not available", temporary=True)
_FAILED = Refusal(500, "internal error")


class _Denied(Exception):
    """Answered with the refusal of the endpoint."""


def _endpoint(
    refusal: _Answer, kind: Kind = "subscribe"
) -> Callable[[_View], Callable[..., HttpResponse]]:
    """Make an endpoint of a function from a proxy request and its user to the reply."""

    def decorate(view: _View) -> Callable[..., HttpResponse]:
        @functools.wraps(view)
        def respond(request: HttpRequest, pool: str = "") -> HttpResponse:
            with reading_from_primary():
                body = _body(view, refusal, kind, request, pool)
            response = HttpResponse(body, content_type="application/json")
            keep_out_of_caches(request, response)
            return response

        return login_not_required(csrf_exempt(respond))

    return decorate


@_endpoint(_DENIED)
def subscribe(event: ProxyRequest, user: Any) -> _Answer:
    """Answer whether the user may subscribe, and until when without being asked again."""
    cls, kwargs = _proxied(event, user)
    return granted(
        expire_at=tokens.lives_until(),
        info=namespace_rules.info(cls, user, kwargs),
        # As permissions.grants() decides it for a token.
        pushes_joins=cls.join_leave
        and cls.decides("presence")
        and permissions.ask(user, "presence", event.channel),
    )


@_endpoint(ENDED)
def sub_refresh(event: ProxyRequest, user: Any) -> _Answer:
    """
    Answer whether the user may stay subscribed, and until when.

    Also where a token has opened the subscription: the server asks when it is over.
    """
    if event.user == accounts.LISTENER:
        return granted(expire_at=tokens.lives_until())
    if not permissions.ask(user, "subscribe", event.channel):
        raise _Denied
    return granted(expire_at=tokens.lives_until(), info=_info(event.channel, user))


@_endpoint(_DENIED)
def publish(event: ProxyRequest, user: Any) -> _Answer:
    """Answer whether the user may publish; what is published is a JSON object, as Python's."""
    if not isinstance(event.data, dict):
        return Refusal(400, "publish a JSON object")
    found = find_namespace(event.channel)
    if found is not None and found[0].client_publish == "subscribers":
        raise _Denied  # the server decides that itself
    if not permissions.ask(user, "publish", event.channel):
        raise _Denied
    handler = find_handler("publish", event.channel)
    if handler is None:
        mirror.copy_page(event.channel, event.data)
        return {}
    call = _call(event, user, kwargs=found[1] if found is not None else {})
    published = run(handler, call)
    data = call.data if published is None else published
    if not isinstance(data, dict):
        raise TypeError(f"{handler.place} returned {type(data).__name__}; a dict is published.")
    mirror.copy_page(event.channel, data)
    return {"data": data}


@_endpoint(_FAILED, RPC)
def rpc(event: ProxyRequest, user: Any) -> _Answer:
    """
    Answer what a handler returns for a method.

    A pool answers for its own handlers only: what is slow there can't be called elsewhere.
    """
    method = event.method.removeprefix(f"{event.pool}:")
    handler = find_handler("rpc", method)
    if handler is None or handler.pool != event.pool:
        return Refusal(404, "there is no such method")
    return {"data": run(handler, _call(replace(event, method=method), user))}


def _call(event: ProxyRequest, user: Any, **more: Any) -> Call:
    return Call(
        user=user,
        client=event.client,
        channel=event.channel,
        method=event.method,
        data=event.data,
        meta=event.meta,
        transport=event.transport,
        **more,
    )


def _info(channel: str, user: Any) -> Any:
    """Return what others see of a user who may subscribe to the channel, as tokens say it."""
    found = find_namespace(channel)
    if found is None:
        return None
    cls, kwargs = found
    if not cls.rows:
        return namespace_rules.info(cls, user, kwargs)
    # A row may have taken the name, and says nothing of the user.
    return next((grant.info for grant in permissions.grants(user, [channel])), None)


def _proxied(event: ProxyRequest, user: Any) -> tuple[type[Namespace], dict[str, Any]]:
    """Return the namespace whose rule lets the user subscribe; a token opens all others."""
    found = find_namespace(event.channel)
    if found is None or found[0].authorize != "proxy":
        raise _Denied
    if not permissions.ask(user, "subscribe", event.channel):
        raise _Denied
    return found


@sensitive_variables("given", "secret")
def _knows_secret(request: HttpRequest) -> bool:
    given = request.headers.get(HEADER, "")
    known = False
    for secret in conf.current().proxy_secrets:  # all, so that the time tells nothing
        known |= constant_time_compare(given, secret)
    return known


def _body(view: _View, refusal: _Answer, kind: Kind, request: HttpRequest, pool: str) -> bytes:
    try:
        if request.method != "POST":
            return encode(Refusal(400, "use POST"))
        if not _knows_secret(request):
            logger.warning(
                "%s was asked without the right %s: refused. Where it was the server that asked, "
                "run “manage.py syncws” and restart the server.",
                request.path,
                HEADER,
            )
            return encode(_DENIED)
        with _own_names(read_request(request.body, kind, pool)) as event:
            return encode(view(event, _user(event.user)), AnswerEncoder)
    except _Denied:
        return encode(_DENIED if refusal is _FAILED else refusal)
    except answers.Refused as exc:
        return encode(Refusal(exc.code, exc.message, exc.temporary))
    except answers.Disconnect as exc:
        return encode(Disconnect(exc.code, exc.reason))
    except (MalformedRequest, RequestDataTooBig, UnreadablePostError, RawPostDataException) as exc:
        logger.warning("%s was asked what no server asks: %s.", request.path, exc)
        return encode(Refusal(400, "bad request"))
    except (InterfaceError, OperationalError):
        # Nobody has lost a right because the database was restarted: the page tries again.
        logger.exception("%s failed: refused for now.", request.path)
        return encode(refusal if refusal is ENDED else _LATER)
    except Exception:
        logger.exception("%s failed: refused.", request.path)
        got_request_exception.send(sender=None, request=request)
        return encode(refusal)


@contextmanager
def _own_names(event: ProxyRequest) -> Iterator[ProxyRequest]:
    """
    Go to the tenant that a request is about; hand out the request in its own names.

    The server asks at one host, whoever's page it is about. It has verified the user, and the
    channel must be of the same tenant; an anonymous visitor's tenant is the channel's.
    """
    if not tenancy.are_used():
        yield event
        return
    tenant, channel = wire.split(event.channel)
    of_user, user = wire.split_subject(event.user)
    if not tenancy.is_name(tenant) or (event.user and of_user != tenant):
        raise _Denied
    with ExitStack() as stack:
        try:
            stack.enter_context(tenancy.activate(tenant))
        except LookupError:
            raise _Denied from None
        yield replace(event, channel=channel, user=user)


def _user(subject: str) -> Any:
    """
    Return the user of a connection, as the database has it now.

    One who was deactivated since counts as anonymous; one who was deleted, or whom Django's
    authentication would not return for a session, is refused.
    """
    user: Any = AnonymousUser()
    if subject == accounts.LISTENER:
        return accounts.Listener()
    if subject:
        user = accounts.account(subject)
        if user is None:
            raise _Denied
    if permissions.is_known(user):
        return user
    if not conf.current().anonymous:
        raise _Denied
    return AnonymousUser()

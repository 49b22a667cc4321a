"""
What the server asks Django: may this user subscribe, publish, and stay subscribed; and calls.

For the server, not for browsers, see ``instant.views.proxy_endpoint``. Only namespaces that say
so are asked about, and rows for publishing, whatever the rules of others would answer; who may
stay is asked of all.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any

from django.contrib import auth
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from instant import conf, permissions
from instant.centrifugo.proxy import ENDED, RPC, ProxyRequest, granted
from instant.inbound.answers import Refused
from instant.inbound.call import Call
from instant.inbound.connection_limit import check_connection
from instant.inbound.listening import mirror
from instant.inbound.page_publication import published, unwrapped
from instant.inbound.payloads import flaw
from instant.inbound.registry import Handler, find_handler
from instant.inbound.requests import find_method, find_moderator
from instant.inbound.reserved import WHISPER, is_whisper, take_id
from instant.namespaces import Namespace, find_namespace
from instant.rights import accounts, namespace_rules, tokens
from instant.stored.browser_publishing import keep_page
from instant.views.proxy_endpoint import DENIED, FAILED, Answer, Asked, Denied, endpoint

__all__ = ["publish", "rpc", "sub_refresh", "subscribe"]


@endpoint(DENIED)
def subscribe(event: ProxyRequest, request: HttpRequest) -> Answer | Asked:
    """Answer whether the user may subscribe, and until when without being asked again."""
    user = _user(event.user)
    cls, kwargs = _proxied(event, user)
    allowed = granted(
        expire_at=tokens.lives_until(),
        info=namespace_rules.info(cls, user, kwargs),
        # As permissions.grants() decides it for a token.
        pushes_joins=cls.join_leave
        and cls.decides("presence")
        and permissions.ask(user, "presence", event.channel),
    )
    handler = find_handler("subscribe", event.channel)
    if handler is None:
        return allowed
    call = _call(handler, event, user, request, kwargs=kwargs)
    return Asked(handler, call, lambda data: allowed if data is None else {**allowed, "data": data})


@endpoint(ENDED)
def sub_refresh(event: ProxyRequest, _request: HttpRequest) -> Answer:
    """
    Answer whether the user may stay subscribed, and until when.

    Also where a token has opened the subscription: the server asks when it is over.
    """
    user = _user(event.user)
    if event.user == accounts.LISTENER:
        return granted(expire_at=tokens.lives_until())
    if not permissions.ask(user, "subscribe", event.channel):
        raise Denied
    return granted(expire_at=tokens.lives_until(), info=_info(event.channel, user))


@endpoint(DENIED)
def publish(event: ProxyRequest, request: HttpRequest) -> Answer | Asked:
    """Answer whether the user may publish; what is published is a JSON object, as Python's."""
    check_connection(event.client)
    user = _user(event.user)
    moderator, kwargs = find_moderator(user, event.channel, event.data)
    whispered = is_whisper(event.data)
    if moderator is None:
        if whispered:
            return {"skip_history": True}
        data = keep_page(user, event.channel, event.data)
        mirror.copy_page(event.channel, data)
        return {} if data is event.data else {"data": data}
    if whispered:
        event = replace(event, data={k: v for k, v in event.data.items() if k != WHISPER})
    call = _call(moderator, event, user, request, kwargs=kwargs, whisper=whispered)

    def finish(returned: Any) -> Answer:
        data = published(moderator, call, returned)
        if whispered:
            return {"data": {**data, WHISPER: True}, "skip_history": True}
        data = keep_page(user, event.channel, data)
        mirror.copy_page(event.channel, data)
        return {"data": data}

    return Asked(moderator, call, finish)


@endpoint(FAILED, RPC)
def rpc(event: ProxyRequest, request: HttpRequest) -> Asked:
    """Answer what a handler returns for a method; the server calls a pool's as ``pool:method``."""
    check_connection(event.client)
    if event.pool:
        event = replace(event, method=event.method.removeprefix(f"{event.pool}:"))
    handler = find_method(event.method, event.pool)

    def finish(answer: Any) -> Answer:
        if not isinstance(answer, bytes):
            return {"data": answer}
        if not event.binary:
            raise TypeError(f"{handler.place} returned bytes, and the caller speaks JSON.")
        return {"b64data": b64encode(answer).decode()}

    user = _caller(event.user, is_needed=not handler.anonymous)
    return Asked(handler, _call(handler, event, user, request), finish)


def _call(
    handler: Handler, event: ProxyRequest, user: Any, request: HttpRequest, **more: Any
) -> Call:
    if wrong := flaw(event.data):
        raise Refused(400, f"the payload {wrong}")
    data, name = take_id(event.data)
    parts = unwrapped(data) if handler.kind == "publish" else {"data": data}
    return Call(
        user=user,
        client=event.client,
        channel=event.channel,
        method=event.method,
        id=name,
        meta=event.meta,
        transport=event.transport,
        session=_session(request, event.user) if handler.session else None,
        address=event.address,
        **parts,
        **more,
    )


def _session(request: HttpRequest, subject: str) -> Any:
    """
    Return the session of the page that has the connection, or None.

    Its cookie came with the request that opened the connection, and may belong to somebody else
    by now. So it counts only where its user, as Django's authentication finds it, is that of the
    connection.
    """
    session = getattr(request, "session", None)
    if session is None or tokens.subject(auth.get_user(request)) != subject:
        return None
    return session


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
        raise Denied
    if not permissions.ask(user, "subscribe", event.channel):
        raise Denied
    return found


def _caller(subject: str, *, is_needed: bool) -> Any:
    """
    Return the user of a connection, read when it is looked at where no rule needs it before.

    Looking at one who is refused raises Refused, in a handler too.
    """
    if is_needed or not subject or not conf.current().anonymous:
        return _user(subject)

    def read() -> Any:
        try:
            return _user(subject)
        except Denied:
            raise Refused from None

    return SimpleLazyObject(read)


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
            raise Denied
    if permissions.is_known(user):
        return user
    if not conf.current().anonymous:
        raise Denied
    return AnonymousUser()

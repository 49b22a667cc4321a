"""Calls and publications of a page, for tests: as the server hands them on, without a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser

from instant import conf, permissions
from instant.inbound.answers import Refused
from instant.inbound.call import Call
from instant.inbound.dispatch import arun, run
from instant.inbound.encoder import AnswerEncoder
from instant.inbound.page_publication import published, unwrapped
from instant.inbound.registry import Handler
from instant.inbound.requests import find_method, find_moderator
from instant.inbound.reserved import WHISPER, is_whisper, take_id
from instant.namespaces import find_namespace
from instant.stored.browser_publishing import keep_page

__all__ = ["acall_rpc", "apublish_as", "call_rpc", "publish_as"]

_Asked = tuple[Handler | None, Call, Callable[[Any], Any]]


def call_rpc(
    user: Any,
    method: str,
    data: Any = None,
    *,
    meta: Mapping[str, Any] | None = None,
    session: Any = None,
) -> Any:
    """
    Call a method as a page of the user does, None for a visitor; return what the page gets.

    Rights, arguments and policies as for a page. The payload and the answer go through JSON.
    ``meta`` is the connection's, ``session`` what a handler with ``session=True`` gets. Raises
    Refused and Disconnect, and whatever else the handler raises.
    """
    handler, call, finish = _method(user, method, data, meta, session)
    return finish(run(handler, call)) if handler is not None else None


async def acall_rpc(
    user: Any,
    method: str,
    data: Any = None,
    *,
    meta: Mapping[str, Any] | None = None,
    session: Any = None,
) -> Any:
    """See call_rpc()."""
    handler, call, finish = await sync_to_async(_method)(user, method, data, meta, session)
    return finish(await arun(handler, call)) if handler is not None else None


def publish_as(
    user: Any,
    channel: str,
    data: Any,
    *,
    meta: Mapping[str, Any] | None = None,
    session: Any = None,
    whisper: bool = False,
) -> Any:
    """
    Publish as a page of the user does, None for a visitor; return what subscribers get.

    The channel's rule, the handler and its policies as for a page; where the channel is stored, it
    is stored. With ``whisper`` it is what ``channel.whisper()`` sends. Nothing is sent. Raises
    Refused and Disconnect, and whatever else the handler raises.
    """
    handler, call, finish = _publication(user, channel, _sent(data, whisper), meta, session)
    return finish(run(handler, call) if handler is not None else call.data)


async def apublish_as(
    user: Any,
    channel: str,
    data: Any,
    *,
    meta: Mapping[str, Any] | None = None,
    session: Any = None,
    whisper: bool = False,
) -> Any:
    """See publish_as()."""
    asked = await sync_to_async(_publication)(user, channel, _sent(data, whisper), meta, session)
    handler, call, finish = asked
    returned = await arun(handler, call) if handler is not None else call.data
    return await sync_to_async(finish)(returned)


def _method(
    user: Any, method: str, data: Any, meta: Mapping[str, Any] | None, session: Any
) -> _Asked:
    caller = _caller(user)
    handler = find_method(method)
    sent, name = take_id(_as_json(data))
    call = Call(
        user=caller,
        client=_CLIENT,
        method=method,
        data=sent,
        id=name,
        meta=_as_json(dict(meta or {})),
        transport="websocket",
        session=session if handler.session else None,
    )
    return handler, call, _as_json


def _publication(
    user: Any, channel: str, data: Any, meta: Mapping[str, Any] | None, session: Any
) -> _Asked:
    caller, sent = _caller(user), _as_json(data)
    handler, kwargs = _moderator(caller, channel, sent)
    name, parts = "", {"data": sent}
    whispered = is_whisper(sent) and _is_asked(channel)
    if handler is not None:
        if whispered:
            del sent[WHISPER]
        sent, name = take_id(sent)
        parts = unwrapped(sent)
    call = Call(
        user=caller,
        client=_CLIENT,
        channel=channel,
        id=name,
        meta=_as_json(dict(meta or {})),
        transport="websocket",
        kwargs=kwargs,
        session=session if handler is not None and handler.session else None,
        whisper=whispered,
        **parts,
    )

    def finish(returned: Any) -> Any:
        data = returned if handler is None else _as_json(published(handler, call, returned))
        if whispered:
            return {**data, WHISPER: True}
        return keep_page(caller, channel, data) if _is_asked(channel) else data

    return handler, call, finish


def _sent(data: Any, whisper: bool) -> Any:
    """Return what the page's script sends for a publication, or for a whisper."""
    return {**data, WHISPER: True} if whisper else data


def _is_asked(channel: str) -> bool:
    """Tell whether the server asks Django about publications, or lets all subscribers."""
    found = find_namespace(channel)
    return found is None or found[0].client_publish != "subscribers"


def _moderator(user: Any, channel: str, data: Any) -> tuple[Handler | None, Mapping[str, Any]]:
    if _is_asked(channel):
        return find_moderator(user, channel, data)
    if not permissions.ask(user, "subscribe", channel):
        raise Refused
    return None, {}


_CLIENT = "00000000-0000-4000-8000-000000000000"


def _caller(user: Any) -> Any:
    if user is not None and permissions.is_known(user):
        return user
    if not conf.current().anonymous:
        raise Refused
    return AnonymousUser()


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value, cls=AnswerEncoder, allow_nan=False))

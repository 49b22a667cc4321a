"""What the server knows of a channel, for those who may: the endpoints that a page asks."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse

from instant import conf, permissions
from instant.backends import get_backend
from instant.centrifugo.api import channel_state
from instant.centrifugo.api.client import Client
from instant.exceptions import PublishError, PublishTimeout, ServerUnreachable
from instant.namespaces import Action, Namespace, find_namespace
from instant.rights import namespace_rules
from instant.tenancy import current as tenancy
from instant.tenancy.commands import own_subject
from instant.views.endpoint import BadRequest, Body, Forbidden, Unavailable, endpoint

__all__ = ["history", "presence", "snapshot"]

logger = logging.getLogger("instant.views")

MAX_PUBLICATIONS = 100
"""Of one answer."""

_MAX_OFFSET = 2**63


@endpoint("POST", own_credentials=True)
def presence(request: HttpRequest, body: Body) -> dict[str, Any]:
    """Answer who is subscribed to ``{"channel"}``: ``{"clients": {id: {"user", "info"?}}}``."""
    channel = _channel(request, body, "presence")
    with _server() as (client, timeout):
        clients = channel_state.presence(client, tenancy.to_wire(channel), timeout)
    if tenancy.are_used():
        own = own_subject(tenancy.current())
        clients = {key: {**one, "user": own(one["user"])} for key, one in clients.items()}
    return {"clients": clients}


@endpoint("POST", own_credentials=True)
def history(request: HttpRequest, body: Body) -> dict[str, Any]:
    """
    Answer what is kept of ``{"channel"}``: ``{"publications": [{"data", "offset"}]}``.

    ``offset`` and ``epoch`` beside it are the newest one's. At most ``limit`` (100), oldest
    first, those after ``since`` (``{"offset", "epoch"}``); with ``reverse`` newest first, and
    those before. 400 also where the server no longer knows that epoch.
    """
    limit, since, reverse = _range(body)
    channel = _channel(request, body, "history")
    with _server() as (client, timeout):
        return channel_state.history(
            client,
            tenancy.to_wire(channel),
            timeout,
            limit=limit,
            since=since,
            reverse=reverse,
        )


@endpoint("POST", own_credentials=True)
def snapshot(request: HttpRequest, body: Body) -> dict[str, Any]:
    """
    Answer the state of ``{"channel"}`` that a page begins with: ``{"data", "offset", "epoch"}``.

    Whatever is published after that position changes it: the position is read first, so that
    nothing is missed, though the state may have some of it already. Where the namespace keeps
    no messages, the epoch is ``""``. 403 where there is no snapshot, too.
    """
    channel = _channel(request, body, "subscribe")
    found = find_namespace(channel)
    if found is None or found[0].snapshot is Namespace.snapshot:
        raise Forbidden(_REFUSED)
    cls, kwargs = found
    # A row may have taken the name; it says nothing of what the namespace's method tells.
    if cls.rows and not namespace_rules.allowed(cls, "subscribe", request.user, [kwargs])[0]:
        raise Forbidden(_REFUSED)
    position: dict[str, Any] = {"offset": 0, "epoch": ""}
    if cls.delivery.size:
        with _server() as (client, timeout):
            position = channel_state.position(client, tenancy.to_wire(channel), timeout)
    data = namespace_rules.snapshot(cls, request.user, kwargs)
    # NaN is not JSON: JsonResponse would send it, and the page's script fail.
    json.dumps(data, cls=DjangoJSONEncoder, allow_nan=False)
    return {"data": data, **position}


def _outside_of_transactions(
    view: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    for alias in connections:
        view = transaction.non_atomic_requests(alias)(view)
    return view


# With ATOMIC_REQUESTS a database that repeats its reads (MySQL) would show the state of the first
# query, which is older than the position: what was published in between would be missed.
snapshot = _outside_of_transactions(snapshot)

_REFUSED = "You may not do that, or there is no such channel."


def _channel(request: HttpRequest, body: Body, action: Action) -> str:
    """
    Return the channel that is asked for, where the user may.

    A tenant's page may name it as its SDK does, whose names are the server's.
    """
    channel = body.get("channel")
    if not isinstance(channel, str):
        raise BadRequest('Send {"channel": "…"}.')
    channel = tenancy.from_wire(channel)
    if not conf.current().anonymous and not permissions.is_known(request.user):
        raise Forbidden("Log in first.")
    if not permissions.ask(request.user, action, channel):
        raise Forbidden(_REFUSED)
    return channel


def _range(body: Body) -> tuple[int, tuple[int, str] | None, bool]:
    limit, reverse = body.get("limit", MAX_PUBLICATIONS), body.get("reverse", False)
    if type(limit) is not int or not 0 <= limit <= MAX_PUBLICATIONS:
        raise BadRequest(f'"limit" must be a whole number up to {MAX_PUBLICATIONS}.')
    if not isinstance(reverse, bool):
        raise BadRequest('"reverse" must be true or false.')
    since = body.get("since")
    if since is None:
        return limit, None, reverse
    offset, epoch = (since.get(k) if isinstance(since, dict) else None for k in ("offset", "epoch"))
    if type(offset) is not int or not 0 <= offset < _MAX_OFFSET or not isinstance(epoch, str):
        raise BadRequest('"since" must be {"offset": …, "epoch": "…"}.')
    return limit, (offset, epoch), reverse


@contextmanager
def _server() -> Iterator[tuple[Client, float]]:
    """Hand out the server's client with the seconds for a call; its errors become answers."""
    client = get_backend().client()
    if client is None:
        raise Unavailable("Publications reach no message server here.")
    try:
        yield client, conf.current().timeout
    except channel_state.PositionGone:
        raise BadRequest('The message server does not know the epoch of "since".') from None
    except (ServerUnreachable, PublishTimeout) as exc:
        logger.error("The message server does not answer: %s", exc)  # noqa: TRY400  it says all
        raise Unavailable("The message server does not answer.") from None
    except PublishError as exc:
        logger.error("The message server can't tell: %s", exc)  # noqa: TRY400
        raise Unavailable("The message server can't tell.", status=502) from None

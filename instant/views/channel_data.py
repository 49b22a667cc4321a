"""What the server knows of a channel, for those who may: the endpoints that a page asks."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from instant import conf, permissions
from instant.backends import get_backend
from instant.centrifugo.api import channel_state
from instant.centrifugo.api.client import Client
from instant.exceptions import PublishError, PublishTimeout, ServerUnreachable
from instant.namespaces import Action
from instant.pages.state import MAX_STATES, NoServer, NotFresh, State, read_states
from instant.rights.accounts import LISTENER
from instant.rights.refusals import log_once, without_state
from instant.tenancy import current as tenancy
from instant.tenancy.commands import own_subject
from instant.views.endpoint import BadRequest, Body, Forbidden, Unavailable, endpoint
from instant.views.transactions import outside_of_transactions

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
    # Our own processes that listen are nobody whom a page has to know.
    return {"clients": {k: one for k, one in clients.items() if one["user"] != LISTENER}}


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

    For ``{"channels"}``, at most 100, it is ``{"states": {name: state}}``, without those that are
    refused; ``unknown`` lists those about which nothing can be told now. Under ``DEBUG``
    ``refused`` says of which there is no state, whoever asks.
    """
    many = body.get("channels")
    if many is None:
        name = _name(request, body)
        states, failed = _states(request, [name])
        if name in failed:
            raise _unavailable(failed[name])
        if name not in states:
            raise Forbidden(_REFUSED)
        return {**states[name]}
    if not isinstance(many, list) or not all(isinstance(name, str) for name in many):
        raise BadRequest('Send {"channels": ["…", "…"]}.')
    if len(many) > MAX_STATES:
        raise BadRequest(f"At most {MAX_STATES} channels in one request.")
    own = {name: tenancy.from_wire(name) for name in many}
    _check_visitor(request)
    states, failed = _states(request, own.values())
    refused = without_state(own.values()) if settings.DEBUG else {}
    log_once(refused.values())
    return {
        "states": {name: states[own[name]] for name in own if own[name] in states},
        **({"unknown": [name for name in own if own[name] in failed]} if failed else {}),
        **({"refused": {name: str(one) for name, one in refused.items()}} if refused else {}),
    }


def _states(
    request: HttpRequest, names: Iterable[str]
) -> tuple[dict[str, State], dict[str, PublishError | None]]:
    try:
        with _errors():
            states = read_states(request.user, names)
    except NotFresh:
        logger.error(  # noqa: TRY400  it says all
            "A state that is read in a transaction may be older than its position. Let no "
            "middleware open one around snapshot/, or let it read what is committed."
        )
        raise Unavailable("The state can't be read now.") from None
    except NoServer:
        raise Unavailable(_NO_SERVER) from None
    return states.found, states.failed


snapshot = outside_of_transactions(snapshot)

_REFUSED = "You may not do that, or there is no such channel."
_NO_SERVER = "Publications reach no message server here."


def _channel(request: HttpRequest, body: Body, action: Action) -> str:
    """Return the channel that is asked for, where the user may."""
    channel = _name(request, body)
    if not permissions.ask(request.user, action, channel):
        raise Forbidden(_REFUSED)
    return channel


def _name(request: HttpRequest, body: Body) -> str:
    """
    Return the channel that is asked for.

    A tenant's page may name it as its SDK does, whose names are the server's.
    """
    channel = body.get("channel")
    if not isinstance(channel, str):
        raise BadRequest('Send {"channel": "…"}.')
    _check_visitor(request)
    return tenancy.from_wire(channel)


def _check_visitor(request: HttpRequest) -> None:
    if not conf.current().anonymous and not permissions.is_known(request.user):
        raise Forbidden("Log in first.")


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
        raise Unavailable(_NO_SERVER)
    with _errors():
        yield client, conf.current().timeout


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except channel_state.PositionGone:
        raise BadRequest('The message server does not know the epoch of "since".') from None
    except PublishError as exc:
        raise _unavailable(exc) from None


def _unavailable(exc: PublishError | None) -> Unavailable:
    """Return the answer to an error of the server's; None is a rule that can't say now."""
    if exc is None:
        return Unavailable("It can't be said now whether you may.")
    if isinstance(exc, ServerUnreachable | PublishTimeout):
        logger.error("The message server does not answer: %s", exc)
        return Unavailable("The message server does not answer.")
    logger.error("The message server can't tell: %s", exc)
    return Unavailable("The message server can't tell.", status=502)

"""The subscribe and unsubscribe commands."""

from __future__ import annotations

import logging

from instant.embedded.config.channels import ChannelOptions
from instant.embedded.errors import (
    ALREADY_SUBSCRIBED,
    BAD_REQUEST,
    BAD_REQUEST_CLOSE,
    INTERNAL,
    INVALID_TOKEN,
    LIMIT_EXCEEDED,
    NOT_AVAILABLE,
    PERMISSION_DENIED,
    SERVER_ERROR,
    TOKEN_EXPIRED,
    UNSUBSCRIBED_BY_SERVER,
    Closing,
    Failure,
    Malformed,
)
from instant.embedded.json_text import Fields, quote
from instant.embedded.tokens.grants import read_grant
from instant.embedded.tokens.verify import ExpiredToken, InvalidToken, SubscribeToken, Verifier

from .application import ProxyReply, data_member, proxy_request
from .join import announce_join, join
from .session import Session
from .subscribe_request import SubscribeRequest
from .subscription_options import SubscriptionOptions, subscription_options

log = logging.getLogger("instant.embedded")

# Types of subscriptions in the protocol that this server doesn't have.
_MAPS = (1, 2, 3)
_SHARED_POLL = 4


def _check(session: Session, request: SubscribeRequest) -> ChannelOptions:
    names = session.broker.names
    channel = request.channel
    if not channel or request.delta not in {"", "fossil"}:
        raise Closing(BAD_REQUEST_CLOSE)
    if request.kind == _SHARED_POLL:
        raise Failure(NOT_AVAILABLE)
    if names.too_long(channel):
        raise Failure(BAD_REQUEST)
    if channel in session.subscriptions or channel in session.subscribing:
        raise Failure(ALREADY_SUBSCRIBED)
    limit = session.broker.config.channel_limit
    if 0 < limit <= len(session.subscriptions) + len(session.subscribing):
        raise Failure(LIMIT_EXCEEDED)
    options = names.checked(channel)
    if request.kind in _MAPS:
        raise Failure(PERMISSION_DENIED)
    if request.kind > _SHARED_POLL:
        raise Closing(SERVER_ERROR)
    return options


def subscribe(session: Session, number: int, fields: Fields) -> None:
    """Handle the subscribe command: by token, by name, by asking, or by the namespace's options."""
    request = SubscribeRequest.read(fields)
    options = _check(session, request)
    tokens = session.broker.subscription_tokens
    key = tokens.missing_key(request.token)
    if key is None:
        _subscribe(session, number, request, options, tokens)
        return
    channel = request.channel

    def fetched() -> None:
        revoked = session.subscribing.pop(channel, False)
        _subscribe(session, number, request, options, tokens)
        if revoked:
            session.unsubscribe(channel, UNSUBSCRIBED_BY_SERVER)

    session.subscribing[channel] = False
    session.fetch_key(number, key, fetched)


def _subscribe(
    session: Session,
    number: int,
    request: SubscribeRequest,
    options: ChannelOptions,
    tokens: Verifier,
) -> None:
    names = session.broker.names
    channel = request.channel
    limited = options.user_limited and names.limited(channel)
    if names.private(channel) and not request.token:
        raise Failure(PERMISSION_DENIED)
    if request.token:
        chosen = _by_token(session, request, options, tokens)
    elif limited and names.lists(channel, session.user):
        chosen = subscription_options(options, "name")
    elif options.subscribe_proxy and not limited:
        _ask(session, number, request, options)
        return
    elif session.broker.config.insecure or (
        options.subscribe.grants(session.user, subscribed=False) and not limited
    ):
        chosen = subscription_options(options, "namespace")
    else:
        raise Failure(PERMISSION_DENIED)
    if request.positioned:
        chosen.positioning |= options.allow_positioning or _reads_history(session, options)
    if request.recoverable:
        chosen.recovery |= options.allow_recovery or _reads_history(session, options)
    if request.join_leave and options.join_leave:
        chosen.push_join_leave |= options.read_presence.grants(session.user, subscribed=True)
    chosen.auto_cache = options.auto_cache_recover and chosen.recovery and chosen.cache
    chosen.client_refresh = not options.sub_refresh_proxy
    _finish(session, number, request, chosen)


def _reads_history(session: Session, options: ChannelOptions) -> bool:
    return options.read_history.grants(session.user, subscribed=True)


def read_token(session: Session, token: str, tokens: Verifier) -> SubscribeToken:
    """Read a subscription token; raises ExpiredToken, InvalidToken or Failure."""
    found = tokens.subscribe(token)
    session.broker.names.options(found.channel)
    return found


def belongs_to(session: Session, found: SubscribeToken, channel: str) -> bool:
    """Tell whether a token is for this client and channel."""
    return (
        found.channel == channel
        and found.user == session.user
        and found.client in {"", session.client}
    )


def _by_token(
    session: Session, request: SubscribeRequest, options: ChannelOptions, tokens: Verifier
) -> SubscriptionOptions:
    try:
        found = read_token(session, request.token, tokens)
    except ExpiredToken:
        raise Failure(TOKEN_EXPIRED) from None
    except InvalidToken as exc:
        log.info("client %s: invalid subscription token: %s", session.client, exc)
        raise Failure(PERMISSION_DENIED) from None
    if not belongs_to(session, found, request.channel):
        raise Closing(INVALID_TOKEN)
    chosen = subscription_options(options, "subscription token", found.grant)
    chosen.expire_at = found.expire_at
    return chosen


def _ask(session: Session, number: int, request: SubscribeRequest, options: ChannelOptions) -> None:
    channel = request.channel
    proxy = session.broker.config.proxies["subscribe", options.subscribe_proxy]
    members = [f'"user":{quote(session.user)}', f'"channel":{quote(channel)}']
    members += data_member(proxy, request.data)

    def replied(reply: ProxyReply) -> None:
        revoked = session.subscribing.pop(channel, False)
        result = reply.granted() or Fields("{}")
        try:
            chosen = subscription_options(options, "proxy", read_grant(result))
            chosen.expire_at = max(0, result.int64("expire_at"))
        except Malformed:
            raise Failure(INTERNAL) from None
        chosen.client_refresh = not options.sub_refresh_proxy
        _finish(session, number, request, chosen)
        if revoked:
            # Somebody took the right away while the application was still granting it.
            session.unsubscribe(channel, UNSUBSCRIBED_BY_SERVER)

    session.subscribing[channel] = False
    session.ask(number, proxy_request(session, "subscribe", proxy, members), replied)


def _finish(
    session: Session, number: int, request: SubscribeRequest, chosen: SubscriptionOptions
) -> None:
    session.reply(number, "subscribe", join(session, request, chosen, server_side=False))
    announce_join(session, request.channel)


def unsubscribe(session: Session, number: int, fields: Fields) -> None:
    """Handle the unsubscribe command; a client that isn't subscribed may send it too."""
    channel = fields.text("channel")
    if not channel:
        raise Closing(BAD_REQUEST_CLOSE)
    session.leave(channel)
    session.reply(number, "unsubscribe", "{}")

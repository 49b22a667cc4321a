"""The subscribe, unsubscribe and sub_refresh commands, and what makes a client a reader."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from instant.embedded.config.channels import ChannelOptions
from instant.embedded.errors import (
    ALREADY_SUBSCRIBED,
    BAD_REQUEST,
    BAD_REQUEST_CLOSE,
    EXPIRED,
    INTERNAL,
    INVALID_TOKEN,
    LIMIT_EXCEEDED,
    NOT_AVAILABLE,
    PERMISSION_DENIED,
    SERVER_ERROR,
    TOKEN_EXPIRED,
    UNSUBSCRIBED_BY_SERVER,
    UNSUBSCRIBED_EXPIRED,
    Closing,
    Failure,
    Malformed,
)
from instant.embedded.json_text import Fields, quote
from instant.embedded.state.hub import Subscription
from instant.embedded.tokens.verify import (
    ExpiredToken,
    InvalidToken,
    SubscribeToken,
    Verifier,
    decoded64,
    grant,
)

from .application import Answer, ask_about, payload
from .join import Request, admit, announce
from .subscription_options import GRACE, Terms, bounded, terms

if TYPE_CHECKING:
    from .session import Session

log = logging.getLogger("instant.embedded")

# Subscription types of the protocol that have no streams behind them.
_MAPS = (1, 2, 3)
_SHARED_POLL = 4


def _check(session: Session, request: Request) -> ChannelOptions:
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
    if request.kind:
        raise Closing(SERVER_ERROR)
    return options


def subscribe(session: Session, number: int, fields: Fields) -> None:
    """Handle the subscribe command: by token, by name, by asking, or by the namespace's options."""
    request = Request.read(fields)
    options = _check(session, request)
    tokens = session.broker.subscription_tokens
    wish = tokens.wish(request.token)
    if wish is None:
        _subscribe(session, number, request, options, tokens)
        return
    channel = request.channel

    def answered(_: Answer) -> None:
        dropped = session.subscribing.pop(channel, False)
        _subscribe(session, number, request, options, tokens)
        if dropped:
            session.end(channel, UNSUBSCRIBED_BY_SERVER)

    session.subscribing[channel] = False
    session.ask(number, wish, answered)


def _subscribe(
    session: Session, number: int, request: Request, options: ChannelOptions, tokens: Verifier
) -> None:
    names = session.broker.names
    channel = request.channel
    limited = options.user_limited and names.limited(channel)
    if names.private(channel) and not request.token:
        raise Failure(PERMISSION_DENIED)
    if request.token:
        chosen = _by_token(session, request, options, tokens)
    elif limited and names.lists(channel, session.user):
        chosen = terms(options, "name")
    elif options.subscribe_proxy and not limited:
        _ask(session, number, request, options)
        return
    elif session.broker.config.insecure or (
        options.subscribe.grants(session.user, subscribed=False) and not limited
    ):
        chosen = terms(options, "namespace")
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


def _read_token(session: Session, token: str, tokens: Verifier) -> SubscribeToken:
    """Read a subscription token; raises ExpiredToken or InvalidToken."""
    found = tokens.subscribe(token)
    session.broker.names.options(found.channel)
    return found


def _belongs(session: Session, found: SubscribeToken, channel: str) -> bool:
    return (
        found.channel == channel
        and found.user == session.user
        and found.client in {"", session.client}
    )


def _by_token(
    session: Session, request: Request, options: ChannelOptions, tokens: Verifier
) -> Terms:
    try:
        found = _read_token(session, request.token, tokens)
    except ExpiredToken:
        raise Failure(TOKEN_EXPIRED) from None
    except InvalidToken as exc:
        log.info("client %s: invalid subscription token: %s", session.client, exc)
        raise Failure(PERMISSION_DENIED) from None
    if not _belongs(session, found, request.channel):
        raise Closing(INVALID_TOKEN)
    chosen = terms(options, "subscription token", found.grant)
    chosen.expire_at = found.expire_at
    return chosen


def _ask(session: Session, number: int, request: Request, options: ChannelOptions) -> None:
    channel = request.channel
    proxy = session.broker.config.proxies["subscribe", options.subscribe_proxy]
    members = [f'"user":{quote(session.user)}', f'"channel":{quote(channel)}']
    members += payload(proxy, request.data)

    def answered(answer: Answer) -> None:
        dropped = session.subscribing.pop(channel, False)
        result = answer.granted() or Fields("{}")
        try:
            chosen = terms(options, "proxy", grant(result))
            chosen.expire_at = max(0, result.int64("expire_at"))
        except Malformed:
            raise Failure(INTERNAL) from None
        chosen.client_refresh = not options.sub_refresh_proxy
        _finish(session, number, request, chosen)
        if dropped:
            # Somebody took the right away while the application was still granting it.
            session.end(channel, UNSUBSCRIBED_BY_SERVER)

    session.subscribing[channel] = False
    session.ask(number, ask_about(session, "subscribe", proxy, members), answered)


def _finish(session: Session, number: int, request: Request, chosen: Terms) -> None:
    session.reply(number, "subscribe", admit(session, request, chosen, server_side=False))
    announce(session, request.channel)


def unsubscribe(session: Session, number: int, fields: Fields) -> None:
    """Handle the unsubscribe command; leaving a channel one doesn't read is fine."""
    channel = fields.text("channel")
    if not channel:
        raise Closing(BAD_REQUEST_CLOSE)
    session.drop(channel)
    session.reply(number, "unsubscribe", "{}")


def refresh(session: Session, number: int, fields: Fields) -> None:
    """Handle the sub_refresh command: a newer token for a subscription."""
    channel = fields.text("channel")
    if not channel:
        raise Closing(BAD_REQUEST_CLOSE)
    subscription = session.subscriptions.get(channel)
    if subscription is None:
        raise Failure(PERMISSION_DENIED)
    if not subscription.client_refresh:
        raise Closing(BAD_REQUEST_CLOSE)
    token, tokens = fields.text("token"), session.broker.subscription_tokens
    if not token:
        raise Failure(BAD_REQUEST)
    wish = tokens.wish(token)
    if wish is None:
        _refresh(session, number, channel, token, tokens)
    else:
        session.ask(number, wish, lambda _: _refresh(session, number, channel, token, tokens))


def _refresh(session: Session, number: int, channel: str, token: str, tokens: Verifier) -> None:
    subscription = session.subscriptions.get(channel)
    if subscription is None:
        raise Failure(PERMISSION_DENIED)
    now = int(session.broker.clock.now())
    try:
        found = _read_token(session, token, tokens)
    except ExpiredToken:
        # Centrifugo 6.9.1 answers {} here and the subscription then never ends. An SDK takes 109
        # for "get another token", and the subscription keeps its own end.
        raise Failure(TOKEN_EXPIRED) from None
    except InvalidToken as exc:
        log.info("client %s: invalid subscription token: %s", session.client, exc)
        raise Closing(INVALID_TOKEN) from None
    if not _belongs(session, found, channel):
        raise Closing(INVALID_TOKEN)
    expire_at = bounded(found.expire_at, now)
    result = "{}"
    if expire_at:
        if expire_at < now:
            raise Failure(EXPIRED)
        result = f'{{"expires":true,"ttl":{expire_at - now}}}'
    subscription.info, subscription.expire_at = found.grant.info, expire_at
    session.reply(number, "sub_refresh", result)


def expired(session: Session, channel: str, subscription: Subscription) -> None:
    """End a subscription whose time is over, unless the application prolongs it."""
    options = session.broker.names.options(channel)
    if subscription.client_refresh or not options.sub_refresh_proxy:
        session.end_subscription(channel, UNSUBSCRIBED_EXPIRED)
        return
    if subscription.refreshing:
        return
    subscription.refreshing = True
    proxy = session.broker.config.proxies["sub_refresh", options.sub_refresh_proxy]
    members = [f'"user":{quote(session.user)}', f'"channel":{quote(channel)}']
    asked = ask_about(session, "sub_refresh", proxy, members)
    session.ask_aside(asked, _prolong(session, channel, subscription))


def _prolong(
    session: Session, channel: str, subscription: Subscription
) -> Callable[[Answer], None]:
    def answered(answer: Answer) -> None:
        subscription.refreshing = False
        if session.subscriptions.get(channel) is not subscription:
            return
        now = int(session.broker.clock.now())
        result = answer.result
        if answer.failed:
            subscription.expire_at = now + GRACE
            return
        if result is None or result.flag("expired"):
            session.end_subscription(channel, UNSUBSCRIBED_EXPIRED)
            return
        expire_at = bounded(max(0, result.int64("expire_at")), now)
        if expire_at and expire_at < now:
            session.end_subscription(channel, UNSUBSCRIBED_EXPIRED)
            return
        subscription.expire_at = expire_at
        subscription.info = decoded64(result, "info", "b64info") or subscription.info

    return answered

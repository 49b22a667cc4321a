"""New ends for connections and subscriptions: by a client's newer token, or by the application."""

from __future__ import annotations

import logging
from collections.abc import Callable

from instant.embedded.errors import (
    BAD_REQUEST,
    BAD_REQUEST_CLOSE,
    CONNECTION_EXPIRED,
    EXPIRED,
    INSUFFICIENT_STATE,
    INVALID_TOKEN,
    PERMISSION_DENIED,
    TOKEN_EXPIRED,
    UNSUBSCRIBED_EXPIRED,
    Closing,
    Failure,
)
from instant.embedded.json_text import Fields, quote
from instant.embedded.state.hub import Subscription
from instant.embedded.tokens.verify import ExpiredToken, InvalidToken, Verifier

from .application import ProxyReply, proxy_request
from .session import Session
from .subscribe import belongs_to, read_token

log = logging.getLogger("instant.embedded")

# The longest life of a connection or a subscription that ends at all, in seconds.
YEAR = 365 * 24 * 3600
# Seconds that one goes on if the application can't be asked about it.
GRACE = 60


def bounded(expire_at: int, now: float) -> int:
    """Return when a connection or subscription ends, which is in a year at the latest."""
    return min(expire_at, int(now) + YEAR)


# -- connections ----------------------------------------------------------------------------------


def refresh(session: Session, number: int, fields: Fields) -> None:
    """Handle the refresh command: a newer token for the same connection."""
    token, tokens = fields.text("token"), session.broker.tokens
    if not token or not session.client_refresh:
        raise Closing(BAD_REQUEST_CLOSE)
    key = tokens.missing_key(token)
    if key is None:
        _refresh(session, number, token, tokens)
    else:
        session.fetch_key(number, key, lambda: _refresh(session, number, token, tokens))


def _refresh(session: Session, number: int, token: str, tokens: Verifier) -> None:
    broker = session.broker
    try:
        found = tokens.connect(token)
        channels = set(found.grants)
        for channel in channels:
            broker.names.options(channel)
    except ExpiredToken:
        raise Closing(CONNECTION_EXPIRED) from None
    except InvalidToken as exc:
        log.info("client %s: invalid refresh token: %s", session.client, exc)
        raise Closing(INVALID_TOKEN) from None
    if found.user != session.user:
        raise Closing(INVALID_TOKEN)
    if found.meta:
        session.meta = found.meta
    by_token = {name for name, held in session.subscriptions.items() if held.source == "token"}
    if channels - set(session.subscriptions) or by_token - channels:
        raise Closing(INSUFFICIENT_STATE)
    now = int(broker.clock.now())
    expire_at = bounded(found.expire_at, now)
    result = "{}"
    if expire_at:
        if expire_at <= now:
            raise Failure(EXPIRED)
        extend(session, expire_at, found.info)
        result = f'{{"expires":true,"ttl":{expire_at - now}}}'
    session.reply(number, "refresh", result)


def extend(session: Session, expire_at: int, info: str) -> None:
    """Set when a connection ends, and its info unless that is ""."""
    session.expire_at = expire_at
    if info:
        session.info = info
        session.presence_stale = True
    session.timers.expire_in(expire_at - int(session.broker.clock.now()))


def refresh_by_server(session: Session) -> None:
    """Ask the application whether an expired connection may go on."""
    proxy = session.broker.config.refresh_proxy
    if proxy is None:
        session.close(CONNECTION_EXPIRED)
        return

    def replied(reply: ProxyReply) -> None:
        now = int(session.broker.clock.now())
        if reply.failed:
            extend(session, now + GRACE, "")
            return
        result = reply.result
        if result is None or result.flag("expired"):
            raise Closing(CONNECTION_EXPIRED)
        expire_at = bounded(max(0, result.int64("expire_at")), now)
        session.meta = result.raw_or_nothing("meta") or session.meta
        if not expire_at or expire_at <= now:
            raise Closing(CONNECTION_EXPIRED)
        extend(session, expire_at, result.json_or_base64("info", "b64info"))

    members = [f'"user":{quote(session.user)}']
    session.ask_aside(proxy_request(session, "refresh", proxy, members), replied)


# -- subscriptions --------------------------------------------------------------------------------


def sub_refresh(session: Session, number: int, fields: Fields) -> None:
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
    key = tokens.missing_key(token)
    if key is None:
        _sub_refresh(session, number, channel, token, tokens)
    else:
        session.fetch_key(
            number, key, lambda: _sub_refresh(session, number, channel, token, tokens)
        )


def _sub_refresh(session: Session, number: int, channel: str, token: str, tokens: Verifier) -> None:
    subscription = session.subscriptions.get(channel)
    if subscription is None:
        raise Failure(PERMISSION_DENIED)
    now = int(session.broker.clock.now())
    try:
        found = read_token(session, token, tokens)
    except ExpiredToken:
        # Centrifugo 6.9.1 answers {} here, and the subscription then never ends. To an SDK, 109
        # means "get another token", and the subscription keeps its end.
        raise Failure(TOKEN_EXPIRED) from None
    except InvalidToken as exc:
        log.info("client %s: invalid subscription token: %s", session.client, exc)
        raise Closing(INVALID_TOKEN) from None
    if not belongs_to(session, found, channel):
        raise Closing(INVALID_TOKEN)
    expire_at = bounded(found.expire_at, now)
    result = "{}"
    if expire_at:
        if expire_at < now:
            raise Failure(EXPIRED)
        result = f'{{"expires":true,"ttl":{expire_at - now}}}'
    subscription.info, subscription.expire_at = found.grant.info, expire_at
    session.presence_stale = True
    session.reply(number, "sub_refresh", result)


def sub_refresh_by_server(session: Session, channel: str, subscription: Subscription) -> None:
    """End an expired subscription, unless the application can be asked and extends it."""
    proxy_name = "" if subscription.client_refresh else _asked_to_refresh(session, channel)
    if not proxy_name:
        session.end_subscription(channel, UNSUBSCRIBED_EXPIRED)
        return
    if subscription.refreshing:
        return
    subscription.refreshing = True
    proxy = session.broker.config.proxies["sub_refresh", proxy_name]
    members = [f'"user":{quote(session.user)}', f'"channel":{quote(channel)}']
    request = proxy_request(session, "sub_refresh", proxy, members)
    session.ask_aside(request, _extend_subscription(session, channel, subscription))


def _asked_to_refresh(session: Session, channel: str) -> str:
    """Return the name of the proxy that extends a channel's subscriptions, "" if there is none."""
    try:
        return session.broker.names.options(channel).sub_refresh_proxy
    except Failure:  # a reload has taken its namespace away, and the other channels go on
        return ""


def _extend_subscription(
    session: Session, channel: str, subscription: Subscription
) -> Callable[[ProxyReply], None]:
    def replied(reply: ProxyReply) -> None:
        subscription.refreshing = False
        if session.subscriptions.get(channel) is not subscription:
            return
        now = int(session.broker.clock.now())
        result = reply.result
        if reply.failed:
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
        subscription.info = result.json_or_base64("info", "b64info") or subscription.info
        session.presence_stale = True

    return replied

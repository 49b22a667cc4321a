"""The connect command: who the client is, until when, and what it is subscribed to at once."""

from __future__ import annotations

import logging

from instant.embedded.config.proxies import ProxyOptions
from instant.embedded.errors import (
    BAD_REQUEST_CLOSE,
    CHANNEL_LIMIT,
    CONNECTION_LIMIT,
    EXPIRED,
    INTERNAL,
    INVALID_TOKEN,
    PERMISSION_DENIED_CLOSE,
    TOKEN_EXPIRED,
    Closing,
    Failure,
    Malformed,
)
from instant.embedded.json_text import Fields, dump, quote
from instant.embedded.state.broker import VERSION
from instant.embedded.tokens.grants import read_grants
from instant.embedded.tokens.verify import ExpiredToken, InvalidToken, Verifier
from instant.embedded.wire_forms import Push

from .application import ProxyReply, data_member, proxy_request
from .join import announce_join, join
from .refresh import bounded
from .session import Session
from .subscribe_request import SubscribeRequest
from .subscription_options import SubscriptionOptions, subscription_options

log = logging.getLogger("instant.embedded")


def connect(session: Session, number: int, fields: Fields) -> None:
    """Handle the connect command: by token, by asking the application, or as nobody."""
    if session.connected:
        raise Closing(BAD_REQUEST_CLOSE)
    tokens = session.broker.tokens
    key = tokens.missing_key(fields.text("token"))
    if key is None:
        _connect(session, number, fields, tokens)
    else:
        session.fetch_key(number, key, lambda: _connect(session, number, fields, tokens))


def _connect(session: Session, number: int, fields: Fields, tokens: Verifier) -> None:
    broker = session.broker
    config = broker.config
    requests = _requests(fields)
    session.emulated_headers = fields.text_map("headers")
    token = fields.text("token")
    if token:
        try:
            found = tokens.connect(token)
        except ExpiredToken:
            raise Failure(TOKEN_EXPIRED) from None
        except InvalidToken as exc:
            log.info("client %s: invalid connection token: %s", session.client, exc)
            raise Closing(INVALID_TOKEN) from None
        granted = {
            channel: subscription_options(broker.names.options(channel), "token", grant)
            for channel, grant in found.grants.items()
        }
        if not found.user and not config.anonymous_tokens:
            raise Closing(PERMISSION_DENIED_CLOSE)
        session.user, session.info, session.meta = found.user, found.info, found.meta
        session.expire_at = 0 if config.insecure else found.expire_at
        _grant_requests(session, requests, granted)
        _accept(session, number, requests, granted, "")
    elif config.connect_proxy is not None:
        _ask(session, number, fields, requests, config.connect_proxy)
    elif config.anonymous_connect or config.insecure:
        granted = {}
        _grant_requests(session, requests, granted)
        _accept(session, number, requests, granted, "")
    elif session.header_user:
        session.user = session.header_user
        _accept(session, number, requests, {}, "", personal=False)
    else:
        log.info("client %s: no credentials", session.client)
        raise Closing(BAD_REQUEST_CLOSE)


def _requests(fields: Fields) -> dict[str, SubscribeRequest]:
    """Read the server-side subscriptions that the client had in an earlier connection."""
    subs = fields.fields("subs")
    if subs is None:
        return {}
    return {name: SubscribeRequest.to_resume(found, name) for name, found in subs.objects()}


def _grant_requests(
    session: Session,
    requests: dict[str, SubscribeRequest],
    granted: dict[str, SubscriptionOptions],
) -> None:
    """Add the channels that the client asks for and could subscribe to by itself."""
    names = session.broker.names
    for channel in requests:
        try:
            options = names.options(channel)
        except Failure:
            raise Closing(BAD_REQUEST_CLOSE) from None
        if names.private(channel) or options.subscribe_proxy or not names.valid(channel, options):
            continue
        if options.user_limited and names.limited(channel):
            allowed = bool(session.user) and names.lists(channel, session.user)
        else:
            allowed = options.subscribe.grants(session.user, subscribed=False)
        if (allowed or session.broker.config.insecure) and channel not in granted:
            granted[channel] = subscription_options(options, "connect")


def _ask(
    session: Session,
    number: int,
    fields: Fields,
    requests: dict[str, SubscribeRequest],
    proxy: ProxyOptions,
) -> None:
    members = [
        f'"{name}":{quote(fields.text(name))}' for name in ("name", "version") if fields.text(name)
    ]
    members += data_member(proxy, fields.raw("data"))
    if requests:
        members.append(f'"channels":{dump(list(requests))}')

    def replied(reply: ProxyReply) -> None:
        result = reply.granted()
        granted: dict[str, SubscriptionOptions] = {}
        data, personal = "", True
        if result is not None:
            try:
                data = _read_result(session, result, granted)
            except Malformed:
                raise Failure(INTERNAL) from None
        elif session.broker.config.anonymous_connect or session.broker.config.insecure:
            _grant_requests(session, requests, granted)
        elif session.header_user:
            session.user, personal = session.header_user, False
        else:
            raise Closing(BAD_REQUEST_CLOSE)
        _accept(session, number, requests, granted, data, personal=personal)

    session.ask(number, proxy_request(session, "connect", proxy, members), replied)


def _read_result(session: Session, result: Fields, granted: dict[str, SubscriptionOptions]) -> str:
    names = session.broker.names
    session.user = result.text("user")
    session.info = result.json_or_base64("info", "b64info")
    session.meta = result.raw_or_nothing("meta")
    session.expire_at = max(0, result.int64("expire_at"))
    for channel in result.texts("channels"):
        granted[channel] = subscription_options(names.options(channel), "proxy")
    if "subs" in result:
        for channel, grant in read_grants(result).items():
            granted[channel] = subscription_options(names.options(channel), "proxy", grant)
    return result.json_or_base64("data", "b64data")


def _grant_personal_channel(session: Session, granted: dict[str, SubscriptionOptions]) -> None:
    config = session.broker.config
    if not config.personal_channels or not session.user:
        return
    names, hub = config.names, session.broker.hub
    channel = names.user_boundary + session.user
    if config.personal_namespace:
        channel = config.personal_namespace + names.namespace_boundary + channel
    if config.personal_single and hub.presence(channel):
        for other in hub.connections(session.user):
            other.close(CONNECTION_LIMIT)
    granted[channel] = subscription_options(names.options(channel), "personal")


def _accept(
    session: Session,
    number: int,
    requests: dict[str, SubscribeRequest],
    granted: dict[str, SubscriptionOptions],
    data: str,
    *,
    personal: bool = True,
) -> None:
    """Register the client, subscribe it, and answer with all of that in one reply.

    A user who is known from a header alone has no personal channel.
    """
    broker = session.broker
    config, hub = broker.config, broker.hub
    now = broker.clock.now()
    if personal:
        _grant_personal_channel(session, granted)
    granted.pop("", None)
    if 0 < config.channel_limit < len(granted):
        raise Closing(CHANNEL_LIMIT)
    limit = config.user_connection_limit
    if limit and session.user and len(hub.users.get(session.user, ())) >= limit:
        raise Closing(CONNECTION_LIMIT)
    session.expire_at = bounded(session.expire_at, now)
    if session.expire_at and session.expire_at < int(now):
        raise Failure(EXPIRED)
    session.client_refresh = config.refresh_proxy is None
    hub.add(session)
    session.connected = True
    session.commands.at_once = max(1, session.broker.config.concurrency)
    results = []
    try:
        for channel, options in granted.items():
            request = requests.get(channel) or SubscribeRequest(channel)
            result = join(session, request, options, server_side=True)
            results.append(f"{quote(channel)}:{result}")
    except Failure:
        for channel in list(session.subscriptions):
            session.leave(channel)
        hub.remove(session)
        session.connected = False
        raise
    result = _result(session, results, data, now)
    if session.one_way:
        session.push(Push(f'{{"connect":{result}}}'))
    else:
        session.reply(number, "connect", result)
    for channel in granted:
        announce_join(session, channel)
    session.timers.start()


def _result(session: Session, subs: list[str], data: str, now: float) -> str:
    config = session.broker.config
    members = [f'"client":"{session.client}"', f'"version":"{VERSION}"']
    if session.expire_at and session.client_refresh:
        members.append(f'"expires":true,"ttl":{session.expire_at - int(now)}')
    if data:
        members.append(f'"data":{data}')
    if subs:
        members.append(f'"subs":{{{",".join(subs)}}}')
    if config.ping_interval > 0:
        members.append(f'"ping":{int(config.ping_interval)}')
    if not session.one_way and config.pong_timeout > 0:
        members.append('"pong":true')
    if session.emulated:
        members.append(f'"session":"{session.session}"')
    if session.emulated and not session.one_way:
        members.append(f'"node":"{session.broker.node}"')
    if config.server_time:
        members.append(f'"time":{int(now * 1000)}')
    return "{" + ",".join(members) + "}"

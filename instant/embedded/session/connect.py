"""The connect and refresh commands: who the client is, for how long, and what it reads at once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from instant.embedded.errors import (
    BAD_REQUEST_CLOSE,
    CHANNEL_LIMIT,
    CONNECTION_EXPIRED,
    CONNECTION_LIMIT,
    EXPIRED,
    INSUFFICIENT_STATE,
    INTERNAL,
    INVALID_TOKEN,
    PERMISSION_DENIED_CLOSE,
    TOKEN_EXPIRED,
    Closing,
    Disconnect,
    Failure,
    Malformed,
)
from instant.embedded.json_text import Fields, dump, quote
from instant.embedded.state.broker import VERSION
from instant.embedded.tokens.verify import ExpiredToken, InvalidToken, Verifier, decoded64, grants
from instant.embedded.wire_forms import Push

from .application import Answer, ask_about, payload
from .join import Request, admit, announce
from .subscription_options import GRACE, Terms, bounded, terms

if TYPE_CHECKING:
    from instant.embedded.config.load import ProxyOptions

    from .session import Session

log = logging.getLogger("instant.embedded")

# A one-way client can't read an error; these errors close it in their own words.
ONE_WAY_DISCONNECTS: dict[int, Disconnect] = {
    109: CONNECTION_EXPIRED,
    110: CONNECTION_EXPIRED,
    111: Disconnect(3013, "too many requests"),
    103: PERMISSION_DENIED_CLOSE,
}


def connect(session: Session, number: int, fields: Fields) -> None:
    """Handle the connect command: by token, by asking the application, or as nobody."""
    if session.connected:
        raise Closing(BAD_REQUEST_CLOSE)
    tokens = session.broker.tokens
    wish = tokens.wish(fields.text("token"))
    if wish is None:
        _connect(session, number, fields, tokens)
    else:
        session.ask(number, wish, lambda _: _connect(session, number, fields, tokens))


def _connect(session: Session, number: int, fields: Fields, tokens: Verifier) -> None:
    broker = session.broker
    config = broker.config
    wishes = _wishes(fields)
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
            channel: terms(broker.names.options(channel), "token", grant)
            for channel, grant in found.grants.items()
        }
        if not found.user and not config.anonymous_tokens:
            raise Closing(PERMISSION_DENIED_CLOSE)
        session.user, session.info, session.meta = found.user, found.info, found.meta
        session.expire_at = 0 if config.insecure else found.expire_at
        _wanted(session, wishes, granted)
        _accept(session, number, wishes, granted, "")
    elif config.connect_proxy is not None:
        _ask(session, number, fields, wishes, config.connect_proxy)
    elif config.anonymous_connect or config.insecure:
        granted = {}
        _wanted(session, wishes, granted)
        _accept(session, number, wishes, granted, "")
    elif session.header_user:
        session.user = session.header_user
        _accept(session, number, wishes, {}, "", personal=False)
    else:
        log.info("client %s: no credentials", session.client)
        raise Closing(BAD_REQUEST_CLOSE)


def _wishes(fields: Fields) -> dict[str, Request]:
    """Read the server-side subscriptions that the client remembers from before."""
    subs = fields.fields("subs")
    if subs is None:
        return {}
    return {name: Request.read(subs.fields(name) or Fields("{}"), name) for name in subs.names()}


def _wanted(session: Session, wishes: dict[str, Request], granted: dict[str, Terms]) -> None:
    """Add the channels the client asks for and could subscribe to by itself."""
    names = session.broker.names
    for channel in wishes:
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
            granted[channel] = terms(options, "connect")


def _ask(
    session: Session,
    number: int,
    fields: Fields,
    wishes: dict[str, Request],
    proxy: ProxyOptions,
) -> None:
    members = [
        f'"{name}":{quote(fields.text(name))}' for name in ("name", "version") if fields.text(name)
    ]
    members += payload(proxy, fields.raw("data"))
    if wishes:
        members.append(f'"channels":{dump(list(wishes))}')

    def answered(answer: Answer) -> None:
        result = answer.granted()
        granted: dict[str, Terms] = {}
        data, personal = "", True
        if result is not None:
            try:
                data = _take_result(session, result, granted)
            except Malformed:
                raise Failure(INTERNAL) from None
        elif session.broker.config.anonymous_connect or session.broker.config.insecure:
            _wanted(session, wishes, granted)
        elif session.header_user:
            session.user, personal = session.header_user, False
        else:
            raise Closing(BAD_REQUEST_CLOSE)
        _accept(session, number, wishes, granted, data, personal=personal)

    session.ask(number, ask_about(session, "connect", proxy, members), answered)


def _take_result(session: Session, result: Fields, granted: dict[str, Terms]) -> str:
    names = session.broker.names
    session.user = result.text("user")
    session.info = decoded64(result, "info", "b64info")
    session.meta = result.raw_or_nothing("meta")
    session.expire_at = max(0, result.int64("expire_at"))
    for channel in result.texts("channels"):
        granted[channel] = terms(names.options(channel), "proxy")
    if "subs" in result:
        for channel, grant in grants(result).items():
            granted[channel] = terms(names.options(channel), "proxy", grant)
    return decoded64(result, "data", "b64data")


def _personal(session: Session, granted: dict[str, Terms]) -> None:
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
    granted[channel] = terms(names.options(channel), "personal")


def _accept(
    session: Session,
    number: int,
    wishes: dict[str, Request],
    granted: dict[str, Terms],
    data: str,
    *,
    personal: bool = True,
) -> None:
    """Register the client, subscribe it, and tell it all of that in one reply.

    A user known from a header alone has no personal channel.
    """
    broker = session.broker
    config, hub = broker.config, broker.hub
    now = broker.clock.now()
    if personal:
        _personal(session, granted)
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
    results = []
    try:
        for channel, chosen in granted.items():
            wish = wishes.get(channel) or Request(channel)
            results.append(f"{quote(channel)}:{admit(session, wish, chosen, server_side=True)}")
    except Failure:
        for channel in list(session.subscriptions):
            session.drop(channel)
        hub.remove(session)
        session.connected = False
        raise
    result = _result(session, results, data, now)
    if session.one_way:
        session.push(Push(f'{{"connect":{result}}}'))
    else:
        session.reply(number, "connect", result)
    for channel in granted:
        announce(session, channel)
    session.lifetime.begin()


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


def refresh(session: Session, number: int, fields: Fields) -> None:
    """Handle the refresh command: a newer token for the same connection."""
    token, tokens = fields.text("token"), session.broker.tokens
    if not token or not session.client_refresh:
        raise Closing(BAD_REQUEST_CLOSE)
    wish = tokens.wish(token)
    if wish is None:
        _refresh(session, number, token, tokens)
    else:
        session.ask(number, wish, lambda _: _refresh(session, number, token, tokens))


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
    mine = {name for name, held in session.subscriptions.items() if held.source == "token"}
    if channels - set(session.subscriptions) or mine - channels:
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
    """Give a connection a new end, and new info where there is some."""
    session.expire_at = expire_at
    if info:
        session.info = info
    session.lifetime.expire_in(expire_at - int(session.broker.clock.now()))


def refresh_by_server(session: Session) -> None:
    """Ask the application whether a connection whose time has come may live on."""
    proxy = session.broker.config.refresh_proxy
    if proxy is None:
        session.close(CONNECTION_EXPIRED)
        return

    def answered(answer: Answer) -> None:
        now = int(session.broker.clock.now())
        if answer.failed:
            extend(session, now + GRACE, "")
            return
        result = answer.result
        if result is None or result.flag("expired"):
            raise Closing(CONNECTION_EXPIRED)
        expire_at = bounded(max(0, result.int64("expire_at")), now)
        session.meta = result.raw_or_nothing("meta") or session.meta
        if not expire_at or expire_at <= now:
            raise Closing(CONNECTION_EXPIRED)
        extend(session, expire_at, decoded64(result, "info", "b64info"))

    members = [f'"user":{quote(session.user)}']
    session.ask_aside(ask_about(session, "refresh", proxy, members), answered)

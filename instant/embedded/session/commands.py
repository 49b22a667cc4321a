"""The commands about what is in a channel, and rpc."""

from __future__ import annotations

from instant.embedded.config.channels import ChannelOptions
from instant.embedded.errors import (
    BAD_REQUEST,
    BAD_REQUEST_CLOSE,
    INTERNAL,
    METHOD_NOT_FOUND,
    NOT_AVAILABLE,
    NOT_AVAILABLE_CLOSE,
    PERMISSION_DENIED,
    Closing,
    Failure,
    Malformed,
)
from instant.embedded.json_scan import load
from instant.embedded.json_text import Fields, quote
from instant.embedded.state.broker import well_formed
from instant.embedded.state.publication import Position

from .application import ProxyReply, data_member, proxy_request
from .session import Session

# The type of a publication that is for a map subscription, which this server doesn't have.
_TO_A_MAP = 1


def _channel(session: Session, fields: Fields) -> tuple[str, ChannelOptions]:
    channel = fields.text("channel")
    if not channel:
        raise Closing(BAD_REQUEST_CLOSE)
    return channel, session.broker.names.checked(channel)


def publish(session: Session, number: int, fields: Fields) -> None:
    """Handle the publish command: by asking the application, or by the namespace's options."""
    channel, options = _channel(session, fields)
    if fields.int32("type") == _TO_A_MAP:
        raise Failure(PERMISSION_DENIED)
    data = fields.raw("data")
    if not well_formed(data, options.data_format, load):
        raise Failure(BAD_REQUEST)
    if options.publish_proxy:
        _ask_to_publish(session, number, channel, options, data)
        return
    if not options.publish.grants(session.user, channel in session.subscriptions):
        raise Failure(PERMISSION_DENIED)
    session.broker.publish(
        channel, data, options, info=_info(session, channel), delta=options.delta_publish
    )
    session.reply(number, "publish", "{}")


def _info(session: Session, channel: str) -> str:
    subscription = session.subscriptions.get(channel)
    return session.client_info(subscription.info if subscription is not None else "")


def _ask_to_publish(
    session: Session, number: int, channel: str, options: ChannelOptions, data: str
) -> None:
    proxy = session.broker.config.proxies["publish", options.publish_proxy]
    members = [f'"user":{quote(session.user)}', f'"channel":{quote(channel)}']
    members += data_member(proxy, data)
    info = _info(session, channel)

    def replied(reply: ProxyReply) -> None:
        result = reply.granted() or Fields("{}")
        try:
            session.broker.publish(
                channel,
                result.raw("data") or result.json_or_base64("data", "b64data") or data,
                options,
                info=info,
                tags=result.text_map("tags"),
                key=result.text("idempotency_key"),
                delta=result.flag("delta"),
                version=result.uint64("version"),
                version_epoch=result.text("version_epoch"),
                skip_history=result.flag("skip_history"),
            )
        except Malformed:
            raise Failure(INTERNAL) from None
        session.reply(number, "publish", "{}")

    session.ask(number, proxy_request(session, "publish", proxy, members), replied)


def _with_presence(session: Session, fields: Fields) -> tuple[str, ChannelOptions]:
    channel, options = _channel(session, fields)
    if not options.presence:
        raise Failure(NOT_AVAILABLE)
    if not options.read_presence.grants(session.user, channel in session.subscriptions):
        raise Failure(PERMISSION_DENIED)
    return channel, options


def presence(session: Session, number: int, fields: Fields) -> None:
    """Handle the presence command."""
    channel, _ = _with_presence(session, fields)
    session.reply(number, "presence", session.broker.hub.presence_json(channel))


def presence_stats(session: Session, number: int, fields: Fields) -> None:
    """Handle the presence_stats command."""
    channel, _ = _with_presence(session, fields)
    clients, users = session.broker.hub.presence_counts(channel)
    session.reply(number, "presence_stats", f'{{"num_clients":{clients},"num_users":{users}}}')


def history(session: Session, number: int, fields: Fields) -> None:
    """Handle the history command; a limit of 0 asks for the position only."""
    channel, options = _channel(session, fields)
    limit, most = fields.int32("limit"), session.broker.config.history_limit
    if most and (limit < 0 or limit > most):
        limit = most
    since, reverse = fields.fields("since"), fields.flag("reverse")
    if not options.has_history:
        raise Failure(NOT_AVAILABLE)
    if not options.read_history.grants(session.user, channel in session.subscriptions):
        raise Failure(PERMISSION_DENIED)
    publications, position = session.broker.history(
        channel,
        limit,
        options.history_meta_ttl,
        since=None if since is None else Position(since.uint64("offset"), since.text("epoch")),
        reverse=reverse,
    )
    written = ",".join(publication.json() for publication in publications)
    session.reply(
        number,
        "history",
        f'{{"publications":[{written}],"epoch":"{position.epoch}","offset":{position.offset}}}',
    )


def send(session: Session, number: int, fields: Fields) -> None:  # noqa: ARG001  one shape
    """Handle the send command, which nothing here takes."""
    raise Closing(NOT_AVAILABLE_CLOSE)


def rpc(session: Session, number: int, fields: Fields) -> None:
    """Handle the rpc command: the application is asked, if a proxy is configured."""
    config = session.broker.config
    method = fields.text("method")
    if config.rpc_ping and method == config.rpc_ping:
        session.reply(number, "rpc", "{}")
        return
    if not any(kind == "rpc" for kind, _ in config.proxies):
        raise Failure(METHOD_NOT_FOUND if config.rpc_ping else NOT_AVAILABLE)
    namespace, boundary, _ = method.partition(config.rpc_boundary or ":")
    name = config.rpc_proxies.get(namespace if boundary and config.rpc_boundary else "")
    if name is None:
        raise Failure(METHOD_NOT_FOUND)
    if not name:
        raise Failure(NOT_AVAILABLE)
    members = [f'"user":{quote(session.user)}', f'"method":{quote(method)}']
    proxy = config.proxies["rpc", name]
    members += data_member(proxy, fields.raw("data"))

    def replied(reply: ProxyReply) -> None:
        result = reply.granted()
        try:
            data = result.json_or_base64("data", "b64data") if result is not None else ""
        except Malformed:
            raise Failure(INTERNAL) from None
        session.reply(number, "rpc", f'{{"data":{data}}}' if data else "{}")

    session.ask(number, proxy_request(session, "rpc", proxy, members), replied)

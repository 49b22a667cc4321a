"""One client's state machine: commands and moments in, messages and requests out; no I/O.

A transport makes a Session (see `handlers.new_session`), hands it what arrives (`receive`, `tick`,
`disconnected`) and does what the session asks of its Peer. No exception leaves a session: a bug
closes this client alone, with 3004.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Protocol

from instant.embedded.errors import (
    BAD_REQUEST_CLOSE,
    CONNECTION_CLOSED,
    INSUFFICIENT_STATE,
    NOT_AVAILABLE,
    ONE_WAY_DISCONNECTS,
    SERVER_ERROR,
    SUBSCRIPTION_EXPIRED,
    UNSUBSCRIBED_EXPIRED,
    ClientError,
    Closing,
    Disconnect,
    Failure,
    Malformed,
    Unsubscribe,
    traceback_of,
)
from instant.embedded.json_text import Fields, quote
from instant.embedded.state.broker import Broker
from instant.embedded.state.hub import Subscription
from instant.embedded.tokens.jwks import MissingKey
from instant.embedded.wire_forms import (
    Form,
    Push,
    disconnect_push,
    error_reply,
    reply,
    unsubscribe_push,
)

from .application import ProxyReply, ProxyRequest
from .command_fields import read_command
from .command_queue import CommandQueue
from .peer import Peer

log = logging.getLogger("instant.embedded")

Handler = Callable[["Session", int, Fields], None]


class Timers(Protocol):
    """What happens to a session by the clock; see `timers.SessionTimers`."""

    def start(self) -> None:
        """Start those of a connection that has just been accepted."""

    def expire_in(self, seconds: float) -> None:
        """Set when the connection expires."""

    def pong(self) -> None:
        """Handle a pong; raises Closing if no ping was sent."""

    def tick(self) -> None:
        """Do what is due by now."""

    def stop(self) -> None:
        """Stop all of them."""


class Session:
    """A client from its first byte to its last.

    The handlers of commands and the timers are handed in, because they import this module.
    """

    def __init__(
        self,
        broker: Broker,
        peer: Peer,
        handlers: Mapping[str, Handler],
        timers: Callable[[Session, Callable[[float | None], None]], Timers],
        *,
        form: Form = Form.WEBSOCKET,
        transport: str = "websocket",
        headers: Mapping[str, list[str]] | None = None,
        user: str = "",
    ) -> None:
        self.broker = broker
        self.form = form
        self.transport = transport
        self.headers: Mapping[str, list[str]] = headers or {}
        self.emulated_headers: Mapping[str, str] = {}
        self.header_user = user
        # A transport that can close with a reason needs no push that tells it.
        self.pushes_disconnect = form is not Form.WEBSOCKET
        self.client = str(uuid.uuid4())
        self.session = str(uuid.uuid4())
        self.user = ""
        self.info = ""
        self.meta = ""
        self.expire_at = 0
        # Presence shows older info than this client has; a timer sees to it, as in Centrifugo.
        self.presence_stale = False
        self.client_refresh = True
        self.connected = False
        self.closed = False
        # The connect command failed: the next command closes the connection.
        self.unusable = False
        self.subscriptions: dict[str, Subscription] = {}
        # Channels whose subscribe command waits for a reply; true: unsubscribe when it is there.
        self.subscribing: dict[str, bool] = {}
        self.send: Callable[[bytes], None] = peer.send
        self._peer = peer
        self._handlers = handlers
        self.commands = CommandQueue(self._handle, peer, broker.config.queue_max_size)
        self.timers = timers(self, peer.wake)

    # -- in ---------------------------------------------------------------------------------------

    @property
    def one_way(self) -> bool:
        """Tell whether the transport carries pushes only."""
        return not self.form.wrapped

    @property
    def emulated(self) -> bool:
        """Tell whether commands come in requests of their own, beside the one with the messages."""
        return self.form is not Form.WEBSOCKET

    @property
    def busy(self) -> bool:
        """Tell whether the next command has to wait: for the application, or for others."""
        return self.commands.busy

    def receive(self, text: str) -> None:
        """Handle a frame: commands separated by line breaks."""
        if self.closed:
            return
        lines = text.split("\n")
        if len(lines) > 1 and not lines[-1]:
            lines.pop()
        self.commands.add(lines)

    def connect_one_way(self, fields: Fields) -> None:
        """Connect a client that can't send a command."""
        self.guard(0, lambda: self._handlers["connect"](self, 0, fields))

    def tick(self) -> None:
        """Do what is due by now."""
        self.timers.tick()

    def disconnected(self) -> None:
        """Clean up after a client that has gone."""
        self.close(CONNECTION_CLOSED)

    def _handle(self, text: str) -> None:
        if self.unusable:
            self.close(BAD_REQUEST_CLOSE)
            return
        try:
            number, asked = read_command(text)
        except Malformed:
            self.close(BAD_REQUEST_CLOSE)
        else:
            self.guard(number, lambda: self._dispatch(number, asked))

    def _dispatch(self, number: int, asked: dict[str, Fields]) -> None:
        if not self.connected and "connect" not in asked:
            raise Closing(BAD_REQUEST_CLOSE)
        if number == 0 and "send" not in asked:
            # A command without a number is a pong.
            self.timers.pong()
            return
        if "ping" in asked and "connect" not in asked and len(asked) > 1:
            raise Failure(NOT_AVAILABLE)
        for name, handler in self._handlers.items():
            if name in asked:
                handler(self, number, asked[name])
                return
        raise Closing(BAD_REQUEST_CLOSE)

    def guard(self, number: int, work: Callable[[], None]) -> None:
        """Do `work` for a command; whatever it raises ends in a reply or in a close."""
        try:
            work()
        except Failure as exc:
            self.fail(number, exc.error)
        except Closing as exc:
            self.close(exc.disconnect)
        except Malformed:
            self.close(BAD_REQUEST_CLOSE)
        except Exception as exc:  # noqa: BLE001  whatever it is, it is this client's alone
            log.error("closing client %s after a bug: %s", self.client, traceback_of(exc))  # noqa: TRY400
            self.close(SERVER_ERROR)

    # -- out --------------------------------------------------------------------------------------

    def push(self, push: Push) -> None:
        """Send a push."""
        if not self.closed:
            self.send(push.encoded(self.form))

    def reply(self, number: int, name: str, result: str) -> None:
        """Answer a command; `result` is JSON."""
        if not self.closed:
            data = self.form.frame(reply(number, name, result))
            self.commands.replied(len(data))
            self.send(data)

    def fail(self, number: int, error: ClientError) -> None:
        """Answer a command with an error; a client that isn't connected can't go on after it."""
        if not self.connected:
            self.unusable = True
        if self.one_way:
            self.close(ONE_WAY_DISCONNECTS.get(error.code, SERVER_ERROR))
        elif not self.closed and number:
            self.send(self.form.frame(error_reply(number, error)))

    def ask(self, number: int, request: ProxyRequest, then: Callable[[ProxyReply], None]) -> None:
        """Ask the application for command `number`; later commands wait for the reply.

        `client.concurrency` says how many requests there may be before they wait.
        """
        self.commands.asking()
        self._peer.ask(request, lambda found: self._resume(number, lambda: then(found)))

    def fetch_key(self, number: int, key: MissingKey, then: Callable[[], None]) -> None:
        """Fetch a key for command `number`; later commands wait as they do after `ask`."""
        self.commands.asking()
        self._peer.fetch_key(key, lambda: self._resume(number, then))

    def _resume(self, number: int, work: Callable[[], None]) -> None:
        self.commands.answered()
        if not self.closed:
            self.guard(number, work)
            self.commands.run()

    def ask_aside(self, request: ProxyRequest, then: Callable[[ProxyReply], None]) -> None:
        """Ask the application while commands go on."""

        def replied(found: ProxyReply) -> None:
            if not self.closed:
                self.guard(0, lambda: then(found))

        self._peer.ask(request, replied)

    def close(self, disconnect: Disconnect) -> None:
        """End the connection: leave every channel, then tell the client why."""
        if self.closed:
            return
        self.closed = True
        self.timers.stop()
        self.commands.clear()
        for channel in list(self.subscriptions):
            self.leave(channel)
        if self.connected:
            self.broker.hub.remove(self)
        if self.pushes_disconnect and disconnect is not CONNECTION_CLOSED:
            self.send(disconnect_push(disconnect).encoded(self.form))
        self._peer.close(disconnect)

    # -- subscriptions ----------------------------------------------------------------------------

    def client_info(self, channel_info: str = "") -> str:
        """Write who this client is, for presence, joins and publications."""
        out = f'{{"user":{quote(self.user)},"client":"{self.client}"'
        if self.info:
            out += ',"conn_info":' + self.info
        if channel_info:
            out += ',"chan_info":' + channel_info
        return out + "}"

    def leave(self, channel: str) -> None:
        """Leave a channel; subscribers who asked for it are told."""
        subscription = self.subscriptions.pop(channel, None)
        if subscription is None:
            return
        hub = self.broker.hub
        hub.unsubscribe(channel, self)
        if subscription.emit_join_leave:
            hub.push_join_leave(channel, "leave", self.client_info(subscription.info))

    def unsubscribe(self, channel: str, why: Unsubscribe) -> None:
        """Unsubscribe the client; it is told so even if it wasn't subscribed."""
        if channel in self.subscribing:
            self.subscribing[channel] = True
            return
        self.leave(channel)
        self.push(unsubscribe_push(channel, why))

    def end_subscription(self, channel: str, why: Unsubscribe) -> None:
        """End a subscription that can't go on; if it is a server-side one, close the connection."""
        subscription = self.subscriptions.get(channel)
        if subscription is None:
            return
        if not subscription.server_side and not self.one_way:
            self.unsubscribe(channel, why)
        elif why is UNSUBSCRIBED_EXPIRED:
            self.close(SUBSCRIPTION_EXPIRED)
        else:
            self.close(INSUFFICIENT_STATE)

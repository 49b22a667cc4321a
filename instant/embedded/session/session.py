"""One client's state machine: commands and moments in, messages and questions out; no I/O.

A transport makes a Session, hands it what arrives (`receive`, `tick`, `lost`) and does what the
session asks of its Peer. No exception leaves a session: a bug closes this client alone, with 3004.
"""

from __future__ import annotations

import logging
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from instant.embedded.errors import (
    BAD_REQUEST_CLOSE,
    CONNECTION_CLOSED,
    INSUFFICIENT_STATE,
    NOT_AVAILABLE_CLOSE,
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
from instant.embedded.state.hub import Subscription
from instant.embedded.tokens.jwks import KeyWish
from instant.embedded.wire_forms import (
    Form,
    Push,
    disconnect_push,
    error_reply,
    reply,
    unsubscribe_push,
)

from . import commands, connect, subscribe
from .application import Answer, Question
from .timers import Lifetime

if TYPE_CHECKING:
    from instant.embedded.state.broker import Broker

log = logging.getLogger("instant.embedded")

Then = Callable[[Answer], None]
Handler = Callable[["Session", int, Fields], None]

# In the order the server looks for them where a command has several.
HANDLERS: dict[str, Handler] = {
    "connect": connect.connect,
    "subscribe": subscribe.subscribe,
    "unsubscribe": subscribe.unsubscribe,
    "publish": commands.publish,
    "presence": commands.presence,
    "presence_stats": commands.presence_stats,
    "history": commands.history,
    "rpc": commands.rpc,
    "refresh": connect.refresh,
    "sub_refresh": subscribe.refresh,
}


class Peer(Protocol):
    """What a session needs of its transport; none of it may call back before it returns."""

    def send(self, data: bytes) -> None:
        """Queue bytes that are already framed."""

    def close(self, disconnect: Disconnect) -> None:
        """Write what is queued, then end the connection."""

    def wake(self, at: float | None) -> None:
        """Call `tick` at this moment of the clock, instead of any asked for before."""

    def ask(self, question: Question | KeyWish, then: Then) -> None:
        """Ask the application, or for a key, and call `then` with what is said."""


class Session:
    """A client from its first byte to its last."""

    def __init__(
        self,
        broker: Broker,
        peer: Peer,
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
        # Where the transport can close with a reason, the client needs no push that says it.
        self.farewell = form is not Form.WEBSOCKET
        self.client = str(uuid.uuid4())
        self.session = str(uuid.uuid4())
        self.user = ""
        self.info = ""
        self.meta = ""
        self.expire_at = 0
        self.client_refresh = True
        self.connected = False
        self.closed = False
        self.unusable = False
        self.subscriptions: dict[str, Subscription] = {}
        # Channels whose subscription waits for an answer; true: drop it again when it is there.
        self.subscribing: dict[str, bool] = {}
        self.send: Callable[[bytes], None] = peer.send
        self._peer = peer
        self._waiting: deque[str] = deque()
        self._asked = 0
        self.lifetime = Lifetime(self, peer.wake)

    # -- in ---------------------------------------------------------------------------------------

    @property
    def one_way(self) -> bool:
        """Tell whether the transport carries pushes only."""
        return not self.form.wrapped

    @property
    def emulated(self) -> bool:
        """Tell whether commands come by other requests than the one that carries the messages."""
        return self.form is not Form.WEBSOCKET

    @property
    def busy(self) -> bool:
        """Tell whether commands wait for an answer of the application, or for one of several."""
        if not self._asked:
            return False
        return not self.connected or self._asked >= self.broker.config.concurrency

    def receive(self, text: str) -> None:
        """Handle a frame: commands joined by line breaks."""
        if self.closed:
            return
        lines = text.split("\n")
        if len(lines) > 1 and not lines[-1]:
            lines.pop()
        self._waiting.extend(lines)
        self._work()

    def open_one_way(self, fields: Fields) -> None:
        """Connect a client that can't send a command."""
        self.guard(0, lambda: connect.connect(self, 0, fields))

    def tick(self) -> None:
        """Do what is due by now."""
        self.lifetime.tick()

    def lost(self) -> None:
        """Take leave of a client that is gone."""
        self.close(CONNECTION_CLOSED)

    def _work(self) -> None:
        while self._waiting and not self.busy and not self.closed:
            self._handle(self._waiting.popleft())

    def _handle(self, text: str) -> None:
        if self.unusable:
            self.close(BAD_REQUEST_CLOSE)
            return
        try:
            command = Fields(text, whole=False)
            number = command.uint32("id")
        except Malformed:
            self.close(BAD_REQUEST_CLOSE)
        else:
            self.guard(number, lambda: self._dispatch(number, command))

    def _dispatch(self, number: int, command: Fields) -> None:
        if not self.connected and "connect" not in command:
            raise Closing(BAD_REQUEST_CLOSE)
        if "send" in command and not any(name in command for name in HANDLERS):
            raise Closing(NOT_AVAILABLE_CLOSE)
        if number == 0:
            # A command without a number is a pong.
            self.lifetime.pong()
            return
        for name, handler in HANDLERS.items():
            fields = command.fields(name)
            if fields is not None:
                handler(self, number, fields)
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
            self.send(self.form.frame(reply(number, name, result)))

    def fail(self, number: int, error: ClientError) -> None:
        """Answer a command with an error; who is not connected can do nothing after it."""
        if not self.connected:
            self.unusable = True
        if self.one_way:
            self.close(connect.ONE_WAY_DISCONNECTS.get(error.code, SERVER_ERROR))
        elif not self.closed and number:
            self.send(self.form.frame(error_reply(number, error)))

    def ask(self, number: int, question: Question | KeyWish, then: Then) -> None:
        """Ask the application for command `number`; later commands wait for the answer.

        With `client.concurrency` as many questions as it says are asked at a time.
        """
        self._asked += 1

        def answered(answer: Answer) -> None:
            self._asked -= 1
            if not self.closed:
                self.guard(number, lambda: then(answer))
                self._work()

        self._peer.ask(question, answered)

    def ask_aside(self, question: Question | KeyWish, then: Then) -> None:
        """Ask the application while commands go on."""

        def answered(answer: Answer) -> None:
            if not self.closed:
                self.guard(0, lambda: then(answer))

        self._peer.ask(question, answered)

    def close(self, disconnect: Disconnect) -> None:
        """End the connection: leave every channel, then tell the client why."""
        if self.closed:
            return
        self.closed = True
        self.lifetime.stop()
        self._waiting.clear()
        for channel in list(self.subscriptions):
            self.drop(channel)
        if self.connected:
            self.broker.hub.remove(self)
        if self.farewell and disconnect is not CONNECTION_CLOSED:
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

    def drop(self, channel: str) -> None:
        """Leave a channel and say so to those who listen for it."""
        subscription = self.subscriptions.pop(channel, None)
        if subscription is None:
            return
        hub = self.broker.hub
        hub.unsubscribe(channel, self)
        if subscription.emit_join_leave:
            hub.push_join_leave(channel, "leave", self.client_info(subscription.info))

    def end(self, channel: str, why: Unsubscribe) -> None:
        """Leave a channel by the server's will; the push comes in any case."""
        if channel in self.subscribing:
            self.subscribing[channel] = True
            return
        self.drop(channel)
        self.push(unsubscribe_push(channel, why))

    def end_subscription(self, channel: str, why: Unsubscribe) -> None:
        """End a subscription that can't go on; a server-side one takes the connection with it."""
        subscription = self.subscriptions.get(channel)
        if subscription is None:
            return
        if not subscription.server_side and not self.one_way:
            self.end(channel, why)
        elif why is UNSUBSCRIBED_EXPIRED:
            self.close(SUBSCRIPTION_EXPIRED)
        else:
            self.close(INSUFFICIENT_STATE)

"""What happens to a client by the clock: pings, expiry, and checks of its subscriptions."""

from __future__ import annotations

import random
from collections.abc import Callable

from instant.embedded.errors import (
    BAD_REQUEST_CLOSE,
    CONNECTION_EXPIRED,
    NO_PONG,
    STALE,
    UNSUBSCRIBED_INSUFFICIENT,
    Closing,
)
from instant.embedded.state.hub import Subscription

from .refresh import refresh_by_server, sub_refresh_by_server
from .session import Session

Alarm = Callable[[], None]


class SessionTimers:
    """The alarms of one session; `wake` is told when the next one is due, None for never."""

    __slots__ = ("_alarms", "_ping_sent", "_session", "_wake")

    def __init__(self, session: Session, wake: Callable[[float | None], None]) -> None:
        self._session = session
        self._wake = wake
        self._ping_sent = False
        self._alarms: dict[Alarm, float] = {}
        if session.broker.config.stale_close_delay > 0:
            self._set(self._close_stale, session.broker.config.stale_close_delay)

    def tick(self) -> None:
        """Call the alarms that are due by now."""
        now = self._session.broker.clock.monotonic()
        for alarm in [alarm for alarm, at in self._alarms.items() if at <= now]:
            if self._alarms.pop(alarm, None) is not None:
                self._session.guard(0, alarm)
        self._schedule()

    def start(self) -> None:
        """Set the alarms of a connection that has just been accepted."""
        session, config = self._session, self._session.broker.config
        self._alarms.pop(self._close_stale, None)
        # At random: clients that came at the same moment must not all be due at the same moment.
        spread = 0.5 + random.random() / 2  # noqa: S311
        if config.presence_interval > 0:
            self._set(self._check_subscriptions, config.presence_interval * spread)
        if config.ping_interval > 0:
            self._set(self._ping, config.ping_interval * spread)
        if session.expire_at:
            # In as many whole seconds as the reply to connect says, as Centrifugo counts.
            self.expire_in(session.expire_at - int(session.broker.clock.now()))

    def expire_in(self, seconds: float) -> None:
        """Set when the connection expires."""
        session = self._session
        late = session.broker.config.expired_close_delay if session.client_refresh else 0.0
        self._set(self._expire, seconds + late)

    def pong(self) -> None:
        """Handle a pong; raises Closing if no ping was sent."""
        if not self._ping_sent:
            raise Closing(BAD_REQUEST_CLOSE)
        self._ping_sent = False
        self._alarms.pop(self._close_silent, None)
        self._schedule()

    def stop(self) -> None:
        """Cancel all alarms."""
        self._alarms.clear()
        self._wake(None)

    def _set(self, alarm: Alarm, after: float) -> None:
        self._alarms[alarm] = self._session.broker.clock.monotonic() + after
        self._schedule()

    def _schedule(self) -> None:
        if not self._session.closed:
            self._wake(min(self._alarms.values(), default=None))

    def _close_stale(self) -> None:
        if not self._session.connected or self._session.unusable:
            self._session.close(STALE)

    def _close_silent(self) -> None:
        self._session.close(NO_PONG)

    def _ping(self) -> None:
        session, config = self._session, self._session.broker.config
        session.send(session.form.frame("{}"))
        self._set(self._ping, config.ping_interval)
        if not session.one_way:
            self._ping_sent = True
            if config.pong_timeout > 0:
                self._set(self._close_silent, config.pong_timeout)

    def _expire(self) -> None:
        session = self._session
        if not session.expire_at:
            return
        if not session.client_refresh:
            refresh_by_server(session)
        elif session.expire_at <= session.broker.clock.now():
            session.close(CONNECTION_EXPIRED)

    def _check_subscriptions(self) -> None:
        session, config = self._session, self._session.broker.config
        self._set(self._check_subscriptions, config.presence_interval)
        now = int(session.broker.clock.now())
        stale, session.presence_stale = session.presence_stale, False
        for channel, subscription in list(session.subscriptions.items()):
            late = subscription.expire_at + int(config.expired_sub_close_delay)
            if subscription.expire_at and now > late:
                sub_refresh_by_server(session, channel, subscription)
            elif subscription.positioned:
                self._check_position(channel, subscription, config.position_check_delay)
            if session.closed:
                return
            if stale:
                info = session.client_info(subscription.info)
                session.broker.hub.refresh_presence(channel, session, info)

    def _check_position(self, channel: str, subscription: Subscription, every: float) -> None:
        session, broker = self._session, self._session.broker
        now = broker.clock.monotonic()
        if now - subscription.checked_at <= every:
            return
        subscription.checked_at = now
        if broker.position(channel, subscription.meta_ttl).epoch != subscription.epoch:
            session.end_subscription(channel, UNSUBSCRIBED_INSUFFICIENT)

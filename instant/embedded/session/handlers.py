"""The commands of the client protocol by name, and the sessions that handle them."""

from __future__ import annotations

from collections.abc import Mapping

from instant.embedded.state.broker import Broker
from instant.embedded.wire_forms import Form

from . import commands, refresh, subscribe
from .connect import connect
from .peer import Peer
from .session import Handler, Session
from .timers import SessionTimers

# In the order in which the server looks for them in a command that has several.
HANDLERS: dict[str, Handler] = {
    "connect": connect,
    "subscribe": subscribe.subscribe,
    "unsubscribe": subscribe.unsubscribe,
    "publish": commands.publish,
    "presence": commands.presence,
    "presence_stats": commands.presence_stats,
    "history": commands.history,
    "rpc": commands.rpc,
    "send": commands.send,
    "refresh": refresh.refresh,
    "sub_refresh": refresh.sub_refresh,
}


def new_session(
    broker: Broker,
    peer: Peer,
    *,
    form: Form = Form.WEBSOCKET,
    transport: str = "websocket",
    headers: Mapping[str, list[str]] | None = None,
    user: str = "",
) -> Session:
    """Return the session of a client that has just come.

    `headers` are those of its HTTP request that a proxy may want, by lower-case name; `user` is the
    one that a reverse proxy vouches for.
    """
    return Session(
        broker,
        peer,
        HANDLERS,
        SessionTimers,
        form=form,
        transport=transport,
        headers=headers,
        user=user,
    )

"""The HTTP API by the names of its methods: one call, a broadcast or a batch; no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from instant.embedded.errors import API_NOT_FOUND, BAD_REQUEST, ClientError, Failure
from instant.embedded.json_scan import elements
from instant.embedded.json_text import Fields
from instant.embedded.state.broker import Broker
from instant.embedded.wire_forms import error_body

from .methods import Methods

# After so many publications of one request, others have a turn: their queues must not fill up.
YIELD_AFTER = 32

# Methods for types of subscriptions that this server doesn't have.
UNSUPPORTED = frozenset(
    (
        "map_clear",
        "map_publish",
        "map_read_state",
        "map_read_stream",
        "map_remove",
        "map_stats",
        "shared_poll_publish",
    )
)


def error_response(error: ClientError) -> str:
    """Write the reply of a method that failed; errors of the API have no `temporary`."""
    return f'{{"error":{error_body(ClientError(error.code, error.message))}}}'


class Api:
    """Calls methods by name; each takes a request and returns its result as JSON.

    They raise Failure for an error reply and Malformed for a request that can't be read.
    """

    def __init__(self, broker: Broker) -> None:
        self._methods = methods = Methods(broker)
        self.methods: dict[str, Callable[[Fields], str]] = {
            "publish": methods.publish,
            "subscribe": methods.subscribe,
            "unsubscribe": methods.unsubscribe,
            "disconnect": methods.disconnect,
            "refresh": methods.refresh,
            "presence": methods.presence,
            "presence_stats": methods.presence_stats,
            "history": methods.history,
            "history_remove": methods.history_remove,
            "channels": methods.channels,
            "info": methods.info,
            "rpc": methods.rpc,
        }

    def knows(self, method: str) -> bool:
        """Tell whether Centrifugo's API has such a method."""
        return method in self.methods or method in UNSUPPORTED or method == "broadcast"

    async def call(self, method: str, fields: Fields) -> str:
        """Call a method and return its result; raises Failure or Malformed."""
        if method == "broadcast":
            return await self.broadcast(fields)
        if method in UNSUPPORTED:
            # Centrifugo's own answer if the channel is of another type.
            raise Failure(BAD_REQUEST)
        return self.methods[method](fields)

    async def broadcast(self, fields: Fields) -> str:
        """Publish the same data into several channels; each has a reply of its own."""
        channels = fields.texts("channels")
        if not channels:
            raise Failure(BAD_REQUEST)
        asked = self._methods.publication(fields)
        replies = []
        for at, channel in enumerate(channels, 1):
            try:
                result = self._methods.publish_to(channel, asked)
                replies.append(f'{{"result":{result}}}')
            except Failure as exc:
                replies.append(error_response(exc.error))
            if at % YIELD_AFTER == 0:
                await asyncio.sleep(0)
        return f'{{"responses":[{",".join(replies)}]}}'

    async def batch(self, fields: Fields) -> str:
        """Call several methods, one after another even if `parallel` would allow more."""
        fields.flag("parallel")
        replies = []
        commands = elements(fields.raw_or_nothing("commands") or "[]")
        for at, text in enumerate(commands, 1):
            replies.append(await self._command(text))
            if at % YIELD_AFTER == 0:
                await asyncio.sleep(0)
        return f'{{"replies":[{",".join(replies)}]}}' if replies else "{}"

    async def _command(self, text: str) -> str:
        if text == "null":
            return error_response(BAD_REQUEST)
        command = Fields(text)
        asked = command.among((*self.methods, "broadcast", *UNSUPPORTED))
        for method in (*self.methods, "broadcast", *UNSUPPORTED):
            fields = asked.get(method)
            if fields is None:
                continue
            try:
                return f'{{"{method}":{await self.call(method, fields)}}}'
            except Failure as exc:
                return error_response(exc.error)
        return error_response(API_NOT_FOUND)

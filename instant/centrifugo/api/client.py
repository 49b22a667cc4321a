"""The client of the server's HTTP API."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar, cast

from instant.centrifugo.api import publish, stored
from instant.centrifugo.api.async_pool import AsyncConnectionPool
from instant.centrifugo.api.breaker import Breaker
from instant.centrifugo.api.commands import Command, batches, replies
from instant.centrifugo.api.nodes import Nodes
from instant.centrifugo.api.pool import ConnectionPool
from instant.exceptions import InvalidAPIKey, InvalidReply, PublishError
from instant.publishing.publication import Envelope

if TYPE_CHECKING:
    from cent import CentRequest, CentResult

__all__ = ["Client"]

_Result = TypeVar("_Result", bound="CentResult")


class Client:
    """
    Calls the API of one server over kept-alive connections; safe for threads and forks.

    ``url`` is the address without ``/api``. Publications go over our own encoding; for the
    rare calls (presence, history, info, disconnect, …) hand one of cent's request objects to
    ``call()``. cent is imported when it is first needed. With a ``breaker`` publications fail at
    once while the server can't be reached. ``nodes`` are the addresses of all its nodes where
    each knows only who is present on itself: they are asked for presence.
    """

    def __init__(
        self, url: str, api_key: str, breaker: Breaker | None = None, nodes: Sequence[str] = ()
    ) -> None:
        self._url = url
        self.breaker = breaker or Breaker(url, None)
        self._headers = headers = {"Content-Type": "application/json", "X-API-Key": api_key}
        self._pool = ConnectionPool(url, headers=headers)
        self._async_pool = AsyncConnectionPool(url, headers=headers)
        self._nodes = Nodes(nodes, headers) if nodes else None

    def publish(self, envelopes: Sequence[Envelope], timeout: float) -> None:
        """
        Send the envelopes in order, within ``timeout`` seconds for all of them.

        Sets state, offset and epoch of their publications. Raises a PublishError.
        """
        flow = publish.publishing(envelopes, timeout)
        request = next(flow)
        try:
            while True:
                try:
                    with self.breaker.asking():
                        reply = self._pool.post(*request)
                except PublishError as exc:
                    request = flow.throw(exc)
                else:
                    request = flow.send(reply)
        except StopIteration:
            return
        except (InvalidAPIKey, InvalidReply) as exc:
            self._name_address(exc)
            raise

    async def apublish(self, envelopes: Sequence[Envelope], timeout: float) -> None:  # noqa: ASYNC109
        """See publish()."""
        flow = publish.publishing(envelopes, timeout)
        request = next(flow)
        try:
            while True:
                try:
                    with self.breaker.asking():
                        reply = await self._async_pool.post(*request)
                except PublishError as exc:
                    request = flow.throw(exc)
                else:
                    request = flow.send(reply)
        except StopIteration:
            return
        except (InvalidAPIKey, InvalidReply) as exc:
            self._name_address(exc)
            raise

    def forward(
        self, body: bytes, commands: Sequence[stored.Stored], timeout: float
    ) -> list[stored.Refusal | None]:
        """
        Send a request with commands that were stored, see ``stored``.

        Returns for each why it was refused, None where it wasn't. Raises a PublishError.
        """
        count = sum(len(command.channels) for command in commands)
        with self.breaker.asking():
            status, reply = self._pool.post("/api/batch", body, publish.seconds_for(count, timeout))
        with self._naming_address():
            return stored.read(commands, status, reply)

    def call(self, request: CentRequest[_Result], timeout: float) -> _Result:
        """
        Send one of cent's requests and return cent's result.

        Raises ServerRefused for an error code and another PublishError for a failed request.
        """
        status, body = self._pool.post(*_call(request), timeout)
        with self._naming_address():
            return _result(request, status, body)

    def call_each(self, request: CentRequest[_Result], timeout: float) -> list[_Result]:
        """Send a request to each node that answers, or to the one server; see call()."""
        if self._nodes is None:
            return [self.call(request, timeout)]
        replies = self._nodes.each(*_call(request), timeout)
        with self._naming_address():
            return [_result(request, *reply) for reply in replies]

    async def acall(self, request: CentRequest[_Result], timeout: float) -> _Result:  # noqa: ASYNC109
        """See call()."""
        status, body = await self._async_pool.post(*_call(request), timeout)
        with self._naming_address():
            return _result(request, status, body)

    def run(self, commands: Sequence[Command], timeout: float) -> list[Any]:
        """
        Run the commands in order, in as few requests as possible, ``timeout`` seconds for each.

        Returns for each command its result, or the PublishError that it failed with, or a
        Partial where not all nodes told what they know. Raises a PublishError if a request fails;
        the results of earlier requests are then lost.
        """
        if self._nodes is not None and any(command.of_each_node for command in commands):
            return self._nodes.run(commands, timeout)
        found: list[Any] = []
        for body, part in batches(commands):
            status, reply = self._pool.post("/api/batch", body, timeout)
            with self._naming_address():
                found += replies(part, status, reply)
        return found

    def at_each(self, nodes: Sequence[str]) -> Nodes:
        """Return what runs commands on each of the nodes, with the same key."""
        return Nodes(nodes, self._headers)

    def close(self) -> None:
        """Close the idle connections of synchronous calls; event loops close their own."""
        self._pool.close()
        if self._nodes is not None:
            self._nodes.close()

    @contextlib.contextmanager
    def _naming_address(self) -> Iterator[None]:
        """Add the address to errors that another server than ours may have caused."""
        try:
            yield
        except (InvalidAPIKey, InvalidReply) as exc:
            self._name_address(exc)
            raise

    def _name_address(self, exc: PublishError) -> None:
        if self._url not in str(exc):
            exc.args = (f"{exc} Asked was {self._url}.",)


def _call(request: CentRequest[Any]) -> tuple[str, bytes]:
    body = json.dumps(request.api_payload, separators=(",", ":"))
    return f"/api/{request.api_method}", body.encode()


def _result(request: CentRequest[_Result], status: int, body: bytes) -> _Result:
    from cent import CentApiResponseError, CentDecodeError  # noqa: PLC0415  0.28 s

    if status != HTTPStatus.OK:
        raise publish.status_error(status, None)
    try:
        response = request.parse_response(body.decode())
    except CentApiResponseError as exc:
        raise publish.refused(None, {"code": exc.code, "message": exc.message}) from exc
    except (CentDecodeError, UnicodeDecodeError) as exc:
        raise InvalidReply(publish.NOT_CENTRIFUGO, code=status) from exc
    if response.result is None:  # cent accepts a reply with neither result nor error
        raise InvalidReply(publish.NOT_CENTRIFUGO, code=status)
    return cast("_Result", response.result)

"""Answer one call over gRPC."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

import grpc
from django.core.signals import got_request_exception, request_finished, request_started
from django.db import InterfaceError, OperationalError
from google.protobuf.message import DecodeError

from instant import conf
from instant.inbound.answering import answer
from instant.inbound.answers import Refused
from instant.inbound.call import Call
from instant.inbound.requests import find_method
from instant.inbound.reserved import check_id, take_id
from instant.inbound.rpc_server.caller import as_request, authenticated, in_tenant
from instant.inbound.rpc_server.messages import SERVICE, CallReply, CallRequest
from instant.inbound.rpc_server.values import from_struct, set_value
from instant.rights.client_address import caller_address
from instant.rights.primary import reading_from_primary

__all__ = ["Servicer", "status_of"]

logger = logging.getLogger("instant.inbound")

_PATH = f"/{SERVICE}/Call"

_MAX_TEXT = 1024
"""Of a refusal: it goes in headers, and some are limited to 8 kB together."""

_STATUSES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ABORTED,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def status_of(code: int) -> grpc.StatusCode:
    """Return gRPC's status for the code of a refusal. What it has none for is a precondition."""
    return _STATUSES.get(code, grpc.StatusCode.FAILED_PRECONDITION)


class Servicer(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The service of ``gateway.proto``."""

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure
        self._changed = threading.Condition()
        self.running = 0
        """Calls that a thread works on."""

    def wait(self, seconds: float) -> bool:
        """Wait until no thread works on a call, at most so long; tell whether it is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.running, seconds)

    def service(self, details: Any) -> Any:
        """Return what answers a method of gRPC's; None for one that isn't ours."""
        if details.method != _PATH:
            return None
        # The bytes as they are: what grpc can't read would be an error of ours in its log.
        return grpc.unary_unary_rpc_method_handler(self._call)

    def _call(self, raw: bytes, context: Any) -> bytes:
        with self._changed:
            self.running += 1
        try:
            # In a context of its own, which grpc makes: the next call here is somebody else's.
            reply = self._reply(raw, context)
        finally:
            with self._changed:
                self.running -= 1
                self._changed.notify_all()
        if isinstance(reply, bytes):
            return reply
        context.set_trailing_metadata(_trailing(reply))
        text = reply.message[:_MAX_TEXT] or "refused"
        context.abort(status_of(reply.code), text)
        raise AssertionError(text)  # abort() has raised

    def _reply(self, raw: bytes, context: Any) -> bytes | Refused:
        request = as_request(
            _PATH, context.invocation_metadata(), context.peer(), secure=self._secure
        )
        request_started.send(sender=type(self), environ=request.META)
        try:
            with reading_from_primary(), in_tenant(request):
                return self._answered(raw, request, context)
        except Refused as exc:
            return exc
        except (InterfaceError, OperationalError):
            logger.exception("%s failed: refused for now.", _PATH)
            return Refused(503, "not available", temporary=True)
        except Exception:
            logger.exception("%s failed.", _PATH)
            got_request_exception.send(sender=None, request=request)
            return Refused(500, "internal error")
        finally:
            request_finished.send(sender=type(self))

    def _answered(self, raw: bytes, request: Any, context: Any) -> bytes:
        # Before anything that the caller has sent is read.
        user = authenticated(request)
        left = context.time_remaining()
        if left is not None and left <= 0:
            raise Refused(504, "took too long")
        asked = _read(raw)
        handler = find_method(asked.method)
        data = from_struct(asked.data) if asked.HasField("data") else None
        data, named = take_id(data)
        call = Call(
            id=check_id(asked.id) if asked.id else named,
            user=user,
            method=asked.method,
            data=data,
            transport="grpc",
            address=caller_address(request.META, conf.current().trusted_proxies),
            headers=request.headers,
        )
        reply = CallReply()
        set_value(reply.data, json.loads(answer(handler, call, request=request, within=left)))
        found: bytes = reply.SerializeToString()
        return found


def _read(raw: bytes) -> Any:
    try:
        return CallRequest.FromString(raw)
    except DecodeError:
        raise Refused(400, "this is no instant.v1.CallRequest") from None


def _trailing(refused: Refused) -> list[tuple[str, str]]:
    found = [("instant-code", str(refused.code))]
    fields = json.dumps(refused.fields)
    if refused.fields and len(fields) <= 2 * _MAX_TEXT:
        found.append(("instant-fields", fields))
    if refused.retry_after is not None or refused.temporary:
        found.append(
            ("retry-after", str(1 if refused.retry_after is None else refused.retry_after))
        )
    return found

"""A server in this process, and a client of it."""

import grpc
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from instant.inbound.rpc_server.messages import SERVICE, CallReply, CallRequest
from instant.inbound.rpc_server.server import GatewayServer, Options

ANN = (("authorization", "Bearer ann"),)


class Caller:
    """Calls methods as a client in any language does."""

    def __init__(self, channel):
        self._call = channel.unary_unary(f"/{SERVICE}/Call")

    def raw(self, body, metadata=ANN, **more):
        return self._call(body, metadata=metadata, timeout=more.pop("timeout", 20), **more)

    def request(self, method, data=None, call_id=""):
        request = CallRequest(method=method, id=call_id)
        if data is not None:
            ParseDict(data, request.data)
            request.data.SetInParent()
        return request.SerializeToString()

    def __call__(self, method, data=None, metadata=ANN, *, call_id="", **more):
        raw = self.raw(self.request(method, data, call_id), metadata, **more)
        return MessageToDict(CallReply.FromString(raw))["data"]

    def refused(self, *arguments, **more):
        """Return the status and the text of a refusal, and what its trailing metadata say."""
        with pytest.raises(grpc.RpcError) as caught:
            self(*arguments, **more)
        return of(caught.value)


def of(error):
    trailing = dict(error.trailing_metadata() or ())
    return error.code().name, error.details(), trailing


@pytest.fixture
def instant(settings):
    settings.INSTANT = {
        **settings.INSTANT, "AUTHENTICATION": ["tests.views.authenticators.bearer"],
    }  # fmt: skip


@pytest.fixture
def serve(instant):
    """``serve(threads=2)`` starts a server and returns it with a client."""
    started = []

    def start(**options):
        server = GatewayServer(Options(port=0, **{"grace": 1.0, **options}))
        server.start()
        channel = grpc.insecure_channel(server.where)
        started.append((server, channel))
        return server, Caller(channel)

    yield start
    for server, channel in started:
        channel.close()
        server.stop()


@pytest.fixture
def call(serve):
    return serve()[1]

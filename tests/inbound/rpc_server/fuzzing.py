"""Whatever comes over gRPC: a status that is no internal error, and nobody without credentials."""

import grpc
from hypothesis import strategies as st

from instant.inbound.rpc_server.messages import CallReply, CallRequest
from instant.inbound.rpc_server.servicer import Servicer
from tests.views.gateway_fuzzing import METHODS, USERS

texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
keys = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=15)
pairs = (
    st.tuples(
        st.sampled_from(["authorization", "cookie", "remote-user", "remote_user", "host",
                         "content-length", "x-forwarded-proto", "instant-tenant"]) | keys,
        st.sampled_from(["Bearer fuzz-sue", "Bearer fuzz-off", "fuzz-sue", "Basic x", "9" * 50]) | texts,
    )
    | st.tuples(keys.map(lambda key: f"{key}-bin"), st.binary(max_size=20))
)  # fmt: skip
metadata = st.lists(pairs, max_size=4).flatmap(
    lambda more: st.sampled_from(
        [more, [("authorization", "Bearer fuzz-bob"), *more], [("authorization", "Bearer fuzz-sue")]]
    )
)  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def messages(draw):
    """Return the bytes of a message and its method; None where they are no message."""
    method = draw(st.sampled_from([*METHODS] * 3) | st.text(max_size=9))
    request = CallRequest(method=method, id=draw(st.sampled_from(["", "", "a-1"]) | texts))
    if draw(st.booleans()):
        request.data.update(
            draw(st.dictionaries(st.sampled_from(["n", "tags", "instant:id"]) | st.text(max_size=8), values, max_size=4))
        )  # fmt: skip
    raw = request.SerializeToString()
    change = draw(st.integers(0, 9))
    if change == 0:
        return draw(st.binary(max_size=60)), None
    if change == 1:
        return raw[: draw(st.integers(0, len(raw)))], None
    if change == 2:
        return raw + draw(st.binary(max_size=5)), None
    return raw, method


class Aborted(Exception):
    pass


class Context:
    """What grpc hands to a call."""

    def __init__(self, found, peer="ipv4:127.0.0.1:5000"):
        self._metadata, self._peer = found, peer
        self.status, self.trailing = None, ()

    def invocation_metadata(self):
        return self._metadata

    def peer(self):
        return self._peer

    def time_remaining(self):
        return None

    def set_trailing_metadata(self, trailing):
        self.trailing = trailing

    def abort(self, status, text):
        assert isinstance(text, str)
        assert text
        self.status = status
        raise Aborted


def play(site, found, raw, method):
    """Make a call; return its status. Raises AssertionError for what must not be."""
    site.reached.clear()
    context = Context(found)
    try:
        CallReply.FromString(Servicer(secure=False)._call(raw, context))
    except Aborted:
        assert not site.reached
        assert context.status is not grpc.StatusCode.INTERNAL, context.trailing
        return context.status.name
    given = ",".join(value for key, value in found if key == "authorization")
    who = USERS.get(given.strip(" \t"))
    assert who, "reached without credentials"
    [(reached, user)] = site.reached
    assert user == who
    assert method in {None, reached}
    assert reached != "staff.all" or user == "fuzz-sue"
    return "OK"

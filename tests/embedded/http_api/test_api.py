import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instant.embedded.errors import Failure, Malformed
from instant.embedded.http_api.api import UNSUPPORTED, Api
from instant.embedded.json_text import Fields
from tests.embedded.fakes import Client, make_broker


@pytest.fixture
def broker():
    return make_broker()


@pytest.fixture
def client(broker):
    found = Client(broker)
    found.connect(exp=600)
    return found


@pytest.fixture
def call(broker):
    api = Api(broker)

    async def call(name, /, **body):
        return json.loads(await api.call(name, Fields(json.dumps(body))))

    return call


async def fails(call, code, name, /, **body):
    with pytest.raises(Failure) as caught:
        await call(name, **body)
    assert caught.value.error.code == code


async def test_b64data_is_json_in_another_coat(call, client):
    client.subscribe("plain:1")
    await call("publish", channel="plain:1", b64data="eyJhIjogMX0=")
    assert client.take()[0]["push"]["pub"]["data"] == {"a": 1}
    await fails(call, 107, "publish", channel="plain:1", b64data="!")
    await fails(call, 107, "publish", channel="plain:1", b64data="/w==")


async def test_refresh_sets_another_end(call, client):
    now = int(client.broker.clock.now())
    await call("refresh", user="1", expire_at=now + 50, info={"n": 2})
    assert client.take() == [{"push": {"refresh": {"expires": True, "ttl": 50}}}]
    assert client.session.info == '{"n": 2}'
    await call("refresh", user="1")
    assert client.take() == [{"push": {"refresh": {}}}]
    assert client.session.expire_at == 0
    await call("refresh", user="1", expire_at=now - 1)
    assert client.close == (3005, "connection expired")


async def test_subscribe_with_override_data_and_recovery(call, client):
    position = await call("publish", channel="open:1", data=1)
    await call("publish", channel="open:1", data=2)
    await call("subscribe", user="1", channel="open:1", data={"d": 1}, recover_since=position)
    result = client.take()[0]["push"]["subscribe"]
    # The offset is the one asked for; the push has no place for what came since.
    assert (result["data"], result["offset"]) == ({"d": 1}, 1)
    assert "publications" not in result
    await call("subscribe", user="1", channel="x", override={"presence": {"value": False}})
    assert (await call("presence_stats", channel="x"))["num_clients"] == 0


async def test_subscribing_twice_counts_once(call, client):
    for _ in range(2):
        await call("subscribe", user="1", channel="room:1")
    assert (await call("channels", pattern="room:*"))["channels"] == {"room:1": {"num_clients": 1}}
    assert (await call("channels", pattern="x"))["channels"] == {}
    await fails(call, 100, "channels", pattern="[")


async def test_what_there_is_not(call):
    for method in UNSUPPORTED:
        await fails(call, 107, method)
    await fails(call, 104, "rpc", method="m")
    await fails(call, 107, "rpc")
    await fails(call, 102, "publish", channel="nope:1", data=1)


async def test_info(call, client):
    (node,) = (await call("info"))["nodes"]
    assert (node["num_clients"], node["version"]) == (1, "6.9.1 embedded")


BODIES = st.dictionaries(
    st.sampled_from(["channel", "channels", "data", "b64data", "user", "client", "session", "tags", "idempotency_key", "version", "version_epoch", "limit", "since", "reverse", "expired", "expire_at", "info", "whitelist", "disconnect", "override", "recover_since", "pattern", "commands", "parallel", "publish", "method"]),
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 2**65) | st.floats() | st.sampled_from(["", "1", "open:1", "room:1", "nope:1", "*", "[", "\ud800", "k"]),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["offset", "epoch", "code", "reason", "presence", "value", "publish", "history", "channel", "data"]), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=6,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([*Api(make_broker()).methods, "broadcast", "batch"]), BODIES)
@pytest.mark.slow
async def test_no_body_does_any_harm(method, body):
    broker = make_broker()
    client = Client(broker)
    client.connect("1")
    client.subscribe("open:1")
    api = Api(broker)
    try:
        fields = Fields(json.dumps(body))
        result = await (api.batch(fields) if method == "batch" else api.call(method, fields))
        assert isinstance(json.loads(result), dict)
    except (Failure, Malformed):
        pass
    for message in client.take():
        assert "push" in message
    assert method in {"disconnect", "refresh", "batch"} or client.close is None

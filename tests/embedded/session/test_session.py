import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instant.embedded.config.load import parse
from instant.embedded.errors import UNSUBSCRIBED_BY_SERVER, ClientError, Disconnect
from instant.embedded.session.application import ProxyReply, read_reply
from instant.embedded.wire_forms import Form
from tests.embedded.fakes import CONFIG, Client, make_broker, signed, subscriber_count


@pytest.fixture
def broker():
    return make_broker()


@pytest.fixture
def client(broker):
    found = Client(broker)
    found.connect(exp=600)
    return found


def publish(broker, channel, data="1", **more):
    return broker.publish(channel, data, broker.names.options(channel), **more)


def test_connecting_registers_and_leaving_forgets(broker, client):
    assert broker.counts()["num_clients"] == 1
    client.subscribe("open:1")
    client.session.disconnected()
    assert broker.counts() == {"num_clients": 0, "num_users": 0, "num_subs": 0, "num_channels": 0}
    assert broker.hub.sessions == {}
    assert client.peer.wake_at is None


def test_a_subscriber_gets_what_is_published(broker, client):
    client.subscribe("open:1")
    publish(broker, "open:1", '{"a": 1.10}')
    assert b'"data":{"a": 1.10}' in client.peer.sent[0]
    client.take()
    client.send({"id": 3, "unsubscribe": {"channel": "open:1"}})
    publish(broker, "open:1")
    assert client.take() == []


def test_one_encoding_serves_every_reader(broker):
    clients = [Client(broker, Form.WEBSOCKET) for _ in range(3)]
    for number, client in enumerate(clients):
        client.session.receive(
            json.dumps({"id": 1, "connect": {"token": signed(broker, str(number))}})
        )
        client.session.receive('{"id":2,"subscribe":{"channel":"plain:1"}}')
        client.peer.sent.clear()
    publish(broker, "plain:1", '"x"')
    first = clients[0].peer.sent[0]
    text = b'{"push":{"channel":"plain:1","pub":{"data":"x"}}}'
    assert first == bytes((0x81, len(text))) + text
    assert all(client.peer.sent[0] is first for client in clients)


def test_stale_without_connect(broker):
    client = Client(broker)
    client.pass_time(9.9)
    assert client.close is None
    client.pass_time(0.2)
    assert client.close == (3502, "stale")


def test_stale_after_a_refused_connect(broker):
    client = Client(broker)
    (reply,) = client.send({"id": 1, "connect": {"token": signed(broker, exp=-5)}})
    assert reply["error"]["code"] == 109
    assert client.close is None
    client.pass_time(11)
    assert client.close == (3502, "stale")


def test_a_command_after_a_refused_connect_closes(broker):
    client = Client(broker)
    client.send({"id": 1, "connect": {"token": signed(broker, exp=-5)}}, {"id": 2, "rpc": {}})
    assert client.close == (3501, "bad request")


def test_times_below_zero_are_never():
    times = dict.fromkeys(("stale_close_delay", "presence_update_interval"), "-1s")
    client = Client(make_broker({**CONFIG, "client": {**CONFIG["client"], **times}}))
    assert client.peer.wake_at is None
    client.connect()
    # The next is a ping.
    assert client.peer.wake_at > client.broker.clock.monotonic() + 12


def wait_for_ping(client):
    """Let time pass up to the next ping; return how much it was."""
    for waited in range(30):
        client.pass_time(1)
        if client.take() == [{}]:
            return waited + 1
    raise AssertionError


def test_pings_and_a_missing_pong(client):
    assert 12 <= wait_for_ping(client) <= 26
    assert client.raw("{}") == []
    assert 24 <= wait_for_ping(client) <= 26
    assert client.close is None
    client.pass_time(8.1)
    assert client.close == (3012, "no pong")


def test_a_second_pong_closes(client):
    wait_for_ping(client)
    client.raw("{}")
    client.raw("{}")
    assert client.close == (3501, "bad request")


def answer_pings(client, seconds):
    """Let time pass with a client that answers."""
    for _ in range(int(seconds)):
        client.pass_time(1)
        for message in client.take():
            if message == {}:
                client.raw("{}")
            else:
                yield message


def test_a_connection_ends_after_its_delay(broker):
    client = Client(broker)
    client.connect(exp=60)
    assert list(answer_pings(client, 84)) == []
    assert client.close is None
    list(answer_pings(client, 2))
    assert client.close == (3005, "connection expired")


def test_a_connection_has_the_whole_seconds_that_it_was_told(broker):
    broker.clock.passed = 0.9
    client = Client(broker)
    assert client.connect(exp=60)["ttl"] == 60
    list(answer_pings(client, 84))
    client.pass_time(0.9)
    assert client.close is None
    client.pass_time(0.2)
    assert client.close == (3005, "connection expired")


@pytest.mark.parametrize(
    ("refresh", "info"),
    [
        ({"refresh": {"info": {"a": 2}}}, {"conn_info": {"a": 2}, "chan_info": {"b": 1}}),
        ({"refresh": {}}, {"conn_info": {"a": 1}, "chan_info": {"b": 1}}),
        ({"sub_refresh": {"info": {"b": 2}}}, {"conn_info": {"a": 1}, "chan_info": {"b": 2}}),
        ({"sub_refresh": {}}, {"conn_info": {"a": 1}}),
    ],
)
def test_presence_shows_new_info_at_the_next_tick(broker, refresh, info):
    client = Client(broker)
    client.connect(exp=600, info={"a": 1})
    client.subscribe("x", token=signed(broker, exp=600, channel="x", info={"b": 1}))
    ((name, claims),) = refresh.items()
    of = {"channel": "x"} if name == "sub_refresh" else {}
    client.send({"id": 3, name: {"token": signed(broker, exp=600, **of, **claims), **of}})
    before = json.loads(broker.hub.presence_json("x"))["presence"][client.session.client]
    assert (before["conn_info"], before["chan_info"]) == ({"a": 1}, {"b": 1})
    list(answer_pings(client, 28))
    after = json.loads(broker.hub.presence_json("x"))["presence"]
    assert after == {client.session.client: {"user": "1", "client": client.session.client, **info}}


def test_a_refresh_prolongs(broker):
    client = Client(broker)
    client.connect(exp=60)
    list(answer_pings(client, 50))
    (reply,) = client.send({"id": 5, "refresh": {"token": signed(broker, exp=60)}})
    assert reply == {"id": 5, "refresh": {"expires": True, "ttl": 60}}
    list(answer_pings(client, 80))
    assert client.close is None


def test_a_subscription_ends_at_a_presence_tick(broker):
    client = Client(broker)
    client.connect()
    client.subscribe("x", token=signed(broker, exp=60, channel="x"))
    pushes = list(answer_pings(client, 120))
    assert pushes == [
        {
            "push": {
                "channel": "x",
                "unsubscribe": {"code": 2501, "reason": "subscription expired"},
            }
        }
    ]
    assert client.close is None


def test_a_namespace_that_is_gone_keeps_no_subscription_from_its_end():
    """Neither by a token nor by the application's answer; real Centrifugo ends them, too."""
    asked = {"name": "asked", "subscribe_proxy_enabled": True, "sub_refresh_proxy_enabled": True}
    stays = {"name": "stays"}
    names = {"namespaces": [{"name": "gone"}, asked, stays], "proxy": {
        kind: {"endpoint": "http://app.example/"} for kind in ("subscribe", "sub_refresh")
    }}  # fmt: skip
    broker = make_broker({**CONFIG, "channel": names})
    client = Client(broker)
    client.connect()
    client.subscribe("gone:1", token=signed(broker, exp=60, channel="gone:1"))
    client.send({"id": 3, "subscribe": {"channel": "asked:1"}})
    [(_, then)] = client.peer.asked
    then(read_reply("subscribe", json.dumps({"result": {"expire_at": 1_000_000_060}})))
    client.take()
    client.subscribe("stays:1", token=signed(broker, exp=60, channel="stays:1"))
    broker.reconfigure(parse({**CONFIG, "channel": {"namespaces": [stays]}}, {}))
    ends = [m["push"] for m in answer_pings(client, 120)]
    assert [(end["channel"], end["unsubscribe"]["code"]) for end in ends] == [
        ("gone:1", 2501), ("asked:1", 2501), ("stays:1", 2501)
    ]  # fmt: skip
    assert len(client.peer.asked) == 1
    assert client.close is None


def test_an_expired_sub_refresh_asks_for_another_token(broker):
    client = Client(broker)
    client.connect()
    client.subscribe("x", token=signed(broker, exp=60, channel="x"))
    (reply,) = client.send(
        {"id": 3, "sub_refresh": {"channel": "x", "token": signed(broker, exp=-1, channel="x")}}
    )
    assert reply["error"]["code"] == 109
    assert [push["push"]["unsubscribe"]["code"] for push in answer_pings(client, 120)] == [2501]


def test_a_lost_stream_ends_the_subscription(broker, client):
    client.subscribe("open:1")
    publish(broker, "open:1")
    client.take()
    broker.streams._streams.clear()
    publish(broker, "open:1")
    (push,) = client.take()
    assert push["push"]["unsubscribe"] == {"code": 2500, "reason": "insufficient state"}


def test_a_lost_stream_is_noticed_without_publications(broker, client):
    client.subscribe("open:1")
    broker.streams._streams.clear()
    codes = [push["push"]["unsubscribe"]["code"] for push in answer_pings(client, 90)]
    assert codes == [2500]


def test_a_server_side_subscription_takes_the_connection_with_it(broker):
    client = Client(broker)
    client.connect(subs={"open:1": {}})
    broker.streams._streams.clear()
    publish(broker, "open:1")
    assert client.close == (3010, "insufficient state")


def test_joins_and_leaves(broker, client):
    client.subscribe("room:1")
    other = Client(broker)
    other.connect("2", info={"n": 2})
    client.take()
    other.subscribe("room:1")
    (join,) = client.take()
    assert join["push"]["join"]["info"]["conn_info"] == {"n": 2}
    other.session.disconnected()
    (leave,) = client.take()
    assert leave["push"]["leave"]["info"]["user"] == "2"


# -- the application is asked ---------------------------------------------------------------------


def asked(client, channel="asked:1"):
    client.session.receive(
        json.dumps({"id": 2, "subscribe": {"channel": channel}})
        + "\n"
        + json.dumps({"id": 3, "presence": {"channel": "nope:1"}})
    )
    (question, then) = client.peer.asked.pop()
    return question, then


def test_a_question_holds_later_commands_back(client):
    question, then = asked(client)
    assert client.take() == []
    assert client.session.busy
    assert question.kind == "subscribe"
    body = json.loads(question.body)
    assert (body["channel"], body["user"], body["client"]) == (
        "asked:1",
        "1",
        client.session.client,
    )
    then(read_reply("subscribe", '{"result":{"data":{"t":1}}}'))
    first, second = client.take()
    assert first == {"id": 2, "subscribe": {"data": {"t": 1}}}
    assert second["id"] == 3


@pytest.mark.parametrize(
    ("answer", "code"),
    [(ProxyReply(failed=True), 100), (ProxyReply(error=ClientError(403, "no")), 403), (read_reply("subscribe", "<html>"), 100), (read_reply("subscribe", '{"result":{"info":1,"b64info":"!"}}'), 100), (read_reply("subscribe", '{"result":[]}'), 100)],
)  # fmt: skip
def test_a_no_is_an_error_and_nothing_more(broker, client, answer, code):
    _, then = asked(client)
    then(answer)
    first, second = client.take()
    assert (first["error"]["code"], second["id"]) == (code, 3)
    assert subscriber_count(broker, "asked:1") == 0
    assert client.session.subscribing == {}


def test_an_answer_may_disconnect(client):
    _, then = asked(client)
    then(ProxyReply(disconnect=Disconnect(4501, "bye")))
    assert client.close == (4501, "bye")
    assert client.take() == [{"push": {"disconnect": {"code": 4501, "reason": "bye"}}}]


def test_an_answer_after_the_end_changes_nothing(broker, client):
    _, then = asked(client)
    client.session.disconnected()
    then(read_reply("subscribe", "{}"))
    assert broker.counts()["num_subs"] == 0
    assert client.take() == []


def test_a_right_taken_away_while_it_is_granted(broker, client):
    _, then = asked(client)
    for session in broker.hub.connections("1"):
        session.unsubscribe("asked:1", UNSUBSCRIBED_BY_SERVER)
    then(read_reply("subscribe", "{}"))
    replies = client.take()
    assert replies[0] == {"id": 2, "subscribe": {}}
    assert replies[1]["push"]["unsubscribe"]["code"] == 2000
    assert subscriber_count(broker, "asked:1") == 0


# -- nothing escapes ------------------------------------------------------------------------------


def test_a_bug_closes_one_client_and_tells_no_secret(broker, client, monkeypatch, caplog):
    other = Client(broker)
    other.connect("2")

    def broken(*args, **kwargs):
        raise RuntimeError("s3cret")

    monkeypatch.setattr(broker.hub, "presence_counts", broken)
    client.subscribe("room:1")
    with caplog.at_level(logging.DEBUG):
        client.send({"id": 3, "presence_stats": {"channel": "room:1", "token": "s3cret"}})
    assert client.close == (3004, "internal server error")
    assert other.close is None
    assert "RuntimeError" in caplog.text
    assert "s3cret" not in caplog.text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**40) | st.floats() | st.sampled_from(["", "open:1", "room:1", "nope:1", "asked:1", "x", "é", "\ud800", "$open:1", "a#1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["channel", "token", "data", "recover", "offset", "epoch", "since", "limit", "reverse", "subs", "delta", "flag", "type", "tf", "method", "join_leave", "open:1"]), inner, max_size=5),
    max_leaves=10,
)  # fmt: skip
NAMES = st.sampled_from(["connect", "subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "rpc", "send", "refresh", "sub_refresh", "ping", "dance"])  # fmt: skip
COMMANDS = st.builds(
    lambda number, name, body: json.dumps({"id": number, name: body}),
    st.integers(-1, 9) | st.just("x"),
    NAMES,
    VALUES,
)
FRAMES = st.lists(COMMANDS | st.text(max_size=20) | st.just("{}"), max_size=6).map("\n".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAMES, max_size=4))
@pytest.mark.slow
def test_no_frame_does_any_harm(frames):
    broker = make_broker(CONFIG)
    watcher, client = Client(broker), Client(broker)
    watcher.connect("9")
    watcher.subscribe("open:1")
    client.connect("1")
    for frame in frames:
        for message in client.raw(frame):
            assert set(message) & {"id", "push"}
    assert client.close is None or client.close[0] in {3500, 3501, 3508}
    client.session.disconnected()
    assert watcher.close is None
    watcher.take()
    publish(broker, "open:1", '"still here"')
    assert watcher.take()[0]["push"]["pub"]["data"] == "still here"
    assert broker.counts()["num_clients"] == 1


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ('{"id":3,"presence_stats":{"channel":"room:1"},"rpc":{}}', {"id": 3, "presence_stats": {"num_clients": 1, "num_users": 1}}),
        ('{"id":3,"ping":{},"presence_stats":{"channel":"room:1"}}', {"id": 3, "error": {"code": 108, "message": "not available"}}),
        ('{"send":{},"presence_stats":{"channel":"room:1"}}', {"presence_stats": {"num_clients": 1, "num_users": 1}}),
    ],
)  # fmt: skip
def test_of_several_commands_in_one_one_is_handled(client, command, answer):
    client.subscribe("room:1")
    assert client.raw(command) == [answer]
    assert client.close is None


@pytest.mark.parametrize(
    ("command", "code"),
    [('{"id":3,"ping":{}}', 3501), ('{"send":{}}', 3508), ('{"id":3,"send":{},"refresh":{}}', 3508), ('{"id":3,"rpc":{},"refresh":{"token":1}}', 3501)],
)  # fmt: skip
def test_commands_that_close(client, command, code):
    (push,) = client.raw(command)
    assert push["push"]["disconnect"]["code"] == client.close[0] == code


@pytest.mark.parametrize("op", ["and", "or", "not"])
def test_a_filter_with_a_null_in_it_is_a_bad_request(op):
    """The real server of this version ends here, with everybody's connections."""
    allowing = {"name": "tags", "allow_subscribe_for_client": True, "allow_tags_filter": True}
    broker = make_broker({**CONFIG, "channel": {"namespaces": [allowing]}})
    client = Client(broker)
    client.connect()
    for nodes in ([None], [{"op": "and", "nodes": [None]}]):
        reply = client.subscribe("tags:1", tf={"op": op, "nodes": nodes})
        assert reply["error"]["code"] == 107


def test_a_null_for_a_channel_of_before_asks_for_nothing(broker):
    client = Client(broker)
    token = signed(broker)
    (reply,) = client.send({"id": 1, "connect": {"token": token, "subs": {"open:1": None}}})
    assert list(reply["connect"]["subs"]) == ["open:1"]

"""Two nodes that are one server: messages, rights and a node that is killed."""

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command

from instant import conf, publish
from instant.checks.engine import engine
from instant.models import Channel
from instant.rights.tokens import Signer
from tests.live.nodes import ENGINES, pair
from tests.live.servers import use
from tests.live.subscriber import Subscriber
from tests.soak.failover import CONFIG, failover

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.real_server,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("registry"),
]


@pytest.fixture(scope="module", params=[*ENGINES, "nats"])
def shared(request, tmp_path_factory):
    with pair(tmp_path_factory.mktemp("nodes"), request.param, {}) as running:
        yield running


@pytest.fixture
def live(shared):
    with use(shared.a, ENGINE=shared.engine):
        assert [m.id for m in engine(conf.current()) if m.id != "instant.W030"] == []
        yield shared


@pytest.fixture
def page():
    """Connect a user to a node, or to whichever nginx chooses, and subscribe."""
    opened = []

    def connect(server, user, *channels):
        signer = Signer(user)
        socket = Subscriber(server.url)
        opened.append(socket)
        assert "connect" in socket.connect(signer.connection_token().value)
        for name in channels:
            reply = socket.subscribe(name, signer.channel_token(name).value)
            assert "subscribe" in reply, reply
        return socket

    yield connect
    for socket in opened:
        socket.close()


def row(name, **groups):
    channel = Channel.objects.create(name=name, level="groups")
    channel.groups.set(groups.get("groups", ()))
    return channel


@pytest.fixture
def red(db):
    return Group.objects.create(name="red")


def test_what_one_node_is_told_the_other_passes_on(live, page, make_user, red):
    ann = make_user("ann", groups=["red"])
    row("$red", groups=[red])
    on_a, on_b = page(live.a, ann, "$red"), page(live.b, ann, "$red")
    publish("$red", data={"n": 1})  # to node a
    for socket in (on_a, on_b):
        [(channel, data)] = socket.publications(1)
        assert (channel, data["data"]) == ("$red", {"n": 1})


def test_who_loses_a_group_is_out_on_both_nodes(live, page, make_user, red):
    """By name for one user; by presence where a row changes for all who are in it."""
    ann, bob, eve = (make_user(name, groups=["red"]) for name in ("ann", "bob", "eve"))
    channel = row("$red", groups=[red])
    hers, his = page(live.b, ann, "$red"), page(live.b, bob, "$red")
    ann.groups.clear()
    assert hers.push("unsubscribe")["channel"] == "$red"
    assert his.quiet()
    on_a = page(live.a, eve, "$red")
    channel.groups.clear()
    for socket in (his, on_a):
        assert socket.push("unsubscribe")["channel"] == "$red"


def test_the_sweep_finds_who_is_on_the_other_node(live, page, make_user, red):
    ann = make_user("ann", groups=["red"])
    row("$red", groups=[red])
    hers = page(live.b, ann, "$red")
    ann.groups.through.objects.all().delete()  # no signal
    call_command("enforce", "--sweep")
    assert hers.push("unsubscribe")["channel"] == "$red"


@pytest.mark.parametrize("kind", ENGINES)
def test_a_killed_node_s_clients_come_back_with_what_they_missed(kind, tmp_path):
    """Behind nginx, one node after the other; make soak does it for longer, and measures."""
    with pair(tmp_path, kind, CONFIG) as nodes:
        sent, listeners, times = failover(nodes, kills=2, clients=4, pause=0.02)
    assert times
    for one in listeners:
        assert one.numbers == list(range(sent))
        assert one.losses == 0

"""Rows whose namespace the running server doesn't know are not for its consumer yet."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import ProgrammingError, connection, transaction
from django.test import override_settings
from django.utils import timezone

from instant.centrifugo.api.client import Client
from instant.centrifugo.api.commands import NodeCount
from instant.centrifugo.api.nodes import Nodes, Partial
from instant.exceptions import ServerRefused, ServerUnreachable, UnknownNamespace
from instant.models import OutboxRow, Revocation
from instant.publishing.outbox import known_namespaces as known
from tests.docs.documents import blocks

CENTRIFUGO = "instant.backends.centrifugo.CentrifugoBackend"


class Server:
    """Knows some namespaces; of these “quiet” has no history, which is another error."""

    def __init__(self, *names, error=None):
        self.names, self.error, self.asked = names, error, []

    def run(self, commands, timeout):
        if self.error:
            raise self.error
        *positions, count = commands
        assert isinstance(count, NodeCount)
        self.asked.append([command.parameters() for command in positions])
        return [*(self._reply(command.channel) for command in positions), 1]

    def _reply(self, channel):
        name = channel.removesuffix(":")
        if name == "quiet":
            return ServerRefused("108", code=108)
        return None if name in self.names else UnknownNamespace("102", code=102)


def test_the_namespaces_of_a_config():
    config = {"channel": {"namespaces": [{"name": "user"}, {"name": "order"}, {}]}}
    assert known.in_config(config) == {"user", "order"}
    assert known.in_config({}) == known.in_config({"channel": {}}) == set()


def test_a_server_is_asked_for_all_of_them_at_once():
    server = Server("order")
    assert known.ask(server, {"order", "quiet", "new"}, 1) == {"order", "quiet"}
    [commands] = server.asked
    assert commands[0] == {"channel": "new:", "limit": 0}


def test_nothing_is_known_where_a_node_can_not_be_asked():
    gone = ServerUnreachable("gone")
    refused = ServerRefused("108", code=108)
    server = SimpleNamespace(run=lambda commands, timeout: [refused, Partial(1, gone)])
    with pytest.raises(ServerUnreachable):
        known.ask(server, {"order"}, 1)


@pytest.mark.parametrize("broker", ["redis://redis", "postgresql://db/site"])
def test_each_node_that_the_settings_name_is_asked(monkeypatch, broker):
    urls = ["http://10.0.0.1:8427", "http://10.0.0.2:8427"]
    asked = []
    monkeypatch.setattr(known, "database", lambda: None)
    monkeypatch.setattr(
        known, "confirm", lambda connection, server, timeout, also: asked.append(server) or set()
    )
    engine = {"broker": broker, "nodes": urls}
    with override_settings(INSTANT={"DIR": "/x", "BACKEND": CENTRIFUGO, "ENGINE": engine}):
        assert known.confirm_now() == set()
        # A Redis knows who is present on all of them.
        presence_of_each = known.get_backend().client()._nodes is not None
        assert presence_of_each is broker.startswith("postgresql")
    with override_settings(INSTANT={"DIR": "/x", "BACKEND": CENTRIFUGO, "ENGINE": broker}):
        known.confirm_now()
    assert [type(server) for server in asked] == [Nodes, Client]
    assert list(asked[0]._pools) == urls


def write(namespace="", partition=0):
    return OutboxRow.objects.create(
        method="publish", payload="{}", partition=partition, namespace=namespace
    ).pk


def ready():
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM instant_outbox_ready ORDER BY id")
        return [pk for (pk,) in cursor.fetchall()]


@pytest.fixture
def _nothing_noted(transactional_db):
    known.forget_others(connection, ())
    yield
    known.forget_others(connection, ())


@pytest.mark.only_on("postgresql")
@pytest.mark.usefixtures("_nothing_noted")
class TestOnPostgres:
    def test_rows_wait_until_the_server_knows_their_namespace(self):
        plain, new, other = write(), write("new"), write("other")
        assert ready() == [plain]
        assert known.confirm(connection, Server("new"), 1) == {"other"}
        assert ready() == [plain, new]
        assert known.confirm(connection, Server("new", "other"), 1) == set()
        assert ready() == [plain, new, other]

    def test_nobody_is_asked_while_nothing_waits(self):
        write()
        write("refused", partition=-1)
        server = Server()
        assert known.confirm(connection, server, 1) == set()
        assert server.asked == []

    def test_a_server_that_can_not_be_asked_leaves_them_waiting(self, monkeypatch, caplog):
        write("new")
        backend = SimpleNamespace(client=lambda: Server(error=ServerUnreachable("gone")))
        monkeypatch.setattr(known, "get_backend", lambda: backend)
        assert known.NamespaceWatch().look() == known.AGAIN
        assert ready() == []
        assert not caplog.records

    def test_who_watches_says_once_what_waits_and_lets_it_go(self, monkeypatch, caplog):
        pk, server = write("new"), Server()
        monkeypatch.setattr(known, "get_backend", lambda: SimpleNamespace(client=lambda: server))
        watch = known.NamespaceWatch()
        for _ in range(2):
            watch.look()
        assert ready() == []
        [record] = caplog.records
        assert record.message == (
            "Publications to the namespace “new” wait in the outbox: the server's config doesn't "
            "have it. Run “manage.py syncws --reload”, or delete them in the admin if the name is "
            "wrong."
        )
        server.names = ("new",)
        watch.look()
        assert ready() == [pk]

    def test_others_than_those_that_wait_can_be_noted_before(self):
        assert known.confirm(connection, Server("order"), 1, also={"order", "new"}) == {"new"}
        assert ready() == []
        pk = write("order")
        assert ready() == [pk]

    def test_a_server_that_will_start_without_one_gets_no_row_of_it(self):
        old, _ = write("old"), known.confirm(connection, Server("old"), 1, also={"old"})
        assert ready() == [old]
        known.forget_others(connection, {"new"})
        assert ready() == []

    def test_the_consumer_is_woken_for_what_it_may_send_now(self):
        write("new", partition=3)
        with connection.cursor() as cursor:
            cursor.execute("LISTEN instant_outbox_partition")
        known.confirm(connection, Server("new"), 1)
        told = {n.payload for n in connection.connection.notifies(timeout=10, stop_after=1)}
        assert told == {"3"}

    def test_rows_in_lanes_that_there_are_no_more_are_not_left_there(self, monkeypatch):
        """The consumer reads as many as the settings say; processes that write may be older."""
        monkeypatch.setattr(known, "get_backend", lambda: SimpleNamespace(client=Server))
        rows = [write(partition=number) for number in (3, 7, 8, 17, -20)]
        with connection.cursor() as cursor:
            cursor.execute("LISTEN instant_outbox_partition")
        known.NamespaceWatch().look()
        assert [OutboxRow.objects.get(pk=pk).partition for pk in rows] == [3, 7, 0, 1, -20]
        told = {n.payload for n in connection.connection.notifies(timeout=10, stop_after=2)}
        assert told == {"0", "1"}

    def test_rows_wait_until_rights_that_were_revoked_with_them_have_ended(self):
        pk, now = write(), timezone.now()
        held = {"claim": "someone", "due_at": now + timedelta(seconds=5)}
        row = Revocation.objects.create(loss={}, created_at=now, **held)
        assert ready() == []
        for done in (
            {"is_last": True},
            {"created_at": now - timedelta(seconds=6)},
            {"due_at": now - timedelta(seconds=1)},
            {"claim": ""},
        ):
            Revocation.objects.filter(pk=row.pk).update(**done)
            assert ready() == [pk]
            Revocation.objects.filter(pk=row.pk).update(is_last=False, created_at=now, **held)

    def test_the_consumers_role_may_do_what_it_needs_and_no_more(self):
        pk, waiting = write(), write("new")
        [block] = blocks("sql", document="docs/outbox.md")
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(block.code)
            cursor.execute("SET LOCAL ROLE centrifugo")
            cursor.execute("SELECT id, method, payload, partition FROM instant_outbox_ready")
            assert [row[0] for row in cursor.fetchall()] == [pk]
            cursor.execute("DELETE FROM instant_outbox_ready WHERE id = ANY(%s)", [[pk, waiting]])
            for sql in (
                "SELECT * FROM instant_outbox",
                "SELECT * FROM auth_user",
                "INSERT INTO instant_outbox_ready (id) VALUES (1)",
                "INSERT INTO instant_outbox_known VALUES ('new')",
            ):
                with pytest.raises(ProgrammingError, match="permission"), transaction.atomic():
                    cursor.execute(sql)
            cursor.execute("RESET ROLE")
            assert [row.pk for row in OutboxRow.objects.all()] == [waiting]
            transaction.set_rollback(True)

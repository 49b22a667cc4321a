"""SQLite in a file: nothing is written beside requests, and still nothing lost or sent twice."""

import json
import os
import random
import threading
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import OperationalError, connections, transaction
from django.test.utils import CaptureQueriesContext

from instant import batch, broadcast, publish
from instant.admin.outbox import OutboxRowAdmin
from instant.models import OutboxRow
from instant.publishing.outbox import notes as notes_module
from instant.publishing.outbox import settle, state, tables
from instant.publishing.outbox.notes import NotesStore, path_of
from instant.publishing.outbox.relay import Relay
from instant.publishing.outbox.sending import send
from instant.publishing.outbox.store import Store
from tests.outbox.conftest import with_outbox
from tests.outbox.test_relay import Clock

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def file(tmp_path, api):
    """Return the alias of a database in a file, with the table, which publish() is to name."""
    with with_outbox(DIR=tmp_path):
        yield from databases_in_file(tmp_path)


def databases_in_file(tmp_path, **options):
    """Let “other” be a database in a file, for all threads."""
    before, settings = connections["other"], connections.databases["other"]
    name = str(tmp_path / "db.sqlite3")
    connections.databases["other"] = {
        **settings,
        "NAME": name,
        "OPTIONS": {"timeout": 20, "init_command": "PRAGMA synchronous = OFF", **options},
    }
    connections["other"] = connections.create_connection("other")
    settle._settled.clear()
    try:
        with connections["other"].schema_editor() as editor:
            editor.create_model(OutboxRow)
        yield "other"
    finally:
        connections["other"].close()
        connections.databases["other"] = settings
        connections["other"] = before


def ids():
    return list(tables.all_rows("other").order_by("pk").values_list("pk", flat=True))


def look(**kwargs):
    relay = Relay(**kwargs)
    relay.look()
    return relay


def test_what_was_sent_is_deleted_by_the_next_publication(file, api):
    publish("a", "1", using=file)
    publish("a", "2", using=file)
    relay = Relay()
    with CaptureQueriesContext(connections[file]) as queries:
        relay.look()
    assert {query["sql"].split()[0] for query in queries} == {"SELECT"}
    assert api.messages() == ["1", "2"]
    assert len(ids()) == 2
    publish("a", "3", using=file)
    assert len(ids()) == 1
    relay.look()
    assert api.messages() == ["1", "2", "3"]


def test_a_relay_that_is_started_again_knows_what_was_sent(file, api):
    publish("a", "1", using=file)
    look()
    look()
    publish("a", "2", using=file)
    look()
    assert api.messages() == ["1", "2"]


def test_a_transaction_that_is_rolled_back_takes_the_deletion_back(file, api):
    publish("a", "1", using=file)
    look()
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=file):
        publish("a", "2", using=file)
        1 / 0  # noqa: B018
    assert len(ids()) == 1
    publish("a", "3", using=file)
    look()
    publish("a", "4", using=file)
    look()
    assert api.messages() == ["1", "3", "4"]
    assert len(ids()) == 1


def test_namespaces_that_are_not_known_yet_are_left_behind(file, api):
    clock = Clock()
    relay = Relay(clock=clock)
    publish("new:1", "1", using=file)
    publish("a", "x", using=file)
    api.errors["new:1"] = [102]
    relay.look()
    publish("a", "y", using=file)
    publish("new:1", "2", using=file)
    relay.look()
    publish("a", "z", using=file)
    assert api.messages() == ["x", "y"]
    look()  # another relay, which knows it by the notes
    assert (api.messages("a"), api.messages("new:1")) == (["x", "y", "z"], ["1", "2"])
    publish("a", "end", using=file)
    assert len(ids()) == 1


def test_what_was_not_known_behind_what_could_not_be_sent_is_not_forgotten(file, api):
    clock = Clock()
    relay = Relay(clock=clock)
    publish("a", "1", using=file)
    publish("new:1", "1", using=file)
    api.errors = {"a": [100], "new:1": [102]}
    relay.look()
    clock.now += 1
    relay.look()
    publish("b", "1", using=file)
    relay.look()
    assert api.messages("new:1") == []
    clock.now += 10
    publish("b", "2", using=file)
    relay.look()
    assert (api.messages("a"), api.messages("b")) == (["1"], ["1", "2"])
    assert api.messages("new:1") == ["1"]


def test_what_is_refused_is_set_aside_by_the_next_publication(file, api):
    api.errors["a"] = [107]
    publish("a", "poison", using=file)
    publish("a", "1", using=file)
    look()
    assert api.messages() == ["1"]
    assert state.count().set_aside == 1
    publish("a", "2", using=file)
    [row] = tables.all_rows(file).filter(partition__lt=0)
    assert "error 107" in row.error
    assert json.loads(row.payload)["data"]["message"] == "poison"
    look()
    publish("a", "3", using=file)
    assert tables.all_rows(file).filter(partition__lt=0).count() == 1
    look()
    assert api.messages() == ["1", "2", "3"]


def test_many_that_are_refused_cost_the_next_publication_few_statements(file, api):
    with batch():
        for number in range(100):
            publish(f"a{number}", "poison", using=file)
            api.errors[f"a{number}"] = [107 if number % 2 else 108]
    look()
    with CaptureQueriesContext(connections[file]) as queries:
        publish("a", "1", using=file)
    assert len(queries) < 20
    aside = tables.all_rows(file).filter(partition__lt=0)
    assert {row.error[:36] for row in aside} == {
        "The server replied with error 107, e",
        "The server replied with error 108, e",
    }
    assert len(aside) == 100


def test_a_list_of_the_admin_reads_the_notes_once(file, api, admin_client, monkeypatch):
    monkeypatch.setattr(OutboxRowAdmin, "get_queryset", lambda *_: tables.all_rows(file))
    for number in range(20):
        publish(f"a{number}", "poison", using=file)
        api.errors[f"a{number}"] = [107]
    look()
    with CaptureQueriesContext(connections[file]) as queries:
        page = admin_client.get("/admin/instant/outboxrow/").content.decode()
    assert page.count("error 107, error 107") == 20
    assert len(queries) < 12


def test_sent_rows_are_kept_where_the_settings_say_so(file, api):
    with with_outbox(DIR=notes_module.folder(), OUTBOX_KEEP=60):
        publish("a", "1", using=file)
        look()
        publish("a", "2", using=file)
    assert tables.all_rows(file).order_by("pk").first().partition == OutboxRow.KEPT
    look()
    settle._settled.clear()  # another process, with other settings
    publish("a", "3", using=file)
    assert len(ids()) == 1


def test_whoever_shares_the_database_shares_the_notes(file, api, tmp_path):
    """A container of the site's and one of the relay's, a new one, and another name by a link."""
    name = connections[file].settings_dict["NAME"]
    link = tmp_path / "current" / "db.sqlite3"
    link.parent.mkdir()
    link.symlink_to(name)
    publish("a", "1", using=file)
    with with_outbox(DIR=made(tmp_path / "relay")):
        look()
    publish("a", "2", using=file)
    assert len(ids()) == 1
    with with_outbox(DIR=made(tmp_path / "new")):
        look()
        connections[file].settings_dict["NAME"] = str(link)
        look()
        connections[file].settings_dict["NAME"] = name
    assert api.messages() == ["1", "2"]


def made(folder):
    folder.mkdir()
    return folder


def test_who_may_read_the_database_may_read_the_notes(file, api):
    """The site and the relay may be different users."""
    os.chmod(connections[file].settings_dict["NAME"], 0o664)  # noqa: PTH101  NAME is a str
    publish("a", "1", using=file)
    look()
    assert path_of(connections[file]).stat().st_mode & 0o777 == 0o664


def test_where_nothing_can_be_beside_the_database_they_are_elsewhere(file, api, monkeypatch):
    monkeypatch.setattr(notes_module, "_beside", lambda _name: None)
    publish("a", "1", using=file)
    look()
    assert path_of(connections[file]).parent == notes_module.folder()
    publish("a", "2", using=file)
    assert len(ids()) == 1


def test_a_table_that_counts_from_1_again(file, api):
    for number in range(5):
        publish("a", number, using=file)
    look()
    with connections[file].cursor() as cursor:  # as “manage.py flush” does
        cursor.execute("DELETE FROM instant_outbox")
        cursor.execute("UPDATE sqlite_sequence SET seq = 0")
    settle._settled.clear()
    publish("a", "new", using=file)
    settle._settled.clear()  # another process
    publish("a", "newer", using=file)
    look()
    assert api.messages() == [*range(5), "new", "newer"]


def restore(file, backup):
    """Put a backup in the place of the database, as ``cp`` does; who asks it starts anew."""
    connections[file].close()
    Path(connections[file].settings_dict["NAME"]).write_bytes(backup)
    settle._settled.clear()


@pytest.mark.parametrize("is_running", [False, True])
def test_a_database_that_is_put_back_from_a_backup(file, api, is_running):
    """Its rows get numbers that the notes have seen, before a relay looks."""
    relay = Relay()
    publish("a", "1", using=file)
    backup = Path(connections[file].settings_dict["NAME"]).read_bytes()
    for number in range(2, 5):
        publish("a", str(number), using=file)
    relay.look()
    restore(file, backup)
    with batch():
        for number in range(5, 10):
            publish("a", str(number), using=file)
    if not is_running:
        relay = Relay()
    relay.look()
    assert api.messages() == ["1", "2", "3", "4", "1", "5", "6", "7", "8", "9"]
    publish("a", "end", using=file)
    assert len(ids()) == 1


def test_fixtures_are_sent_whatever_their_numbers(file, api, tmp_path):
    """Those of another database, or of this one before it was flushed."""
    fixture = tmp_path / "rows.json"
    publish("a", "1", using=file)
    publish("a", "2", using=file)
    call_command("dumpdata", "instant.OutboxRow", database=file, output=str(fixture), verbosity=0)
    look()
    publish("a", "3", using=file)
    fixture.write_text(fixture.read_text().replace('"pk": 2', '"pk": 3'))
    call_command("loaddata", str(fixture), database=file, verbosity=0)
    look()
    assert api.messages() == ["1", "2", "3", "1", "2"]


def test_another_file_of_the_same_name(file, api, tmp_path):
    for number in range(5):
        publish("a", number, using=file)
    look()
    connections[file].close()
    (tmp_path / "old").hardlink_to(tmp_path / "db.sqlite3")  # so that its inode isn't used again
    (tmp_path / "db.sqlite3").unlink()
    with connections[file].schema_editor() as editor:
        editor.create_model(OutboxRow)
    for number in range(9):
        publish("b", number, using=file)
    look()
    assert api.messages("b") == list(range(9))


def test_notes_that_cannot_be_read_are_none(file, api):
    publish("a", "1", using=file)
    path_of(connections[file]).write_text("{")
    look()
    assert api.messages() == ["1"]


def test_where_transactions_begin_by_writing_the_relay_deletes(tmp_path, api):
    with with_outbox(DIR=tmp_path):
        for file in databases_in_file(tmp_path, transaction_mode="IMMEDIATE"):
            publish("a", "1", using=file)
            look()
            assert ids() == []
            assert not path_of(connections[file]).exists()


@pytest.mark.parametrize("is_told", [False, True])
def test_requests_that_read_and_then_write_are_not_locked_out(file, api, is_told):
    """The second case is what would be without notes: it shows that the first can fail."""
    connections[file].cursor().execute("CREATE TABLE shop (n)")
    stopped = threading.Event()

    def relay():
        try:
            mine = Relay(is_told=is_told)
            while not stopped.is_set():
                mine.look()
        finally:
            connections.close_all()

    thread = threading.Thread(target=relay)
    thread.start()
    failed = 0
    try:
        for number in range(100 if not is_told else 1000):
            try:
                with transaction.atomic(using=file), connections[file].cursor() as cursor:
                    cursor.execute("SELECT count(*) FROM shop")
                    cursor.fetchall()
                    publish("a", number, using=file)
                    publish("b", number, using=file)
            except OperationalError:
                failed += 1
                if is_told:
                    break
    finally:
        stopped.set()
        thread.join()
    assert bool(failed) is is_told


class Fake:
    """A client whose server fails at random."""

    def __init__(self, rng):
        self.rng = rng
        self.got = []
        self.channels = {}
        self.unknown = {"new", "later"}

    def forward(self, body, commands, timeout):
        found = []
        for command in commands:
            if command.namespace in self.unknown:
                found.append((102, "unknown channel"))
            elif self.rng.random() < 0.1:
                found.append((100, "internal server error"))
            elif self.rng.random() < 0.05:
                found.append((107, "bad request"))
            else:
                self.got.append(command.id)
                self.channels.setdefault(command.channels[0], []).append(command.id)
                found.append(None)
        return found


@pytest.mark.parametrize("kind", ["notes", "table"])
@pytest.mark.parametrize("seed", range(10))
def test_whatever_happens_each_row_is_sent_once_or_set_aside(file, seed, kind, monkeypatch):
    """A relay that is killed at any time, a server that fails, publications in between."""
    rng = random.Random(seed)
    monkeypatch.setattr(tables, "LIMIT", 7)
    client = Fake(rng)
    published = 0

    def make_store():
        return NotesStore(file) if kind == "notes" else Store(file)

    store, waiting = make_store(), set()
    for step in range(60):
        for _ in range(rng.randrange(4)):
            name = rng.choice(["a", "b", "new:1", "later:1", "later:2", "ok:1"])
            publish(name, published, using=file)
            published += 1
        if rng.random() < 0.3:
            store, waiting = make_store(), set()  # it died
        if rng.random() < 0.3:
            waiting = set()  # they are tried again
        if step == 40:
            client.unknown = set()
        for partition in store.partitions():
            if rows := store.due(partition, waiting):
                result = send(client, rows, 1)
                store.finish(rows, result, None)
                waiting |= result.unknown.keys()
    store, waiting = make_store(), set()
    while not_yet := [p for p in store.partitions() if store.due(p, set())]:
        for partition in not_yet:
            if rows := store.due(partition, set()):
                store.finish(rows, send(client, rows, 1), None)
    settle._settled.clear()
    with transaction.atomic(using=file):
        settle.settle(connections[file])
    aside = set(tables.all_rows(file).filter(partition__lt=0).values_list("pk", flat=True))
    assert not tables.all_rows(file).filter(partition__gte=0).exists()
    assert len(client.got) == len(set(client.got)), "Nothing is sent twice."
    assert aside | set(client.got) == set(range(1, published + 1))
    assert not aside & set(client.got)
    for got in client.channels.values():
        assert got == sorted(got), "A channel's order is kept."


def test_a_broadcast_in_notes(file, api):
    broadcast([f"room:{n}" for n in range(50)], "x", using=file)
    look()
    assert len(api.messages()) == 50
    look()
    assert len(api.messages()) == 50

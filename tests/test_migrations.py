"""From a 4.2.0 database to today's, and no migration is missing."""

import io
import re
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState

NEWEST = "0021_stream"


@pytest.fixture
def at_4_2_0(transactional_db):
    """Go back to the state of 4.2.0; come back afterwards."""
    executor = MigrationExecutor(connection)
    executor.migrate([("instant", "0002_alter_channel_level")])
    yield executor.loader.project_state([("instant", "0002_alter_channel_level")]).apps
    call_command("migrate", "instant", verbosity=0)


def upgrade():
    executor = MigrationExecutor(connection)
    executor.loader.build_graph()
    executor.migrate([("instant", NEWEST)])


def test_the_two_old_migrations_make_the_tables_of_4_2_0(at_4_2_0):
    old = at_4_2_0.get_model("instant", "Channel")
    with connection.cursor() as cursor:
        columns = {
            c.name
            for c in connection.introspection.get_table_description(cursor, old._meta.db_table)
        }
        tables = connection.introspection.table_names(cursor)
    assert columns == {"id", "name", "level", "is_active"}
    assert "instant_channel_groups" in tables
    assert "instant_channel_members" not in tables
    assert old._meta.get_field("level").default == "superuser"


def test_rows_of_4_2_0_are_kept_and_brought_under_the_rule(at_4_2_0, capsys):
    from django.contrib.auth.models import Group

    old = at_4_2_0.get_model("instant", "Channel")
    rows = [
        ("public", "public", True),
        ("$users", "users", True),
        ("bulk", "staff", True),  # bulk_create() went around save()
        ("$was-private", "public", True),  # save() never took the $ away
        ("$taken", "users", True),
        ("taken", "users", True),  # would become $taken
        ("ns:$x", "users", True),  # where 4.2.0 put the $
        ("a b", "public", True),
        ("$", "superuser", True),
        ("$off", "users", False),
    ]
    old.objects.bulk_create([old(name=n, level=lv, is_active=a) for n, lv, a in rows])
    group = at_4_2_0.get_model("auth", "Group").objects.create(name="red")
    old.objects.get(name="bulk").groups.add(group)
    upgrade()

    from instant.models import Channel

    found = {c.name: (c.level, c.is_active) for c in Channel.objects.all()}
    assert found == {
        "public": ("public", True),
        "$users": ("users", True),
        "$bulk": ("staff", True),
        "was-private": ("public", True),
        "$taken": ("users", True),
        "$taken-2": ("users", True),
        "$ns:x": ("users", False),
        "a b": ("public", False),
        "$channel": ("superuser", True),
        "$off": ("users", False),
    }
    assert [g.name for g in Channel.objects.get(name="$bulk").groups.all()] == ["red"]
    printed = capsys.readouterr().out
    assert "renamed to $bulk" in printed
    assert "made inactive" in printed
    assert Group.objects.count() == 1


def test_backwards_and_forwards(transactional_db):
    from instant.models import Channel

    Channel.objects.create(name="$x")
    call_command("migrate", "instant", "0002", verbosity=0)
    call_command("migrate", "instant", verbosity=0)
    assert Channel.objects.get().name == "$x"


class OutboxElsewhere:
    """A router that goes by the names of models."""

    def allow_migrate(self, db, app_label, model_name=None, **hints):
        if (app_label, model_name) == ("instant", "outboxrow"):
            return db == "other"
        return None if db == "default" else False


@pytest.mark.parametrize("name", ["0009_outbox_notify", "0010_outbox_known"])
@pytest.mark.parametrize(("alias", "is_there"), [("default", False), ("other", True)])
def test_what_belongs_to_a_table_is_made_where_the_table_is(settings, name, alias, is_there):
    """On PostgreSQL: a trigger without its table would end the project's migrate."""
    settings.DATABASE_ROUTERS = [OutboxElsewhere()]
    [operation] = import_module(f"instant.migrations.{name}").Migration.operations
    state = ProjectState()
    for run in (operation.database_forwards, operation.database_backwards):
        editor = Mock()
        editor.connection.alias, editor.connection.vendor = alias, "postgresql"
        run("instant", editor, state, state)
        assert editor.execute.called is is_there


def test_no_migration_is_missing(db):
    call_command("makemigrations", "--check", "--dry-run", stdout=io.StringIO())


OTHER_SETTINGS = """
from tests.settings import *
DEFAULT_AUTO_FIELD = "django.db.models.{auto}"
INSTALLED_APPS = [*INSTALLED_APPS, "tests.customuser"]
AUTH_USER_MODEL = "customuser.Person"
"""


@pytest.mark.slow
@pytest.mark.parametrize("auto", ["AutoField", "SmallAutoField"])
def test_nor_under_another_auto_field_and_user_model(tmp_path, auto):
    (tmp_path / "other_settings.py").write_text(OTHER_SETTINGS.format(auto=auto))
    code = (
        "import django; django.setup();"
        "from django.core.management import call_command as call;"
        "call('makemigrations', 'instant', '--check', '--dry-run');"
        "call('migrate', run_syncdb=True, verbosity=0);"
        "from tests.customuser.models import Person;"
        "from instant.models import Channel; from instant import permissions, user_channel;"
        "p = Person.objects.create(email='a@b.c');"
        "c = Channel.objects.create(name='$g', level='groups'); c.members.add(p);"
        "Channel.objects.create(name='public', level='public');"
        "print([g.name for g in permissions.grants_after(p, '', 9)[0]], user_channel(p));"
        "print([c.name for c in permissions.channels_for(p)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:.", "DJANGO_SETTINGS_MODULE": "other_settings", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    own = r"user:[0-9a-f-]{36}"
    assert re.search(rf"\['\$g', 'public', '{own}'\] {own}", done.stdout), done.stdout
    assert "['$g', 'public']" in done.stdout


BROKER = """
CREATE TABLE cf_stream_shard_lock (shard_id integer PRIMARY KEY);
INSERT INTO cf_stream_shard_lock VALUES (0);
CREATE TABLE told (channel text);
CREATE FUNCTION cf_stream_publish(
    p_channel text, p_data jsonb, p_history_ttl interval, p_history_size integer,
    p_meta_ttl interval, p_idempotency_key text, p_use_delta boolean,
    OUT out_channel_offset bigint, OUT out_epoch text
) AS $$ INSERT INTO told VALUES (p_channel) RETURNING 1, 'e' $$ LANGUAGE sql
"""
PUBLISH = """
INSERT INTO instant_broker (stream, channel, data, idempotency_key, meta_ttl, use_delta)
VALUES ('cf_stream', 'a', '{}', 'k', '1 day', false)
"""


@pytest.mark.only_on("postgresql")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("there_too", [False, True])
def test_a_commit_with_another_search_path_publishes_too(there_too):
    """A tenant's block may end before the transaction does."""
    migration = import_module("instant.migrations.0011_broker")
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA site; CREATE SCHEMA red; SET search_path TO red, site")
        try:
            migration.make(None, SimpleNamespace(connection=connection, execute=cursor.execute))
            cursor.execute("SET search_path TO site")
            cursor.execute(BROKER, None)
            if there_too:
                editor = SimpleNamespace(connection=connection, execute=cursor.execute)
                migration.make(None, editor)
            with transaction.atomic():
                cursor.execute("SET LOCAL search_path TO red, site")
                cursor.execute(PUBLISH)
                cursor.execute("SET LOCAL search_path TO site")
            cursor.execute("SELECT channel, (SELECT count(*) FROM red.instant_broker) FROM told")
            assert cursor.fetchall() == [("a", 0)]
        finally:
            cursor.execute("RESET search_path; DROP SCHEMA site CASCADE; DROP SCHEMA red CASCADE")

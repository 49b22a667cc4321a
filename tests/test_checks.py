"""The system checks, one test an id."""

import json
from types import SimpleNamespace

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from instant import (
    Namespace,
    before_send,
    channel,
    conf,
    on_connect,
    on_message,
    on_publish,
    on_refresh,
    on_rpc,
    on_subscribe,
)  # fmt: skip
from instant.checks import check_autostart
from instant.checks import engine as of_engines
from instant.checks import pages as of_pages
from instant.checks import tenants as of_tenants
from instant.checks.engine import engine as engines
from instant.checks.tenants import tenants
from instant.deliveries import AtMostOnce, Latest, Recoverable
from instant.inbound import registry as registry_of_handlers

OUTBOX = "instant.backends.outbox.OutboxBackend"


def ids():
    return [message.id for message in run_checks() if message.id.startswith("instant.")]


def test_all_is_well():
    assert ids() == []


def test_fresh_project_without_a_server():
    with override_settings(CENTRIFUGO_HMAC_KEY=None, CENTRIFUGO_API_KEY=None):
        assert ids() == []


def test_the_seeds_settings_without_base_dir():
    with override_settings(INSTANT=None, BASE_DIR=None):
        assert ids() == []


def test_e001_wrong_setting():
    with override_settings(INSTANT={"X": 1}):
        [message] = [m for m in run_checks() if m.id == "instant.E001"]
    assert "'X'" in message.msg


@pytest.mark.parametrize("path", ["nowhere.Backend", "instant.conf.Conf", "tests.missing"])
def test_e002_backend(path):
    with override_settings(INSTANT={"DIR": "/x", "BACKEND": path}):
        assert ids() == ["instant.E002"]


def test_w001_short_key():
    with override_settings(CENTRIFUGO_HMAC_KEY="x" * 31):
        assert ids() == ["instant.W001"]
    with override_settings(CENTRIFUGO_HMAC_KEY="x" * 32):
        assert ids() == []


def test_w002_differs_from_the_file(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"http_api": {"key": "in-the-file"}}))
    with override_settings(INSTANT={"DIR": tmp_path}, CENTRIFUGO_API_KEY="in-the-settings"):
        [message] = [m for m in run_checks() if m.id == "instant.W002"]
    assert "CENTRIFUGO_API_KEY" in message.msg
    assert "in-the" not in f"{message.msg} {message.hint}"


def test_w003_every_origin():
    with override_settings(INSTANT={"DIR": "/x", "ALLOWED_ORIGINS": ["*"]}):
        assert ids() == ["instant.W003"]


def test_w004_second_factor():
    with override_settings():
        from django.conf import settings

        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django_otp"]
        try:
            assert ids() == ["instant.W004"]
            with override_settings(INSTANT={"DIR": "/x", "LOGIN": False}):
                settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django_otp"]
                assert ids() == []
        finally:
            settings.INSTALLED_APPS = [a for a in settings.INSTALLED_APPS if a != "django_otp"]


LOCAL = "django.core.cache.backends.locmem.LocMemCache"
DATABASE = {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "x"}
REDIS = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://x"}


@pytest.mark.parametrize(
    ("cache", "instant", "warned"),
    [
        ({"BACKEND": LOCAL}, {}, True),
        ({"BACKEND": "django.core.cache.backends.dummy.DummyCache"}, {}, True),
        (DATABASE, {}, True),
        (DATABASE | {"OPTIONS": {"MAX_ENTRIES": 9_999}}, {}, True),
        (DATABASE | {"OPTIONS": {"MAX_ENTRIES": 10_000}}, {}, False),
        (REDIS, {}, False),
        ({"BACKEND": LOCAL}, {"LOGIN": False}, False),
        ({"BACKEND": LOCAL}, {"THROTTLE": None}, False),
        ({"BACKEND": LOCAL}, {"THROTTLE": {"CACHE": "shared"}}, False),
        (REDIS, {"THROTTLE": {"CACHE": "local"}}, True),
    ],
)
def test_w006_a_cache_that_loses_the_count(cache, instant, warned):
    caches = {"default": cache, "shared": REDIS, "local": {"BACKEND": LOCAL}}
    with override_settings(CACHES=caches, INSTANT={"DIR": "/nonexistent", **instant}):
        found = [m.id for m in run_checks(include_deployment_checks=True)]
        assert ("instant.W006" in found) == warned
        assert ids() == []  # of no interest but in production
        with override_settings(DEBUG=True):
            found = [m.id for m in run_checks(include_deployment_checks=True)]
            assert "instant.W006" not in found


@pytest.mark.parametrize(
    ("cache", "options", "warned"),
    [
        ({"BACKEND": LOCAL}, {"rate": "5/m"}, True),
        ({"BACKEND": LOCAL}, {"cache": 5}, True),
        ({"BACKEND": LOCAL}, {"once": True}, True),
        ({"BACKEND": LOCAL}, {"timeout": 5}, False),
        (DATABASE, {"rate": "5/m"}, True),
        ({"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "/nonexistent",
          "OPTIONS": {"MAX_ENTRIES": 10_000}}, {"rate": "5/m"}, True),
        (REDIS, {"rate": "5/m"}, False),
    ],
)  # fmt: skip
def test_w019_policies_and_a_cache_that_loses_the_count(registry, cache, options, warned):
    on_rpc("x", **options)(lambda call: None)
    instant = {"DIR": "/nonexistent", "CACHE": "policies", "LOGIN": False}
    with override_settings(CACHES={"default": REDIS, "policies": cache}, INSTANT=instant):
        found = [m for m in run_checks(include_deployment_checks=True) if m.id == "instant.W019"]
        assert [("'x'" in m.msg and "'policies'" in m.msg) for m in found] == [True] * warned
        with override_settings(DEBUG=True):
            found = [m.id for m in run_checks(include_deployment_checks=True)]
            assert "instant.W019" not in found


@pytest.mark.parametrize(("cache", "warned"), [("local", True), ("shared", False)])
@pytest.mark.parametrize("lite", [True, False])
def test_w029_a_cache_that_loses_tickets(server_folder, cache, warned, lite):
    local = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    instant = {"DIR": "/nonexistent", "LITE": lite, "CACHE": cache, "LOGIN": False}
    with override_settings(
        CACHES={"default": REDIS, "local": local, "shared": REDIS}, INSTANT=instant
    ):
        found = [m for m in run_checks(include_deployment_checks=True) if m.id == "instant.W029"]
        assert [f"'{cache}'" in m.msg for m in found] == [True] * (warned and lite)


def test_w019_a_cache_in_the_transaction_of_the_request(registry, settings, monkeypatch):
    on_rpc("x", rate="5/m")(lambda call: None)
    settings.CACHES = {"default": DATABASE | {"OPTIONS": {"MAX_ENTRIES": 10_000}}}
    settings.INSTANT = {"DIR": "/nonexistent"}
    for atomic in (False, True):
        monkeypatch.setitem(settings.DATABASES["default"], "ATOMIC_REQUESTS", atomic)
        found = [m.msg for m in run_checks(include_deployment_checks=True) if m.id[-4:] == "W019"]
        assert ["ATOMIC_REQUESTS" in message for message in found] == [True] * atomic


@pytest.mark.parametrize(
    "path", ["nowhere.find", "tests.missing", "instant.conf.Conf", "instant.conf.ENVIRONMENT"]
)
def test_e001_an_authenticator_that_is_none(path):
    with override_settings(INSTANT={"DIR": "/nonexistent", "AUTHENTICATION": [path]}):
        assert ids() == ["instant.E001"]


def declare(**attributes):
    return type("Order", (Namespace,), {"name": "order", "pattern": "<int:pk>", **attributes})


def test_e003_and_two_that_claim_one_name(registry, server_folder):
    declare()
    assert ids() == []
    declare()
    [message] = [m for m in run_checks() if m.id == "instant.E003"]
    assert "'order'" in message.msg
    assert " and by " in message.msg
    assert message.hint == "Give each namespace a different name."


def test_e003_a_name_of_ours(registry, server_folder):
    declare(name="ticket")
    assert ids() == []
    on_rpc("build", queue="bulk")(lambda call: None)
    [message] = [m for m in run_checks() if m.id == "instant.E003"]
    assert message.hint == "Instant has 'ticket' for channels of its own. Take another name."


def test_e017_channels_that_code_declares(registry, server_folder):
    channel("news", level="public")
    assert ids() == []
    channel("news", level="public")
    channel("room:7", level="public")
    twice, elsewhere = [m for m in run_checks() if m.id == "instant.E017"]
    assert twice.msg.count("tests.test_checks:") == 2
    assert "'news'" in twice.msg
    assert "room:7" in elsewhere.msg
    type("Room", (Namespace,), {"name": "room", "rows": True})
    assert ids() == ["instant.E017"]


def test_e003_faults(registry, server_folder):
    declare(pattern="<int:pk")
    assert ids() == ["instant.E003"]


def test_w005_drift(registry, server_folder):
    assert ids() == []  # no file: nothing to be in line
    call_command("syncws")
    assert ids() == []
    declare()
    assert ids() == ["instant.W005"]
    call_command("syncws")
    assert ids() == []


def test_w008_presence_is_off(registry, server_folder):
    call_command("syncws")
    assert ids() == []
    path = server_folder / "config.json"
    config = json.loads(path.read_text())
    config["channel"]["without_namespace"]["presence"] = False
    config["channel"]["namespaces"][0]["presence"] = False
    path.write_text(json.dumps(config))
    [message] = [m for m in run_checks() if m.id == "instant.W008"]
    assert "channel.without_namespace and the namespace “user”" in message.msg


EXPOSING = {
    "client.insecure": {"client": {"insecure": True}},
    "client.proxy.connect": {"client": {"proxy": {"connect": {"enabled": True}}}},
    "client.subscribe_to_user_personal_channel": {
        "client": {"subscribe_to_user_personal_channel": {"enabled": "true"}}
    },
    "allow_subscribe_for_client in channel.without_namespace": {
        "channel": {"without_namespace": {"allow_subscribe_for_client": True}}
    },
    "allow_user_limited_channels in the namespace “x”": {
        "channel": {"namespaces": [{"name": "x", "allow_user_limited_channels": True}]}
    },
    "allow_tags_filter in the namespace “x”": {
        "channel": {"namespaces": [{"name": "x", "allow_tags_filter": 1}]}
    },
    "subscription_type in the namespace “x”": {
        "channel": {"namespaces": [{"name": "x", "subscription_type": "shared_poll"}]}
    },
}
HARMLESS = [
    {"client": {"insecure": False, "proxy": {"connect": {"enabled": "false"}}}},
    {"client": 5, "channel": {"namespaces": [5, {"name": "x", "allow_tags_filter": "0"}]}},
    {
        "channel": {
            "without_namespace": {
                "allow_subscribe_for_client": True,
                "subscribe_proxy_enabled": True,
            }
        }
    },
]


@pytest.mark.parametrize("option", EXPOSING)
def test_w011_an_option_that_lets_a_client_end_the_server(tmp_path, option):
    (tmp_path / "config.json").write_text(json.dumps(EXPOSING[option]))
    with override_settings(INSTANT={"DIR": tmp_path}):
        [message] = [m for m in run_checks() if m.id == "instant.W011"]
    assert message.msg.startswith(f"{option} in {tmp_path}")


@pytest.mark.parametrize("config", HARMLESS, ids=["off", "nonsense", "a proxy is asked"])
def test_w011_what_is_harmless(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with override_settings(INSTANT={"DIR": tmp_path}):
        assert "instant.W011" not in ids()


def test_w012_others_can_read_the_config(registry, server_folder):
    call_command("syncws")
    assert ids() == []
    (server_folder / "config.json").chmod(0o644)
    [message] = [m for m in run_checks() if m.id == "instant.W012"]
    assert "can be read or written by other users" in message.msg
    assert "chmod 600" in message.hint


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({}, True),
        ({"DEBUG": True}, False),
        ({"CSRF_TRUSTED_ORIGINS": ["https://a.example"]}, False),
        ({"INSTANT": {"DIR": "/x", "ALLOWED_ORIGINS": ["https://a.example"]}}, False),
    ],
)
def test_hosts_from_which_no_origin_follows(changes, warned):
    with override_settings(ALLOWED_HOSTS=["*"], **changes):
        assert ("instant.W014" in ids()) is warned


@pytest.mark.parametrize(
    ("autostart", "host", "api", "warned"),
    [
        (True, "db.example", "http://localhost", True),
        (True, "/run/postgresql", "http://localhost", False),
        (True, "localhost", "http://localhost", False),
        (True, "db.example", "http://push.example", False),
        (None, "db.example", "http://localhost", False),
    ],
)
def test_w013_hosts_that_share_a_database(autostart, host, api, warned, settings, monkeypatch):
    monkeypatch.setitem(settings.DATABASES["default"], "HOST", host)
    settings.INSTANT = {**settings.INSTANT, "AUTOSTART": autostart}
    settings.CENTRIFUGO_HOST = api
    assert [m.id for m in check_autostart(None)] == (["instant.W013"] if warned else [])


@pytest.mark.parametrize(
    ("app", "remedy"),
    [
        ("django_tenants", "SchemaTenants"),
        ("django_tenants.apps.DjangoTenantsConfig", "SchemaTenants"),
        ("tenant_schemas", "a class of your own"),
        ("django_pgschemas", "a class of your own"),
    ],
)
def test_w015_tenants_that_nobody_told_of(settings, app, remedy, monkeypatch):
    # Not by override_settings(), which would load the app.
    monkeypatch.setattr(of_tenants, "settings", SimpleNamespace(INSTALLED_APPS=["x", app]))
    [message] = list(tenants(conf.current()))
    assert message.id == "instant.W015"
    assert app.partition(".")[0] in message.msg
    assert remedy in message.hint
    settings.INSTANT = {**settings.INSTANT, "TENANT": "tests.tenancy.fake.ContextTenants"}
    assert list(tenants(conf.current())) == []


def test_e001_a_class_of_tenants_that_is_none():
    with override_settings(INSTANT={"DIR": "/x", "TENANT": "tests.tenancy.fake.WithoutAll"}):
        [message] = [m for m in run_checks() if m.id == "instant.E001"]
    assert "needs current(), all()" in message.msg


POSTGRES = "postgresql://site:hunter2@db/site"


def of_engine(engine, **instant):
    with override_settings(INSTANT={"DIR": "/x", "ENGINE": engine, **instant}):
        found = list(engines(conf.current()))
    assert "hunter2" not in "".join(f"{m.msg}{m.hint}" for m in found)
    return found


@pytest.mark.parametrize(
    ("engine", "wrong"),
    [
        (None, False),
        ("memory", False),
        ("redis://redis", False),
        (POSTGRES, True),
        ("nats://nats", True),
        ({"broker": POSTGRES, "presence": "redis://redis"}, False),
        ({"broker": POSTGRES, "nodes": ["http://a:8427"]}, False),
    ],
)
def test_e005_nobody_knows_who_is_present_everywhere(engine, wrong, registry):
    found = [message.id for message in of_engine(engine)]
    assert found == (["instant.E005"] if wrong else [])


def test_e005_is_of_no_interest_where_nothing_is_enforced(registry):
    with override_settings(INSTANT={"DIR": "/x", "ENGINE": POSTGRES, "ENFORCE": False}):
        assert list(engines(conf.current())) == []
    with override_settings(INSTANT={"DIR": "/x", "ENGINE": POSTGRES}):
        assert "instant.E005" in ids()


NATS = {"broker": "nats://nats", "nodes": ["http://a:8427"]}


def test_e006_namespaces_that_count_on_messages_which_nats_does_not_keep(registry):
    for name, delivery in (("once", AtMostOnce()), ("kept", Recoverable()), ("last", Latest())):
        type(name, (Namespace,), {"name": name, "pattern": "<int:pk>", "delivery": delivery})
    [message] = of_engine(NATS)
    assert message.id == "instant.E006"
    assert "kept, last." in message.msg
    assert of_engine("redis://redis") == []


def test_e006_a_history_in_the_file(registry, tmp_path):
    file = {"channel": {"without_namespace": {"history_size": 9, "history_ttl": "9s"}}}
    (tmp_path / "config.json").write_text(json.dumps(file))
    (tmp_path / "config.json").chmod(0o600)
    with override_settings(INSTANT={"DIR": tmp_path, "ENGINE": NATS}):
        [message] = engines(conf.current())
    assert message.id == "instant.E006"
    assert "channel.without_namespace" in message.msg


def test_e007_nats_and_an_outbox_that_sends_twice(registry):
    [message] = of_engine(NATS, BACKEND=OUTBOX, OUTBOX_IMMEDIATE=True)
    assert message.id == "instant.E007"
    assert of_engine(NATS, BACKEND=OUTBOX) == []
    assert of_engine(NATS, OUTBOX_IMMEDIATE=True) == []
    assert of_engine("redis://redis", BACKEND=OUTBOX, OUTBOX_IMMEDIATE=True) == []


def test_w030_pages_that_see_their_own_node_only(registry):
    shown = {"name": "hall", "pattern": "<int:pk>", "presence": True, "delivery": AtMostOnce()}
    type("Hall", (Namespace,), shown)
    [message] = of_engine(NATS)
    assert message.id == "instant.W030"
    assert "hall" in message.msg
    both = {"broker": "nats://nats", "presence": "redis://redis"}
    assert of_engine(both) == []


def test_w013_not_where_hosts_share_an_engine(settings, monkeypatch):
    monkeypatch.setitem(settings.DATABASES["default"], "HOST", "db.internal")
    settings.INSTANT = {**settings.INSTANT, "AUTOSTART": True, "ENGINE": "redis://redis"}
    assert check_autostart(None) == []
    settings.INSTANT = {**settings.INSTANT, "ENGINE": "memory"}
    assert [m.id for m in check_autostart(None)] == ["instant.W013"]


def declare_state(**attributes):
    attributes = {
        "name": "order",
        "pattern": "<int:pk>",
        "snapshot": lambda self, user, pk: pk,
        **attributes,
    }
    return type("Order", (Namespace,), attributes)


def test_e003_a_public_state_behind_a_rule(registry):
    declare_state(snapshot_is_public=True)
    assert ids() == ["instant.E003"]
    registry.clear()
    declare_state(snapshot_is_public=True, authorize="proxy")
    assert "instant.E003" in ids()
    registry.clear()
    declare_state(snapshot_is_public=True, authorize="open")
    assert ids() == []
    registry.clear()
    declare_state(snapshot_is_public=True, authorize="open", snapshot=Namespace.snapshot)
    assert ids() == ["instant.E003"]


def test_e010_a_public_state_where_only_users_may_connect(registry):
    declare_state(snapshot_is_public=True, authorize="open")
    with override_settings(INSTANT={"DIR": "/x", "ANONYMOUS": False}):
        assert ids() == ["instant.E010"]


def repeats(vendor, atomic=True, **options):
    return SimpleNamespace(
        vendor=vendor, settings_dict={"ATOMIC_REQUESTS": atomic, "OPTIONS": options}
    )


WAL = {"init_command": "PRAGMA journal_mode=WAL"}
REPEATABLE = 3  # psycopg's number


@pytest.mark.parametrize(
    ("database", "found"),
    [
        (repeats("sqlite", **WAL), ["instant.W020"]),
        (repeats("sqlite", atomic=False, **WAL), []),
        (repeats("sqlite", transaction_mode="IMMEDIATE", **WAL), []),
        (repeats("sqlite"), []),
        (repeats("postgresql"), []),
        (repeats("postgresql", isolation_level=REPEATABLE), ["instant.W020"]),
        (repeats("postgresql", isolation_level=2), []),
        (repeats("mysql"), []),
        (repeats("mysql", isolation_level="repeatable read"), ["instant.W020"]),
        (repeats("mysql", isolation_level=None), ["instant.W020"]),
        (repeats("mysql", isolation_level="Read Committed"), []),
        (repeats("oracle"), ["instant.W020"]),
    ],
)
def test_w020_transactions_that_show_the_past(registry, monkeypatch, database, found):
    monkeypatch.setattr(of_pages, "connections", {"default": database})
    assert [message.id for message in of_pages.pages(conf.current())] == []
    declare_state()
    assert [message.id for message in of_pages.pages(conf.current())] == found


class NoTables:
    def allow_migrate(self, db, app_label, **hints):
        return app_label != "instant"


def test_w016_an_outbox_that_the_default_database_has_not():
    with (
        override_settings(DATABASE_ROUTERS=[NoTables()]),
        override_settings(INSTANT={"DIR": "/x", "BACKEND": OUTBOX}),
    ):
        assert "instant.W016" in ids()
    with override_settings(DATABASE_ROUTERS=[NoTables()]):
        assert "instant.W016" not in ids()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="It is right there.")
def test_w017_a_consumer_where_there_is_no_postgresql():
    consumer = {"OUTBOX_CONSUMER": "postgresql://centrifugo:secret@127.0.0.1/shop"}
    with override_settings(INSTANT={"DIR": "/x", "BACKEND": OUTBOX, **consumer}):
        found = [m for m in run_checks() if m.id == "instant.W017"]
    assert len(found) == 1
    assert "secret" not in str(found)
    with override_settings(INSTANT={"DIR": "/x", "BACKEND": OUTBOX}):
        assert ids() == []


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("redis://:secret@127.0.0.1", 1),
        ({"broker": "nats://127.0.0.1", "presence": "redis://127.0.0.1"}, 1),
        ({"broker": "redis://127.0.0.1", "nodes": ["http://10.0.0.1:8427"]}, 0),
        ("memory", 0),
        (None, 0),
    ],
)
def test_w033_consumers_of_several_nodes_of_which_one_is_asked(engine, expected):
    consumer = {"OUTBOX_CONSUMER": "postgresql://centrifugo:secret@127.0.0.1/shop"}
    given = {"DIR": "/x", "ENGINE": engine, "ENFORCE": False}
    with override_settings(INSTANT={**given, "BACKEND": OUTBOX, **consumer}):
        found = [m for m in run_checks() if m.id == "instant.W033"]
    assert len(found) == expected
    assert "secret" not in str(found)
    with override_settings(INSTANT={**given, "BACKEND": OUTBOX}):
        assert "instant.W033" not in ids()


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ("user=centrifugo password=secret", "postgresql://centrifugo:password@"),
        ("postgresql://centrifugo:secret word@127.0.0.1/shop", "percent-encode"),
        ("postgresql://centrifugo:secret/@127.0.0.1/shop", "percent-encode"),
    ],
)
def test_e001_a_consumer_without_its_password_in_the_message(given, remedy):
    with override_settings(INSTANT={"OUTBOX_CONSUMER": given}):
        [message] = [m for m in run_checks() if m.id == "instant.E001"]
    assert message.msg.startswith("INSTANT['OUTBOX_CONSUMER'] ")
    assert remedy in message.msg
    assert "secret" not in message.msg


BROKER = "instant.backends.postgres.PostgresBrokerBackend"


def test_e008_and_e009_a_broker_that_is_not_there(monkeypatch, registry):
    engine = {"broker": POSTGRES, "nodes": ["http://a:8427"]}

    def found(engine):
        with override_settings(INSTANT={"DIR": "/x", "ENGINE": engine, "BACKEND": BROKER}):
            return [message.id for message in engines(conf.current())]

    assert found("redis://redis") == ["instant.E008", "instant.E009"]
    assert found(engine) == ["instant.E009"]
    vendors = SimpleNamespace(all=lambda: [SimpleNamespace(vendor="postgresql")])
    monkeypatch.setattr(of_engines, "connections", vendors)
    assert found(engine) == []
    assert found(None) == ["instant.E008"]


@pytest.mark.parametrize(
    ("file", "warned"),
    [
        ({}, False),
        ({"engine": {"type": "redis"}}, False),
        ({"broker": {"enabled": False, "type": "nats"}}, False),
        ({"broker": {"enabled": True, "type": "memory"}}, False),
        ({"broker": {"enabled": True, "type": "nats"}}, True),
        ({"broker": {"enabled": True, "type": "redis"}}, True),
        ({"broker": {"enabled": True, "type": "postgres"}, "engine": {"type": "memory"}}, True),
        ({"broker": {"enabled": True, "type": "postgres"}, "engine": {"type": "redis"}}, False),
        (
            {
                "broker": {"enabled": True, "type": "postgres"},
                "presence_manager": {"enabled": True, "type": "redis"},
            },
            False,
        ),
    ],
)
def test_w031_an_engine_in_the_file(file, warned, tmp_path, registry):
    (tmp_path / "config.json").write_text(json.dumps(file))
    with override_settings(INSTANT={"DIR": tmp_path}):
        found = [message.id for message in engines(conf.current())]
    assert found == (["instant.W031"] if warned else [])
    with override_settings(INSTANT={"DIR": tmp_path, "ENFORCE": False}):
        assert list(engines(conf.current())) == []


@pytest.mark.parametrize(
    ("can", "problem"),
    [
        ("agents", "nobody has the permission 'agents'"),
        (["shop.add_order"], "a permission or a function of the call, not ['shop.add_order']"),
        (True, "not True"),
    ],
)
def test_e011_a_right_that_nobody_has(registry, can, problem):
    on_rpc("x", can="shop.add_order")(lambda call: None)
    on_rpc("y", can=callable)(lambda call: None)
    on_rpc("z", can=can)(lambda call: None)
    [message] = [m for m in run_checks() if m.id == "instant.E011"]
    assert problem in message.msg
    if can == "agents":
        backends = ["django.contrib.auth.backends.ModelBackend", "shop.rules.Backend"]
        with override_settings(AUTHENTICATION_BACKENDS=backends):
            assert not [m for m in run_checks() if m.id == "instant.E011"]


def test_e011_two_handlers_claim_one_name(registry):
    @on_rpc("cart.add")
    def first(call): ...

    @on_rpc("cart.add")
    def second(call): ...

    @on_rpc("cart.*")
    def third(call): ...

    [message] = [m for m in run_checks() if m.id == "instant.E011"]
    assert "first" in message.msg
    assert "second" in message.msg
    assert "third" not in message.msg
    assert __file__ in message.msg


def test_e011_a_handler_that_cannot_answer(registry):
    @on_rpc("heavy:add")
    def add(call): ...

    @on_rpc("other")
    def other(call, a: "Nowhere"): ...  # noqa: F821

    found = [m.msg for m in run_checks() if m.id == "instant.E011"]
    assert len(found) == 2
    assert "“:”" in found[0] or "heavy:add" in found[0]
    assert "Nowhere" in found[1]


def e011():
    return [m.msg for m in run_checks() if m.id == "instant.E011"]


def test_e011_methods_of_ours(registry):
    @on_rpc("instant.ticket")
    def ticket(call): ...

    @on_rpc("instantly")
    def other(call): ...

    [message] = e011()
    assert "ticket" in message


@pytest.mark.parametrize("target", ["room", "room:*", "room:1"])
def test_e011_a_handler_of_publications_that_nobody_asks(registry, target):
    class Room(Namespace):
        name, pattern, client_publish = "room", "<int:pk>", "ask"

    @on_publish(Room if target == "room" else target)
    def moderate(call, **kwargs): ...

    @on_publish("roo*")
    def all_of_them(call): ...

    assert e011() == []
    for value in ("nobody", "subscribers"):
        Room.client_publish = value
        [message] = e011()
        assert "moderate" in message
        assert repr(value) in message


def test_e011_parameters(registry):
    class Room(Namespace):
        name, pattern, client_publish = "room", "<int:pk>-<str:name>", "ask"

    class Hall(Namespace):
        name, pattern, authorize = "hall", "<int:pk>", "proxy"

    @on_publish(Room)
    def moderate(call, pk, text): ...

    @on_subscribe(Room)
    def enter(call, pk, name, since=0): ...

    @on_subscribe(Hall)
    def enter_hall(call, pk, since): ...

    @on_subscribe("room:1")
    def enter_one(call, since): ...

    @on_connect
    def connect(call, refresh): ...

    @on_refresh
    def refresh(call, device): ...

    @before_send(Room)
    def send(outgoing, **kwargs): ...

    @before_send("other")
    def send_other(outgoing, pk): ...

    @on_message(Room)
    def hear(message): ...

    lacking, subscribing, refreshing, sending = e011()
    assert "moderate" in lacking
    assert "'name'" in lacking
    for message, function, parameter in [
        (subscribing, "enter_one", "since"),
        (refreshing, "refresh", "device"),
        (sending, "send_other", "pk"),
    ]:
        assert function in message
        assert repr(parameter) in message


def test_w018_a_session_that_nobody_makes(registry):
    @on_rpc("x", session=True)
    def handler(call): ...

    def found():
        return [m.id for m in run_checks() if m.id == "instant.W018"]

    assert found() == []
    with override_settings(MIDDLEWARE=[]):
        assert found() == ["instant.W018"]
        registry_of_handlers._registry.clear()
        assert found() == []


def test_w022_a_gateway_to_nothing(registry):
    with override_settings(INSTANT={"DIR": "/nonexistent", "GATEWAY": True}):
        assert "instant.W022" in ids()

        @on_rpc("x")
        def handler(call):
            pass

        assert "instant.W022" not in ids()
    registry.clear()
    assert "instant.W022" not in ids()


def notifying(settings, **values):
    settings.INSTANT = {**settings.INSTANT, **values}
    return [(m.id, m.msg) for m in run_checks() if m.id in {"instant.E015", "instant.W032"}]


def test_notifications_that_would_reach_nobody(settings, monkeypatch):
    from instant.stored.push import vapid

    key = "qEL-Ejtk7zQ7gVXPWNnqqPqzvVMH7qvLPMDHdvMW5mw"
    push = {"PRIVATE_KEY": key, "CONTACT": "mailto:ops@example.com"}
    assert notifying(settings, PUSH=push) == []
    monkeypatch.setattr(vapid, "find_spec", lambda _name: None)
    [(number, text)] = notifying(settings, PUSH=push)
    assert number == "instant.E015"
    assert "isn't installed" in text
    [(number, _)] = notifying(settings, PUSH=None, REMINDERS={})
    assert number == "instant.W032"
    assert notifying(settings, REMINDERS={"URL": "https://x.example"}) == []
    there = {"SEND": "instant.messages.unread"}
    assert notifying(settings, REMINDERS=there) == []
    wrong = {**there, "WANTED": "shop.mails.wanted", "LANGUAGE": "django.VERSION"}
    (first, no_module), (second, no_function) = notifying(settings, REMINDERS=wrong)
    assert first == second == "instant.E015"
    assert "WANTED" in no_module
    assert "no function" in no_function

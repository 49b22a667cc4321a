"""The server's config as Python declares it."""

import json
import re

import pytest
from django.core.management import call_command
from django.test import override_settings

from instant import Namespace, conf
from instant.centrifugo.proxy import HEADER
from instant.server.sync import compare, write

pytestmark = pytest.mark.usefixtures("registry")

URL = "http://127.0.0.1:8000"


def use(folder, **instant):
    return override_settings(
        INSTANT={"DIR": folder, "ALLOWED_ORIGINS": ["https://site.example"], **instant}
    )


def declare(name="order", **attributes):
    return type(name.title(), (Namespace,), {"name": name, "pattern": "<int:pk>", **attributes})


def written(folder):
    return json.loads((folder / "config.json").read_text())["channel"]


def names(server_folder):
    content = json.loads((server_folder / "config.json").read_text())
    return {entry["name"]: entry for entry in content["channel"]["namespaces"]}


def test_what_is_declared_no_more_is_taken_out(server_folder, registry, capsys):
    declare()
    call_command("syncws")
    registry.clear()
    call_command("syncws")
    assert set(names(server_folder)) == {"user"}
    assert '-        "name": "order"' in capsys.readouterr().out


def test_a_faulty_declaration_is_left_out(server_folder):
    declare(authorize="cookie")
    call_command("syncws")
    assert set(names(server_folder)) == {"user"}


def test_the_folder_is_where_the_names_are_kept(server_folder):
    declare()
    call_command("syncws")
    compiled = json.loads((server_folder / "compiled.json").read_text())
    assert compiled == {"namespaces": ["order"], "origins": ["https://site.example"]}
    assert compare(conf.current()).changed is False


@pytest.mark.parametrize("options", [{"authorize": "proxy"}, {"client_publish": "ask"}])
def test_a_namespace_that_asks(server_folder, options, capsys):
    declare(**options)
    with use(server_folder, PROXY_URL=URL):
        call_command("syncws")
        [secret] = conf.current().proxy_secrets
        found = written(server_folder)
        assert found["proxy"]["sub_refresh"] == {
            "endpoint": f"{URL}/instant/proxy/sub_refresh/",
            "timeout": "3s",
            "http": {"static_headers": {HEADER: secret}},
        }
        [order] = [ns for ns in found["namespaces"] if ns["name"] == "order"]
        asks = {key for key in order if key.endswith("_proxy_enabled")}
        assert asks == (
            {"subscribe_proxy_enabled", "sub_refresh_proxy_enabled"}
            if "authorize" in options
            else {"publish_proxy_enabled", "sub_refresh_proxy_enabled"}
        )
        assert found["without_namespace"]["publish_proxy_enabled"] is True
        out = capsys.readouterr().out
        assert "Restart the server" in out
        assert secret not in out
        call_command("syncws")
        assert capsys.readouterr().out.startswith("Up to date")
        with pytest.raises(SystemExit), override_settings(CENTRIFUGO_PROXY_SECRET="new-one"):
            call_command("syncws", "--check")
        out = capsys.readouterr().out
        assert f'+            "{HEADER}": "… (another)"' in out
        assert secret not in out
        assert "new-one" not in out


def test_it_goes_with_the_last_that_asks(server_folder, registry, capsys):
    with use(server_folder):
        call_command("syncws")
        before = written(server_folder)
        cls = declare(authorize="proxy")
        with use(server_folder, PROXY_URL=URL):
            call_command("syncws")
        registry.remove(cls)
        call_command("syncws")
        assert written(server_folder) == before
    assert capsys.readouterr().out.count("\nRestart the server") == 3


def test_proxies_for_rows_alone(server_folder):
    """The setting alone is enough: then rows say who may publish."""
    declare("room", rows=True)
    with use(server_folder):
        call_command("syncws")
        assert "publish_proxy_enabled" not in json.dumps(written(server_folder))
    with use(server_folder, PROXY_URL=URL):
        call_command("syncws")
        found = written(server_folder)
        assert found["without_namespace"]["publish_proxy_enabled"] is True
        options = {ns["name"]: ns for ns in found["namespaces"]}
        assert options["room"]["publish_proxy_enabled"] is True
        assert "publish_proxy_enabled" not in options["user"]


def test_secrets_of_the_settings_and_of_the_environment(server_folder, monkeypatch):
    declare(authorize="proxy")

    def header():
        return written(server_folder)["proxy"]["publish"]["http"]["static_headers"][HEADER]

    with use(server_folder, PROXY_URL=URL):
        with override_settings(CENTRIFUGO_PROXY_SECRET=["new", "old"]):
            call_command("syncws")
            assert header() == "new"
        assert conf.current().proxy_secrets == ("new",)
        monkeypatch.setenv("CENTRIFUGO_VAR_PROXY_SECRET", "from-outside")
        with use(server_folder, PROXY_URL=URL):
            call_command("syncws")
            assert header() == "${CENTRIFUGO_VAR_PROXY_SECRET}"
            assert conf.current().proxy_secrets == ("from-outside",)
        monkeypatch.delenv("CENTRIFUGO_VAR_PROXY_SECRET")
        with use(server_folder, PROXY_URL=URL):
            assert conf.current().proxy_secrets == ()


def test_origins_shrink_with_the_settings(server_folder):
    def origins():
        return json.loads((server_folder / "config.json").read_text())["client"]["allowed_origins"]

    with use(server_folder, ALLOWED_ORIGINS=["https://a.example", "https://b.example"]):
        call_command("syncws")
    path = server_folder / "config.json"
    content = json.loads(path.read_text())
    content["client"]["allowed_origins"].append("https://by-hand.example")
    path.write_text(json.dumps(content))
    with use(server_folder, ALLOWED_ORIGINS=["https://b.example"]):
        call_command("syncws")
    assert origins() == ["https://b.example", "https://by-hand.example"]
    with use(server_folder, ALLOWED_ORIGINS=["https://c.example"]):
        call_command("syncws")
    assert origins() == ["https://by-hand.example", "https://c.example"]


def test_tenants_come_and_go_with_the_setting(server_folder):
    def token():
        return json.loads((server_folder / "config.json").read_text())["client"]["token"]

    with use(server_folder):
        call_command("syncws")
    before = token()
    with use(server_folder, TENANT="tests.tenancy.fake.ContextTenants"):
        call_command("syncws")
        assert re.fullmatch(token()["audience_regex"], f"{before['audience']}/acme")
        assert compare(conf.current()).changed is False
    assert "audience" not in token()
    with use(server_folder):
        call_command("syncws")
    assert token() == before


def test_an_engine_is_written_and_taken_out_again(server_folder, capsys):
    folder = server_folder
    with use(folder, ENGINE="redis://:hunter2@redis:6379"):
        call_command("syncws")
        said = capsys.readouterr().out
        assert "hunter2" not in said
        assert "Restart the server" in said
        content = json.loads((folder / "config.json").read_text())
        assert content["engine"] == {
            "type": "redis",
            "redis": {"address": ["redis://:hunter2@redis:6379"], "prefix": "tests"},
        }
        assert compare(conf.current()).changed is False
    with use(folder, ENGINE="redis://:hunter3@redis:6379"), pytest.raises(SystemExit):
        call_command("syncws", "--check")
    said = capsys.readouterr().out
    assert "redis://…@redis:6379 (another)" in said
    assert "hunter" not in said
    with use(folder):
        call_command("syncws")
        assert "engine" not in json.loads((folder / "config.json").read_text())
        assert compare(conf.current()).changed is False
        # What is in the file now is nobody's but the user's.
        content = {"engine": {"type": "redis"}}
        (folder / "config.json").write_text(json.dumps(content))
        call_command("syncws")
        content = json.loads((folder / "config.json").read_text())
        assert content["engine"] == {"type": "redis"}


def test_nats_keeps_nothing(server_folder):
    with use(server_folder, ENGINE={"broker": "nats://nats", "nodes": ["http://a:8427"]}):
        call_command("syncws")
        channel = written(server_folder)
        assert channel["without_namespace"]["presence"] is True
        assert "history_size" not in channel["without_namespace"]
        assert "history_size" not in names(server_folder)["user"]
    with use(server_folder, ENGINE="redis://redis"):
        call_command("syncws")
        assert written(server_folder)["without_namespace"]["history_size"] == 100
        assert names(server_folder)["user"]["history_size"] == 100


OUTBOX = {"BACKEND": "instant.backends.outbox.OutboxBackend"}


@pytest.mark.parametrize(
    ("settings", "consumed", "raised"),
    [
        ({**OUTBOX, "OUTBOX_CONSUMER": "postgresql://centrifugo:hunter2@db/site"}, True, True),
        # Somebody else reads the table.
        ({**OUTBOX, "OUTBOX_CONSUMER": "kafka://broker"}, False, True),
        (OUTBOX, False, True),
        ({"OUTBOX_CONSUMER": "postgresql://centrifugo:hunter2@db/site"}, False, False),
        ({"BACKEND": "instant.backends.postgres.PostgresBrokerBackend"}, False, False),
    ],
)
def test_centrifugo_reads_the_outbox_where_it_is_told_to(server_folder, settings, consumed, raised):
    with use(server_folder, **settings):
        wanted = compare(conf.current()).wanted
        assert "hunter2" not in compare(conf.current()).diff
    assert ("consumers" in wanted) is consumed
    assert ("recovery_max_publication_limit" in wanted["client"]) is raised


def test_rows_of_a_namespace_that_goes_are_kept_from_the_server(
    server_folder, registry, monkeypatch
):
    """It would delete them; whoever watches notes it again when the server has it."""
    kept = []
    monkeypatch.setattr(
        "instant.server.sync.known_namespaces.forget_others",
        lambda connection, names: kept.append(sorted(names)),
    )
    consumer = {**OUTBOX, "OUTBOX_CONSUMER": "postgresql://centrifugo@db/site"}
    declare("order")
    declare("room")
    with use(server_folder, **consumer):
        write(compare(conf.current()))
        del registry[0]
        write(compare(conf.current()))
        write(compare(conf.current()))
    assert kept == [["room", "user"]]

"""Which server runs, and with which command line."""

import errno
import json
import os
import stat
import sys

import pytest
from django.core.checks import run_checks

from instant import Namespace, conf
from instant.centrifugo.binary import process
from instant.embedded.config.load import parse
from instant.embedded.config.schema import ConfigError
from instant.exceptions import InstantConfigError
from instant.server import autostart
from instant.server.launch import plan
from instant.server.shared import alone

pytestmark = pytest.mark.slow  # starts processes


@pytest.fixture
def plans(folder):
    def make(**kwargs):
        return plan(conf.current(), **{"environ": {"PATH": "/nonexistent"}, **kwargs})

    return make


@pytest.fixture(autouse=True)
def _embedded(monkeypatch):
    """The embedded server's own tests are elsewhere."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())


def refuse(*_args, **_more):
    raise PermissionError(errno.EACCES, "Permission denied")


def config(folder, **changes):
    plan(conf.current(), environ={"PATH": "/nonexistent"})
    content = json.loads((folder / "config.json").read_text())
    for name, value in changes.items():
        content.setdefault(name, {}).update(value)
    (folder / "config.json").write_text(json.dumps(content))


def test_the_binary_where_there_is_one(binary, plans, folder):
    path = binary("")
    made = plans()
    assert made.title == f"Centrifugo 6.9.1 ({path})"
    assert made.command == [str(path), "-c", str(folder / "config.json")]
    assert made.websocket == "ws://127.0.0.1:8427/connection/websocket"
    assert made.warnings == ()
    assert made.wrote_config


def test_the_embedded_server_where_there_is_none(plans, folder):
    made = plans()
    assert made.title == (
        f"Embedded server (Python; no Centrifugo binary in {folder}, "
        f"“manage.py installws” installs it)"
    )
    assert made.command == [
        sys.executable,
        "-m",
        "instant.embedded",
        "--config",
        str(folder / "config.json"),
        "--address",
        "127.0.0.1",
        "--port",
        "8427",
    ]


def test_the_embedded_server_as_asked(binary, plans):
    binary("")
    assert plans(server="embedded").title == "Embedded server (Python; as asked)"


def test_the_outboxs_consumer_is_for_centrifugo_alone(binary, plans, settings, folder):
    """The config is one for both; beside the embedded server, which has none, a relay runs."""
    settings.INSTANT = {
        **settings.INSTANT,
        "BACKEND": "instant.backends.outbox.OutboxBackend",
        "OUTBOX_CONSUMER": "postgresql://centrifugo@db/site",
    }
    made = plans()
    written = json.loads((folder / "config.json").read_text())
    assert [consumer["enabled"] for consumer in written["consumers"]] == [True]
    parse(written, made.env)
    with pytest.raises(ConfigError, match="consumer"):
        parse(written, {})
    binary("")
    assert not [name for name in plans().env if "CONSUMER" in name]


def test_a_history_file_for_the_embedded_server(binary, plans, tmp_path):
    file = tmp_path / "history.db"
    assert plans(data=file).command[-2:] == ["--data", str(file)]
    binary("")
    assert plans(server="embedded", data=file).command[-2:] == ["--data", str(file)]
    for server in ("auto", "centrifugo"):
        with pytest.raises(InstantConfigError, match=r"--data .*“--server embedded”.*Redis"):
            plans(server=server, data=file)


def test_centrifugo_without_a_binary_names_the_installer(plans, folder):
    with pytest.raises(InstantConfigError, match="installws"):
        plans(server="centrifugo")
    assert not folder.exists()


def test_a_binary_for_another_machine(binary, plans):
    binary("").write_bytes(b"\x7fELF for another machine")
    with pytest.raises(InstantConfigError, match=r"Exec format error.*installws --force"):
        plans()


def test_config_is_written_and_kept_in_line_with_the_settings(plans, folder, settings):
    plans()
    path = folder / "config.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["client"]["allowed_origins"] == [
        "https://example.com",
        "http://example.com",
    ]
    before = path.read_bytes()
    assert not plans().wrote_config
    assert path.read_bytes() == before
    settings.ALLOWED_HOSTS = ["another.example"]
    assert plans().wrote_config
    origins = json.loads(path.read_text())["client"]["allowed_origins"]
    assert origins == ["https://another.example", "http://another.example"]


def test_address_and_port_override(binary, plans, settings):
    binary("")
    made = plans(address="0.0.0.0", port=9000)
    assert made.command[3:] == ["--http_server.address", "0.0.0.0", "--http_server.port", "9000"]
    assert made.websocket == "ws://localhost:9000/connection/websocket"
    assert made.where == (
        "ws://localhost:9000/connection/websocket and at every other address of this machine "
        "(port 9000)"
    )
    assert plans(address="127.0.0.1").where == plans(address="127.0.0.1").websocket
    (warning,) = made.warnings
    assert "CENTRIFUGO_PORT = 9000 in the settings, unless a load balancer is there" in warning
    settings.CENTRIFUGO_PORT = 9000
    assert plans(port=9000).warnings == ()


def test_the_port_of_the_settings_wins_over_the_file(binary, plans, folder, settings):
    binary("")
    config(folder)
    settings.CENTRIFUGO_PORT = 9000
    made = plans()
    assert made.websocket == "ws://127.0.0.1:9000/connection/websocket"
    assert made.warnings == ()


def test_the_file_gets_the_port_of_the_settings(binary, plans, folder, settings):
    """For a shell that doesn't have these settings; and the check for differences is content."""
    binary("")
    config(folder)
    settings.CENTRIFUGO_PORT = 9000
    made = plans()
    assert made.command[3:] == []
    assert made.wrote_config
    assert not [m for m in run_checks() if m.id == "instant.W002" and "PORT" in m.msg]
    del settings.CENTRIFUGO_PORT
    assert conf.current().api_url == "http://127.0.0.1:9000"
    made = plans()
    assert made.websocket == "ws://127.0.0.1:9000/connection/websocket"
    assert not made.wrote_config


def test_a_port_for_one_run_is_not_kept(binary, plans, folder):
    binary("")
    config(folder)
    assert plans(port=9000).websocket == "ws://127.0.0.1:9000/connection/websocket"
    assert conf.current().api_url == "http://127.0.0.1:8427"


def test_a_file_that_can_not_be_written_leaves_the_port_to_the_command_line(
    binary, plans, folder, settings, monkeypatch
):
    binary("")
    config(folder)
    settings.CENTRIFUGO_PORT = 9000
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    made = plans()
    assert made.command[3:] == ["--http_server.port", "9000"]
    assert not made.wrote_config


def test_the_port_of_a_reverse_proxy_is_not_the_servers(binary, plans, folder, settings):
    binary("")
    config(folder)
    settings.CENTRIFUGO_HOST = "https://push.example.com"
    settings.CENTRIFUGO_PORT = 443
    assert plans().command[3:] == []


def test_an_internal_port_is_left_alone(binary, plans, folder, settings):
    binary("")
    config(folder, http_server={"internal_port": "9001"})
    assert plans().command[3:] == []


def test_a_file_without_address_and_port_opens_neither_8000_nor_the_machine(
    binary, plans, folder, settings
):
    binary("")
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    assert plans().websocket == "ws://127.0.0.1:8427/connection/websocket"
    written = json.loads((folder / "config.json").read_text())
    assert written["http_server"] == {"address": "127.0.0.1", "port": 8427}


def test_what_an_existing_file_lacks_is_added_and_the_rest_kept(plans, folder):
    config(folder, channel={"namespaces": []}, admin={"enabled": True})
    assert plans().warnings == ()
    written = json.loads((folder / "config.json").read_text())
    assert [entry["name"] for entry in written["channel"]["namespaces"]] == ["user"]
    assert written["admin"] == {"enabled": True}


def test_old_config_names_the_remedy(plans, folder):
    folder.mkdir()
    (folder / "config.json").write_text('{"api_key": "old-api"}')
    with pytest.raises(InstantConfigError, match=r"Centrifugo 3 or 4.*installws") as caught:
        plans()
    assert "old-api" not in str(caught.value)
    assert (folder / "config.json").read_text() == '{"api_key": "old-api"}'


def test_a_plan_shows_no_secret(plans, folder):
    made = plans()
    assert "test-hmac-key" in made.env["CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY"]
    assert "test-hmac-key" not in repr(made)
    assert "test-api-key" not in repr(made)


def test_a_read_only_folder_where_nothing_changes(binary, plans, folder, monkeypatch):
    binary("")
    config(folder)
    opened = os.open

    def read_only(path, flags, *args, **kwargs):
        if str(path).startswith(str(folder)) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return opened(path, flags, *args, **kwargs)

    monkeypatch.setattr("os.open", read_only)
    for name in ("os.chmod", "os.mkfifo", "os.mkdir"):
        monkeypatch.setattr(name, refuse)
    made = plans()
    assert not made.wrote_config
    with alone(folder), process.pid_file(folder) as note:
        note(1)
    assert process.read_pid(folder) is None


@pytest.mark.usefixtures("registry")
def test_a_namespace_with_an_error_is_told(plans):
    type("Order", (Namespace,), {"name": "order", "pattern": "<int:pk>", "authorize": "cookie"})
    [warning] = plans().warnings
    assert "Order.authorize must be" in warning
    assert "left out" in warning


@pytest.mark.usefixtures("registry")
def test_the_apps_declarations_are_written_too(plans, folder):
    type("Order", (Namespace,), {"name": "order", "pattern": "<int:pk>"})
    assert plans().wrote_config
    written = json.loads((folder / "config.json").read_text())
    assert "order" in [entry["name"] for entry in written["channel"]["namespaces"]]
    assert not plans().wrote_config


@pytest.mark.parametrize(
    ("address", "host", "public_url", "told"),
    [
        ("0.0.0.0:8000", "127.0.0.1", None, True),
        ("0:8000", "127.0.0.1", None, True),
        ("[::]:8000", "127.0.0.1", None, True),
        ("192.0.2.7:8000", "localhost", None, True),
        ("0.0.0.0:8000", "0.0.0.0", None, False),
        ("0.0.0.0:8000", "127.0.0.1", "wss://push.example.com", False),
        ("127.0.0.1:8000", "127.0.0.1", None, False),
        ("localhost:8000", "127.0.0.1", None, False),
        ("[::1]:8000", "127.0.0.1", None, False),
        ("8000", "127.0.0.1", None, False),
        ("--noreload", "127.0.0.1", None, False),
    ],
)
def test_runserver_for_a_phone_says_what_the_phone_needs(
    plans, folder, settings, monkeypatch, address, host, public_url, told
):
    config(folder, http_server={"address": host})
    settings.INSTANT = {**settings.INSTANT, "PUBLIC_URL": public_url}
    monkeypatch.setattr("sys.argv", ["manage.py", "runserver", address])
    said = []
    autostart._tell_of_other_machines(lambda text, failed: said.append(text))
    assert len(said) == told
    assert not told or "“manage.py runws --address 0.0.0.0”" in said[0]


@pytest.mark.parametrize(
    ("arguments", "ask", "given", "told"),
    [
        (["8765"], "ask", None, True),
        (["127.0.0.1:8765", "--noreload"], "ask", None, True),
        (["--noreload", "[::1]:8765"], "ask", None, True),
        (["-v", "2", "8765"], "ask", None, True),
        (["-v", "2"], "ask", None, False),
        (["8765"], "ask", "http://127.0.0.1:8000", False),  # nginx may be there
        (["8765"], "nobody", None, False),
        (["8000"], "ask", None, False),
        ([], "ask", None, False),
    ],
)
@pytest.mark.usefixtures("registry")
def test_runserver_on_another_port_says_where_the_server_asks(
    settings, monkeypatch, arguments, ask, given, told
):
    settings.DEBUG = True
    settings.INSTANT = {**settings.INSTANT, "PROXY_URL": given}
    attributes = {"name": "room", "pattern": "<int:pk>", "client_publish": ask}
    type("Room", (Namespace,), attributes)
    monkeypatch.setattr("sys.argv", ["manage.py", "runserver", *arguments])
    said = []
    autostart._tell_of_another_port(lambda text, failed: said.append(text))
    assert len(said) == told
    assert not told or 'INSTANT["PROXY_URL"] = "http://127.0.0.1:8765"' in said[0]
    monkeypatch.setattr("sys.argv", ["gunicorn", "site.wsgi", "8765"])
    autostart._tell_of_another_port(lambda text, failed: said.append(text))
    assert len(said) == told


@pytest.mark.parametrize("server", ["auto", "embedded"])
def test_the_embedded_server_refuses_an_engine(plans, settings, server):
    settings.INSTANT = {**settings.INSTANT, "ENGINE": "redis://:hunter2@redis"}
    with pytest.raises(InstantConfigError, match="“manage.py installws” installs Centrifugo") as it:
        plans(server=server)
    assert "hunter2" not in str(it.value)
    settings.INSTANT = {**settings.INSTANT, "ENGINE": "memory"}
    assert plans(server=server).title.startswith("Embedded server")


def test_the_binary_gets_the_engine(binary, plans, folder, settings):
    binary("")
    settings.INSTANT = {**settings.INSTANT, "ENGINE": "redis://redis"}
    assert plans().wrote_config
    content = json.loads((folder / "config.json").read_text())
    assert content["engine"]["redis"]["address"] == ["redis://redis"]

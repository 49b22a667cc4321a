import json
import os
import shutil
import signal
import socket
import stat
import sys

import pytest
import requests
import urllib3
from django.core.management import CommandError, call_command
from requests.adapters import HTTPAdapter

from instant import conf
from instant.exceptions import InstantConfigError
from instant.server.launch import plan
from tests.centrifugo.binary.fake_release import script

pytestmark = pytest.mark.slow  # starts processes

REPORT = "print(json.dumps({'argv': sys.argv[1:], 'env': dict(os.environ)}), flush=True)"
SERVE = """
numbers = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
os.write(1, b'ready\\n')
while (number := signal.sigwait(numbers)) == signal.SIGHUP:
    os.write(1, b'reloaded\\n')
os._exit({signal.SIGTERM: 7, signal.SIGINT: 8}[number])
"""


@pytest.fixture
def plans(folder):
    def make(**kwargs):
        return plan(conf.current(), **{"environ": {"PATH": "/nonexistent"}, **kwargs})

    return make


@pytest.fixture(autouse=True)
def _embedded(monkeypatch):
    """The embedded server's own tests are elsewhere."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())


def config(folder, **changes):
    plan(conf.current(), environ={"PATH": "/nonexistent"})
    content = json.loads((folder / "config.json").read_text())
    for name, value in changes.items():
        content.setdefault(name, {}).update(value)
    (folder / "config.json").write_text(json.dumps(content))


# Which server, and where


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


def test_peer_09_a_binary_for_another_machine(binary, plans):
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
    assert origins[:2] == ["https://example.com", "http://example.com"]
    assert "https://another.example" in origins


def test_address_and_port_override(binary, plans, settings):
    binary("")
    made = plans(address="0.0.0.0", port=9000)
    assert made.command[3:] == ["--http_server.address", "0.0.0.0", "--http_server.port", "9000"]
    assert made.websocket == "ws://localhost:9000/connection/websocket"
    (warning,) = made.warnings
    assert "CENTRIFUGO_PORT = 9000" in warning
    settings.CENTRIFUGO_PORT = 9000
    assert plans(port=9000).warnings == ()


def test_the_port_of_the_settings_wins_over_the_file(binary, plans, folder, settings):
    binary("")
    config(folder)
    settings.CENTRIFUGO_PORT = 9000
    made = plans()
    assert made.command[3:] == ["--http_server.port", "9000"]
    assert made.warnings == ()


def test_the_port_of_a_proxy_is_not_the_servers(binary, plans, folder, settings):
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


def test_peer_10_old_config_names_the_remedy(plans, folder):
    folder.mkdir()
    (folder / "config.json").write_text('{"api_key": "old-api"}')
    with pytest.raises(InstantConfigError, match=r"Centrifugo 3 or 4.*installws") as caught:
        plans()
    assert "old-api" not in str(caught.value)
    assert (folder / "config.json").read_text() == '{"api_key": "old-api"}'


def test_peer_08_a_plan_shows_no_secret(plans, folder):
    made = plans()
    assert "test-hmac-key" in made.env["CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY"]
    assert "test-hmac-key" not in repr(made)
    assert "test-api-key" not in repr(made)


def test_errors_are_command_errors(folder):
    folder.mkdir()
    (folder / "config.json").write_text("{")
    with pytest.raises(CommandError, match="is not JSON"):
        call_command("runws")


# The command in a process of its own


def put(project, body):
    project.folder.mkdir()
    path = project.folder / "centrifugo"
    path.write_bytes(script(body))
    path.chmod(0o755)
    return path


def lines(process):
    return iter(process.stdout.readline, b"")


def test_peer_08_the_keys_travel_in_the_environment_and_nowhere_else(project):
    path = put(project, REPORT)
    project.set("CENTRIFUGO_API_KEY = 'the-api-key-of-django'")
    with project.start("runws", "--verbosity", "3") as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert err == b""
    first, second, report = out.decode().splitlines()
    assert first == f"Config written: {project.folder}/config.json"
    assert second == f"Centrifugo 6.9.1 ({path}) at ws://127.0.0.1:8427/connection/websocket"
    report = json.loads(report)
    config = json.loads((project.folder / "config.json").read_text())
    hmac = config["client"]["token"]["hmac_secret_key"]
    assert report["argv"] == ["-c", str(project.folder / "config.json")]
    assert report["env"]["CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY"] == hmac
    assert report["env"]["CENTRIFUGO_HTTP_API_KEY"] == "the-api-key-of-django"
    assert config["client"]["token"]["audience"] == "my-shop"
    for secret in (hmac, config["http_api"]["key"], "the-api-key-of-django"):
        assert secret not in first + second


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 7), ("SIGINT", 8)])
def test_peer_22_signals_and_exit_code_pass_through(project, name, code):
    put(project, SERVE)
    with project.start("runws") as process:
        assert b"ready\n" in lines(process)
        process.send_signal(signal.SIGHUP)
        assert next(lines(process)) == b"reloaded\n"
        process.send_signal(signal.Signals[name])
        _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err == b""


def test_peer_22_log_lines_come_as_they_are(project):
    said = b'{"level":"info"}\nb\'quoted\'\r\n\xff not text\nno end'
    put(project, f"os.write(1, {said!r}); os.write(2, {said!r}); raise SystemExit(3)")
    with project.start("runws") as process:
        out, err = process.communicate(timeout=30)
    assert out.endswith(b"/connection/websocket\n" + said)
    assert err == said
    assert process.returncode == 3


def test_peer_22_death_by_signal_is_seen_outside(project):
    put(project, "os.kill(os.getpid(), signal.SIGKILL)")
    with project.start("runws") as process:
        process.communicate(timeout=30)
    assert process.returncode == 137


def test_binary_missing(project):
    with project.start("runws", "--server", "centrifugo") as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert out == b""
    assert err.startswith(b"CommandError: There is no Centrifugo binary in ")
    assert not project.folder.exists()


@pytest.mark.parametrize(
    ("server", "ready"),
    [("centrifugo", b"serving websocket"), ("embedded", b"listening on")],
)
def test_real_servers_run_with_the_keys_that_django_resolved(project, server, ready):
    found = os.environ.get("CENTRIFUGO_BIN") or shutil.which("centrifugo")
    if not found and server == "centrifugo":
        pytest.skip("no centrifugo binary on PATH or in CENTRIFUGO_BIN")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    project.set("CENTRIFUGO_API_KEY = 'the-api-key-of-django'")
    project.set(f"CENTRIFUGO_PORT = {port}")
    with project.start("runws", "--server", server, CENTRIFUGO_BIN=found or "") as process:
        try:
            said = b""
            while ready not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            # Centrifugo says so a moment before it listens.
            with requests.Session() as session:
                retry = urllib3.Retry(connect=30, backoff_factor=0.01, backoff_max=0.2)
                session.mount("http://", HTTPAdapter(max_retries=retry))
                answer = session.post(
                    f"http://127.0.0.1:{port}/api/info",
                    json={},
                    headers={"X-API-Key": "the-api-key-of-django"},
                    timeout=10,
                )
            assert answer.json()["result"]["nodes"]
        finally:
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=40)
    assert process.returncode == 0
    name = found if server == "centrifugo" else "Embedded server (Python; as asked"
    assert f"{name}) at ws://127.0.0.1:{port}/connection/websocket" in out.decode()
    assert b"the-api-key-of-django" not in said + out + err


def test_histories_outlive_the_embedded_server(project, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    project.set(f"CENTRIFUGO_PORT = {port}")
    project.set("CENTRIFUGO_API_KEY = 'key'")
    options = ("--server", "embedded", "--data", str(tmp_path / "history.db"))
    positions = []
    with project.start("runws", *options) as first:
        _wait_for(first, b"listening on")
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=40)
    path = next(project.folder.glob("config.json"))
    content = json.loads(path.read_text())
    content.setdefault("channel", {})["without_namespace"] = {
        "history_size": 10,
        "history_ttl": "60s",
    }
    path.write_text(json.dumps(content))
    for _ in range(2):
        with project.start("runws", *options) as process:
            _wait_for(process, b"listening on")
            answer = requests.post(
                f"http://127.0.0.1:{port}/api/publish",
                json={"channel": "news", "data": 1},
                headers={"X-API-Key": "key"},
                timeout=10,
            )
            positions.append(answer.json()["result"])
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=40)
    first_position, second = positions
    assert (first_position["offset"], second["offset"]) == (1, 2)
    assert first_position["epoch"] == second["epoch"]


def _wait_for(process, text):
    said = b""
    while text not in said:
        line = process.stderr.readline()
        assert line, said
        said += line

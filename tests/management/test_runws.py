"""The command in a process of its own."""

import json
import re
import signal
import socket

import pytest
import requests
from django.core.management import CommandError, call_command
from requests.adapters import HTTPAdapter, Retry

from tests.centrifugo.binary.fake_release import script
from tests.ports import free_port
from tests.real_server import BINARY

pytestmark = [pytest.mark.slow, pytest.mark.timed]  # starts processes

REPORT = "print(json.dumps({'argv': sys.argv[1:], 'env': dict(os.environ)}), flush=True)"
SERVE = """
numbers = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
os.write(1, b'ready\\n')
while (number := signal.sigwait(numbers)) == signal.SIGHUP:
    os.write(1, b'reloaded\\n')
os._exit({signal.SIGTERM: 7, signal.SIGINT: 8}[number])
"""


def test_errors_are_command_errors(folder):
    folder.mkdir()
    (folder / "config.json").write_text("{")
    with pytest.raises(CommandError, match="is not JSON"):
        call_command("runws")


def put(project, body):
    project.folder.mkdir()
    path = project.folder / "centrifugo"
    path.write_bytes(script(body))
    path.chmod(0o755)
    return path


def lines(process):
    return iter(process.stdout.readline, b"")


def test_the_keys_travel_in_the_environment_and_nowhere_else(project):
    path = put(project, REPORT)
    project.set("CENTRIFUGO_API_KEY = 'the-api-key-of-django'")
    with project.start("runws", "--verbosity", "3") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err == b""
    first, second, report = out.decode().splitlines()
    assert first == f"Config written: {project.folder}/config.json"
    assert (
        second == f"Centrifugo 6.9.1 ({path}) at ws://127.0.0.1:{project.port}/connection/websocket"
    )
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
def test_signals_and_exit_code_pass_through(project, name, code):
    put(project, SERVE)
    with project.start("runws") as process:
        assert b"ready\n" in lines(process)
        process.send_signal(signal.SIGHUP)
        assert next(lines(process)) == b"reloaded\n"
        process.send_signal(signal.Signals[name])
        _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == b""


def test_log_lines_come_as_they_are(project):
    said = b'{"level":"info"}\nb\'quoted\'\r\n\xff not text\nno end'
    put(project, f"os.write(1, {said!r}); os.write(2, {said!r}); raise SystemExit(3)")
    with project.start("runws") as process:
        out, err = process.communicate(timeout=60)
    assert out.endswith(b"/connection/websocket\n" + said)
    assert err == said
    assert process.returncode == 3


def test_a_port_that_somebody_else_has_is_told_with_the_way_out(project):
    """Centrifugo's own line names no setting of Django's."""
    put(project, "os.write(2, b'bind: address already in use\\n'); raise SystemExit(1)")
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        project.set(f"CENTRIFUGO_PORT = {port}")
        with project.start("runws") as process:
            _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    said = err.decode()
    assert f"Port {port} is held by another program" in said
    assert re.search(r"set CENTRIFUGO_PORT = \d+ in the settings", said)


def test_a_server_that_fails_for_another_reason_says_so_itself(project):
    put(project, "raise SystemExit(1)")
    project.set(f"CENTRIFUGO_PORT = {free_port()}")
    with project.start("runws") as process:
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, b"")


def test_death_by_signal_is_seen_outside(project):
    put(project, "os.kill(os.getpid(), signal.SIGKILL)")
    with project.start("runws") as process:
        process.communicate(timeout=60)
    assert process.returncode == 137


def test_binary_missing(project):
    with project.start("runws", "--server", "centrifugo") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == b""
    assert err.startswith(b"CommandError: There is no Centrifugo binary in ")
    assert not project.folder.exists()


@pytest.mark.parametrize(
    ("server", "ready"),
    [
        pytest.param("centrifugo", b"serving websocket", marks=pytest.mark.real_server),
        ("embedded", b"listening on"),
    ],
)
def test_real_servers_run_with_the_keys_that_django_resolved(project, server, ready):
    port = free_port()
    project.set("CENTRIFUGO_API_KEY = 'the-api-key-of-django'")
    project.set(f"CENTRIFUGO_PORT = {port}")
    with project.start("runws", "--server", server, CENTRIFUGO_BIN=BINARY or "") as process:
        try:
            said = b""
            while ready not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            # Centrifugo says so a moment before it listens.
            with requests.Session() as session:
                retry = Retry(connect=30, backoff_factor=0.01, backoff_max=0.2)
                session.mount("http://", HTTPAdapter(max_retries=retry))
                answer = session.post(
                    f"http://127.0.0.1:{port}/api/info",
                    json={},
                    headers={"X-API-Key": "the-api-key-of-django"},
                    timeout=60,
                )
            assert answer.json()["result"]["nodes"]
        finally:
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    # Centrifugo replies a moment before it handles signals; until then SIGTERM ends it at once.
    ended_at_once = server == "centrifugo" and process.returncode == 128 + signal.SIGTERM
    assert process.returncode == 0 or ended_at_once
    name = BINARY if server == "centrifugo" else "Embedded server (Python; as asked"
    assert f"{name}) at ws://127.0.0.1:{port}/connection/websocket" in out.decode()
    assert b"the-api-key-of-django" not in said + out + err


def test_histories_outlive_the_embedded_server(project, tmp_path):
    port = free_port()
    project.set(f"CENTRIFUGO_PORT = {port}")
    project.set("CENTRIFUGO_API_KEY = 'key'")
    options = ("--server", "embedded", "--data", str(tmp_path / "history.db"))
    positions = []
    with project.start("runws", *options) as first:
        _wait_for(first, b"listening on")
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
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
                timeout=60,
            )
            positions.append(answer.json()["result"])
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
    first_position, second = positions
    assert (first_position["offset"], second["offset"]) == (1, 2)
    assert first_position["epoch"] == second["epoch"]


def _wait_for(process, text):
    said = b""
    while text not in said:
        line = process.stderr.readline()
        assert line, said
        said += line

import ast
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.sync.client import connect

import instant.embedded
from tests.conformance.player import token
from tests.embedded.fakes import CONFIG
from tests.interpreters import Python

pytestmark = [pytest.mark.slow, pytest.mark.timed]  # starts processes

ROOM = Path(instant.embedded.__file__).parent
PROJECT = ROOM.parent.parent


@pytest.fixture
def run(tmp_path):
    started = []

    def run(config, *arguments, **environment):
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config))
        clean = {name: value for name, value in os.environ.items() if "CENTRIFUGO" not in name}
        process = Python(
            ["-m", "instant.embedded", "--config", path, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**clean, "PYTHONPATH": str(PROJECT), **environment},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def port_of(process):
    line = process.stderr.readline()
    assert "listening on 127.0.0.1:" in line
    return int(line.rpartition(":")[2])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_gently(run, number):
    process = run(CONFIG, "--address", "127.0.0.1", "--port", "0")
    with connect(f"ws://127.0.0.1:{port_of(process)}/connection/websocket") as client:
        client.send(json.dumps({"id": 1, "connect": {"token": token({"sub": "1"})}}))
        client.recv()
        process.send_signal(number)
        with pytest.raises(Exception, match="3001"):
            client.recv()
    assert process.wait(60) == 0


def test_hangup_reads_the_config_again(run, tmp_path):
    process = run(CONFIG, "--address", "127.0.0.1", "--port", "0")
    url = f"ws://127.0.0.1:{port_of(process)}/connection/websocket"

    def reload(config):
        (tmp_path / "config.json").write_text(json.dumps(config))
        process.send_signal(signal.SIGHUP)
        return process.stderr.readline()

    with connect(url) as client:

        def ask(command):
            client.send(json.dumps(command))
            return json.loads(client.recv())

        ask({"id": 1, "connect": {"token": token({"sub": "1"})}})
        subscribe = {"id": 2, "subscribe": {"channel": "late:1"}}
        assert ask(subscribe)["error"]["code"] == 102
        late = [{"name": "late", "allow_subscribe_for_client": True}]
        assert "stays as it was: unknown keys" in reload({"chanel": {}})
        assert "read again" in reload({**CONFIG, "channel": {"namespaces": late}})
        assert ask(subscribe) == {"id": 2, "subscribe": {}}


def test_a_taken_port_is_one_clear_line(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = run(CONFIG, "--address", "127.0.0.1", "--port", str(port))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    (line,) = errors.splitlines()
    assert f"can't listen on 127.0.0.1:{port}" in line
    assert "CENTRIFUGO_PORT" in line


def test_a_bad_config_is_one_clear_line_without_secrets(run):
    config = {"client": {"token": {"hmac_secret_key": "s3cret", "x": 1}}, "log_level": "info"}
    process = run(config)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors == "instant.embedded: unknown keys in config: log_level, client.token.x\n"


def test_the_environment_wins(run):
    process = run(
        {**CONFIG, "http_server": {"port": 1}},
        CENTRIFUGO_HTTP_SERVER_ADDRESS="127.0.0.1",
        CENTRIFUGO_HTTP_SERVER_PORT="0",
        CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY="e" * 40,
    )
    with connect(f"ws://127.0.0.1:{port_of(process)}/connection/websocket") as client:
        signed = token({"sub": "1"}, secret="e" * 40)
        client.send(json.dumps({"id": 1, "connect": {"token": signed}}))
        assert "connect" in json.loads(client.recv())


def test_it_runs_without_django():
    # The package above the room is none of the room's business: it may import what it likes.
    code = f"""
import sys, types
above = types.ModuleType("instant")
above.__path__ = [{str(ROOM.parent)!r}]
sys.modules["instant"] = above
import instant.embedded.__main__
print([name for name in sys.modules if name.partition(".")[0] == "django"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "path", sorted(ROOM.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOM))
)
def test_no_module_looks_outside_the_room(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= 1, "an import from outside the room"
            names = [] if node.level else [node.module]
        else:
            continue
        for name in names:
            if name.startswith("instant.embedded"):
                continue
            top = name.partition(".")[0]
            assert top in {"aiohttp", "jwt"} | sys.stdlib_module_names, name

"""Where it listens, and to whom; how it starts and ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import pytest
import trustme
from django.core.management import CommandError, call_command
from django.test import override_settings

from instant import on_rpc
from instant.exceptions import InstantConfigError
from instant.inbound.rpc_server.server import GatewayServer, Options
from tests.inbound.rpc_server.conftest import Caller

ROOT = Path(__file__).parents[3]


def wrong(**options):
    with pytest.raises(InstantConfigError) as caught:
        GatewayServer(Options(**{"port": 0, **options}))
    return str(caught.value)


@pytest.fixture
def certificate(tmp_path):
    made = trustme.CA()
    issued = made.issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(tmp_path / "cert.pem"), append=True)
    return made, tmp_path / "cert.pem", tmp_path / "key.pem"


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.1", "example.com", "127.0.0.1.nip.io", ""])  # fmt: skip
def test_without_tls_it_listens_on_this_machine_only(instant, address):
    assert "--cert FILE" in wrong(address=address)


def test_without_authenticators_nobody_could_call():
    assert "AUTHENTICATION" in wrong()
    with override_settings(INSTANT={"AUTHENTICATION": ["nowhere.at_all"]}):
        assert "nowhere.at_all" in wrong()


def test_files_that_are_no_certificate(instant, certificate, tmp_path):
    _, cert, key = certificate
    assert "both" in wrong(certificate=cert)
    assert "both" in wrong(key=key)
    assert "No such file" in wrong(certificate=cert, key=tmp_path / "none.pem")
    assert "can't be used" in wrong(certificate=key, key=cert)


def test_a_port_that_is_taken(instant):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}" in wrong(port=port)


@pytest.mark.django_db(transaction=True)
def test_tls(serve, certificate, make_user, registry):
    @on_rpc("x")
    def handler(call):
        return call.headers.get("user-agent", "").startswith("grpc-python")

    make_user("ann")
    authority, cert, key = certificate
    server, _ = serve(certificate=cert, key=key)
    trusted = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    with grpc.secure_channel(f"localhost:{server.port}", trusted) as channel:
        assert Caller(channel)("x") is True
    with grpc.insecure_channel(server.where) as channel:
        assert Caller(channel).refused("x", timeout=10)[0] in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}


@pytest.fixture
def slow(registry):
    """The method x: an event tells that it has begun, and another lets it go on."""
    started, go_on = threading.Event(), threading.Event()

    @on_rpc("x")
    def handler(call):
        started.set()
        go_on.wait(20)
        return 1

    return started, go_on


@pytest.mark.django_db(transaction=True)
def test_it_stops_when_its_calls_have_ended(serve, make_user, slow):
    started, go_on = slow
    server, call = serve(grace=20)
    make_user("ann")
    answers, ended = [], []
    caller = threading.Thread(target=lambda: answers.append(call("x")))
    caller.start()
    assert started.wait(10)
    stopping = threading.Thread(target=lambda: ended.append(server.stop()))
    stopping.start()
    while call.refused("x", timeout=10)[0] != "UNAVAILABLE":  # no more are taken
        pass
    go_on.set()
    caller.join(20)
    stopping.join(20)
    assert (answers, ended) == ([1], [True])


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_a_function_whose_caller_waits_no_more(serve, make_user, slow):
    started, go_on = slow
    server, call = serve(grace=20)
    make_user("ann")
    assert call.refused("x", timeout=3)[0] == "DEADLINE_EXCEEDED"
    assert started.wait(10)
    ended = []
    stopping = threading.Thread(target=lambda: ended.append(server.stop()))
    stopping.start()
    stopping.join(0.5)
    assert ended == []
    go_on.set()
    stopping.join(20)
    assert ended == [True]


def test_without_grpc_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "instant.inbound.rpc_server.server", None)
    with pytest.raises(CommandError, match=r"django-instant\[grpc\]"):
        call_command("rungrpc")


def test_the_command_refuses_what_the_server_refuses(instant):
    with pytest.raises(CommandError, match="--cert"):
        call_command("rungrpc", address="0.0.0.0")


def test_the_command_prints_the_file(capsys):
    call_command("rungrpc", "--proto")
    assert capsys.readouterr().out.startswith("// The methods")


SETTINGS = """
from tests.settings import *
INSTANT = {"AUTHENTICATION": ["tests.views.authenticators.bearer"]}
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command(tmp_path, number):
    (tmp_path / "grpc_settings.py").write_text(SETTINGS)
    environment = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "grpc_settings",
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
    }  # fmt: skip
    running = subprocess.Popen(
        [sys.executable, "-m", "django", "rungrpc", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        line = running.stdout.readline()
        assert line.endswith("(no TLS). Stop with Ctrl-C.\n"), running.communicate(timeout=20)
        where = line.split()[2]
        with grpc.insecure_channel(where) as channel:
            assert Caller(channel).refused("x", metadata=())[0] == "UNAUTHENTICATED"
        running.send_signal(number)
        out, err = running.communicate(timeout=30)
        assert (running.returncode, out, err) == (0, "Stopped.\n", "")
    finally:
        if running.poll() is None:
            running.kill()
            running.communicate()

"""syncws: namespaces of the apps into the server's config, and into a server that runs."""

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from instant import Namespace, conf
from instant.centrifugo.binary import process
from instant.deliveries import Latest, Recoverable

pytestmark = pytest.mark.usefixtures("registry")

ORIGIN = "https://site.example"


def declare(name="order", **attributes):
    return type(name.title(), (Namespace,), {"name": name, "pattern": "<int:pk>", **attributes})


def names(server_folder):
    content = json.loads((server_folder / "config.json").read_text())
    return {entry["name"]: entry for entry in content["channel"]["namespaces"]}


def test_writes_prints_the_difference_and_no_secret(server_folder, capsys):
    declare(delivery=Recoverable(size=50, ttl=timedelta(minutes=2)), presence=True)
    declare("price", delivery=Latest())
    call_command("syncws")
    out = capsys.readouterr().out
    assert '+        "name": "order"' in out
    assert "Written:" in out
    found = names(server_folder)
    assert found["order"] == {
        "name": "order",
        "presence": True,
        "allow_presence_for_subscriber": True,
        "allow_presence_for_anonymous": True,
        "history_size": 50,
        "history_ttl": "120s",
        "force_recovery": True,
    }
    assert found["price"]["force_recovery_mode"] == "cache"
    assert "user" in found
    assert conf.current().api_key not in out
    assert conf.current().hmac_key not in out
    call_command("syncws")
    assert capsys.readouterr().out.startswith("Up to date")


def test_check_writes_nothing_and_exits_with_1(server_folder, capsys):
    call_command("syncws")
    before = (server_folder / "config.json").read_bytes()
    declare()
    with pytest.raises(SystemExit) as info:
        call_command("syncws", "--check")
    assert info.value.code == 1
    assert (server_folder / "config.json").read_bytes() == before
    assert '"order"' in capsys.readouterr().out
    call_command("syncws")
    call_command("syncws", "--check")


def test_reload_without_a_server(server_folder):
    call_command("syncws")
    with pytest.raises(CommandError, match="Restart it where it runs"):
        call_command("syncws", "--reload")


def test_reload_of_what_needs_a_restart(server_folder):
    call_command("syncws")
    with (
        override_settings(
            INSTANT={"DIR": server_folder, "ALLOWED_ORIGINS": ["https://other.example"]}
        ),
        pytest.raises(CommandError, match="Restart the server"),
    ):
        call_command("syncws", "--reload")


# Opening the pipe waits for who opens its other end: the test goes on when signals are blocked.
WAIT = (
    "import signal, os, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGTERM});"
    "open(sys.argv[1], 'w').close();"
    "n = signal.sigwait({signal.SIGHUP, signal.SIGTERM}); os._exit(int(n == signal.SIGHUP))"
)


def test_reload_signals_the_server_that_runws_holds(server_folder, capfd):
    assert process.read_pid(server_folder) is None
    codes = []
    script, ready = server_folder / "server.py", server_folder / "ready"
    script.write_text(WAIT)
    os.mkfifo(ready)
    thread = threading.Thread(
        target=lambda: codes.append(
            process.run([sys.executable, str(script), str(ready)], folder=server_folder)
        )
    )
    thread.start()
    ready.open().close()
    pid = process.read_pid(server_folder)
    assert pid not in (None, os.getpid())
    call_command("syncws")
    call_command("syncws", "--reload")
    thread.join(60)
    assert codes == [1]  # it got the SIGHUP
    assert process.read_pid(server_folder) is None
    assert "reloads its config" in capfd.readouterr().out


def test_a_pid_left_by_a_killed_runws_is_not_believed(server_folder):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (server_folder / "server.pid").write_text(str(other.pid))
        assert process.read_pid(server_folder) is None
        with pytest.raises(CommandError):
            call_command("syncws", "--reload")
        assert other.poll() is None
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()

"""syncws: namespaces of the apps into the server's config, and into a server that runs."""

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings

from instant import Namespace, conf
from instant.centrifugo.binary import process
from instant.deliveries import Latest, Recoverable
from instant.server.sync import compare

pytestmark = pytest.mark.usefixtures("registry")

ORIGIN = "https://site.example"


@pytest.fixture
def folder(tmp_path):
    with override_settings(
        INSTANT={"DIR": tmp_path, "ALLOWED_ORIGINS": [ORIGIN]},
        CENTRIFUGO_API_KEY=None,
        CENTRIFUGO_HMAC_KEY=None,
    ):
        yield tmp_path


def declare(name="order", **attributes):
    return type(name.title(), (Namespace,), {"name": name, "pattern": "<int:pk>", **attributes})


def names(folder):
    content = json.loads((folder / "config.json").read_text())
    return {entry["name"]: entry for entry in content["channel"]["namespaces"]}


def test_writes_prints_the_difference_and_no_secret(folder, capsys):
    declare(delivery=Recoverable(size=50, ttl=timedelta(minutes=2)), presence=True)
    declare("price", delivery=Latest())
    call_command("syncws")
    out = capsys.readouterr().out
    assert '+        "name": "order"' in out
    assert "Written:" in out
    found = names(folder)
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


def test_check_writes_nothing_and_exits_with_1(folder, capsys):
    call_command("syncws")
    before = (folder / "config.json").read_bytes()
    declare()
    with pytest.raises(SystemExit) as info:
        call_command("syncws", "--check")
    assert info.value.code == 1
    assert (folder / "config.json").read_bytes() == before
    assert '"order"' in capsys.readouterr().out
    call_command("syncws")
    call_command("syncws", "--check")


def test_what_is_declared_no_more_is_taken_out(folder, registry, capsys):
    declare()
    call_command("syncws")
    registry.clear()
    call_command("syncws")
    assert set(names(folder)) == {"user"}
    assert '-        "name": "order"' in capsys.readouterr().out


def test_a_faulty_declaration_is_left_out(folder):
    declare(authorize="cookie")
    call_command("syncws")
    assert set(names(folder)) == {"user"}


def test_runws_and_installws_bring_it_in_line_too(folder):
    from instant.server.launch import plan

    declare()
    assert plan(conf.current(), server="embedded").wrote_config
    assert "order" in names(folder)
    assert not plan(conf.current(), server="embedded").wrote_config


# System checks


def ids():
    return [message.id for message in run_checks() if message.id.startswith("instant.")]


def test_e003_and_two_that_claim_one_name(folder):
    declare()
    assert ids() == []
    declare()
    [message] = [m for m in run_checks() if m.id == "instant.E003"]
    assert "'order'" in message.msg
    assert " and by " in message.msg


def test_e003_faults(folder):
    declare(pattern="<int:pk")
    assert ids() == ["instant.E003"]


def test_w005_drift(folder):
    assert ids() == []  # no file: nothing to be in line
    call_command("syncws")
    assert ids() == []
    declare()
    assert ids() == ["instant.W005"]
    call_command("syncws")
    assert ids() == []


# A server that runs


def test_reload_without_a_server(folder):
    call_command("syncws")
    with pytest.raises(CommandError, match="Restart it where it runs"):
        call_command("syncws", "--reload")


def test_reload_of_what_needs_a_restart(folder):
    call_command("syncws")
    with (
        override_settings(INSTANT={"DIR": folder, "ALLOWED_ORIGINS": ["https://other.example"]}),
        pytest.raises(CommandError, match="Restart the server"),
    ):
        call_command("syncws", "--reload")


WAIT = (
    "import signal, os; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGTERM});"
    "os.write(1, b'ready\\n');"
    "n = signal.sigwait({signal.SIGHUP, signal.SIGTERM}); os._exit(int(n == signal.SIGHUP))"
)


def test_reload_signals_the_server_that_runws_holds(folder, capfd):
    assert process.read_pid(folder) is None
    codes = []
    script = folder / "server.py"
    script.write_text(WAIT)
    thread = threading.Thread(
        target=lambda: codes.append(process.run([sys.executable, str(script)], folder=folder))
    )
    thread.start()
    said = ""
    while "ready" not in said:
        said += capfd.readouterr().out
    pid = process.read_pid(folder)
    assert pid not in (None, os.getpid())
    call_command("syncws")
    call_command("syncws", "--reload")
    thread.join(10)
    assert codes == [1]  # it got the SIGHUP
    assert process.read_pid(folder) is None
    assert "reads its config again" in capfd.readouterr().out


def test_a_pid_left_by_a_killed_runws_is_not_believed(folder):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (folder / "server.pid").write_text(str(other.pid))
        assert process.read_pid(folder) is None
        with pytest.raises(CommandError):
            call_command("syncws", "--reload")
        assert other.poll() is None
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()


def test_the_folder_is_where_the_names_are_kept(folder):
    declare()
    call_command("syncws")
    assert json.loads((folder / "compiled.json").read_text()) == {"namespaces": ["order"]}
    assert compare(conf.current()).changed is False


def test_w008_presence_is_off(folder):
    call_command("syncws")
    assert ids() == []
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["channel"]["without_namespace"]["presence"] = False
    config["channel"]["namespaces"][0]["presence"] = False
    path.write_text(json.dumps(config))
    [message] = [m for m in run_checks() if m.id == "instant.W008"]
    assert "channel.without_namespace and the namespace “user”" in message.msg

"""The one command: it starts, says where, moves aside for a taken port, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.browser.site import EXAMPLE, Demo, environment
from tests.ports import free_port

# Each starts the site anew, and some of them three times.
pytestmark = pytest.mark.slow


def options(server="embedded"):
    return ("--port", str(free_port()), "--ws-port", str(free_port()), "--server", server)


def descendants(pid):
    """Return the processes that began below ``pid``, with what they run."""
    # “ww”: where COLUMNS is set, ps cuts its lines to it even into a pipe.
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    found, front = {}, {str(pid)}
    while front:
        below = {row[0]: row[2] for row in rows if row[1] in front}
        found |= below
        front = set(below)
    return {int(number): args for number, args in found.items()}


def is_alive(pid):
    """Tell whether it runs; a zombie that nobody has collected yet does not."""
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()[:1] not in {"", "Z"}


def test_ctrl_c_leaves_nothing_and_it_starts_again_at_once(tmp_path):
    ports = options()
    with Demo(environment(tmp_path), *ports) as demo:
        url = demo.wait_for(r"Threadwell is at\s+(http://\S+)")[1]
        demo.wait_for("Ctrl-C stops it")
        assert urllib.request.urlopen(url).status == 200
        assert_stops(demo, signal.SIGINT)
    with Demo(environment(tmp_path), *ports) as again:
        again.wait_for("Ctrl-C stops it")
        assert "is taken" not in again.said
        assert_ends_with(again, "runws", "server")


def test_a_shell_finds_the_server_that_has_moved_aside(tmp_path):
    """By the command that the board shows: it knows nothing of the demo's ports."""
    ports = options()
    with Demo(environment(tmp_path), *ports) as demo:
        demo.wait_for("Ctrl-C stops it")
    with (
        socket.create_server(("127.0.0.1", int(ports[3]))),
        Demo(environment(tmp_path), *ports) as demo,
    ):
        moved = demo.wait_for(rf"Port {ports[3]} is taken: the message server uses (\d+)\.")[1]
        demo.wait_for("Ctrl-C stops it")
        code = (
            "from instant import conf, publish\n"
            "print(conf.current().api_url, publish('public', 'Hello').state)"
        )
        done = subprocess.run(
            [sys.executable, EXAMPLE / "manage.py", "shell", "-v0", "-c", code],
            env=environment(tmp_path), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout.strip() == f"http://127.0.0.1:{moved} sent", done.stderr


def test_it_moves_aside_for_a_taken_port(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Demo(environment(tmp_path), "--port", str(port), "--server", "embedded") as demo:
            says = demo.wait_for(rf"Port {port} is taken: the site uses (\d+)\.")
            url = demo.wait_for(r"Threadwell is at\s+(http://\S+)")[1]
            demo.wait_for("Ctrl-C stops it")
            assert url.endswith(f":{says[1]}/")
            # As where the terminal is closed.
            assert_stops(demo, signal.SIGHUP)


def test_the_server_does_not_outlive_the_site(tmp_path):
    with Demo(environment(tmp_path), *options()) as demo:
        demo.wait_for("Ctrl-C stops it")
        assert_ends_with(demo, "runserver", "site")


def test_workers_do_not_outlive_the_one_that_started_them(tmp_path):
    with Demo(environment(tmp_path), *options()) as demo:
        demo.wait_for("Ctrl-C stops it")
        assert_ends_with(demo, "runjobs", "worker")


def assert_stops(demo, number):
    children = descendants(demo.process.pid)
    assert (
        len(children) >= 9
    )  # the site; runws and its server; runjobs and runworker with two workers each
    code, said = demo.stop(number)
    assert code == 0, said
    assert said.endswith("Stopped.\n")
    assert [pid for pid in children if is_alive(pid)] == []


def assert_ends_with(demo, command, name):
    """Kill one of the three: it must say which, and leave nothing behind."""
    children = descendants(demo.process.pid)
    victim = next(pid for pid, args in children.items() if f"manage.py {command}" in args)
    os.kill(victim, signal.SIGKILL)
    code, said = demo.stop(None)
    assert code == 1
    assert f"The {name} ended with code" in said
    assert [pid for pid in children if is_alive(pid)] == []


def test_without_a_network_it_says_so_in_one_line(tmp_path):
    nowhere = f"http://127.0.0.1:{free_port()}"
    env = environment(tmp_path) | {"HTTPS_PROXY": nowhere, "https_proxy": nowhere}
    env.pop("CENTRIFUGO_BIN", None)
    env["PATH"] = "/usr/bin:/bin"
    with Demo(env, *options("auto")) as demo:
        demo.wait_for("Ctrl-C stops it")
        code, said = demo.stop()
    assert code == 0
    before = said.partition("┌")[0].splitlines()
    assert [line for line in before if "embedded server is used instead" in line] == before[-2:-1]
    assert "Messages go over  the embedded server" in said

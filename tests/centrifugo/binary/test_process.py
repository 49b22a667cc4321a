import os
import pty
import signal
import subprocess
import sys
import threading

import pytest

from instant.centrifugo.binary import process
from instant.exceptions import InstantConfigError
from tests.centrifugo.binary.fake_release import script

pytestmark = pytest.mark.timed


def program(path, body="", *, executable=True):
    path.write_bytes(script(body))
    path.chmod(0o755 if executable else 0o644)
    return path


def run(tmp_path, body, **kwargs):
    return process.run([str(program(tmp_path / "child", body))], **kwargs)


# Which binary


def test_the_folder_wins_over_variable_and_path(tmp_path, monkeypatch):
    for name in ("own", "named", "path"):
        (tmp_path / name).mkdir()
        program(tmp_path / name / "centrifugo")
    environ = {"CENTRIFUGO_BIN": str(tmp_path / "named" / "centrifugo")}
    environ["PATH"] = str(tmp_path / "path")
    # The working directory is never looked at.
    (tmp_path / "cwd").mkdir()
    program(tmp_path / "cwd" / "centrifugo")
    monkeypatch.chdir(tmp_path / "cwd")
    assert process.find_binary(tmp_path / "own", environ) == tmp_path / "own" / "centrifugo"
    assert process.find_binary(tmp_path, environ) == tmp_path / "named" / "centrifugo"
    del environ["CENTRIFUGO_BIN"]
    assert process.find_binary(tmp_path, environ) == tmp_path / "path" / "centrifugo"
    assert process.find_binary(tmp_path, {"PATH": "/nonexistent"}) is None


def test_a_file_that_is_not_executable_is_no_binary(tmp_path):
    program(tmp_path / "centrifugo", executable=False)
    assert process.find_binary(tmp_path, {"PATH": "/nonexistent"}) is None


def test_a_wrong_variable_is_an_error(tmp_path):
    with pytest.raises(InstantConfigError, match="CENTRIFUGO_BIN names /nonexistent/x"):
        process.find_binary(tmp_path, {"CENTRIFUGO_BIN": "/nonexistent/x"})


def test_version(tmp_path):
    assert process.binary_version(program(tmp_path / "good")) == "6.9.1"
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho something\n")
    other.chmod(0o755)
    assert process.binary_version(other) == ""
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"\x7fELF for another machine")
    wrong.chmod(0o755)
    with pytest.raises(OSError, match="Exec format error"):
        process.binary_version(wrong)


# Command line and environment


def test_commands_override_only_when_asked(tmp_path):
    file = tmp_path / "config.json"
    assert process.centrifugo_command(tmp_path / "cf", file) == [
        str(tmp_path / "cf"),
        "-c",
        str(file),
    ]
    assert process.centrifugo_command(tmp_path / "cf", file, address="::1", port=9000)[3:] == [
        "--http_server.address",
        "::1",
        "--http_server.port",
        "9000",
    ]


def test_embedded_command(tmp_path, monkeypatch):
    monkeypatch.setattr(process.importlib.util, "find_spec", lambda name: object())
    file = tmp_path / "config.json"
    start = [sys.executable, "-m", "instant.embedded", "--config", str(file)]
    assert process.embedded_command(file) == start
    assert process.embedded_command(file, address="::1", port=9000) == [
        *start,
        "--address",
        "::1",
        "--port",
        "9000",
    ]
    monkeypatch.setattr(process.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InstantConfigError, match=r"lacks instant\.embedded"):
        process.embedded_command(file)


def test_environment_carries_the_keys_and_not_our_own_variable():
    environ = {"CENTRIFUGO_BIN": "/x", "PATH": "/bin", "CENTRIFUGO_HTTP_API_KEY": "old"}
    assert process.environment(hmac_key="h", api_key="a", environ=environ) == {
        "PATH": "/bin",
        "CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY": "h",
        "CENTRIFUGO_HTTP_API_KEY": "a",
    }


# The child


@pytest.mark.parametrize("code", [0, 3, 255])
def test_exit_code(tmp_path, code):
    assert run(tmp_path, f"raise SystemExit({code})") == code


def test_death_by_signal_is_128_and_the_signal(tmp_path):
    assert run(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)") == 128 + 9


def test_output_is_not_touched(tmp_path, capfdbinary):
    said = b"plain\nb'quoted'\r\n\xff\xfe\x00 not text\n\x1b[31mcolour\x1b[0m\nno end"
    assert run(tmp_path, f"os.write(1, {said!r}); os.write(2, {said!r})") == 0
    assert capfdbinary.readouterr() == (said, said)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_signals_are_passed_on(tmp_path, name, monkeypatch):
    monkeypatch.setattr(process, "_from_our_terminal", lambda number: False)
    before = signal.getsignal(signal.Signals[name])
    # The child signals its parent and ends when the signal comes back. sigwait, because pause()
    # would miss one that comes just before it.
    body = (
        f"signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.{name}}})\n"
        f"os.kill(os.getppid(), signal.{name})\n"
        f"signal.sigwait({{signal.{name}}})\n"
        "os._exit(7)"
    )
    assert run(tmp_path, body) == 7
    assert signal.getsignal(signal.Signals[name]) is before


def test_a_signal_before_the_child_runs_reaches_it(tmp_path, monkeypatch):
    real = subprocess.Popen

    def late(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*args, **kwargs)

    monkeypatch.setattr(process.subprocess, "Popen", late)
    assert run(tmp_path, "signal.pause()") == 128 + signal.SIGTERM


def test_what_nohup_ignores_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        body = "raise SystemExit(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
        assert run(tmp_path, body) == 1
    finally:
        signal.signal(signal.SIGHUP, before)


def test_no_zombie_is_left(tmp_path):
    pid = tmp_path / "pid"
    run(tmp_path, f"open({str(pid)!r}, 'w').write(str(os.getpid()))")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_from_another_thread_it_runs_without_handlers(tmp_path):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(run(tmp_path, "raise SystemExit(4)")))
    thread.start()
    thread.join()
    assert codes == [4]


def test_command_that_cannot_be_started(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(FileNotFoundError):
        process.run([str(tmp_path / "none")])
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_in_a_terminal_reaches_the_child_once(tmp_path):
    child = program(
        tmp_path / "child",
        "numbers = {signal.SIGINT, signal.SIGTERM}\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, numbers)\n"
        "os.write(1, b'ready\\n')\n"
        "while signal.sigwait(numbers) == signal.SIGINT: os.write(1, b'INT\\n')\n"
        "os._exit(7)",
    )
    parent = (
        "import fcntl, os, subprocess, sys, termios\n"
        "from instant.centrifugo.binary.process import run\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "real = subprocess.Popen.send_signal\n"
        "def send(self, number):\n"
        "    os.write(1, b'passed on %d\\n' % number)\n"
        "    real(self, number)\n"
        "subprocess.Popen.send_signal = send\n"
        f"code = run([{str(child)!r}])\n"
        "os.write(1, b'end\\n')\n"
        "sys.exit(code)"
    )
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "r+b", buffering=0) as tty:
        process = subprocess.Popen(
            [sys.executable, "-c", parent],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        try:
            said = b""
            for word, action in (
                (b"ready", lambda: tty.write(b"\x03")),
                (b"INT", lambda: process.send_signal(signal.SIGTERM)),
                (b"end", lambda: None),
            ):
                while word not in said:
                    said += tty.read(1)
                action()
            assert process.wait(60) == 7
        finally:
            os.close(theirs)
            process.kill()
            process.wait()
    # Handlers run in the order of the signals, so SIGINT would have been passed on before.
    assert b"passed on 15" in said
    assert b"passed on 2" not in said


def test_the_pid_file_is_its_owners_whatever_the_umask(tmp_path):
    (tmp_path / "server.pid").touch(0o666)
    (tmp_path / "server.pid").chmod(0o666)
    old = os.umask(0)
    try:
        assert run(tmp_path, "", folder=tmp_path) == 0
    finally:
        os.umask(old)
    assert (tmp_path / "server.pid").stat().st_mode & 0o777 == 0o600

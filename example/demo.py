"""
Set up the example and run it: site, message server and workers, until Ctrl-C.

    python example/demo.py [--port 8000] [--ws-port 8427] [--server auto|embedded|centrifugo]

Asks nothing and can be run again. Exit code 0 after Ctrl-C, SIGTERM or SIGHUP, 1 where one of
them could not start or died. Standard library only; Python must have Django and Instant.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from pathlib import Path

HERE = Path(__file__).resolve().parent
INSTALL_SECONDS = 120
START_SECONDS = 60
STOP_SECONDS = 5
WORKERS = 2  # one goes on with what the other one had, where that is killed
LAST_PORT = 65535
LOGINS = (
    ("ada", "customer"),
    ("bob", "wholesale customer"),
    ("sam", "staff"),
    ("root", "staff, and the admin at /admin/"),
)


class DemoError(Exception):
    """What stops the demo."""


class Stop(BaseException):
    """Somebody wants it to end."""


class Part:
    """
    One of the processes, with what it says.

    It is ready when a URL answers, or it has said a line that begins so.
    """

    def __init__(self, name, arguments, env, ready):
        self.name, self._ready = name, ready
        self._said = deque(maxlen=30)
        self._echoes = False
        # A group of its own: Ctrl-C reaches only us, and we stop all in good order.
        self.process = subprocess.Popen(  # noqa: S603  our own manage.py
            manage(*arguments),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self):
        for line in self.process.stdout:
            self._said.append(line.rstrip())
            if self._echoes:
                say(f"{self.name:>6} | {line.rstrip()}")

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self.process.poll() is not None:
                raise DemoError(f"The {self.name} could not start:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise DemoError(f"The {self.name} does not answer:\n{self.last_words()}")
            time.sleep(0.05)
        self._echoes = True

    def _is_ready(self):
        is_url = self._ready.startswith("http:")
        return answers(self._ready) if is_url else self.says(self._ready)

    def says(self, start):
        return any(line.startswith(start) for line in self._said)

    def last_words(self):
        return "\n".join(f"  {line}" for line in self._said) or "  (it said nothing)"

    def stop(self):
        self._echoes = False
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        # The whole group: where the process died by force, its child may have been left.
        self._signal(signal.SIGKILL, group=True)
        self.process.wait()

    def _signal(self, number, *, group=False):
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(self.process.pid, number)
            elif self.process.poll() is None:
                self.process.send_signal(number)


def main():
    options = arguments()
    signals = Signals()
    parts = []
    try:
        run(options, parts, signals)
    except Stop:
        code = 0
    except DemoError as exc:
        say(str(exc), file=sys.stderr)
        code = 1
    signals.ignore()
    for part in reversed(parts):
        part.stop()
    if code == 0:
        say("Stopped.")
    return code


def run(options, parts, signals):
    port = free_port(options.port, "site", "--port")
    ws_port = free_port(options.ws_port, "message server", "--ws-port", avoid=port)
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "shop.settings",  # whatever the shell has set for another site
        "EXAMPLE_PORT": str(port),
        "EXAMPLE_WS_PORT": str(ws_port),
        "PYTHONUNBUFFERED": "1",
    }
    say("Setting up the database …")
    setup("migrate", "--verbosity=0", env=env)
    setup("demo_data", env=env)
    server = options.server
    if server == "auto" and not install(env):
        server = "embedded"
        say("Centrifugo could not be installed (no network?): the embedded server is used instead.")
    site_url = f"http://localhost:{port}/"
    # By number: “localhost” may mean IPv6 first, where somebody else may listen.
    probe = "http://127.0.0.1:{}/"
    site = ("runserver", f"127.0.0.1:{port}", "--noreload")
    with signals:
        parts.append(Part("server", ("runws", "--server", server), env, probe.format(ws_port)))
        parts.append(Part("site", site, env, probe.format(port)))
        # The last one stops first: what a worker is doing may then be done, and be told.
        jobs = ("runjobs", "--processes", str(WORKERS))
        parts.append(Part("worker", jobs, env, "Running the jobs"))
        requests = ("runworker", "forecast", "--processes", str(WORKERS))
        parts.append(Part("answers", requests, env, "Answering requests"))
    for part in parts:
        part.wait_until_ready()
    welcome(site_url, "Centrifugo" if parts[0].says("Centrifugo ") else "the embedded server")
    follow(parts)


def install(env):
    """Try to have Centrifugo itself; tell whether there is one now."""
    if os.environ.get("CENTRIFUGO_BIN") or shutil.which("centrifugo"):
        return True
    say("Installing Centrifugo …")
    try:
        done = subprocess.run(  # noqa: S603  our own manage.py
            manage("installws"),
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=INSTALL_SECONDS,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def setup(*command, env):
    done = subprocess.run(  # noqa: S603  our own manage.py
        manage(*command),
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        start_new_session=True,
    )
    if done.returncode:
        raise DemoError(f"manage.py {command[0]} failed:\n{done.stdout}{done.stderr}")


def follow(parts):
    """Wait until one of them ends; it should not."""
    while True:
        for part in parts:
            code = part.process.poll()
            if code is not None:
                raise DemoError(
                    f"The {part.name} ended with code {code}, so everything stops. "
                    f"It said last:\n{part.last_words()}"
                )
        time.sleep(0.2)


def welcome(url, server):
    lines = [
        f"Threadwell is at  {url}",
        f"Messages go over  {server}",
        "",
        *(f"  {name:<6} {who}" for name, who in LOGINS),
        "",
        "Everybody's password is “demo”. Ctrl-C stops it.",
        "Two browsers show it best: one for ada, one for sam.",
    ]
    width = max(map(len, lines))
    say("\n┌─" + "─" * width + "─┐")
    for line in lines:
        say(f"│ {line:<{width}} │")
    say("└─" + "─" * width + "─┘\n")


def free_port(wanted, name, option, avoid=None):
    port = wanted
    while port == avoid or not is_free(port):
        port += 1
        if port > LAST_PORT:
            raise DemoError(f"No port is free for the {name}; name one with {option}.")
    if port != wanted:
        say(f"Port {wanted} is taken: the {name} uses {port}.")
    return port


def is_free(port):
    with socket.socket() as probe:
        # As the servers do it: a port that was used a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True  # an error page is an answer
    except OSError:
        return False
    return True


def manage(*arguments):
    return [sys.executable, str(HERE / "manage.py"), *arguments]


class Signals:
    """Turn a signal into Stop, but not between the start of a process and our knowing it."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self._is_held = self._came = False
        for number in self.NUMBERS:
            signal.signal(number, self)

    def __call__(self, _number, _frame):
        if not self._is_held:
            raise Stop
        self._came = True

    def __enter__(self):
        self._is_held = True

    def __exit__(self, *_exception):
        self._is_held = False
        if self._came:
            raise Stop

    def ignore(self):
        """Let nothing interrupt what comes: who presses Ctrl-C twice must not leave half of it."""
        for number in self.NUMBERS:
            signal.signal(number, signal.SIG_IGN)


def say(text, file=sys.stdout):
    print(text, file=file, flush=True)


def arguments():
    parser = argparse.ArgumentParser(description="Run Instant's example shop.")
    parser.add_argument("--port", type=int, default=8000, help="of the site (default 8000)")
    parser.add_argument(
        "--ws-port", type=int, default=8427, help="of the message server (default 8427)"
    )
    parser.add_argument(
        "--server",
        choices=("auto", "embedded", "centrifugo"),
        default="auto",
        help="auto: Centrifugo where it can be had, else the embedded server (default)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""One server for all web processes of a project: find it, follow the declarations, or start it."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from instant import conf as instant_conf
from instant.centrifugo.api.client import Client
from instant.centrifugo.binary import lifeline, process, supervisor
from instant.centrifugo.config.defaults import DEFAULT_ADDRESS
from instant.centrifugo.config.file import prepare_folder
from instant.centrifugo.listening import listens
from instant.conf import Conf
from instant.exceptions import PublishError
from instant.server.launch import Plan, plan
from instant.server.sync import Sync, compare

__all__ = ["Outcome", "alone", "attach", "histories", "taken_port"]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_START_SECONDS = 30

_children: list[subprocess.Popen[bytes]] = []
"""The supervisors that this process has started, so that they can be waited for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the attempt to have a server."""

    text: str
    """One line that says it."""
    line: int | None = None
    """The life-line of the server; None if it isn't ours."""
    failed: bool = False
    lasts: Callable[[], bool] | None = None
    """Tells whether nothing has changed; None: never again will it."""
    answers: Callable[[], bool] | None = None
    """Waits until a new server answers, and tells whether it does; None where it is known."""
    warnings: tuple[str, ...] = ()


def attach(conf: Conf, *, again: bool = False) -> Outcome:
    """
    Return how this process has a server now: the one that runs, or one that it has started.

    Its config follows the declarations: the server reloads it, or is restarted where it must be.
    ``again``: this process had one before. Then it takes one that runs as it is, for the process
    that has started it began later. Two whose settings differ would restart it in turns.
    Raises InstantConfigError and OSError.
    """
    url = urlsplit(conf.api_url)
    if url.hostname not in _LOOPBACK:
        text = f"No message server is started here: Django publishes to {conf.api_url}."
        return Outcome(text)
    prepare_folder(conf.dir)
    with lifeline.starting(conf.dir):
        if again and (line := lifeline.join(conf.dir)) is not None:
            return Outcome("The message server that another process has started is used.", line)
        sync = compare(conf)
        wanted = plan(conf, data=histories(conf))
        conf = instant_conf.current()
        line = lifeline.join(conf.dir)
        if line is not None:
            return _ours(conf, sync, wanted, line)
        held = lifeline.holder(conf.dir)
        if held is not None:
            return _held(conf, sync, wanted, held.get("host"))
        if listens(wanted.websocket):
            return _on_the_port(conf, sync, wanted)
        return _started(conf, wanted, f"{wanted.title} at {wanted.where}, with the web server.")


def histories(conf: Conf, server: str = "auto") -> Path | None:
    """Return the file for histories, if it is the embedded server that will run."""
    embedded = server == "embedded" or (
        server == "auto" and conf.data is not None and process.find_binary(conf.dir) is None
    )
    return conf.data if embedded else None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """
    Run the folder's server by hand: the one that web processes have started ends first.

    They use this one then, and start one again after it.
    """
    claim = None
    if lifeline.SUPPORTED:
        # In a folder that can't be written, web processes find the server by its port.
        with suppress(OSError), lifeline.starting(folder):
            lifeline.ask_to_stop(folder)
            with lifeline.unforked:
                claim = lifeline.take(folder)
            if claim is not None:
                claim.note(by="runws")
    try:
        yield
    finally:
        if claim is not None:
            claim.close()


def taken_port(ended: Plan) -> str | None:
    """
    Say that somebody else has the port of a server that has ended, and what to do about it.

    None where nobody has it, and for the embedded server, which says it itself.
    """
    if "instant.embedded" in ended.command or not listens(ended.websocket):
        return None
    return (
        f"Port {ended.at.port} is held by another program, or by another server of this project. "
        f"End it, or set CENTRIFUGO_PORT = {_free_port(ended.at.port + 1)} in the settings."
    )


def _ours(conf: Conf, sync: Sync, wanted: Plan, line: int) -> Outcome:
    """Make use of the server that another web process has started."""
    runs = (lifeline.holder(conf.dir) or {}).get("plan")
    if runs != _fingerprint(wanted) or (sync.changed and sync.needs_restart):
        os.close(line)
        if not lifeline.ask_to_stop(conf.dir):
            raise TimeoutError(None, "the server that runs doesn't end")
        where = f"{wanted.title} at {wanted.where}"
        return _started(
            conf, wanted, f"The message server was restarted, since its settings changed: {where}."
        )
    text = f"The message server at {wanted.websocket} goes on."
    if sync.changed and process.reload(conf.dir):
        text = f"The message server at {wanted.websocket} has reloaded its config, which changed."
    return Outcome(text, line)


def _held(conf: Conf, sync: Sync, wanted: Plan, host: object) -> Outcome:
    """Make use of the server of “runws”; refuse to be a second one beside another host's."""

    def lasts() -> bool:
        return lifeline.holder(conf.dir) is not None

    if host is not None and host != socket.gethostname():
        return Outcome(
            f"No message server was started: {host} runs one, and shares {conf.dir}. Pages that "
            f"connect here would miss what it sends. Set CENTRIFUGO_HOST to that host here.",
            failed=True,
            lasts=lasts,
        )
    return _used(conf, sync, wanted, lasts)


def _used(conf: Conf, sync: Sync, wanted: Plan, lasts: Callable[[], bool]) -> Outcome:
    text = f"The message server that already runs at {wanted.websocket} is used."
    if not sync.changed:
        return Outcome(text, lasts=lasts)
    if not sync.needs_restart and process.reload(conf.dir):
        return Outcome(f"{text} It has reloaded its config, which changed.", lasts=lasts)
    return Outcome(f"{text} Its config changed: restart it.", failed=True, lasts=lasts)


def _on_the_port(conf: Conf, sync: Sync, wanted: Plan) -> Outcome:
    def lasts() -> bool:
        return listens(wanted.websocket)

    if _is_ours(conf):
        return _used(conf, sync, wanted, lasts)
    at = urlsplit(wanted.websocket)
    return Outcome(
        f"No message server was started: port {at.port} is held by another program, or by the "
        f"server of another project, which refuses this project's API key. End it, or set "
        f"CENTRIFUGO_PORT = {_free_port((at.port or 0) + 1)} in the settings.",
        failed=True,
        lasts=lasts,
    )


def _started(conf: Conf, wanted: Plan, text: str) -> Outcome:
    with lifeline.unforked:
        claim = lifeline.take(conf.dir)
        if claim is None:  # runws was quicker
            return Outcome("Another process has just started a server.", lasts=lambda: False)
        try:
            reading, line = claim.lifeline()
            claim.note(by="web server", plan=_fingerprint(wanted))
            try:
                child = supervisor.start(
                    claim.file, reading, conf.dir, wanted.command, dict(wanted.env)
                )
            except BaseException:
                os.close(line)
                raise
            finally:
                os.close(reading)
        finally:
            claim.close()
    _children[:] = [*(old for old in _children if old.poll() is None), child]
    return Outcome(text, line, answers=lambda: _answers(conf, child), warnings=wanted.warnings)


def _fingerprint(wanted: Plan) -> str:
    """Return what tells one plan from another: another command, or other options and keys."""
    options = sorted(item for item in wanted.env.items() if item[0].startswith("CENTRIFUGO_"))
    # The same Python is “python”, “python3” or another link, as the process was started.
    command = [sys.prefix if part == sys.executable else part for part in wanted.command]
    return hashlib.sha256(repr((command, options)).encode()).hexdigest()


def _is_ours(conf: Conf) -> bool:
    """Tell whether what listens there takes our API key, and replies as a server does."""
    from cent import InfoRequest  # noqa: PLC0415  takes a while to import

    client = Client(conf.api_url, conf.api_key)
    try:
        client.call(InfoRequest(), 2)
    except PublishError:
        return False
    finally:
        client.close()
    return True


def _answers(conf: Conf, child: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + _START_SECONDS
    while child.poll() is None and time.monotonic() < until:
        if _is_ours(conf):
            return True
        time.sleep(0.1)
    return False


def _free_port(start: int) -> int:
    for port in range(start, 65535):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((DEFAULT_ADDRESS, port))
            return port
    return start

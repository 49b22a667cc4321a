"""
Run the message server with the web server: ``INSTANT["AUTOSTART"]``.

A thread of each web process holds the life-line of the project's server. Where there is no server
it starts a supervisor, which runs one until nobody holds the life-line any more. So the server
outlives any single web process, and no web process, however it ends, leaves it behind.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from django.apps import apps

from instant import conf as instant_conf
from instant.centrifugo.binary import lifeline
from instant.centrifugo.config.address import listens_at
from instant.centrifugo.config.file import read_config
from instant.conf import Conf
from instant.exceptions import InstantConfigError
from instant.server import proxy_urls
from instant.server.shared import Outcome, attach
from instant.server.web_process import Role, port_of, role, serves_other_machines

__all__ = ["start_with_web_server"]

logger = logging.getLogger("instant.server")

_FIRST_LOOK = 0.1
_LOOK = 1
"""Seconds between two looks whether a server that isn't ours still runs."""
_LONGEST_PAUSE = 30
_STEADY = 10
"""Seconds after which a server that ends has not failed to start."""

_WITHOUT_SERVER = ("instant.backends.console.", "instant.backends.locmem.")


def start_with_web_server() -> None:
    """
    Start what keeps the server running, if this is a web process and the settings want it.

    Called when the apps are ready. Never raises, and never waits.
    """
    try:
        what = role()
        if what is Role.OTHER or not _wanted(instant_conf.current()):
            return
        _start(what)
        if what is Role.WORKER and hasattr(os, "register_at_fork"):
            # The site is loaded before the workers are forked; threads stay behind.
            os.register_at_fork(before=_import_all, after_in_child=lambda: _start(what))
    except InstantConfigError:  # a system check tells, and so does whoever needs the settings
        return
    except Exception:
        logger.exception("The message server can't be started with the web server.")


def _import_all() -> None:
    """
    Let the thread finish its imports before a fork copies it.

    The lock of a module that is half imported then would be held in the child for ever.
    """
    import cent  # noqa: F401, PLC0415  0.28 s, which is why it is late elsewhere


def _wanted(conf: Conf) -> bool:
    return conf.autostart and not conf.backend.startswith(_WITHOUT_SERVER)


def _start(what: Role) -> None:
    work = _hold_on if what is Role.RELOADER else _tend
    say = _to_terminal if what in {Role.RUNSERVER, Role.RELOADER} else _to_log
    threading.Thread(target=_guarded, args=(work, say), name="instant-server", daemon=True).start()


def _guarded(work: Callable[[_Say], None], say: _Say) -> None:
    # Until then there are no URLs, and an error in somebody's app may still end it all.
    apps.ready_event.wait()
    try:
        work(say)
    except InstantConfigError as exc:
        say(f"No message server was started. {exc}", failed=True)
    except Exception:
        logger.exception("The message server is not looked after any more.")


def _tend(say: _Say) -> None:
    """
    Keep a server running, as long as this process does.

    Memory, files and a disk that are used up may be free again, so an OSError ends nothing.
    """
    if not lifeline.SUPPORTED:
        say("The message server isn't started on this system: run “manage.py runws”.", failed=True)
        return
    failures = 0
    had_one = False
    told = ""
    while True:
        began = time.monotonic()
        try:
            outcome = attach(instant_conf.current(), again=had_one)
            had_one = had_one or outcome.line is not None
            goes_on = _stay(outcome, say)
        except OSError as exc:
            failures = 1 if time.monotonic() - began > _STEADY else failures + 1
            text = _why_not(exc)
            if text != told:
                say(text, failed=True)
                told = text
            time.sleep(_pause(failures))
            continue
        told = ""
        if not goes_on:
            return
        if outcome.line is None:
            continue
        failures = 0 if time.monotonic() - began > _STEADY else failures + 1
        if failures > 1:
            pause = _pause(failures - 1)
            say(f"The message server has ended. Next attempt in {pause} s.", failed=True)
            time.sleep(pause)


def _stay(outcome: Outcome, say: _Say) -> bool:
    """Say what there is, and wait until it changes; tell whether it ever may. Raises OSError."""
    if outcome.line is None:
        say(outcome.text, failed=outcome.failed)
        if outcome.lasts is None:
            return False
        pause = _FIRST_LOOK  # what is about to end when we come ends soon
        while outcome.lasts():
            time.sleep(pause)
            pause = min(2 * pause, _LOOK)
        return True
    try:
        _report(outcome, say)
        _tell_of_other_machines(say)
        _tell_of_another_port(say)
        lifeline.wait_for_end(outcome.line, instant_conf.current().dir)
    finally:
        os.close(outcome.line)
    return True


def _pause(failures: int) -> int:
    """Return the seconds until the next attempt, after so many in a row that failed."""
    return min(1 << min(failures - 1, 5), _LONGEST_PAUSE)


def _why_not(exc: OSError) -> str:
    at = f"{exc.filename}: " if exc.filename else ""
    return (
        f"No message server was started: {at}{exc.strerror or exc}. It is tried again, in the end "
        f"every {_LONGEST_PAUSE} s. “manage.py runws” starts one, too."
    )


def _report(outcome: Outcome, say: _Say) -> None:
    if outcome.answers is None or outcome.answers():
        say(outcome.text, failed=outcome.failed)
    for warning in outcome.warnings:
        say(warning, failed=True)


def _tell_of_other_machines(say: _Say) -> None:
    """Say what is missing for a phone to which “runserver 0.0.0.0:8000” shows the site."""
    conf = instant_conf.current()
    if conf.public_url is not None or not serves_other_machines(sys.argv):
        return
    at = listens_at(read_config(conf.config_file) or {})
    if at.is_loopback:
        say(
            f"Pages on other machines can't connect to it, because it listens on {at.host} only. "
            f"In a second terminal, “manage.py runws --address 0.0.0.0” lets them.",
            failed=True,
        )


def _tell_of_another_port(say: _Say) -> None:
    """Say that the server asks Django where it isn't, with “runserver 8001” and no PROXY_URL."""
    conf = instant_conf.current()
    port = port_of(sys.argv)
    if port is None or conf.proxy_url_given or not proxy_urls.urls(conf):
        return
    if port != urlsplit(str(conf.proxy_url)).port:
        say(
            f"The message server asks Django at {conf.proxy_url}, and this site is at port {port}: "
            f"calls, and what pages publish, will fail. Set "
            f'INSTANT["PROXY_URL"] = "http://127.0.0.1:{port}" in the settings.',
            failed=True,
        )


def _hold_on(_say: _Say) -> None:
    """
    Hold the life-line for as long as this process lives, and start nothing.

    The reloader replaces its child at each change; the server is not to end with one that fails.
    """
    if not lifeline.SUPPORTED:
        return
    folder = instant_conf.current().dir
    while True:
        line = lifeline.join(folder)
        if line is None:
            time.sleep(1)
            continue
        try:
            lifeline.wait_for_end(line, folder)
        except OSError:  # as in _tend()
            time.sleep(1)
        finally:
            os.close(line)


class _Say:
    """Tell the person at the terminal, or the log."""

    def __call__(self, text: str, *, failed: bool = False) -> None:
        raise NotImplementedError


class _Terminal(_Say):
    def __call__(self, text: str, *, failed: bool = False) -> None:  # noqa: ARG002  see _Say
        with suppress(OSError):  # the terminal is gone
            sys.stderr.write(f"Instant: {text}\n")
            sys.stderr.flush()


class _Log(_Say):
    def __call__(self, text: str, *, failed: bool = False) -> None:
        logger.log(logging.ERROR if failed else logging.INFO, "%s", text)


_to_terminal = _Terminal()
_to_log = _Log()

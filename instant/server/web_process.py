"""What this process is: one that serves the site, the parent of a reloader, or neither."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from enum import Enum
from types import FrameType

__all__ = ["Role", "port_of", "role", "serves_other_machines"]

_DEVELOPMENT = ("runserver", "runserver_plus")
_MARKS = ("RUN_MAIN", "WERKZEUG_RUN_MAIN")
"""What the reloaders of these commands set in the process that serves."""

_HANDLERS = ("get_wsgi_application", "get_asgi_application")


class Role(Enum):
    """What a process is to the site."""

    RUNSERVER = "runserver"
    """It serves, for development; its terminal is read."""
    RELOADER = "reloader"
    """It starts the process that serves, again and again."""
    WORKER = "worker"
    """It serves, or its forks do: a WSGI or an ASGI server loads the site in it."""
    OTHER = "other"
    """A command, a shell, a test run, a queue's worker."""


def role() -> Role:
    """
    Return what this process is; to be called while Django is set up in it.

    The command that runs counts, not which class it is: staticfiles and Daphne replace it.
    """
    if "pytest" in sys.modules:
        return Role.OTHER
    for frame in _stack():
        module = frame.f_globals.get("__name__", "")
        name = frame.f_code.co_name
        if module == "django.core.management" and name == "execute":
            return _of_command(
                frame.f_locals.get("subcommand"), getattr(frame.f_locals.get("self"), "argv", [])
            )
        if name in _HANDLERS and module.startswith("django.core."):
            return Role.WORKER
    return Role.OTHER


def serves_other_machines(arguments: list[str]) -> bool:
    """Tell whether the command line is one of ``runserver`` for more than this machine."""
    for address, _port in _listens(arguments):
        if address:
            return address not in {"localhost", "[::1]"} and not address.startswith("127.")
    return False


def port_of(arguments: list[str]) -> int | None:
    """Return the port that a command line of ``runserver`` names; None for any other."""
    if not {*arguments[1:2]} & {*_DEVELOPMENT}:
        return None
    # What has one digit is the value of an option, as in “-v 2”.
    return next((port for _address, port in _listens(arguments) if port > 9), None)  # noqa: PLR2004


def _listens(arguments: list[str]) -> Iterator[tuple[str | None, int]]:
    from django.core.management.commands.runserver import naiveip_re  # noqa: PLC0415  rarely needed

    for argument in arguments[2:]:
        found = naiveip_re.match(argument)
        if found is not None:
            yield found["addr"], int(found["port"])


def _of_command(command: object, arguments: list[str]) -> Role:
    if command not in _DEVELOPMENT or {"--help", "-h", "--version"} & {*arguments}:
        return Role.OTHER
    if "--noreload" in arguments or any(os.environ.get(mark) == "true" for mark in _MARKS):
        return Role.RUNSERVER
    return Role.RELOADER


def _stack() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  who sets Django up
    while frame is not None:
        yield frame
        frame = frame.f_back

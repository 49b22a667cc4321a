"""What this process is: one that serves the site, the parent of a reloader, or neither."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from enum import Enum
from types import FrameType

__all__ = ["Role", "role", "serves_other_machines"]

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
    from django.core.management.commands.runserver import naiveip_re  # noqa: PLC0415  rarely needed

    for argument in arguments[2:]:
        found = naiveip_re.match(argument)
        if found is not None and found["addr"]:
            address = found["addr"]
            return address not in {"localhost", "[::1]"} and not address.startswith("127.")
    return False


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

"""The processes of ``runjobs`` and ``runworker``: one, or a parent that replaces those that die."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Protocol

from django.db import connections

from instant.exceptions import InstantConfigError

__all__ = ["Hopeless", "Processes", "Runs", "Stopped"]

logger = logging.getLogger("instant.tickets")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_HOPELESS = 3
"""The exit status by which a process says so."""

_PAUSE = 1.0
"""Seconds between two processes that die at once."""


class Stopped(SystemExit):
    """Raised in the middle of a job where its worker is told to stop at once."""


class Hopeless(Exception):
    """Raised by what works where another process would fare no better; all end then."""


class Runs(Protocol):
    """What works in a process."""

    def run(self) -> None:
        """Work until stop(), or until it has done as much as it may."""

    def stop(self) -> None:
        """Begin nothing else; for a signal's handler."""


class Processes:
    """
    Work in so many processes until a signal says to stop.

    ``make`` is called in each, with the process that has forked it, or 0. With
    ``are_replaced`` one that has done as much as it may ends, and another takes its place.
    """

    def __init__(
        self, count: int, make: Callable[[int], Runs], *, are_replaced: bool = False
    ) -> None:
        self._count, self._make, self._are_replaced = count, make, are_replaced
        self._children: set[int] = set()
        self._signals = 0
        self._is_hopeless = False

    def run(self) -> None:
        """Work; return when all have ended. Raises Hopeless, with one process what it has said."""
        if self._count == 1 and not self._are_replaced:
            self._work(_SIGNALS)
            return
        if not hasattr(os, "fork"):
            raise InstantConfigError("Here “--processes” is 1: start the command several times.")
        connections.close_all()  # no process may have another's
        for number in _SIGNALS:
            signal.signal(number, self._pass_on)
        while self._signals == 0 or self._children:
            while self._signals == 0 and len(self._children) < self._count:
                self._start()
            self._wait()
        if self._is_hopeless:
            raise Hopeless("No process can work; the log says why.")

    def _start(self) -> None:
        # Nobody is told to stop while it isn't known whom to tell, or who has been told.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._children.add(pid)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            return
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's goes to us all
            self._work([signal.SIGTERM], parent)
            status = 0
        except SystemExit:
            status = 0
        except Hopeless as exc:
            logger.error("%s", exc)  # noqa: TRY400  it says all
            status = _HOPELESS
        except BaseException:
            logger.exception("A worker's process failed.")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _wait(self) -> None:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            self._children.clear()
            return
        self._children.discard(pid)
        if os.waitstatus_to_exitcode(status) == _HOPELESS:
            self._is_hopeless = True
            self._pass_on()
        elif self._signals == 0 and status:
            logger.error("A worker's process ended (%d); another one starts.", status)
            time.sleep(_PAUSE)

    def _pass_on(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        self._signals += 1
        for pid in list(self._children):
            with contextlib.suppress(ProcessLookupError):  # it has ended just now
                os.kill(pid, signal.SIGTERM)

    def _work(self, signals: Iterable[signal.Signals], parent: int = 0) -> None:
        worker = self._make(parent)

        def end(_number: int, _frame: FrameType | None) -> None:
            if self._signals:
                raise Stopped(0)  # the job that is running is given back
            self._signals += 1
            worker.stop()

        self._signals = 0
        for number in signals:
            signal.signal(number, end)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        worker.run()

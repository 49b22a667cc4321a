"""The processes of ``runjobs``: one, or a parent that starts others and replaces those that die."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from types import FrameType

from django.db import connections

from instant.exceptions import InstantConfigError
from instant.inbound.tickets.worker import Worker

__all__ = ["Processes", "Stopped"]

logger = logging.getLogger("instant.tickets")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_PAUSE = 1.0
"""Seconds between two processes that die at once."""


class Stopped(SystemExit):
    """Raised in the middle of a job where its worker is told to stop at once."""


class Processes:
    """Work in so many processes until a signal says to stop."""

    def __init__(self, count: int, queues: Sequence[str]) -> None:
        self._count, self._queues = count, queues
        self._children: set[int] = set()
        self._signals = 0

    def run(self) -> None:
        """Work; return when all have ended."""
        if self._count == 1:
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
        except BaseException:
            logger.exception("A process of runjobs failed.")
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
        if self._signals == 0:
            logger.error("A process of runjobs ended (%d); another one starts.", status)
            time.sleep(_PAUSE)

    def _pass_on(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        for pid in self._children:
            os.kill(pid, signal.SIGTERM)

    def _work(self, signals: Iterable[signal.Signals], parent: int = 0) -> None:
        worker = Worker(self._queues, parent)

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

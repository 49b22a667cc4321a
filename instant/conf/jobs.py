"""What runs queued calls, and how: ``INSTANT["JOBS"]``, read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["DEFAULT_JOBS", "RUNNERS", "Jobs", "parse_jobs"]

DEFAULT_JOBS: Mapping[str, Any] = {
    "RUNNER": None,
    "BACKEND": "default",
    "LEASE": 60,
    "ATTEMPTS": 3,
    "KEEP": 86_400,
}
"""What holds where ``INSTANT["JOBS"]`` says nothing else."""

RUNNERS = ("runjobs", "tasks", "celery")

_MOST = {"LEASE": 86_400, "ATTEMPTS": 1000, "KEEP": 366 * 86_400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """``INSTANT["JOBS"]``, read."""

    runner: str | None
    """One of ``RUNNERS``; None where nothing is said, which counts as our command."""
    backend: str
    """Alias in ``TASKS``."""
    lease: int
    """Seconds after which a job of which nothing is heard is somebody else's."""
    attempts: int
    keep: int
    """Seconds for which a ticket is kept after its end."""


def parse_jobs(given: object) -> Jobs:
    """Read ``INSTANT["JOBS"]``: what differs from the default. Raises ValueError."""
    if not isinstance(given, Mapping):
        raise ValueError(f"must be a dict, not {given!r}")  # noqa: TRY004  a setting's value
    unknown = sorted(set(given) - set(DEFAULT_JOBS), key=str)
    if unknown:
        known = ", ".join(sorted(DEFAULT_JOBS))
        raise ValueError(f"has the unknown key {unknown[0]!r}. Known are: {known}")
    values = {**DEFAULT_JOBS, **given}
    if values["RUNNER"] not in {None, *RUNNERS}:
        listed = ", ".join(map(repr, RUNNERS))
        raise ValueError(f"is wrong: 'RUNNER' must be one of {listed}, not {values['RUNNER']!r}")
    if not isinstance(values["BACKEND"], str) or not values["BACKEND"]:
        raise ValueError(f"is wrong: 'BACKEND' must be a name in TASKS, not {values['BACKEND']!r}")
    for key, most in _MOST.items():
        number = values[key]
        if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= most:
            raise ValueError(
                f"is wrong: {key!r} must be a whole number from 1 to {most:,}, not {number!r}"
            )
    return Jobs(
        runner=values["RUNNER"],
        backend=values["BACKEND"],
        lease=values["LEASE"],
        attempts=values["ATTEMPTS"],
        keep=values["KEEP"],
    )

"""``timeout=2.0``: whoever calls is answered by then."""

from __future__ import annotations

from instant.inbound.answers import Refused
from instant.inbound.call import Call
from instant.inbound.deadline import OutOfTime
from instant.inbound.policies.base import Policy, Proceed, Steps, checked_seconds
from instant.inbound.registry import Handler

__all__ = ["Timeout"]


class Timeout(Policy):
    """Refuses with 504 what takes longer; what happens to the function, ``deadline`` says."""

    def __init__(self, seconds: float) -> None:
        self.seconds = checked_seconds(seconds, "timeout", 0.001)

    def around(self, call: Call, handler: Handler) -> Steps:  # noqa: ARG002  Policy's
        """Go on, for so many seconds."""
        try:
            return (yield Proceed(within=self.seconds))
        except OutOfTime:
            raise Refused(504, "took too long") from None

    def __str__(self) -> str:
        """Say the seconds."""
        return f"timeout={self.seconds}"

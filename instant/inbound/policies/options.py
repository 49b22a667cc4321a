"""The options of a handler that are policies, and the order in which a call meets them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from instant.inbound.policies.base import Policy

__all__ = ["PolicyOptions", "compiled"]


class PolicyOptions(TypedDict, total=False):
    """What ``@on_rpc`` and its relatives take beside who may call."""

    policies: Sequence[Policy]
    """Policies of your own; a call meets them after ours."""


def compiled(options: PolicyOptions) -> tuple[Policy, ...]:
    """Return the policies that the options name. Raises TypeError for others."""
    unknown = options.keys() - PolicyOptions.__annotations__.keys()
    if unknown:
        known = ", ".join(sorted(PolicyOptions.__annotations__))
        raise TypeError(f"A handler has no option {min(unknown)!r}; known are {known}.")
    return tuple(options.get("policies", ()))

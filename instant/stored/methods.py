"""The methods of ours that pages call about stored messages, where the server asks Django."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied

from instant import conf, namespaces
from instant.exceptions import InstantConfigError
from instant.inbound import registry
from instant.inbound.answers import Refused
from instant.inbound.call import Call

__all__ = ["acknowledge", "declare", "is_stored", "outstanding"]


def declare() -> None:
    """
    Register them, once, where something is stored and other methods are called.

    They alone are no reason for the server to ask Django: there are the endpoints. Called when
    the apps are ready.
    """
    called = registry.handlers("rpc")
    if not called or any(handler.function is outstanding for handler in called):
        return
    if is_stored():
        registry.register("rpc", "instant.outstanding")(outstanding)
        registry.register("rpc", "instant.acknowledge")(acknowledge)


def is_stored() -> bool:
    """Tell whether messages of anything are stored."""
    if any(cls.delivery.rule != "disabled" for cls in namespaces.registered()):
        return True
    try:
        return conf.current().store is not None
    except InstantConfigError:  # a check tells
        return False


def outstanding(
    call: Call, channel: Any = None, after: Any = None, limit: Any = 100
) -> dict[str, Any]:
    """Answer what the caller has still to acknowledge, as ``messages/outstanding/`` does."""
    from instant.stored import pages  # noqa: PLC0415  it needs the models

    try:
        return pages.page_of(call.user, {"channel": channel, "after": after, "limit": limit})
    except PermissionDenied:
        raise Refused from None
    except pages.NotAsked as exc:
        raise Refused(400, str(exc)) from None


def acknowledge(call: Call, ids: Any) -> dict[str, Any]:
    """Acknowledge messages, as ``messages/acknowledge/`` does."""
    from instant.stored import pages  # noqa: PLC0415  it needs the models

    try:
        return pages.acknowledge(call.user, {"ids": ids})
    except PermissionDenied:
        raise Refused from None
    except pages.NotAsked as exc:
        raise Refused(400, str(exc)) from None

"""
The tokens that Django signs: one for a connection, one for each subscription.

A token has two clocks. ``exp`` says how long it may be *used* (``TOKEN_USE``, seconds);
``expire_at`` how long that which it opened *lives* (``TOKEN_LIFE``). So nothing is refreshed
in between, and yet every later reconnect or resubscribe asks Django again. No ``client``
claim: after a reconnect the SDK resends its token and would be thrown out for it.
Source: centrifugal.dev, "Client JWT authentication" and "Channel JWT authorization".
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import jwt
from django.http import HttpRequest

from instant import conf
from instant.exceptions import InstantConfigError
from instant.permissions import is_known
from instant.tenancy import current as tenancy
from instant.tenancy import wire

__all__ = ["Signer", "Token", "began", "begin", "end", "lives_until", "subject"]

_SPREAD = 0.1
"""Lives differ by ± this share, so that not everybody refreshes in the same second."""


@dataclass(frozen=True, slots=True)
class Token:
    """A signed token; its value never shows in a repr."""

    value: str
    exp: int
    """Unix time until which it may be used."""
    expire_at: int
    """Unix time until which that lives which it opened."""

    def __repr__(self) -> str:
        return f"Token(exp={self.exp}, expire_at={self.expire_at})"


_began: ContextVar[float | None] = ContextVar("instant_began", default=None)


_KEY = "instant.began"


def begin(*, environ: Any = None, scope: Any = None, **_kwargs: Any) -> None:
    """
    Note when a request began: who its user is may be read from then on.

    Under ASGI Django sends the signal in a context of its own, which no view sees; there the
    request has its ``scope``.
    """
    now = time.time()
    for carrier in (environ, scope):
        if isinstance(carrier, dict):
            carrier[_KEY] = now
    if scope is None:
        _began.set(now)


def began(request: HttpRequest) -> float | None:
    """Return when a request began, None where Django has sent no signal for it."""
    for carrier in (getattr(request, "scope", None), request.META):
        if isinstance(carrier, dict) and isinstance(carrier.get(_KEY), float):
            return float(carrier[_KEY])
    return None


def end(**_kwargs: Any) -> None:
    """Forget it."""
    _began.set(None)


def subject(user: Any) -> str:
    """
    Return the ``sub`` of a user: the primary key as text, or ``""`` for anonymous.

    In a token the current tenant stands before it, see ``tenancy.wire``.
    """
    return str(user.pk) if is_known(user) else ""


def lives_until() -> int:
    """Return until when that lives which is opened now: ``TOKEN_LIFE`` from now, ± 10 %."""
    spread = random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311  not a secret
    return int(time.time()) + round(conf.current().token_life * spread)


_jws = jwt.PyJWS()
"""For all: to make one takes a third of what a signature does."""


class Signer:
    """
    Signs the tokens of one answer for one user.

    All live equally long, so that the page asks for all of them again in one request; the
    next answer's live a little longer or shorter. ``since`` is when its request began; ``tenant``
    names another than the current one. Raises InstantConfigError without a key.
    """

    def __init__(self, user: Any, *, since: float | None = None, tenant: str | None = None) -> None:
        settings = conf.current()
        self._key = settings.hmac_key
        self._tenant = tenancy.current() if tenant is None else tenant
        sub = subject(user)
        self._claims = {
            "sub": wire.subject(self._tenant, sub) if tenancy.are_used() else sub,
            # A request that dawdles gets no fresh token for what its user was at the start.
            "exp": int(since or _began.get() or time.time()) + settings.token_use,
            "expire_at": lives_until(),
            "aud": wire.audience(settings.audience, self._tenant),
        }

    def connection_token(self, *, meta: Mapping[str, Any] | None = None) -> Token:
        """
        Sign a token with which the user's browser may connect.

        ``meta`` is noted by the server for the connection; the server shows it to Django alone.
        """
        return self._sign({**self._claims, "meta": meta} if meta else self._claims)

    def connection(self, *, meta: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what such a token says of the connection, for a server that asks for it."""
        said = {"user": self._claims["sub"], "expire_at": self._claims["expire_at"]}
        return {**said, "meta": meta} if meta else said

    def channel_token(self, channel: str, *, info: Any = None, pushes_joins: bool = False) -> Token:
        """
        Sign a token with which the user's browser may subscribe to the channel.

        ``info`` is what others see of the user in presence; ``pushes_joins`` lets the server
        tell this subscriber who comes and goes, unasked. Whether the user may is not asked
        here: ``permissions`` decides.
        """
        claims = {**self._claims, "channel": wire.channel(self._tenant, channel)}
        if info is not None:
            claims["info"] = info
        if pushes_joins:
            claims["override"] = {"force_push_join_leave": {"value": True}}
        return self._sign(claims)

    def _sign(self, claims: dict[str, Any]) -> Token:
        # Encoded before the key is in hand. What fails after that is the key's fault, and fails
        # in frames of PyJWT that hold it: no report may show them, so nothing is chained.
        payload = json.dumps(claims, separators=(",", ":"), allow_nan=False).encode()
        try:
            value = _jws.encode(payload, self._key, algorithm="HS256")
        except Exception as exc:  # noqa: BLE001
            wrong = type(exc).__name__
        else:
            return Token(value, claims["exp"], claims["expire_at"])
        raise InstantConfigError(
            f"The HMAC key can't sign tokens ({wrong} of PyJWT). Make another one with: python -c "
            "'import secrets; print(secrets.token_urlsafe(48))'"
        )

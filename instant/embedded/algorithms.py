"""The signature algorithms of JSON Web Tokens, as PyJWT has them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jwt.algorithms import Algorithm

# A curve belongs to one algorithm: RFC 7518, 3.4.
_CURVES = {256: "ES256", 384: "ES384", 521: "ES512"}


def load_algorithms() -> dict[str, Algorithm]:
    """Import PyJWT and return its algorithms by name.

    Those of public keys are among them if `cryptography` is installed. Importing that takes long,
    so a server calls this after it has opened its port.
    """
    from jwt.algorithms import get_default_algorithms  # noqa: PLC0415  see above

    return get_default_algorithms()


def read_rsa_key(pem: str, algorithms: dict[str, Algorithm]) -> Any:
    """Return the RSA key, or None if the text isn't one."""
    with contextlib.suppress(Exception):
        return algorithms["RS256"].prepare_key(pem)
    return None


def read_curve_key(pem: str, algorithms: dict[str, Algorithm]) -> tuple[str, Any] | None:
    """Return the algorithm of an ECDSA key and the key, or None if the text isn't one."""
    for name in _CURVES.values():
        # Newer versions of PyJWT accept the right curve only, older ones accept any.
        with contextlib.suppress(Exception):
            key: Any = algorithms[name].prepare_key(pem)
            if _CURVES.get(key.curve.key_size) == name:
                return name, key
    return None

"""Signatures of tokens: HMAC with a shared secret, RSA and ECDSA with the signer's public key."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from instant.embedded.config.schema import ConfigError

if TYPE_CHECKING:
    from jwt.algorithms import Algorithm

    from instant.embedded.config.tokens import TokenOptions

_HMAC = ("HS256", "HS384", "HS512")
_RSA = ("RS256", "RS384", "RS512")
# A curve belongs to one algorithm: RFC 7518, 3.4.
_CURVES = {256: "ES256", 384: "ES384", 521: "ES512"}

Check = Callable[[bytes, bytes], bool]


def load_algorithms() -> dict[str, Algorithm]:
    """Import PyJWT and return its algorithms by name, those of public keys where it has them.

    It brings `cryptography`, which takes long to import: called once the port is open.
    """
    from jwt.algorithms import get_default_algorithms  # noqa: PLC0415  see above

    return get_default_algorithms()


def _curve_key(pem: str, algorithms: dict[str, Algorithm]) -> tuple[str, Any] | None:
    """Return an ECDSA key's only algorithm and the key, None where it is no such key."""
    for name in _CURVES.values():
        # Newer versions of PyJWT take the right curve only, older ones any.
        with contextlib.suppress(Exception):
            key: Any = algorithms[name].prepare_key(pem)
            if _CURVES.get(key.curve.key_size) == name:
                return name, key
    return None


def check_public_key(pem: str, path: str) -> None:
    """Raise ConfigError with `path` in it for a key that no token can be verified with."""
    algorithms = load_algorithms()
    if "RS256" not in algorithms:
        raise ConfigError(f"{path}: takes the package cryptography: pip install cryptography")
    key: Any = None
    if path.endswith("rsa_public_key"):
        with contextlib.suppress(Exception):
            key = algorithms["RS256"].prepare_key(pem)
    else:
        _, key = _curve_key(pem, algorithms) or ("", None)
    if key is None or hasattr(key, "private_numbers"):
        raise ConfigError(f"{path}: must be a public key of this kind in PEM")


class Signatures:
    """Tells whether a message is signed with one of the keys of a kind of tokens."""

    def __init__(self, options: TokenOptions, now: Callable[[], float]) -> None:
        self._options = options
        self._now = now
        self._checks: dict[str, list[Check]] | None = None

    def _load(self) -> dict[str, list[Check]]:
        options, algorithms = self._options, load_algorithms()
        checks: dict[str, list[Check]] = {}

        def add(names: tuple[str, ...], key: object, until: int = 0) -> None:
            for name in names:
                checks.setdefault(name, []).append(self._check(algorithms[name], key, until))

        if options.secret:
            add(_HMAC, options.secret.encode())
            if options.previous_secret:
                add(_HMAC, options.previous_secret.encode(), options.previous_until)
        if options.rsa_key:
            add(_RSA, algorithms["RS256"].prepare_key(options.rsa_key))
        if options.ecdsa_key:
            found = _curve_key(options.ecdsa_key, algorithms)
            if found is not None:
                add((found[0],), found[1])
        return checks

    def _check(self, algorithm: Algorithm, key: object, until: int) -> Check:
        def check(message: bytes, signature: bytes) -> bool:
            if until and self._now() > until:
                return False
            return algorithm.verify(message, key, signature)

        return check

    def valid(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature is one of ours; an algorithm without a key has none."""
        if self._checks is None:
            self._checks = self._load()
        return any(check(message, signature) for check in self._checks.get(algorithm, ()))

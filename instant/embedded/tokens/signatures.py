"""Signatures of tokens: HMAC with a shared secret, RSA and ECDSA with the signer's public key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from instant.embedded.algorithms import load_algorithms, read_curve_key
from instant.embedded.config.tokens import TokenOptions

if TYPE_CHECKING:
    from jwt.algorithms import Algorithm

_HMAC = ("HS256", "HS384", "HS512")
_RSA = ("RS256", "RS384", "RS512")

Check = Callable[[bytes, bytes], bool]


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
            found = read_curve_key(options.ecdsa_key, algorithms)
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

"""Public keys that the signer of tokens publishes as a JSON Web Key Set; no I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from instant.embedded.algorithms import load_algorithms
from instant.embedded.config.token_keys import key_url

# Seconds after its last use that a key is kept.
KEPT_FOR = 3600.0

_RSA = frozenset(("RS256", "RS384", "RS512"))
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_OTHER_PAIRS = frozenset(("Ed448", "X25519", "X448"))
_TEXTS = ("kid", "kty", "alg", "use", "crv", "x", "y", "n", "e", "d", "p", "q", "k")
_PUBLIC = ("kty", "crv", "x", "y", "n", "e")


class UnusableKeySet(Exception):
    """What was fetched is not a usable key set; the message is for logs."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key and the algorithms it may be used with, which are none for some keys."""

    algorithms: frozenset[str]
    key: Any = None

    def valid(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature is this key's."""
        if algorithm not in self.algorithms:
            return False
        return load_algorithms()[algorithm].verify(message, self.key, signature)


def _use_of(members: Mapping[str, str]) -> frozenset[str]:
    """Return what a key can verify: nothing if it is a private key, or not for signatures."""
    kind, curve = members["kty"], members["crv"]
    if kind == "RSA":
        private, names = all(members[name] for name in "dpq"), _RSA
    elif kind == "EC" and curve in _CURVES:
        private, names = bool(members["d"]), frozenset((_CURVES[curve],))
    elif kind == "OKP" and curve == "Ed25519":
        return frozenset(("EdDSA",))
    elif (kind == "oct" and members["k"]) or (kind == "OKP" and curve in _OTHER_PAIRS):
        return frozenset()
    else:
        raise UnusableKeySet("a key is of an unknown kind")
    if members["alg"]:
        names &= {members["alg"]}
    return frozenset() if private else names


def _read_key(item: Any) -> tuple[str, PublicKey | None]:
    """Read one key of a set: its id and itself, or None if it isn't meant for signatures."""
    if not isinstance(item, dict):
        raise UnusableKeySet("a key is not an object")
    members = {name: item.get(name) or "" for name in _TEXTS}
    if not all(isinstance(value, str) for value in members.values()):
        raise UnusableKeySet("a member of a key is not a string")
    names = _use_of(members)
    key: Any = None
    if names:
        import jwt  # noqa: PLC0415  it brings cryptography, which takes long to import

        try:
            public = {name: members[name] for name in _PUBLIC if members[name]}
            key = jwt.PyJWK(public, min(names)).key
        except Exception as exc:  # noqa: BLE001  whatever PyJWT and cryptography say of a bad key
            raise UnusableKeySet(f"a key can't be read: {type(exc).__name__}") from None
    return members["kid"], PublicKey(names, key) if members["use"] == "sig" else None


def read_key_set(text: str) -> dict[str, PublicKey]:
    """Return a set's keys for signatures by id; raises UnusableKeySet.

    If one key can't be read, the whole set is refused, as it is by Centrifugo.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise UnusableKeySet("not JSON") from None
    found = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(found, list) or not found:
        raise UnusableKeySet("no keys in it")
    read = [_read_key(item) for item in found]
    return {kid: key for kid, key in read if key is not None}


class PublishedKeys:
    """The keys of one endpoint, by URL and key id.

    `path` is the endpoint's place in the config, `now` a monotonic clock.
    """

    def __init__(self, endpoint: str, path: str, now: Callable[[], float]) -> None:
        self.path = path
        self._endpoint = endpoint
        self._now = now
        self._known: dict[tuple[str, str], tuple[PublicKey, float]] = {}

    def url(self, variables: Mapping[str, str]) -> str | None:
        """Return the URL of the keys for a token, None if it is not safe to ask."""
        return key_url(self._endpoint, variables)

    def find(self, url: str, kid: str) -> PublicKey | None:
        """Return a key if it is known; each use extends the time it is kept."""
        key, until = self._known.get((url, kid), (None, 0.0))
        if key is None or until < self._now():
            return None
        self._known[url, kid] = key, self._now() + KEPT_FOR
        return key

    def add_set(self, url: str, text: str) -> None:
        """Add the keys that were fetched from a URL; raises UnusableKeySet."""
        found, now = read_key_set(text), self._now()
        self._known = {name: held for name, held in self._known.items() if held[1] >= now}
        for kid, key in found.items():
            self._known[url, kid] = key, now + KEPT_FOR


@dataclass(frozen=True, slots=True)
class MissingKey:
    """A key that a token names and that isn't known yet."""

    keys: PublishedKeys
    url: str
    kid: str

    @property
    def arrived(self) -> bool:
        """Tell whether the key is known by now."""
        return self.keys.find(self.url, self.kid) is not None
